"""Where a build happens, one at a time, and what it builds with."""

from __future__ import annotations

import fcntl
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from building.console import UnusableError, run, say
from building.project import Project

SMALL_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")  # for short runs: it starts faster and takes less memory


@dataclass(frozen=True)
class Workplace:
    """The project, the jars, the JDK, and a folder that belongs to this build alone."""

    project: Project
    jars: Path
    jdk: Path
    work: Path
    onnxruntime: Path | None = None
    """An AAR of ONNX Runtime to use instead of the classes in the desktop jar."""

    @property
    def android(self) -> Path:
        """The API of Android."""
        return self.jars / "android" / "android-all.jar"

    @property
    def kotlin_library(self) -> Path:
        """Kotlin's standard library."""
        return self.jars / "kotlin" / "kotlin-stdlib.jar"

    @property
    def archives(self) -> list[Path]:
        """The AARs that the app is built with."""
        tflite = [self.jars / "android" / f"{name}.aar" for name in ("tensorflow-lite", "tensorflow-lite-api")]
        return [*tflite, *([self.onnxruntime] if self.onnxruntime else [])]

    @property
    def engines(self) -> list[Path]:
        """The jars with the classes of TFLite and ONNX Runtime."""
        unpacked = [self.unpacked(archive) / "classes.jar" for archive in self.archives]
        return unpacked if self.onnxruntime else [*unpacked, self.jars / "android" / "onnxruntime.jar"]

    def unpacked(self, archive: Path) -> Path:
        """The folder with the content of an AAR; UnusableError if `archive` is not one."""
        folder = self.work / "aar" / archive.stem
        if not folder.exists():
            try:
                with zipfile.ZipFile(archive) as file:
                    file.getinfo("classes.jar")
                    file.extractall(folder)
            except (OSError, KeyError, zipfile.BadZipFile) as error:
                raise UnusableError(f"{archive} is not an AAR (a zip file with classes.jar): {error}.") from error
        return folder

    def java(self, name: str, *arguments: object, memory: str = "900m") -> str:
        """The output of a Java program of the jars; ToolFailedError, which calls it `name`, if it fails."""
        return run(name, self.jdk / "bin" / "java", f"-Xmx{memory}", *SMALL_JVM, *arguments)


@contextmanager
def empty(build: Path, name: str) -> Iterator[Path]:
    """The folder `name` in `build`, empty; other builds in `build` wait until the block ends."""
    with locked(build):
        work = build / name
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        yield work


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Create `folder` if necessary, and have other builds wait for it until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Another build is running in {folder}; waiting for it to end.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
