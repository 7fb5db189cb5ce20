#!/usr/bin/env python3
"""Runs the demo app's tests on a JVM of this machine: with the real engines, and with Robolectric's Android."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from building import compiling, jars, jvm_engines, jvm_tests, models, prerequisites, test_data
from building.console import Steps, exit_code, say
from building.project import Project
from building.workplace import Workplace, empty

PROGRAMS = ("mvn", "aapt", "gcc")


def main(words: Sequence[str]) -> None:
    """Run the tests that the command line asks for."""
    root = Path(__file__).resolve().parent.parent
    options = _parser().parse_args(words)
    jvm_engines.check_machine()
    project, build = Project(root), root / "build"
    given = test_data.given(options.artifacts) if options.artifacts else None
    classes = jvm_tests.chosen(jvm_tests.test_classes(project.tests), options.only)
    home = prerequisites.check(PROGRAMS)
    step = Steps()
    with empty(build, "test") as work:
        place = Workplace(project, build / "jars", home, work)
        with step("fetch jars"):
            jars.fetch(place.jars, jars.FOR_TESTS)
        with step("parse the Gradle files"):
            compiling.check_gradle_files(place)
        with step("artifacts of every target"):
            artifacts = given or test_data.exported(build)
        with step("compute test vectors"):
            vectors = test_data.vectors(build)
        with step("compile the app"):
            assets = models.merge_assets(project.main / "assets", artifacts, work / "assets")
            apk, compiled = compiling.resources(place, assets), compiling.app(place)
        with step("compile the tests and the documentation's Kotlin"):
            jvm_tests.compile_tests(place, compiled)
        with step("make TFLite load here"):
            native = jvm_engines.prepare(place)
        jvm_tests.configure(place, apk, assets)
        shots = build / "shots"
        properties = {"vectors": vectors, "artifacts": artifacts, "shots": shots}
        shots.mkdir(exist_ok=True)
        say(f"[{step.count + 1}] run {len(classes)} test class(es)")
        jvm_tests.run(place, native, properties, classes)
    say(f"Screenshots: {shots}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make android-test", description=__doc__)
    parser.add_argument(
        "--artifacts",
        type=Path,
        metavar="DIR",
        help="what `edge-squeeze bundle files` made; default: all are exported, once",
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="CLASS", help="run these test classes only")
    return parser


if __name__ == "__main__":
    sys.exit(exit_code(lambda: main(sys.argv[1:])))
