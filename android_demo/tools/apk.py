#!/usr/bin/env python3
"""Build the demo's APK: compile, check, package, sign, and verify it by reading it again."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from building import compiling, packaging, prerequisites
from building.console import Steps, UnusableError, exit_code, say
from building.project import INDEX, Model, Project, bundled_models, merge_assets, unlisted_models
from building.workplace import Workplace, empty

PROGRAMS = ("mvn", "aapt", "zipalign", "apksigner", "dexdump")
ABIS = ("arm64-v8a", "x86_64", "armeabi-v7a", "x86")
ACTIVITY = "edgesqueeze.demo.MainActivity"
CLASSES = ("edgesqueeze.demo.DemoApp", ACTIVITY, "org.tensorflow.lite.Interpreter", "ai.onnxruntime.OrtEnvironment")
ONNX = "onnx"
KEPT_BY_CLEAN = packaging.KEY  # a phone refuses an update that is signed with another


@dataclass(frozen=True)
class Options:
    """The options of the command line."""

    project: Project
    abis: tuple[str, ...]
    onnxruntime: Path | None
    models: Path
    out: Path


def main(words: Sequence[str]) -> None:
    """Build the APK that the command line asks for."""
    root = Path(__file__).resolve().parent.parent
    parsed = _parser(root).parse_args(words)
    build = root / "build"
    options = Options(Project(root), _abis(parsed.abis), parsed.onnxruntime_aar, parsed.models, parsed.out)
    home = prerequisites.check(PROGRAMS)
    bundled = _bundled(options)
    if options.onnxruntime and not options.onnxruntime.is_file():
        raise UnusableError(f"No such file: {options.onnxruntime}. Required: an AAR of onnxruntime-android.")
    if parsed.clean:
        _clean(build)
    with empty(build, "apk") as work:
        place = Workplace(options.project, build / "jars", home, work, options.onnxruntime)
        content = _build(place, options, bundled, build / packaging.KEY)
    _summarize(options, bundled, content)


def _bundled(options: Options) -> list[Model]:
    """The models to package; UnusableError if the app could not run any of them."""
    bundled = bundled_models(options.models)
    if options.onnxruntime is None and all(model.format == ONNX for model in bundled):
        raise UnusableError(
            "Only ONNX artifacts are bundled, and the APK could not run them without ONNX Runtime's library. "
            "Pass --onnxruntime-aar FILE, an AAR of onnxruntime-android, or bundle a TFLite artifact."
        )
    if unlisted := unlisted_models(options.models):
        say(f"Ignored, since {options.models / INDEX} does not list them: {', '.join(unlisted)}")
    return bundled


def _build(place: Workplace, options: Options, bundled: Sequence[Model], key: Path) -> packaging.Content:
    """Build the APK step by step; the sizes in it."""
    step = Steps()
    with step("fetch jars"):
        prerequisites.fetch(place.jars, prerequisites.JARS_FOR_APK)
    with step("package resources and models"):
        shared = packaging.libraries(place, options.abis)
        assets = merge_assets(options.project.main / "assets", options.models, place.work / "assets")
        apk = compiling.resources(place, assets)
    with step("compile Kotlin"):
        classes = compiling.app(place)
    with step(f"check calls against API level {options.project.settings().min_sdk}"):
        compiling.check_calls(place, classes)
    with step("convert to dex files"):
        packaging.fill(apk, compiling.dex(place), shared)
    with step("align and sign"):
        signed = packaging.sign(place, apk, key)
    with step("verify"):
        settings = options.project.settings()
        expected = packaging.Expected(settings, ACTIVITY, options.abis, bundled, assets, CLASSES)
        content = packaging.verify(signed, expected)
        packaging.put_in_place(signed, options.out)
    return content


def _summarize(options: Options, bundled: Sequence[Model], content: packaging.Content) -> None:
    """Print what was built, what it cannot do, and how to install it."""
    engine = f", ONNX Runtime {content.onnxruntime_bytes / 1e6:.1f}" if content.onnxruntime_bytes else ""
    say(
        f"\n{options.out}  {content.total_bytes / 1e6:.1f} MB: app and TFLite {content.own_bytes / 1e6:.1f}{engine}, "
        f"{len(bundled)} model(s) {content.models_bytes / 1e6:.1f}"
    )
    onnx = [model.folder for model in bundled if model.format == ONNX]
    if onnx and not content.onnxruntime_bytes:
        say(
            f"The APK does not contain ONNX Runtime's library, so the app shows as unavailable: {', '.join(onnx)}.\n"
            "  To include it, pass --onnxruntime-aar FILE, an AAR of onnxruntime-android."
        )
    if content.small_pages:
        say(
            f"For sideloading, not for the store: its TFLite is {prerequisites.version('tflite')}. These libraries "
            f"need memory pages of 4 KB, but new phones may have 16 KB: {', '.join(content.small_pages)}."
        )
    say(f"\nInstall it with:\n  adb install -r {shlex.quote(str(options.out))}")


def _clean(build: Path) -> None:
    for path in build.iterdir() if build.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != KEPT_BY_CLEAN:
            path.unlink()


def _abis(words: str) -> tuple[str, ...]:
    abis = tuple(dict.fromkeys(word.strip() for word in words.split(",")))
    if unknown := [abi for abi in abis if abi not in ABIS]:
        raise UnusableError(f"Unknown ABI: {unknown[0]!r}. Choices: {', '.join(ABIS)}.")
    return abis


def _parser(root: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make apk", description=__doc__)
    project = Project(root)
    out = root / "build" / "edge-squeeze-demo.apk"
    parser.add_argument(
        "--abis",
        default=",".join(ABIS[:2]),
        help=f"processors, of {', '.join(ABIS)}; default: %(default)s",
    )
    parser.add_argument(
        "--onnxruntime-aar",
        type=Path,
        metavar="FILE",
        help="AAR of onnxruntime-android, to run ONNX artifacts",
    )
    parser.add_argument(
        "--models",
        type=Path,
        metavar="DIR",
        default=project.models,
        help="models to package instead of the app's own",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", default=out, help="path of the APK; default: %(default)s")
    parser.add_argument(
        "--clean",
        action="store_true",
        help=f"first empty the build folder, except for {KEPT_BY_CLEAN}",
    )
    return parser


if __name__ == "__main__":
    sys.exit(exit_code(lambda: main(sys.argv[1:])))
