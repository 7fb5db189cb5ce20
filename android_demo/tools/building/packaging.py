"""An APK made of its parts, filled, aligned and signed; then verified by reading it again."""

from __future__ import annotations

import os
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from building import elf
from building.console import CheckFailedError, UnusableError, run
from building.project import Model, Settings
from building.workplace import Workplace

PAGE_BYTES = 16384  # the largest memory page of any Android; what is stored at a multiple of it can be mapped
KEY, ALIAS, PASSWORD = "debug.keystore", "debug", "android"  # as Android's own tools have it
VALID_DAYS = 10000
MODELS = "assets/models/"
LIBRARY = re.compile(r"lib/([^/]+)/([^/]+\.so)")
ONNXRUNTIME = "libonnxruntime"
# Dex files and resources take about 1 MB, TFLite 3.4 (arm64-v8a) to 4.5 MB (x86_64): room to grow, not to double.
BASE_LIMIT_BYTES, ABI_LIMIT_BYTES = 2_000_000, 4_000_000
LOCAL_HEADER_BYTES = 30


def libraries(place: Workplace, abis: Iterable[str]) -> dict[str, Path]:
    """The engines' shared libraries by their path in the APK; UnusableError if an engine has none for an ABI."""
    shared: dict[str, Path] = {}
    for archive in place.archives:
        folder = place.unpacked(archive) / "jni"
        for abi in abis if folder.is_dir() else ():
            paths = sorted((folder / abi).glob("*.so"))
            if not paths:
                choices = ", ".join(sorted(path.name for path in folder.iterdir()))
                raise UnusableError(f"{archive.name} has no library for the ABI {abi}. Choices: {choices}.")
            shared |= {f"lib/{abi}/{path.name}": path for path in paths}
    return shared


def fill(apk: Path, dex_files: Iterable[Path], shared: Mapping[str, Path]) -> None:
    """Add code to an APK that has its resources: dex files compressed, libraries uncompressed."""
    with zipfile.ZipFile(apk, "a") as file:
        for path in dex_files:
            file.writestr(zipfile.ZipInfo(path.name), path.read_bytes(), zipfile.ZIP_DEFLATED)
        for name, path in shared.items():  # ZipInfo sets no time: the same sources give the same APK
            file.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_STORED)


def sign(place: Workplace, apk: Path, key: Path) -> Path:
    """The APK aligned to pages and signed with `key`, which is created if it does not exist."""
    aligned, signed = place.work / "aligned.apk", place.work / "signed.apk"
    run("zipalign", "zipalign", "-f", PAGE_BYTES, apk, aligned)
    if not key.is_file():
        _make_key(place, key)
    level = place.project.settings().min_sdk
    signer = ("apksigner", "sign", "--ks", key, "--ks-key-alias", ALIAS, "--ks-pass", f"pass:{PASSWORD}")
    run("apksigner", *signer, "--min-sdk-version", level, "--out", signed, aligned)
    return signed


def _make_key(place: Workplace, key: Path) -> None:
    new = place.work / KEY
    run(
        "keytool",
        *(place.jdk / "bin" / "keytool", "-genkeypair", "-keystore", new, "-alias", ALIAS, "-storepass", PASSWORD),
        *("-keypass", PASSWORD, "-keyalg", "RSA", "-keysize", "2048", "-validity", VALID_DAYS, "-dname", "CN=Debug"),
    )
    new.replace(key)


def put_in_place(apk: Path, out: Path) -> None:
    """Put `apk` in the place of `out` in one step; UnusableError if it cannot be written."""
    new = out.with_name(f".{out.name}.partial-{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(apk, new)
        new.replace(out)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise UnusableError(f"Cannot write {out}: {error}. Free disk space, or pass another --out FILE.") from error


@dataclass(frozen=True)
class Expected:
    """What an APK must contain."""

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
    """Libraries that cannot be loaded on devices whose memory pages have 16 KB."""

    @property
    def own_bytes(self) -> int:
        """The size without models and ONNX Runtime: the app and TFLite."""
        return self.total_bytes - self.models_bytes - self.onnxruntime_bytes


def verify(apk: Path, expected: Expected) -> Content:
    """The sizes in the APK; CheckFailedError naming everything that is not as expected."""
    checks = (wrong_manifest, wrong_code, wrong_libraries, wrong_models, too_large)
    problems = [problem for check in checks for problem in check(apk, expected)]
    problems += misaligned(apk)
    if problems:
        raise CheckFailedError("The APK failed its checks:\n" + "\n".join(f"- {problem}" for problem in problems))
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


def wrong_manifest(apk: Path, expected: Expected) -> Iterable[str]:
    """Entries of the manifest that are not what they must be, as the packager reads them."""
    badging = run("aapt", "aapt", "dump", "badging", apk, error=CheckFailedError)
    settings = expected.settings
    for required in (
        f"package: name='{settings.application_id}' versionCode='{settings.version_code}'",
        f"sdkVersion:'{settings.min_sdk}'",
        f"targetSdkVersion:'{settings.target_sdk}'",
        f"launchable-activity: name='{expected.activity}'",
    ):
        if not re.search(f"^{re.escape(required)}", badging, re.MULTILINE):
            lines = [line for line in badging.splitlines() if line.startswith(required.partition(":")[0] + ":")]
            yield f"manifest: required {required}, got {lines or 'nothing'}"


def wrong_code(apk: Path, expected: Expected) -> Iterable[str]:
    """Classes that are missing, and calls that Android does not support."""
    dump = run("dexdump", "dexdump", "-d", apk, error=CheckFailedError)
    for name in expected.classes:
        if f"'L{name.replace('.', '/')};'" not in dump:
            yield f"code: the class {name} is missing"
    if calls := dump.count("invoke-custom"):
        yield f"code: {calls} invoke-custom instructions, which need a LambdaMetafactory, which Android lacks"


def wrong_libraries(apk: Path, expected: Expected) -> Iterable[str]:
    """ABIs that are missing, or were not asked for."""
    with zipfile.ZipFile(apk) as file:
        abis = {match[1] for name in file.namelist() if (match := LIBRARY.fullmatch(name))}
    if abis != set(expected.abis):
        yield f"libraries: required the ABIs {', '.join(expected.abis)}, got {', '.join(sorted(abis)) or 'none'}"


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
            yield f"models: {entry.filename} is compressed, so it cannot be mapped into memory"


def misaligned(apk: Path) -> Iterable[str]:
    """Uncompressed entries that do not start at a page boundary."""
    with zipfile.ZipFile(apk) as file, apk.open("rb") as raw:
        for entry in file.infolist():
            raw.seek(entry.header_offset)
            name_length, extra_length = struct.unpack_from("<HH", raw.read(LOCAL_HEADER_BYTES), 26)
            start = entry.header_offset + LOCAL_HEADER_BYTES + name_length + extra_length
            if entry.compress_type == zipfile.ZIP_STORED and entry.file_size and start % PAGE_BYTES:
                yield f"alignment: {entry.filename} starts at {start}, which is not a multiple of {PAGE_BYTES}"


def too_large(apk: Path, expected: Expected) -> Iterable[str]:
    """The size of everything but models and ONNX Runtime, if it exceeds its limit."""
    limit = BASE_LIMIT_BYTES + ABI_LIMIT_BYTES * len(expected.abis)
    own = content(apk).own_bytes
    if own > limit:
        yield f"size: {own / 1e6:.1f} MB without models and ONNX Runtime, over the limit of {limit / 1e6:.1f} MB"
