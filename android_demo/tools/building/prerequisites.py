"""What a build needs: programs, which must be installed, and jars, which Maven fetches once into the build folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from building.console import FailureError, MissingError, ToolFailedError, run
from building.workplace import locked

OLDEST_JDK = 17
JDK_PROGRAMS = ("javac", "java", "keytool")
# Program -> the Debian package that contains it.
PACKAGES = {
    "mvn": "maven",
    "aapt": "aapt",
    "zipalign": "zipalign",
    "apksigner": "apksigner",
    "dexdump": "dexdump",
    "gcc": "gcc libc6-dev",
}
JDK_PACKAGE = f"openjdk-{OLDEST_JDK}-jdk-headless"

POM = Path(__file__).resolve().parent.parent / "pom.xml"
STAMP = ".fetched"
# Folder of jars -> the goal of the pom that fills it.
GOALS = {
    "android": "dependency:copy@android",
    "kotlin": "dependency:copy@kotlin",
    "sdk": "dependency:copy@sdk",
    "robolectric": "dependency:copy-dependencies@robolectric",
}
JARS_FOR_APK = ("android", "kotlin")
JARS_FOR_TESTS = tuple(GOALS)
R8 = "com.android.tools:r8"
R8_HINT = "Set ANDROID_MAVEN_REPOSITORY to the address of Google's Maven repository, which has r8, and try again."


def check(programs: Iterable[str]) -> Path:
    """The home of a JDK that is new enough; MissingError naming everything missing: that JDK and `programs`."""
    home = _jdk_home()
    problem = _jdk_problem(home)
    absent = [program for program in programs if shutil.which(program) is None]
    if not problem and not absent:
        assert home is not None
        return home
    packages = ([JDK_PACKAGE] if problem else []) + [PACKAGES[program] for program in absent]
    raise MissingError(
        f"Missing: {', '.join([problem] * bool(problem) + absent)}.\n"
        f"On Debian or Ubuntu, as root: apt-get install {' '.join(packages)}"
    )


def _jdk_home() -> Path | None:
    """The folder of JAVA_HOME, else of the javac on PATH."""
    if home := os.environ.get("JAVA_HOME"):
        return Path(home)
    javac = shutil.which("javac")
    return Path(javac).resolve().parent.parent if javac else None


def _jdk_problem(home: Path | None) -> str:
    """What is required of the JDK and what is there instead; empty if it is usable."""
    required = f"a JDK {OLDEST_JDK} or newer"
    if home is None:
        return f"{required} (no javac on PATH, and JAVA_HOME is not set)"
    if absent := [name for name in JDK_PROGRAMS if not (home / "bin" / name).is_file()]:
        return f"{required} ({home} has no {', '.join(absent)})"
    try:
        match = re.search(r"javac (\d+)", run("javac", home / "bin" / "javac", "-version"))
    except FailureError as error:
        return f"{required} ({error})"
    number = int(match[1]) if match else 0
    return "" if number >= OLDEST_JDK else f"{required} ({home} is {number or 'of unknown version'})"


def version(name: str) -> str:
    """The value of the property `name` of pom.xml."""
    return POM.read_text().partition(f"<{name}>")[2].partition("<")[0]


def fetch(jars: Path, folders: Iterable[str]) -> None:
    """Fill those `folders` of `jars` that are incomplete: from Maven's local store if possible, else by downloading."""
    with locked(jars):
        incomplete = [name for name in folders if not _is_complete(jars / name)]
        for name in incomplete:
            shutil.rmtree(jars / name, ignore_errors=True)
        if incomplete:
            _run_maven(jars, incomplete)
        for name in incomplete:
            (jars / name / STAMP).write_text(json.dumps(_content(jars / name)))


def _run_maven(jars: Path, folders: Iterable[str]) -> None:
    options = ("-B", "-q", "-Dstyle.color=never", "-f", POM, f"-Djars={jars}")
    command = ("mvn", *options, *(GOALS[name] for name in folders))
    try:
        run("mvn", *command, "-o")
    except ToolFailedError:
        try:
            run("mvn", *command)
        except ToolFailedError as error:
            raise ToolFailedError(f"{error}\n{R8_HINT}" if R8 in str(error) else str(error)) from error


def _is_complete(folder: Path) -> bool:
    """Whether the folder holds what the current pom.xml asks for."""
    try:
        stamp = json.loads((folder / STAMP).read_text())
    except (OSError, ValueError):
        return False
    return bool(stamp == _content(folder))


def _content(folder: Path) -> dict[str, object]:
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.name != STAMP}
    return {"pom_sha256": hashlib.sha256(POM.read_bytes()).hexdigest(), "sizes_bytes": sizes}
