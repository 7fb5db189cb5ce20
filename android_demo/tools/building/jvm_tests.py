"""The app's tests on a JVM: their artifacts and vectors, Android's TFLite made to load there, compiled and run."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from building import compiling, elf
from building.console import (
    CheckFailedError,
    MissingError,
    ToolFailedError,
    UnusableError,
    last_lines,
    run,
    say,
    stream,
)
from building.project import INDEX
from building.workplace import Workplace

TOOLS = Path(__file__).resolve().parent.parent
RUNNER = "JUnitRun"
FAILED = 3  # the exit code of JUnitRun
HEAP = "-Xmx1500m"
# Where Robolectric's Android reaches into Java's own classes, as Android's do.
OPENED = ("java.io", "java.lang", "java.lang.reflect", "java.net", "java.nio", "java.util")
KOTLIN_BLOCK = re.compile(r"^```kotlin\n(package .*?)^```", re.MULTILINE | re.DOTALL)

SHIM, ALIGNED = TOOLS / "native" / "bionic_shim.c", TOOLS / "native" / "aligned.c"
ABI = "x86_64"
# A JVM gives a library to one class loader only, and Robolectric has its own. TFLite tries the second name next, where
# a test without Robolectric finds a copy.
LIBRARY, COPY = "libtensorflowlite_jni.so", "libtensorflowlite_jni_stable.so"
# Android's name of a library that TFLite needs -> its name on this machine.
NATIVE = {"libm.so": "libm.so.6", "libdl.so": "libdl.so.2"}


def check_machine() -> None:
    """Raise MissingError where Android's library for x86-64 cannot run."""
    machine = f"{sys.platform} on {platform.machine()}"
    if (sys.platform, platform.machine()) != ("linux", ABI) or platform.libc_ver()[0] != "glibc":
        raise MissingError(
            "The app's tests require Linux with glibc on x86-64, where Android's TFLite can be loaded; "
            f"got {machine}. `make apk` works here."
        )


def prepare_engine(place: Workplace) -> Path:
    """The folder with TFLite's library and what it needs to load."""
    out = place.work / "native"
    out.mkdir()
    _link(out / "libc.so", SHIM)
    (out / "empty.c").touch()
    _link(out / "liblog.so", out / "empty.c")  # the shim contains its functions
    _link(out / ALIGNED.with_suffix(".so").name, ALIGNED)
    for name, native in NATIVE.items():
        (out / name).symlink_to(run("gcc", "gcc", f"-print-file-name={native}").strip())
    android = place.unpacked(place.archives[0]) / "jni" / ABI / LIBRARY
    for name in (LIBRARY, COPY):
        (out / name).write_bytes(elf.without_symbol_versions(android.read_bytes()))
    return out


def _link(library: Path, source: Path) -> None:
    run("gcc", "gcc", "-O1", "-Wall", "-shared", "-fPIC", f"-Wl,-soname,{library.name}", "-o", library, source)


def checked_artifacts(artifacts: Path) -> Path:
    """The user's folder of artifacts; UnusableError if it is not one."""
    if not (artifacts / INDEX).is_file():
        raise UnusableError(
            f"{artifacts} has no {INDEX}. Required: a folder that `edge-squeeze bundle files ARTIFACT... DIR` wrote."
        )
    return artifacts.resolve()


def exported_artifacts(build: Path) -> Path:
    """The folder of artifacts, exported by artifacts.py, which takes minutes, unless it exists already."""
    artifacts, partial = build / "artifacts", build / "artifacts.partial"
    if (artifacts / INDEX).is_file():
        say(f"  unchanged (remove {artifacts} to export them again)", end="")
    else:
        _python("artifacts.py", partial)
        partial.rename(artifacts)
    return artifacts


def vectors(build: Path) -> Path:
    """The folder that vectors.py fills with pictures and the pixels that the app must compute from them."""
    out = build / "vectors"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    _python("vectors.py", out)
    return out


def _python(program: str, out: Path) -> None:
    """Run a program of this folder that needs edge_squeeze."""
    if importlib.util.find_spec("edge_squeeze") is None:
        raise MissingError(f"edge_squeeze is not installed for {sys.executable}. Run: make android-test")
    run(program, sys.executable, TOOLS / program, out)


def test_classes(tests: Path) -> list[str]:
    """The full names of the classes named ...Test, each in a file of its name."""
    classes = []
    for path in sorted(tests.rglob("*Test.kt")):
        package = re.search(r"^package\s+([\w.]+)", path.read_text(), re.MULTILINE)
        classes.append(f"{package[1]}.{path.stem}" if package else path.stem)
    return classes


def chosen(classes: Sequence[str], names: Sequence[str]) -> list[str]:
    """The classes with these `names`, with or without their package; all classes if `names` is empty."""
    chosen = [name for name in classes if not names or name in names or name.rpartition(".")[2] in names]
    known = {*classes, *(name.rpartition(".")[2] for name in classes)}
    if unknown := [name for name in names if name not in known]:
        choices = ", ".join(name.rpartition(".")[2] for name in classes)
        raise UnusableError(f"No such test class: {unknown[0]}. Choices: {choices}.")
    if not chosen:
        raise UnusableError("No test classes. Required: files named ...Test.kt in app/src/test/kotlin.")
    return chosen


def _libraries(place: Workplace) -> list[Path]:
    """What tests are compiled and run with; Android's API last, for what Robolectric leaves out."""
    robolectric = place.jars / "robolectric"
    unpacked = [place.unpacked(archive) / "classes.jar" for archive in sorted(robolectric.glob("*.aar"))]
    return [place.kotlin_library, *place.engines, *sorted(robolectric.glob("*.jar")), *unpacked, place.android]


def compile_tests(place: Workplace, app: Path) -> None:
    """Compile the tests, which may use what is internal in the app, and the Kotlin files in docs/android.md."""
    out = place.work / "test-classes"
    page = place.project.root.parent / "docs" / "android.md"
    sources = [place.project.tests, *kotlin_files(page, place.work / "documentation")]
    compiling.kotlin(place, sources, [app, *_libraries(place)], out, f"-Xfriend-paths={app}", "-nowarn")
    jar = compiling.classpath(_libraries(place))
    compiling.java(place, [compiling.JAVA / f"{RUNNER}.java"], out, "-cp", jar)


def kotlin_files(page: Path, out: Path) -> list[Path]:
    """Files with the blocks of `page` that are whole files; line N of a file is line N of the page."""
    if not page.is_file():
        return []
    out.mkdir(parents=True, exist_ok=True)
    text = page.read_text()
    files: list[Path] = []
    for match in KOTLIN_BLOCK.finditer(text):
        files.append(out / f"{page.stem}{len(files) + 1}.kt")
        files[-1].write_text("\n" * text.count("\n", 0, match.start(1)) + match[1])
    return files


def configure(place: Workplace, apk: Path, assets: Path) -> None:
    """Write Robolectric's configuration: the paths of the manifest, the resources and the assets."""
    values = {
        "android_merged_manifest": place.work / "AndroidManifest.xml",
        "android_merged_assets": assets,
        "android_resource_apk": apk,
        "android_custom_package": place.project.settings().namespace,
    }
    path = place.work / "test-classes" / "com" / "android" / "tools" / "test_config.properties"
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))


def run_tests(place: Workplace, native: Path, properties: Mapping[str, Path], classes: Sequence[str]) -> None:
    """Run the test classes and show their output; CheckFailedError if a test fails."""
    temporary = place.work / "tmp"  # the engines unpack libraries there, and Robolectric much more
    temporary.mkdir()
    log = place.work / "log.txt"
    settings = {
        "java.library.path": native,
        "java.io.tmpdir": temporary,
        "robolectric.offline": "true",
        "robolectric.dependency.dir": place.jars / "sdk",
        **{f"edgesqueeze.{name}": path for name, path in properties.items()},
    }
    code = stream(
        *(place.jdk / "bin" / "java", HEAP, "-cp"),
        compiling.classpath([place.work / "test-classes", place.work / "classes", *_libraries(place)]),
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED),
        *(f"-D{name}={value}" for name, value in settings.items()),
        *(RUNNER, place.project.settings().namespace.partition(".")[0], *classes),
        environment={
            **os.environ,
            "LD_LIBRARY_PATH": str(native),
            "LD_PRELOAD": str(native / ALIGNED.with_suffix(".so").name),
        },
        log=log,
    )
    if code == FAILED:
        raise CheckFailedError(f"Tests of the app failed. Their log: {log}")
    if code:
        output = last_lines(log.read_text(errors="replace"))
        raise ToolFailedError(f"The JVM that runs the tests exited with code {code} (negative: a signal):\n{output}")
