"""What version 0.1.0 left is still of use: an artifact (tests/data/small-tflite-int8) and a benchmark's result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import CommandLine
from places import ROOT

import edge_squeeze
from edge_squeeze.pictures.loading import photograph

DATA = ROOT / "tests" / "data"
RESULT = DATA / "benchmark-0.1.json"


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The artifact, with the picture that every artifact has and that need not be kept twice."""
    folder = shutil.copytree(DATA / "small-tflite-int8", tmp_path / "small-tflite-int8")
    photograph("chelsea").save(folder / "golden" / "picture.png")
    return folder


def test_an_older_artifact_is_verified_by_its_golden_files(older: Path) -> None:
    found = edge_squeeze.verify(older)
    assert found.passed
    assert found.golden.pixels_equal
    assert found.proof is None, "its original is not kept"


def test_an_older_artifact_that_was_changed_is_refused(older: Path, command_line: CommandLine) -> None:
    model = older / "small-int8.tflite"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    done = command_line("verify", older)
    assert done.returncode == 2
    assert "is not the file that was exported" in done.stderr


def test_an_older_artifact_predicts_and_is_inspected(older: Path, command_line: CommandLine) -> None:
    done = command_line("predict", older, older / "golden" / "picture.png", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["predictions"][0]["label"] == "chelsea"
    assert command_line("inspect", older).returncode == 0


def test_an_older_artifact_is_benchmarked(older: Path, command_line: CommandLine) -> None:
    done = command_line("benchmark", older, "--profile", "quick", "--launches", 1, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["arms"][0]["correctness"]["gate"] == "pass"


def test_an_older_artifact_is_bundled(older: Path, tmp_path: Path) -> None:
    (bundled,) = edge_squeeze.bundle(older, tmp_path / "app")
    assert bundled.change == "added"


def test_an_older_result_is_replayed_and_compared() -> None:
    saved = json.loads(RESULT.read_text())
    replayed = edge_squeeze.replay(RESULT)
    assert [one.summary and one.summary.p50_ms for one in replayed.arms] == [
        one["summary"]["p50_ms"] for one in saved["arms"]
    ]
    found = edge_squeeze.compare(RESULT, RESULT)
    assert [one.ratio for one in found] == [1.0, 1.0]
