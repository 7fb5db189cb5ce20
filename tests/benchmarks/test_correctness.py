from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from synthetic import an_arm

from edge_squeeze.artifact import folder
from edge_squeeze.artifact.manifest import TensorSpec
from edge_squeeze.benchmarks import correctness
from edge_squeeze.benchmarks.arms import Arm
from edge_squeeze.benchmarks.correctness import Correctness
from edge_squeeze.benchmarks.launches.records import PIXELS, InputSet
from edge_squeeze.converters.export import Exported
from edge_squeeze.engines.catalogue import RUNTIMES
from edge_squeeze.engines.engine import EngineOptions

REAL, DRAWN = InputSet(PIXELS, source="pictures", path="pictures.npy"), InputSet(PIXELS)
FLOAT = np.array([[0.75, 0.25, 0.0], [0.25, 0.5, 0.25]], np.float32)
SWAPPED = np.array([[0.75, 0.25, 0.0], [0.5, 0.25, 0.25]], np.float32)  # cosine of its second row: 5 / 6
AS_UINT8 = np.array([[202, 74, 10], [138, 74, 74]], np.uint8)  # SWAPPED at a scale of 1 / 256 and a zero point of 10
AS_INT8 = np.array([[64, -64, -128], [0, -64, -64]], np.int8)  # at 1 / 256 and -128
Written = dict[str, np.ndarray]


def an(name: str, precision: str | None = "float32", **changes: Any) -> Arm:
    return an_arm(name, **{"precision": precision, "inputs": REAL, "path": f"{name}/model.tflite", **changes})


@pytest.fixture(autouse=True)
def _manifests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Artifacts whose outputs are quantized as their names tell."""
    scales = {"uint8": (1 / 256, 10), "int8": (1 / 256, -128)}

    def load(path: Path) -> SimpleNamespace:
        scale, zero_point = scales.get(path.parent.name, (None, None))
        output = TensorSpec("scores", (1, 3), "", "nc", "probabilities", scale, zero_point)
        return SimpleNamespace(manifest=SimpleNamespace(output=output))

    monkeypatch.setattr(folder, "load", load)


def judged(tmp_path: Path, arms: Sequence[Arm], written: Written) -> dict[str, Correctness]:
    """What is judged of arms whose outputs are `written`, by name; the others left none."""
    outputs = {f"{name} litert 1": str(tmp_path / f"{name}.npy") for name in written}
    for name, values in written.items():
        np.save(tmp_path / f"{name}.npy", values)
    outputs["none litert 1"] = str(tmp_path / "none.npy")
    return {key.removesuffix(" litert 1"): one for key, one in correctness.judge(arms, outputs).items()}


@pytest.mark.parametrize(
    ("parity", "gate"), [("pass", "pass"), ("fail", "fail"), ("unproven", "unproven"), (None, "unknown")]
)
@pytest.mark.parametrize("inputs", [REAL, DRAWN])
def test_the_gate_is_the_verdict_of_the_export(tmp_path: Path, parity: str | None, gate: str, inputs: InputSet) -> None:
    arms = [an("float", inputs=inputs), an("other", "int8", parity=parity, inputs=inputs)]
    assert judged(tmp_path, arms, {"float": FLOAT, "other": FLOAT})["other"].gate == gate


@pytest.mark.parametrize(
    ("name", "outputs"),
    [("float16", SWAPPED), ("uint8", AS_UINT8), ("int8", AS_INT8), ("other", SWAPPED.reshape(2, 1, 3, 1))],
)
def test_outputs_are_compared_as_the_numbers_they_stand_for(tmp_path: Path, name: str, outputs: np.ndarray) -> None:
    found = judged(tmp_path, [an("float"), an(name, "int8")], {"float": FLOAT, name: outputs})
    assert found[name].reference == "float litert 1"
    assert found[name].top1_agree == 0.5
    assert found[name].cosine == pytest.approx(5 / 6)
    assert found[name].max_abs == pytest.approx(0.25)
    assert found["float"] == Correctness("pass")


@pytest.mark.parametrize("name", ["uint8", "int8"])
def test_floats_are_not_dequantized_even_if_the_artifact_has_a_scale(tmp_path: Path, name: str) -> None:
    found = judged(tmp_path, [an("float"), an(name, "int8")], {"float": FLOAT, name: FLOAT})
    assert (found[name].top1_agree, found[name].max_abs) == (1, 0)


def test_integers_without_a_scale_are_numbers(tmp_path: Path) -> None:
    found = judged(tmp_path, [an("float"), an("plain", "int8")], {"float": FLOAT, "plain": AS_UINT8})
    assert found["plain"].max_abs == pytest.approx(201.25)


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
    found = judged(tmp_path, [an("float", **base), an("other", "int8", **cand)], written)
    assert found == {"float": Correctness("pass"), "other": Correctness("pass")}


def test_an_arm_that_never_ran_is_not_compared(tmp_path: Path) -> None:
    arms = [an("float"), an("none", "int8"), an("lost", "int8")]
    assert judged(tmp_path, arms, {"float": FLOAT}) == {arm.name: Correctness("pass") for arm in arms}


def test_the_first_float32_arm_of_the_same_network_is_the_reference(tmp_path: Path) -> None:
    names = {"a8": "a", "b8": "b", "a": "a", "b": "b", "a2": "a"}
    arms = [an(name, "int8" if "8" in name else "float32", network=network) for name, network in names.items()]
    found = judged(tmp_path, arms, dict.fromkeys(names, FLOAT))
    references = {name: one.reference for name, one in found.items()}
    assert references == {"a8": "a litert 1", "b8": "b litert 1", "a": None, "b": None, "a2": "a litert 1"}


def test_the_worst_picture_gives_cosine_and_difference(tmp_path: Path) -> None:
    base = np.eye(4, dtype=np.float32)
    other = base.copy()
    other[2] = [0.6, 0, 0.8, 0]
    found = judged(tmp_path, [an("float"), an("other", "int8")], {"float": base, "other": other})["other"]
    assert found.cosine == pytest.approx(0.8)
    assert found.max_abs == pytest.approx(0.6)
    assert found.top1_agree == 1


def test_a_real_artifact_is_dequantized_by_its_own_scale(
    tmp_path: Path, exported_11: dict[str, Exported], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    pictures = np.random.default_rng(0).integers(0, 256, (2, 1, 227, 227, 3), np.uint8)
    arms, raw, spec = [], {}, exported_11["tflite-int8"].manifest.output
    for precision in ("float32", "int8"):
        one = folder.load(exported_11[f"tflite-{precision}"].folder)
        path = one.path(one.manifest.file.name)
        engine = RUNTIMES["litert"].open(path, EngineOptions(1, None, spin=False))
        fed = pictures.astype(one.manifest.input.dtype)
        raw[precision] = np.stack([engine.run([picture])[0] for picture in fed])
        arms.append(dataclasses.replace(an(precision, precision), path=str(path)))
    assert raw["int8"].dtype.kind in "iu"
    assert spec.scale is not None
    numbers = (raw["int8"].astype(np.float64) - (spec.zero_point or 0)) * spec.scale
    found = judged(tmp_path, arms, raw)["int8"]
    assert found.max_abs == pytest.approx(np.abs(raw["float32"] - numbers).max(), rel=1e-4)
    assert found.cosine is not None
    assert found.cosine > 0.9
