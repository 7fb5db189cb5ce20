"""What a finished APK must be, found out by reading it again."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from building import elf
from building.console import CheckFailedError, run
from building.models import Model
from building.packaging import PAGE_BYTES
from building.project import Settings

MODELS = "assets/models/"
LIBRARY = re.compile(r"lib/([^/]+)/([^/]+\.so)")
ONNXRUNTIME = "libonnxruntime"
# Dex files and resources take about 1 MB, TFLite 3.4 (arm64-v8a) to 4.5 MB (x86_64): room to grow, not to double.
BASE_LIMIT_BYTES, ABI_LIMIT_BYTES = 2_000_000, 4_000_000
LOCAL_HEADER_BYTES = 30


@dataclass(frozen=True)
class Expected:
    """What an APK is made of."""

    settings: Settings
    activity: str
    abis: Sequence[str]
    models: Sequence[Model]
    assets: Path
    classes: Sequence[str]


@dataclass(frozen=True)
class Content:
    """The sizes in an APK, in bytes."""

    total_bytes: int
    models_bytes: int
    onnxruntime_bytes: int
    small_pages: tuple[str, ...]
    """Libraries that cannot be loaded where memory pages have 16 KB."""

    @property
    def own_bytes(self) -> int:
        """The app and TFLite, without models and ONNX Runtime."""
        return self.total_bytes - self.models_bytes - self.onnxruntime_bytes


def verify(apk: Path, expected: Expected) -> Content:
    """What is in the APK; CheckFailedError naming everything that is not as expected."""
    checks = (wrong_heading, wrong_code, wrong_libraries, wrong_models, too_large)
    problems = [problem for check in checks for problem in check(apk, expected)]
    problems += misaligned(apk)
    if problems:
        raise CheckFailedError("The APK is not as it must be:\n" + "\n".join(f"- {problem}" for problem in problems))
    run("apksigner", "apksigner", "verify", "--min-sdk-version", expected.settings.min_sdk, apk, error=CheckFailedError)
    return content(apk)


def content(apk: Path) -> Content:
    """The sizes of what is in the APK."""
    with zipfile.ZipFile(apk) as file:
        entries = file.infolist()
        shared = [entry for entry in entries if LIBRARY.fullmatch(entry.filename)]
        small = [entry.filename for entry in shared if elf.alignment(file.read(entry)) < PAGE_BYTES]
    models = sum(entry.compress_size for entry in entries if entry.filename.startswith(MODELS))
    onnxruntime = sum(entry.compress_size for entry in shared if ONNXRUNTIME in entry.filename)
    return Content(apk.stat().st_size, models, onnxruntime, tuple(small))


def wrong_heading(apk: Path, expected: Expected) -> Iterable[str]:
    """What the packager reads in the manifest that it should not."""
    badging = run("aapt", "aapt", "dump", "badging", apk, error=CheckFailedError)
    settings = expected.settings
    for required in (
        f"package: name='{settings.application_id}' versionCode='{settings.version_code}'",
        f"sdkVersion:'{settings.min_sdk}'",
        f"targetSdkVersion:'{settings.target_sdk}'",
        f"launchable-activity: name='{expected.activity}'",
    ):
        if not re.search(f"^{re.escape(required)}", badging, re.MULTILINE):
            found = [line for line in badging.splitlines() if line.startswith(required.partition(":")[0] + ":")]
            yield f"manifest: required {required}, got {found or 'nothing'}"


def wrong_code(apk: Path, expected: Expected) -> Iterable[str]:
    """Classes that are missing, and calls that no Android can make."""
    dump = run("dexdump", "dexdump", "-d", apk, error=CheckFailedError)
    for name in expected.classes:
        if f"'L{name.replace('.', '/')};'" not in dump:
            yield f"code: the class {name} is missing"
    if calls := dump.count("invoke-custom"):
        yield f"code: {calls} invoke-custom instructions, which want a LambdaMetafactory that Android has not"


def wrong_libraries(apk: Path, expected: Expected) -> Iterable[str]:
    """ABIs that are missing, or not asked for."""
    with zipfile.ZipFile(apk) as file:
        found = {match[1] for name in file.namelist() if (match := LIBRARY.fullmatch(name))}
    if found != set(expected.abis):
        yield f"libraries: required the ABIs {', '.join(expected.abis)}, got {', '.join(sorted(found)) or 'none'}"


def wrong_models(apk: Path, expected: Expected) -> Iterable[str]:
    """Assets that are missing or changed, and models that are compressed."""
    files = (path for path in expected.assets.rglob("*") if path.is_file())
    required = {f"assets/{path.relative_to(expected.assets).as_posix()}": path for path in files}
    with zipfile.ZipFile(apk) as file:
        entries = {entry.filename: entry for entry in file.infolist()}
    for name, path in sorted(required.items()):
        if name not in entries:
            yield f"models: {name} is missing"
        elif zlib.crc32(path.read_bytes()) != entries[name].CRC:
            yield f"models: {name} has changed"
    for model in expected.models:
        entry = entries.get(f"{MODELS}{model.folder}/{model.file}")
        if entry and entry.compress_type != zipfile.ZIP_STORED:
            yield f"models: {entry.filename} is compressed, so that it cannot be mapped into memory"


def misaligned(apk: Path) -> Iterable[str]:
    """Stored entries that do not start at a page."""
    with zipfile.ZipFile(apk) as file, apk.open("rb") as raw:
        for entry in file.infolist():
            raw.seek(entry.header_offset)
            name_length, extra_length = struct.unpack_from("<HH", raw.read(LOCAL_HEADER_BYTES), 26)
            start = entry.header_offset + LOCAL_HEADER_BYTES + name_length + extra_length
            if entry.compress_type == zipfile.ZIP_STORED and entry.file_size and start % PAGE_BYTES:
                yield f"alignment: {entry.filename} starts at {start}, no multiple of {PAGE_BYTES}"


def too_large(apk: Path, expected: Expected) -> Iterable[str]:
    """The own part where it has grown over its limit."""
    limit = BASE_LIMIT_BYTES + ABI_LIMIT_BYTES * len(expected.abis)
    own = content(apk).own_bytes
    if own > limit:
        yield f"size: without models and ONNX Runtime {own / 1e6:.1f} MB, the limit is {limit / 1e6:.1f} MB"
