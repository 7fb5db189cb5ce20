"""The app's tests: found, compiled with the documentation's Kotlin, and run on a JVM."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from building import compiling, documentation
from building.console import CheckFailedError, ToolFailedError, UnusableError, last_lines, stream
from building.workplace import Workplace

RUNNER = "JUnitRun"
FAILED = 3  # as JUnitRun ends
HEAP = "-Xmx1500m"
# Where Robolectric's Android reaches into Java's own classes, as Android's do.
OPENED = ("java.io", "java.lang", "java.lang.reflect", "java.net", "java.nio", "java.util")


def test_classes(tests: Path) -> list[str]:
    """The full names of the classes called ...Test, each in a file of its name."""
    found = []
    for path in sorted(tests.rglob("*Test.kt")):
        package = re.search(r"^package\s+([\w.]+)", path.read_text(), re.MULTILINE)
        found.append(f"{package[1]}.{path.stem}" if package else path.stem)
    return found


def chosen(classes: Sequence[str], names: Sequence[str]) -> list[str]:
    """Those of the classes that `names`, full or without their package, name; all if there are none."""
    chosen = [name for name in classes if not names or name in names or name.rpartition(".")[2] in names]
    known = {*classes, *(name.rpartition(".")[2] for name in classes)}
    if unknown := [name for name in names if name not in known]:
        choices = ", ".join(name.rpartition(".")[2] for name in classes)
        raise UnusableError(f"No such test class: {unknown[0]}. Choices: {choices}.")
    if not chosen:
        raise UnusableError("There are no test classes: required files called ...Test.kt in app/src/test/kotlin.")
    return chosen


def _libraries(place: Workplace) -> list[Path]:
    """What tests are compiled and run with; the plain API last, for what Robolectric leaves out."""
    robolectric = place.jars / "robolectric"
    unpacked = [place.unpacked(archive) / "classes.jar" for archive in sorted(robolectric.glob("*.aar"))]
    return [place.kotlin_library, *place.engines, *sorted(robolectric.glob("*.jar")), *unpacked, place.android]


def compile_tests(place: Workplace, app: Path) -> None:
    """Compile the tests, which see what is internal in the app, and the Kotlin files in docs/android.md."""
    out = place.work / "test-classes"
    page = place.project.root.parent / "docs" / "android.md"
    sources = [place.project.tests, *documentation.kotlin_files(page, place.work / "documentation")]
    compiling.kotlin(place, sources, [app, *_libraries(place)], out, f"-Xfriend-paths={app}", "-nowarn")
    jar = compiling.classpath(_libraries(place))
    compiling.java(place, [compiling.JAVA / f"{RUNNER}.java"], out, "-cp", jar)


def configure(place: Workplace, apk: Path, assets: Path) -> None:
    """Tell Robolectric where the manifest, the resources and the assets are; it reads assets from the APK, too."""
    values = {
        "android_merged_manifest": place.work / "AndroidManifest.xml",
        "android_merged_assets": assets,
        "android_resource_apk": apk,
        "android_custom_package": place.project.settings().namespace,
    }
    path = place.work / "test-classes" / "com" / "android" / "tools" / "test_config.properties"
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))


def run(place: Workplace, native: Path, properties: Mapping[str, Path], classes: Sequence[str]) -> None:
    """Run the classes and show what they print; CheckFailedError if a test fails."""
    temporary = place.work / "tmp"  # the engines unpack libraries, and Robolectric much more
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
        environment={**os.environ, "LD_LIBRARY_PATH": str(native)},
        log=log,
    )
    if code == FAILED:
        raise CheckFailedError(f"Tests of the app failed. What they logged: {log}")
    if code:
        output = last_lines(log.read_text(errors="replace"))
        raise ToolFailedError(f"The JVM that runs the tests ended with {code} (if negative, by that signal):\n{output}")
