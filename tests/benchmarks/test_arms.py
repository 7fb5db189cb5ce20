from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from edge_squeeze.artifact.folder import Artifact
from edge_squeeze.benchmarks import arms, request
from edge_squeeze.benchmarks.arms import Ask
from edge_squeeze.engines import catalogue
from edge_squeeze.errors import MissingDependencyError, UsageError

TFLITE, ONNX = b"\x1c\0\0\0TFL3 and more", b"\x08\x08 nodes"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Files that look like models, which is all that is asked of them before they are run."""
    made = {name: tmp_path / name for name in ("one.tflite", "two.onnx")}
    for path, data in zip(made.values(), (TFLITE, ONNX), strict=True):
        path.write_bytes(data)
    return made


def ids(paths: list[Path], **changes: Any) -> list[str]:
    return [arm.id for arm in arms.resolve(Ask(paths, **changes))]


def test_every_combination_is_an_arm(files: dict[str, Path]) -> None:
    asked = ids(list(files.values()), runtimes=["litert", "litert:builtin", "onnxruntime"], threads=(1, 2))
    assert asked == [
        "one.tflite litert 1", "one.tflite litert 2", "one.tflite litert:builtin 1", "one.tflite litert:builtin 2",
        "two.onnx onnxruntime 1", "two.onnx onnxruntime 2",
    ]  # fmt: skip


def test_by_default_each_file_gets_the_first_engine_for_it(files: dict[str, Path]) -> None:
    assert ids(list(files.values())) == ["one.tflite litert 1", "two.onnx onnxruntime 1"]


def test_tensorflow_is_never_taken(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "is_installed", lambda name: name == "tensorflow")
    with pytest.raises(MissingDependencyError, match=r"edge-squeeze\[litert\]"):
        ids([files["one.tflite"]])
    with pytest.raises(UsageError, match="would load TensorFlow"):
        ids([files["one.tflite"]], runtimes=["tf.lite"])


def test_all_means_the_installed_engines_that_read_the_file(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {"ai_edge_litert", "onnxruntime", "ncnn", "pnnx"}
    for module in (catalogue, arms):
        monkeypatch.setattr(module, "is_installed", lambda name: name in here)
    everything = ids(list(files.values()), runtimes=["all"])
    assert everything == ["one.tflite litert 1", "two.onnx onnxruntime 1", "two.onnx ncnn 1"]
    here.remove("pnnx")  # without it ncnn has nothing to run
    assert ids([files["two.onnx"]], runtimes=["all"]) == ["two.onnx onnxruntime 1"]


def test_an_optional_engine_that_is_missing_is_named_with_its_package(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "is_installed", lambda name: name == "ai_edge_litert")
    with pytest.raises(MissingDependencyError, match="pip install openvino"):
        ids([files["one.tflite"]], runtimes=["openvino"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"runtimes": ["litrt"]}, "Did you mean litert"),
        ({"runtimes": ["onnxruntime:builtin"]}, "Unknown runtime"),
        ({"runtimes": ["onnxruntime"]}, "runs onnx files, and there is none"),
        ({"threads": (0,)}, "threads must be 1 to 256"),
    ],
)
def test_what_cannot_be_measured_is_refused(files: dict[str, Path], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ids([files["one.tflite"]], **changes)


def test_a_file_that_no_named_engine_runs_is_named(files: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match=r"two.onnx is an .onnx file, which none of litert runs"):
        ids(list(files.values()), runtimes=["litert"])


@pytest.mark.parametrize("data", [b"", b"this is text", b"\x1c\0\0\0TFL2"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.tflite").write_bytes(data)
    with pytest.raises(UsageError, match="is not a model file that can be run"):
        ids([tmp_path / "model.tflite"])


def test_copies_are_told_apart_by_their_path(tmp_path: Path, files: dict[str, Path]) -> None:
    (tmp_path / "b").mkdir()
    copy = shutil.copy(files["one.tflite"], tmp_path / "b")
    names = [arm.name for arm in arms.resolve(Ask([files["one.tflite"], Path(copy), files["one.tflite"]]))]
    assert names == [str(files["one.tflite"]), str(copy), f"{files['one.tflite']} (2)"]


def test_an_artifact_brings_what_it_says_of_itself(float32_11: Artifact, tmp_path: Path) -> None:
    (arm,) = arms.resolve(Ask([float32_11.folder]))
    assert (arm.name, arm.precision, arm.parity) == ("squeezenet1.1-tflite-float32", "float32", "pass")
    assert (arm.inputs.kind, arm.pixels) == ("pixels", [227, 227])
    copy = Path(shutil.copytree(float32_11.folder, tmp_path / "copy"))
    model = copy / float32_11.manifest.file.name
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(UsageError, match="is not the file that was exported"):
        arms.resolve(Ask([copy]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"threads": "two"}, "--threads must be numbers"),
        ({"threads": ","}, "Required: names separated by commas"),
        ({"policy": "9999"}, "9999"),
        ({"shapes": ["1,x,3"]}, "--input-shape must be"),
        ({"shapes": ["1,0,3"]}, "--input-shape must be"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"files": []}, "Nothing to measure"),
    ],
)
def test_words_that_mean_nothing_are_refused(changes: dict[str, Any], message: str) -> None:
    words: dict[str, Any] = {
        "files": ["a"], "threads": 1, "runtime": None, "policy": "big", "inputs": None, "shapes": [], "seed": 0,
    }  # fmt: skip
    with pytest.raises(UsageError, match=message):
        request.ask(**words | changes, spin=True)


def test_unknown_gates_are_refused() -> None:
    assert request.gates("p50, size") == ["p50", "size"]
    with pytest.raises(UsageError, match="Did you mean p50"):
        request.gates("p5")
