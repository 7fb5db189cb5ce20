#!/usr/bin/env python3
"""Run the demo app's tests on a JVM of this machine, with the real engines and with Robolectric's Android."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from building import compiling, jvm_tests, prerequisites
from building.console import Steps, exit_code, say
from building.project import Project, merge_assets
from building.workplace import Workplace, empty

PROGRAMS = ("mvn", "aapt", "gcc")


def main(words: Sequence[str]) -> None:
    """Run the tests that the command line asks for."""
    root = Path(__file__).resolve().parent.parent
    options = _parser().parse_args(words)
    jvm_tests.check_machine()
    project, build = Project(root), root / "build"
    own = jvm_tests.checked_artifacts(options.artifacts) if options.artifacts else None
    classes = jvm_tests.chosen(jvm_tests.test_classes(project.tests), options.only)
    home = prerequisites.check(PROGRAMS)
    step = Steps()
    with empty(build, "test") as work:
        place = Workplace(project, build / "jars", home, work)
        with step("fetch jars"):
            prerequisites.fetch(place.jars, prerequisites.JARS_FOR_TESTS)
        with step("parse the Gradle files"):
            compiling.check_gradle_files(place)
        with step("export artifacts of every target"):
            artifacts = own or jvm_tests.exported_artifacts(build)
        with step("compute test vectors"):
            vectors = jvm_tests.vectors(build)
        with step("compile the app"):
            assets = merge_assets(project.main / "assets", artifacts, work / "assets")
            apk, compiled = compiling.resources(place, assets), compiling.app(place)
        with step("compile the tests and the documentation's Kotlin"):
            jvm_tests.compile_tests(place, compiled)
        with step("prepare Android's TFLite for the JVM"):
            native = jvm_tests.prepare_engine(place)
        jvm_tests.configure(place, apk, assets)
        shots = build / "shots"
        properties = {"vectors": vectors, "artifacts": artifacts, "shots": shots}
        shots.mkdir(exist_ok=True)
        say(f"[{step.count + 1}] run {len(classes)} test class(es)")
        jvm_tests.run_tests(place, native, properties, classes)
    say(f"Screenshots: {shots}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make android-test", description=__doc__)
    parser.add_argument(
        "--artifacts",
        type=Path,
        metavar="DIR",
        help="folder written by `edge-squeeze bundle files`; default: export every target, once",
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="CLASS", help="run these test classes only")
    return parser


if __name__ == "__main__":
    sys.exit(exit_code(lambda: main(sys.argv[1:])))
