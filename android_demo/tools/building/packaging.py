"""An APK made of its parts: filled, aligned and signed."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from building.console import UnusableError, run
from building.workplace import Workplace

PAGE_BYTES = 16384  # the largest of any Android; what is stored at a multiple of it can be mapped into memory
KEY, ALIAS, PASSWORD = "debug.keystore", "debug", "android"  # as Android's own tools have it
VALID_DAYS = 10000


def libraries(place: Workplace, abis: Iterable[str]) -> dict[str, Path]:
    """The engines' shared libraries by their path in the APK; UnusableError if one is not there for an ABI."""
    found: dict[str, Path] = {}
    for archive in place.archives:
        folder = place.unpacked(archive) / "jni"
        for abi in abis if folder.is_dir() else ():
            paths = sorted((folder / abi).glob("*.so"))
            if not paths:
                has = ", ".join(sorted(path.name for path in folder.iterdir()))
                raise UnusableError(f"{archive.name} has no library for the ABI {abi}. Choices: {has}.")
            found |= {f"lib/{abi}/{path.name}": path for path in paths}
    return found


def fill(apk: Path, dex_files: Iterable[Path], shared: Mapping[str, Path]) -> None:
    """Add code to an APK that has its resources: dex files compressed, libraries stored."""
    with zipfile.ZipFile(apk, "a") as file:
        for path in dex_files:
            file.writestr(zipfile.ZipInfo(path.name), path.read_bytes(), zipfile.ZIP_DEFLATED)
        for name, path in shared.items():  # ZipInfo has no time of day: the same sources make the same APK
            file.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_STORED)


def sign(place: Workplace, apk: Path, key: Path) -> Path:
    """The APK aligned to pages and signed with `key`, which is made if it is not there."""
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
    """Leave `apk` as `out`, in one step; UnusableError if it cannot be written."""
    new = out.with_name(f".{out.name}.partial-{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(apk, new)
        new.replace(out)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise UnusableError(f"{out} cannot be written: {error}. Make room, or give another --out FILE.") from error
