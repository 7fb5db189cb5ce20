"""What older versions left is still of use: 0.1.0 an artifact and a benchmark's result, 0.3.0 two of onnx.

Those of onnx are of the same model. Up to 0.3.0 nhwc was onnx's default layout, and names showed nchw.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import CommandLine
from places import ROOT

import edge_squeeze
from edge_squeeze.artifact import folder as artifact
from edge_squeeze.pictures.loading import photograph

DATA = ROOT / "tests" / "data"
RESULT = DATA / "benchmark-0.1.json"


INPUTS = {
    "small-tflite-int8": (1, 32, 32, 3),
    "small-onnx-float32": (1, 24, 32, 3),
    "small-onnx-float32-nchw": (1, 3, 24, 32),
}
NHWC, NCHW = "small-onnx-float32", "small-onnx-float32-nchw"


def copied(name: str, target: Path) -> Path:
    """The artifact of that name, with the picture that every artifact has and that need not be kept twice."""
    folder = shutil.copytree(DATA / name, target)
    photograph("chelsea").save(folder / "golden" / "picture.png")
    return folder


@pytest.fixture(params=INPUTS)
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Each of the artifacts, in a folder of its own name."""
    return copied(request.param, tmp_path / request.param)


def test_an_older_artifact_is_verified_by_its_golden_files(older: Path) -> None:
    verification = edge_squeeze.verify(older)
    assert verification.passed
    assert verification.golden.pixels_equal
    assert verification.proof is None, "its original is not kept"


def test_an_older_artifact_that_was_changed_is_refused(older: Path, command_line: CommandLine) -> None:
    (model,) = (path for path in older.iterdir() if path.suffix in (".tflite", ".onnx"))
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    done = command_line("verify", older)
    assert done.returncode == 2
    assert "is not the file that was exported" in done.stderr


def test_an_older_artifact_predicts_and_is_inspected(older: Path, command_line: CommandLine) -> None:
    done = command_line("predict", older, older / "golden" / "picture.png", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["predictions"][0]["label"] == "chelsea"
    inspected = command_line("inspect", older, "--json")
    assert inspected.returncode == 0, inspected.stderr
    assert tuple(json.loads(inspected.stdout)["inputs"][0]["shape"]) == INPUTS[older.name]


def test_an_older_artifact_is_benchmarked(older: Path, command_line: CommandLine) -> None:
    done = command_line("benchmark", older, "--profile", "quick", "--launches", 1, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["arms"][0]["correctness"]["gate"] == "pass"


def test_an_older_artifact_is_bundled(older: Path, tmp_path: Path) -> None:
    (bundled,) = edge_squeeze.bundle(older, tmp_path / "app")
    assert bundled.change == "added"


def test_a_layout_is_what_the_manifest_says_and_not_the_name(tmp_path: Path, command_line: CommandLine) -> None:
    """Each under the other's name."""
    folders = [copied(NHWC, tmp_path / NCHW), copied(NCHW, tmp_path / NHWC)]
    scores = []
    for folder, layout in zip(folders, ("nhwc", "nchw"), strict=True):
        assert edge_squeeze.verify(folder).passed
        assert artifact.load(folder).manifest.input.layout == layout
        done = command_line("predict", folder, folder / "golden" / "picture.png", "--json")
        scores.append([guess["score"] for guess in json.loads(done.stdout)[0]["predictions"]])
    np.testing.assert_allclose(*scores, atol=1e-6)
    done = command_line("benchmark", *folders, "--profile", "quick", "--launches", 1, "--json")
    assert done.returncode == 0, done.stderr
    arms = json.loads(done.stdout)["arms"]
    assert [arm["correctness"]["gate"] for arm in arms] == ["pass", "pass"]
    assert [arm["id"].partition(" ")[0] for arm in arms] == [NHWC, NCHW], "the names of model.json"


def test_an_older_result_is_replayed_and_compared() -> None:
    saved = json.loads(RESULT.read_text())
    replayed = edge_squeeze.replay(RESULT)
    assert [arm.summary and arm.summary.p50_ms for arm in replayed.arms] == [
        arm["summary"]["p50_ms"] for arm in saved["arms"]
    ]
    comparisons = edge_squeeze.compare(RESULT, RESULT)
    assert [comparison.ratio for comparison in comparisons] == [1.0, 1.0]
