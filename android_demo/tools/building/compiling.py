"""Compiling: the app's resources, Kotlin and dex files, and a check of the Android API that it calls."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from building.console import CheckFailedError, FailureError, run
from building.workplace import SMALL_JVM, Workplace

JAVA = Path(__file__).resolve().parent.parent / "java"
CLASS_FILES = "1.8"  # as in app/build.gradle.kts
COMPILER = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
# Packages whose classes come with the app, for the check of its calls.
INCLUDED = ("kotlin.*", "org.tensorflow.*", "ai.onnxruntime.*")
GUARDED = "Move calls that an SDK_INT check guards into a function of their own, annotated with @TargetApi(LEVEL)."


def classpath(jars: Iterable[Path]) -> str:
    """The jars in the form of a class path."""
    return ":".join(map(str, jars))


def resources(place: Workplace, assets: Path) -> Path:
    """An APK of the manifest, the compiled resources and `assets`; R.java is next to it, in `r`."""
    manifest, generated, apk = place.work / "AndroidManifest.xml", place.work / "r", place.work / "resources.apk"
    generated.mkdir()
    manifest.write_text(place.project.merged_manifest())
    run(
        "aapt",
        *("aapt", "package", "-f", "-m", "-J", generated, "-M", manifest, "-I", place.android, "-F", apk),
        *("--custom-package", place.project.settings().namespace, "-S", place.project.main / "res"),
        *("-A", assets, "-0", "tflite", "-0", "onnx"),
    )
    return apk


def app(place: Workplace) -> Path:
    """The folder with the app's classes, including R's; warnings are errors."""
    classes = place.work / "classes"
    r_classes = place.work / "r-classes"
    java(place, sorted((place.work / "r").rglob("*.java")), r_classes, "--release", CLASS_FILES.removeprefix("1."))
    jars = [place.android, *place.engines, place.kotlin_library, r_classes]
    kotlin(place, [place.project.main / "kotlin"], jars, classes, "-Werror", f"-Xjdk-release={CLASS_FILES}")
    for path in sorted(r_classes.rglob("*.class")):
        target = classes / path.relative_to(r_classes)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return classes


def java(place: Workplace, sources: Iterable[Path], out: Path, *options: str) -> None:
    """Compile Java sources into the folder `out`."""
    run("javac", place.jdk / "bin" / "javac", "-nowarn", "-Xlint:-options", *options, "-d", out, *sources)


def kotlin(place: Workplace, sources: Iterable[Path], jars: Iterable[Path], out: Path, *options: str) -> None:
    """Compile Kotlin sources against `jars` into the folder `out`."""
    place.java(
        "kotlinc",
        *("-cp", place.jars / "kotlin" / "*", COMPILER, "-no-stdlib", "-no-reflect", "-module-name", "app"),
        *("-jdk-home", place.jdk, "-jvm-target", CLASS_FILES, *options),
        *("-cp", classpath(jars), "-d", out, *sources),
    )


def check_calls(place: Workplace, classes: Path) -> None:
    """Raise CheckFailedError if the app calls anything that the oldest supported Android lacks."""
    jar = place.work / "app.jar"
    with zipfile.ZipFile(jar, "w") as file:
        for path in sorted(classes.rglob("*.class")):
            file.write(path, path.relative_to(classes).as_posix())
    folder = place.jars / "android"
    signature = folder / f"gummy-bears-api-{place.project.settings().min_sdk}.signature"
    own = [f"{path.name}.*" for path in sorted(classes.iterdir()) if path.is_dir()]
    jars = classpath([folder / "animal-sniffer.jar", folder / "asm.jar"])
    try:
        place.java("animal-sniffer", "-cp", jars, JAVA / "ApiCheck.java", signature, jar, *own, *INCLUDED)
    except FailureError as error:
        raise CheckFailedError(f"{error}\n{GUARDED}") from error


def dex(place: Workplace) -> list[Path]:
    """The app and its libraries as dex files."""
    out = place.work / "dex"
    out.mkdir()
    inputs = [place.work / "app.jar"]
    for jar in (place.kotlin_library, *place.engines):
        inputs.append(place.work / f"dex-{len(inputs)}.jar")
        _copy_classes(jar, inputs[-1])
    place.java(
        "d8",
        *("-cp", place.jars / "android" / "r8.jar", "com.android.tools.r8.D8", "--release"),
        *("--min-api", place.project.settings().min_sdk, "--lib", place.android, "--lib", place.jdk),
        *("--output", out, *inputs),
        memory="1200m",
    )
    return sorted(out.glob("classes*.dex"))


def _copy_classes(jar: Path, out: Path) -> None:
    """Copy the classes alone: D8 rejects native libraries, and the classes for newer Java that some jars hold twice."""
    with zipfile.ZipFile(jar) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            if name.endswith(".class") and not name.startswith("META-INF/") and name != "module-info.class":
                target.writestr(name, source.read(name))


def check_gradle_files(place: Workplace) -> None:
    """Raise CheckFailedError for a syntax error in a build file, which only Gradle could run."""
    compiler = ("-cp", place.jars / "kotlin" / "*", JAVA / "KtsCheck.java")
    java = (place.jdk / "bin" / "java", *SMALL_JVM)
    run("the Kotlin parser", *java, *compiler, *place.project.gradle_files, error=CheckFailedError)
