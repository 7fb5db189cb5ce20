from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from synthetic import an_arm

from edge_squeeze.artifact.folder import Artifact
from edge_squeeze.benchmarks import preparation
from edge_squeeze.benchmarks.arms import Ask, resolve
from edge_squeeze.benchmarks.launches.records import VALUES, InputSet
from edge_squeeze.engines import ncnn_engine
from edge_squeeze.errors import ConversionError, MissingDependencyError, UsageError


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_numbers_below_the_normal_range_are_counted(tmp_path: Path, share: float) -> None:
    weights = np.ones(1000, np.float32)
    weights[: int(1000 * share)] = 1e-40
    weights[-1] = 0.0 if share < 1 else 1e-40
    (tmp_path / "m").write_bytes(weights.tobytes() + b"xy")
    assert preparation.denormals(an_arm(path=str(tmp_path / "m"))) == share


def test_files_that_align_nothing_are_not_read_as_words(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(bytes(1000))
    assert preparation.denormals(an_arm(path=str(tmp_path / "m"), format="onnx")) is None


def test_sound_weights_are_not_taken_for_denormal(float32_11: Artifact) -> None:
    (arm,) = resolve(Ask([float32_11.folder]))
    found = preparation.inspections([arm])[arm.sha256]
    assert preparation.facts(found)["float32_weights"]
    share = preparation.denormals(arm)
    assert share is not None
    assert share < 0.003


def test_pictures_are_preprocessed_once_for_each_arm(float32_11: Artifact, pictures: Path, tmp_path: Path) -> None:
    ready = preparation.prepare(resolve(Ask([float32_11.folder])), pictures, tmp_path)
    inputs = ready.arms[0].inputs
    assert (inputs.count, inputs.source) == (3, str(pictures))
    assert np.load(str(inputs.path)).shape == (3, 227, 227, 3)
    again = preparation.prepare(resolve(Ask([float32_11.folder])), pictures, tmp_path / "pictures")
    assert again.arms[0].inputs.sha256 == inputs.sha256


def test_one_picture_is_not_enough(float32_11: Artifact, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 2 pictures, got 1"):
        preparation.prepare(resolve(Ask([float32_11.folder])), pictures / "0.png", tmp_path)


def test_a_file_that_no_artifact_describes_takes_no_pictures(pictures: Path, tmp_path: Path) -> None:
    arm = an_arm(inputs=InputSet(VALUES))
    with pytest.raises(UsageError, match="does not say what its pixels must go through"):
        preparation.prepare([arm], pictures, tmp_path)


def test_a_network_that_pnnx_cannot_convert_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(model: Path, folder: Path) -> Path:
        raise ConversionError(f"pnnx could not convert {model.name} for ncnn.")

    monkeypatch.setattr(ncnn_engine, "convert", refuse)
    arms = [an_arm("a"), an_arm("b", engine="ncnn", id="b ncnn 1")]
    ready = preparation.prepare(arms, None, tmp_path)
    assert ready.failures == {"b ncnn 1": "pnnx could not convert b.tflite for ncnn."}
    assert [arm.id for arm in ready.arms] == ["a litert 1", "b ncnn 1"]


def test_pnnx_is_asked_for_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ncnn_engine.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="pip install pnnx"):
        preparation.prepare([an_arm(engine="ncnn")], None, tmp_path)


def test_a_file_that_cannot_be_looked_into_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "odd.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(50))
    arm = an_arm(path=str(tmp_path / "odd.tflite"))
    assert preparation.inspections([arm, dataclasses.replace(arm, path="gone", sha256="other")]) == {}
