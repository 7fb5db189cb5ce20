"""The programs that must be installed: found, or all that are missing named at once."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from building.console import FailureError, MissingError, run

OLDEST_JDK = 17
JDK_PROGRAMS = ("javac", "java", "keytool")
# Program -> the Debian package that brings it.
PACKAGES = {
    "mvn": "maven",
    "aapt": "aapt",
    "zipalign": "zipalign",
    "apksigner": "apksigner",
    "dexdump": "dexdump",
    "gcc": "gcc libc6-dev",
}
JDK_PACKAGE = f"openjdk-{OLDEST_JDK}-jdk-headless"


def check(programs: Iterable[str]) -> Path:
    """The home of a JDK that is new enough; MissingError naming all that is missing, that JDK and `programs`."""
    home = _jdk_home()
    trouble = _jdk_trouble(home)
    absent = [program for program in programs if shutil.which(program) is None]
    if not trouble and not absent:
        assert home is not None
        return home
    packages = ([JDK_PACKAGE] if trouble else []) + [PACKAGES[program] for program in absent]
    raise MissingError(
        f"Missing: {', '.join([trouble] * bool(trouble) + absent)}.\n"
        f"On Debian or Ubuntu, as root: apt-get install {' '.join(packages)}"
    )


def _jdk_home() -> Path | None:
    """The folder of JAVA_HOME, else of the javac on PATH."""
    if home := os.environ.get("JAVA_HOME"):
        return Path(home)
    javac = shutil.which("javac")
    return Path(javac).resolve().parent.parent if javac else None


def _jdk_trouble(home: Path | None) -> str:
    """What is wrong with the JDK; empty if nothing is."""
    required = f"a JDK {OLDEST_JDK} or newer"
    if home is None:
        return f"{required} (no javac on PATH, and JAVA_HOME is not set)"
    if lacks := [name for name in JDK_PROGRAMS if not (home / "bin" / name).is_file()]:
        return f"{required} ({home} has no {', '.join(lacks)})"
    try:
        found = re.search(r"javac (\d+)", run("javac", home / "bin" / "javac", "-version"))
    except FailureError as error:
        return f"{required} ({error})"
    version = int(found[1]) if found else 0
    return "" if version >= OLDEST_JDK else f"{required} ({home} is {version or 'of unknown version'})"
