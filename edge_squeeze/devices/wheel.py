"""The running edge-squeeze as a wheel for boards, made offline from a checkout or an installed package alike."""

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

# In a checkout the last two are not inside the first.
PACKAGES = ("edge_squeeze", "edge_squeeze.benchmarks", "edge_squeeze.converters")
SUFFIXES = (".py", ".txt", ".typed")
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # so that the same content gives the same bytes
ABOUT = "Wheel-Version: 1.0\nGenerator: edge-squeeze\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@dataclass(frozen=True)
class Wheel:
    """A wheel's file name and content."""

    name: str
    data: bytes

    @property
    def stem(self) -> str:
        """The beginning of the names of environments with this wheel."""
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
    """The fields that pip needs: the version, and the packages of each extra."""
    try:
        distribution = importlib.metadata.distribution("edge-squeeze")
    except importlib.metadata.PackageNotFoundError:
        raise DeviceError(
            "edge-squeeze is not installed as a package, so the packages that a board needs are unknown. Run "
            "`pip install -e .` in its checkout."
        ) from None
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    lines = text.partition("\n\n")[0].splitlines()
    fields = ("Metadata-Version:", "Name:", "Requires-Python:", "Requires-Dist:", "Provides-Extra:")
    metadata = [line for line in lines if line.startswith(fields)]
    return "\n".join([*metadata[:2], f"Version: {__version__}", *metadata[2:]]) + "\n"


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _zip(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, LONG_AGO), data, zipfile.ZIP_DEFLATED)
    return packed.getvalue()
