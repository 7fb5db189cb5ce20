"""Android's own TFLite library, made to load into a JVM of this machine."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from building import elf
from building.console import MissingError, run
from building.workplace import Workplace

SHIM = Path(__file__).resolve().parent.parent / "native" / "bionic_shim.c"
ABI = "x86_64"
# A JVM gives a library to one class loader only, and Robolectric has its own. TFLite tries the second name next, where
# a test without Robolectric finds a copy.
LIBRARY, COPY = "libtensorflowlite_jni.so", "libtensorflowlite_jni_stable.so"
# What the library asks for by Android's names -> where this machine has it.
HERE = {"libm.so": "libm.so.6", "libdl.so": "libdl.so.2"}


def check_machine() -> None:
    """Raise MissingError where Android's library for x86-64 cannot run."""
    machine = f"{sys.platform} on {platform.machine()}"
    if (sys.platform, platform.machine()) != ("linux", ABI) or platform.libc_ver()[0] != "glibc":
        raise MissingError(
            "The app's tests run on Linux with glibc on x86-64 only, where Android's TFLite can be loaded; "
            f"this is {machine}. `make apk` works here."
        )


def prepare(place: Workplace) -> Path:
    """The folder with TFLite's library and what it needs to load."""
    out = place.work / "native"
    out.mkdir()
    _link(out / "libc.so", SHIM)
    (out / "empty.c").touch()
    _link(out / "liblog.so", out / "empty.c")  # the shim has its functions, too
    for name, here in HERE.items():
        (out / name).symlink_to(run("gcc", "gcc", f"-print-file-name={here}").strip())
    android = place.unpacked(place.archives[0]) / "jni" / ABI / LIBRARY
    for name in (LIBRARY, COPY):
        (out / name).write_bytes(elf.without_symbol_versions(android.read_bytes()))
    return out


def _link(library: Path, source: Path) -> None:
    run("gcc", "gcc", "-O1", "-Wall", "-shared", "-fPIC", f"-Wl,-soname,{library.name}", "-o", library, source)
