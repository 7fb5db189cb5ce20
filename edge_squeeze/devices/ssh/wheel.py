"""The running edge-squeeze as a wheel, for boards; made alike from a checkout and an installed package, off line."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import importlib.util
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edge_squeeze.errors import DeviceError
from edge_squeeze.files import documentation
from edge_squeeze.version import __version__

# In a checkout the last two lie elsewhere than in the first.
PACKAGES = ("edge_squeeze", "edge_squeeze.benchmarks", "edge_squeeze.converters")
SUFFIXES = (".py", ".txt", ".typed")
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same content is to give the same bytes
ABOUT = "Wheel-Version: 1.0\nGenerator: edge-squeeze\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@dataclass(frozen=True)
class Wheel:
    """A wheel's file name and content."""

    name: str
    data: bytes

    @property
    def stem(self) -> str:
        """What environments are called that this wheel is installed in."""
        return f"{__version__}-{hashlib.sha256(self.data).hexdigest()[:12]}"


@cache
def pack() -> Wheel:
    """The wheel of the running edge-squeeze; DeviceError if it is not installed."""
    information = f"edge_squeeze-{__version__}.dist-info"
    files = dict(_sources()) | {
        f"{information}/METADATA": _metadata().encode(),
        f"{information}/WHEEL": ABOUT.encode(),
    }
    lines = [f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in sorted(files.items())]
    record = f"{information}/RECORD"
    files[record] = "".join([*lines, f"{record},,\n"]).encode()
    return Wheel(f"edge_squeeze-{__version__}-py3-none-any.whl", _zip(files))


def _sources() -> Iterator[tuple[str, bytes]]:
    for page in sorted(documentation.folder().glob("*.md")):
        yield f"edge_squeeze/docs/{page.name}", page.read_bytes()
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations if spec else None) or []:
            for path in sorted(Path(folder).rglob("*")):
                if path.suffix in SUFFIXES and path.is_file():
                    yield f"{package.replace('.', '/')}/{path.relative_to(folder).as_posix()}", path.read_bytes()


def _metadata() -> str:
    """What pip needs to know: the version and the packages of each extra."""
    try:
        found = importlib.metadata.distribution("edge-squeeze")
    except importlib.metadata.PackageNotFoundError:
        raise DeviceError(
            "This edge-squeeze was never installed, so that nothing says which packages a board needs. Run, "
            "in its checkout, `pip install -e .`"
        ) from None
    lines = (found.read_text("METADATA") or found.read_text("PKG-INFO") or "").partition("\n\n")[0].splitlines()
    kept = ("Metadata-Version:", "Name:", "Requires-Python:", "Requires-Dist:", "Provides-Extra:")
    own = [line for line in lines if line.startswith(kept)]
    return "\n".join([*own[:2], f"Version: {__version__}", *own[2:]]) + "\n"


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _zip(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, LONG_AGO), data, zipfile.ZIP_DEFLATED)
    return packed.getvalue()
