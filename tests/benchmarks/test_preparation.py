"""Inputs and files before a session, and what outputs say after it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from synthetic import DEFAULT, PLACEMENT, an_arm

from edge_squeeze.artifact import folder
from edge_squeeze.artifact.folder import Artifact
from edge_squeeze.artifact.manifest import TensorSpec
from edge_squeeze.benchmarks import int8_advice, model_files, preparation
from edge_squeeze.benchmarks.arms import Arm, resolve
from edge_squeeze.benchmarks.launch_records import PIXELS, VALUES, InputSet
from edge_squeeze.benchmarks.preparation import Correctness
from edge_squeeze.converters.export import Exported
from edge_squeeze.engines import ncnn_engine
from edge_squeeze.engines.catalogue import RUNTIMES
from edge_squeeze.engines.engine import EngineOptions
from edge_squeeze.errors import ConversionError, MissingDependencyError, UsageError


def arms_of(folder: Path) -> list[Arm]:
    return resolve(model_files.read_all([folder]), DEFAULT, PLACEMENT)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_numbers_below_the_normal_range_are_counted(tmp_path: Path, share: float) -> None:
    weights = np.ones(1000, np.float32)
    weights[: int(1000 * share)] = 1e-40
    weights[-1] = 0.0 if share < 1 else 1e-40
    (tmp_path / "m").write_bytes(weights.tobytes() + b"xy")
    assert int8_advice.denormals(an_arm(path=str(tmp_path / "m"))) == share


def test_files_that_align_nothing_are_not_read_as_words(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(bytes(1000))
    assert int8_advice.denormals(an_arm(path=str(tmp_path / "m"), format="onnx")) is None


def test_sound_weights_are_not_taken_for_denormal(float32_11: Artifact) -> None:
    (arm,) = arms_of(float32_11.folder)
    inspection = int8_advice.inspections([arm])[arm.sha256]
    assert int8_advice.facts(inspection)["float32_weights"]
    share = int8_advice.denormals(arm)
    assert share is not None
    assert share < 0.003


def test_pictures_are_preprocessed_once_for_each_arm(float32_11: Artifact, pictures: Path, tmp_path: Path) -> None:
    ready = preparation.prepare(arms_of(float32_11.folder), pictures, tmp_path)
    inputs = ready.arms[0].inputs
    assert (inputs.count, inputs.source) == (3, str(pictures))
    assert np.load(str(inputs.path)).shape == (3, 227, 227, 3)
    again = preparation.prepare(arms_of(float32_11.folder), pictures, tmp_path / "pictures")
    assert again.arms[0].inputs.sha256 == inputs.sha256


def test_one_picture_is_not_enough(float32_11: Artifact, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 2 pictures, got 1"):
        preparation.prepare(arms_of(float32_11.folder), pictures / "0.png", tmp_path)


def test_a_file_that_no_artifact_describes_takes_no_pictures(pictures: Path, tmp_path: Path) -> None:
    arm = an_arm(inputs=InputSet(VALUES))
    with pytest.raises(UsageError, match="does not say how its pixels are preprocessed"):
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
    (arm,) = arms_of(tmp_path / "odd.tflite")
    (tmp_path / "gone.tflite").write_bytes(b"\x1c\0\0\0TFL3")
    (gone,) = arms_of(tmp_path / "gone.tflite")
    (tmp_path / "gone.tflite").unlink()
    assert int8_advice.inspections([arm, gone, an_arm()]) == {}


REAL, DRAWN = InputSet(PIXELS, source="pictures", path="pictures.npy"), InputSet(PIXELS)
FLOAT = np.array([[0.75, 0.25, 0.0], [0.25, 0.5, 0.25]], np.float32)
SWAPPED = np.array([[0.75, 0.25, 0.0], [0.5, 0.25, 0.25]], np.float32)  # cosine of its second row: 5 / 6
AS_UINT8 = np.array([[202, 74, 10], [138, 74, 74]], np.uint8)  # SWAPPED at a scale of 1 / 256 and a zero point of 10
AS_INT8 = np.array([[64, -64, -128], [0, -64, -64]], np.int8)  # at 1 / 256 and -128
SCALES = {"uint8": (1 / 256, 10), "int8": (1 / 256, -128)}  # of artifacts' outputs, by their name
Written = dict[str, np.ndarray]


def an(name: str, precision: str | None = "float32", **changes: Any) -> Arm:
    scale, zero_point = SCALES.get(name, (None, None))
    output = TensorSpec("scores", (1, 3), "", "nc", "probabilities", scale, zero_point)
    model = SimpleNamespace(manifest=SimpleNamespace(output=output))
    return an_arm(name, **{"precision": precision, "inputs": REAL, "model": model, **changes})


def judged(tmp_path: Path, arms: Sequence[Arm], written: Written) -> dict[str, Correctness]:
    """What is judged of arms whose outputs are `written`, by name; the others left none."""
    outputs = {f"{name} litert 1": str(tmp_path / f"{name}.npy") for name in written}
    for name, values in written.items():
        np.save(tmp_path / f"{name}.npy", values)
    outputs["none litert 1"] = str(tmp_path / "none.npy")
    return {
        key.removesuffix(" litert 1"): judgment for key, judgment in preparation.judge_outputs(arms, outputs).items()
    }


@pytest.mark.parametrize(
    ("parity", "gate"), [("pass", "pass"), ("fail", "fail"), ("unproven", "unproven"), (None, "unknown")]
)
@pytest.mark.parametrize("inputs", [REAL, DRAWN])
def test_the_gate_is_the_verdict_of_the_export(tmp_path: Path, parity: str | None, gate: str, inputs: InputSet) -> None:
    arms = [an("float", inputs=inputs), an("other", "int8", parity=parity, inputs=inputs)]
    assert judged(tmp_path, arms, {"float": FLOAT, "other": FLOAT})["other"].gate == gate


def passed(name: str) -> Correctness:
    """Of an arm that is not compared, with the hash of its file."""
    return Correctness("pass", sha256=f"sha of {name}")


@pytest.mark.parametrize(
    ("name", "outputs"),
    [("float16", SWAPPED), ("uint8", AS_UINT8), ("int8", AS_INT8), ("other", SWAPPED.reshape(2, 1, 3, 1))],
)
def test_outputs_are_compared_as_the_numbers_they_stand_for(tmp_path: Path, name: str, outputs: np.ndarray) -> None:
    judgments = judged(tmp_path, [an("float"), an(name, "int8")], {"float": FLOAT, name: outputs})
    assert judgments[name].reference == "float litert 1"
    assert judgments[name].top1_agree == 0.5
    assert judgments[name].cosine == pytest.approx(5 / 6)
    assert judgments[name].max_abs == pytest.approx(0.25)
    assert judgments["float"] == passed("float")


@pytest.mark.parametrize("name", ["uint8", "int8"])
def test_floats_are_not_dequantized_even_if_the_artifact_has_a_scale(tmp_path: Path, name: str) -> None:
    judgments = judged(tmp_path, [an("float"), an(name, "int8")], {"float": FLOAT, name: FLOAT})
    assert (judgments[name].top1_agree, judgments[name].max_abs) == (1, 0)


def test_integers_without_a_scale_are_numbers(tmp_path: Path) -> None:
    judgments = judged(tmp_path, [an("float"), an("plain", "int8")], {"float": FLOAT, "plain": AS_UINT8})
    assert judgments["plain"].max_abs == pytest.approx(201.25)


@pytest.mark.parametrize(
    ("base", "cand", "written"),
    [
        ({"inputs": DRAWN}, {"inputs": DRAWN}, {"float": FLOAT, "other": SWAPPED}),  # on noise it proves nothing
        ({}, {"network": "1.0"}, {"float": FLOAT, "other": SWAPPED}),
        ({"precision": "float16"}, {}, {"float": FLOAT, "other": SWAPPED}),
        ({}, {}, {"float": FLOAT}),
        ({}, {}, {"other": SWAPPED}),
        ({}, {}, {}),
        ({}, {}, {"float": FLOAT, "other": SWAPPED[:, :2]}),
        ({}, {}, {"float": FLOAT, "other": SWAPPED[:1]}),
    ],
)
def test_what_has_no_reference_is_not_compared(
    tmp_path: Path, base: dict[str, Any], cand: dict[str, Any], written: Written
) -> None:
    judgments = judged(tmp_path, [an("float", **base), an("other", "int8", **cand)], written)
    assert judgments == {"float": passed("float"), "other": passed("other")}


def test_an_arm_that_never_ran_is_not_compared(tmp_path: Path) -> None:
    arms = [an("float"), an("none", "int8"), an("lost", "int8")]
    assert judged(tmp_path, arms, {"float": FLOAT}) == {arm.name: passed(arm.name) for arm in arms}


def test_the_first_float32_arm_of_the_same_network_is_the_reference(tmp_path: Path) -> None:
    names = {"a8": "a", "b8": "b", "a": "a", "b": "b", "a2": "a"}
    arms = [an(name, "int8" if "8" in name else "float32", network=network) for name, network in names.items()]
    judgments = judged(tmp_path, arms, dict.fromkeys(names, FLOAT))
    references = {name: judgment.reference for name, judgment in judgments.items()}
    assert references == {"a8": "a litert 1", "b8": "b litert 1", "a": None, "b": None, "a2": "a litert 1"}


def test_the_worst_picture_gives_cosine_and_difference(tmp_path: Path) -> None:
    base = np.eye(4, dtype=np.float32)
    altered = base.copy()
    altered[2] = [0.6, 0, 0.8, 0]
    judgment = judged(tmp_path, [an("float"), an("other", "int8")], {"float": base, "other": altered})["other"]
    assert judgment.cosine == pytest.approx(0.8)
    assert judgment.max_abs == pytest.approx(0.6)
    assert judgment.top1_agree == 1


def test_a_real_artifact_is_dequantized_by_its_own_scale(
    tmp_path: Path, exported_11: dict[str, Exported], int8_head_11: Exported
) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 1, 227, 227, 3), np.uint8)
    arms, raw, spec = [], {}, int8_head_11.manifest.output
    for precision, exported in (("float32", exported_11["tflite-float32"]), ("int8", int8_head_11)):
        artifact = folder.load(exported.folder)
        path = artifact.path(artifact.manifest.file.name)
        engine = RUNTIMES["litert"].open(path, EngineOptions(1, None, spin=False))
        fed = pictures.astype(artifact.manifest.input.dtype)
        raw[precision] = np.stack([engine.run([picture])[0] for picture in fed])
        arms.append(an(precision, precision, model=model_files.read(path)))
    assert raw["int8"].dtype.kind in "iu"
    assert spec.scale is not None
    numbers = (raw["int8"].astype(np.float64) - (spec.zero_point or 0)) * spec.scale
    judgment = judged(tmp_path, arms, raw)["int8"]
    assert judgment.max_abs == pytest.approx(np.abs(raw["float32"] - numbers).max(), rel=1e-4)
    assert judgment.cosine is not None
    assert judgment.cosine > 0.9
