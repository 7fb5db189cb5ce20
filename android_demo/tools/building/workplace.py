"""Where one build happens, and what it builds with."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from building.console import UnusableError, run
from building.locks import alone
from building.project import Project

SMALL_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")  # for short runs: it starts faster and takes less memory


@dataclass(frozen=True)
class Workplace:
    """The project, the jars, the JDK, and a folder whose content is of this build only."""

    project: Project
    jars: Path
    jdk: Path
    work: Path
    onnxruntime: Path | None = None
    """An AAR of ONNX Runtime that is used in place of the desktop jar's classes."""

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
        """The folder with an AAR's content; UnusableError if it is none."""
        folder = self.work / "aar" / archive.stem
        if not folder.exists():
            try:
                with zipfile.ZipFile(archive) as file:
                    file.getinfo("classes.jar")
                    file.extractall(folder)
            except (OSError, KeyError, zipfile.BadZipFile) as error:
                raise UnusableError(f"{archive} is no AAR (a zip with classes.jar): {error}.") from error
        return folder

    def java(self, name: str, *arguments: object, memory: str = "900m") -> str:
        """What a Java program of the jars printed; ToolFailedError naming it `name` if it failed."""
        return run(name, self.jdk / "bin" / "java", f"-Xmx{memory}", *SMALL_JVM, *arguments)


@contextmanager
def empty(build: Path, name: str) -> Iterator[Path]:
    """The folder `name` in `build`, empty, with no other build in `build` until the block ends."""
    with alone(build):
        work = build / name
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        yield work
