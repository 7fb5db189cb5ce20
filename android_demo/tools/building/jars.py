"""The jars that Maven brings, fetched once into the build folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from building.console import ToolFailedError, run
from building.locks import alone

POM = Path(__file__).resolve().parent.parent / "pom.xml"
STAMP = ".fetched"
# Folder -> the goal of the pom that fills it.
GOALS = {
    "android": "dependency:copy@android",
    "kotlin": "dependency:copy@kotlin",
    "sdk": "dependency:copy@sdk",
    "robolectric": "dependency:copy-dependencies@robolectric",
}
FOR_APK = ("android", "kotlin")
FOR_TESTS = tuple(GOALS)
R8 = "com.android.tools:r8"
R8_HINT = "Set ANDROID_MAVEN_REPOSITORY to the address of Google's Maven repository, which has r8, and try again."


def version(name: str) -> str:
    """The version that pom.xml has as its property `name`."""
    return POM.read_text().partition(f"<{name}>")[2].partition("<")[0]


def fetch(jars: Path, folders: Iterable[str]) -> None:
    """Fill those `folders` of `jars` that are not whole: from Maven's own store if it has all, else by downloading."""
    with alone(jars):
        wanted = [name for name in folders if not is_whole(jars / name)]
        for name in wanted:
            shutil.rmtree(jars / name, ignore_errors=True)
        if wanted:
            _maven(jars, wanted)
        for name in wanted:
            _stamp(jars / name)


def _maven(jars: Path, folders: Iterable[str]) -> None:
    options = ("-B", "-q", "-Dstyle.color=never", "-f", POM, f"-Djars={jars}")
    command = ("mvn", *options, *(GOALS[name] for name in folders))
    try:
        run("mvn", *command, "-o")
    except ToolFailedError:
        try:
            run("mvn", *command)
        except ToolFailedError as error:
            raise ToolFailedError(f"{error}\n{R8_HINT}" if R8 in str(error) else str(error)) from error


def is_whole(folder: Path) -> bool:
    """Whether the folder holds what today's pom.xml asks for."""
    try:
        stamp = json.loads((folder / STAMP).read_text())
    except (OSError, ValueError):
        return False
    return bool(stamp == _content(folder))


def _stamp(folder: Path) -> None:
    (folder / STAMP).write_text(json.dumps(_content(folder)))


def _content(folder: Path) -> dict[str, object]:
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.name != STAMP}
    return {"pom_sha256": hashlib.sha256(POM.read_bytes()).hexdigest(), "sizes_bytes": sizes}
