#!/usr/bin/env python3
"""Builds the demo's APK: compiled, checked, packaged, signed, and verified by reading it again."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from building import compiling, jars, models, packaging, prerequisites, verifying
from building.console import Steps, UnusableError, exit_code, say
from building.models import Model
from building.project import Project
from building.workplace import Workplace, empty

PROGRAMS = ("mvn", "aapt", "zipalign", "apksigner", "dexdump")
ABIS = ("arm64-v8a", "x86_64", "armeabi-v7a", "x86")
ACTIVITY = "edgesqueeze.demo.MainActivity"
CLASSES = ("edgesqueeze.demo.DemoApp", ACTIVITY, "org.tensorflow.lite.Interpreter", "ai.onnxruntime.OrtEnvironment")
ONNX = "onnx"
KEPT_BY_CLEAN = packaging.KEY  # a phone refuses an update that is signed with another


@dataclass(frozen=True)
class Options:
    """What the user asked for."""

    project: Project
    abis: tuple[str, ...]
    onnxruntime: Path | None
    models: Path
    out: Path


def main(words: Sequence[str]) -> None:
    """Build what the command line asks for."""
    root = Path(__file__).resolve().parent.parent
    given = _parser(root).parse_args(words)
    build = root / "build"
    options = Options(Project(root), _abis(given.abis), given.onnxruntime_aar, given.models, given.out)
    home = prerequisites.check(PROGRAMS)
    bundled = _bundled(options)
    if options.onnxruntime and not options.onnxruntime.is_file():
        raise UnusableError(f"No such file: {options.onnxruntime}. Required: an AAR of onnxruntime-android.")
    if given.clean:
        _clean(build)
    with empty(build, "apk") as work:
        place = Workplace(options.project, build / "jars", home, work, options.onnxruntime)
        found = _build(place, options, bundled, build / packaging.KEY)
    _summarise(options, bundled, found)


def _bundled(options: Options) -> list[Model]:
    """The models to pack; UnusableError if the app could run none of them."""
    bundled = models.bundled(options.models)
    if options.onnxruntime is None and all(model.format == ONNX for model in bundled):
        raise UnusableError(
            "Only ONNX artifacts are bundled, and the APK would have no library of ONNX Runtime: it could run none of "
            "them. Give --onnxruntime-aar FILE, an AAR of onnxruntime-android, or bundle a TFLite artifact."
        )
    if left_out := models.unlisted(options.models):
        say(f"Left out, since {options.models / models.INDEX} does not name them: {', '.join(left_out)}")
    return bundled


def _build(place: Workplace, options: Options, bundled: Sequence[Model], key: Path) -> verifying.Content:
    """Make the APK step by step; what is in it."""
    step = Steps()
    with step("fetch jars"):
        jars.fetch(place.jars, jars.FOR_APK)
    with step("package resources and models"):
        shared = packaging.libraries(place, options.abis)
        assets = models.merge_assets(options.project.main / "assets", options.models, place.work / "assets")
        apk = compiling.resources(place, assets)
    with step("compile Kotlin"):
        classes = compiling.app(place)
    with step(f"check calls against API level {options.project.settings().min_sdk}"):
        compiling.check_calls(place, classes)
    with step("make dex files"):
        packaging.fill(apk, compiling.dex(place), shared)
    with step("align and sign"):
        signed = packaging.sign(place, apk, key)
    with step("verify"):
        settings = options.project.settings()
        expected = verifying.Expected(settings, ACTIVITY, options.abis, bundled, assets, CLASSES)
        found = verifying.verify(signed, expected)
        packaging.put_in_place(signed, options.out)
    return found


def _summarise(options: Options, bundled: Sequence[Model], found: verifying.Content) -> None:
    """Print what was made, what it cannot do, and how to install it."""
    engine = f", ONNX Runtime {found.onnxruntime_bytes / 1e6:.1f}" if found.onnxruntime_bytes else ""
    say(
        f"\n{options.out}  {found.total_bytes / 1e6:.1f} MB: "
        f"app and TFLite {found.own_bytes / 1e6:.1f}{engine}, {len(bundled)} model(s) {found.models_bytes / 1e6:.1f}"
    )
    onnx = [model.folder for model in bundled if model.format == ONNX]
    if onnx and not found.onnxruntime_bytes:
        say(
            f"Without ONNX Runtime's library, the app shows as unavailable: {', '.join(onnx)}.\n"
            "  Give --onnxruntime-aar FILE, an AAR of onnxruntime-android."
        )
    if found.small_pages:
        say(
            f"Its TFLite is {jars.version('tflite')}. To sideload, not for the store: these want memory pages of 4 KB, "
            f"where new phones may have 16: {', '.join(found.small_pages)}."
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
    parser.add_argument("--abis", default=",".join(ABIS[:2]), help=f"processors, of {', '.join(ABIS)}; %(default)s")
    parser.add_argument(
        "--onnxruntime-aar", type=Path, metavar="FILE", help="an AAR of onnxruntime-android, to run ONNX artifacts"
    )
    parser.add_argument(
        "--models", type=Path, metavar="DIR", default=project.models, help="what to bundle instead of the app's models"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", default=out, help="where the APK goes; %(default)s")
    parser.add_argument(
        "--clean",
        action="store_true",
        help=f"first empty the build folder, but for {KEPT_BY_CLEAN}",
    )
    return parser


if __name__ == "__main__":
    sys.exit(exit_code(lambda: main(sys.argv[1:])))
