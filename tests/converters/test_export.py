from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import CommandLine
from shared_exports import Exports

import edge_squeeze
from edge_squeeze.artifact import folder as artifact
from edge_squeeze.artifact.manifest import FOLD_NORMALIZATION
from edge_squeeze.converters import conformance, targets
from edge_squeeze.converters.export import Exported
from edge_squeeze.converters.options import FileOptions
from edge_squeeze.converters.quantization import lint
from edge_squeeze.converters.rewrites import normalization
from edge_squeeze.converters.targets import all_targets
from edge_squeeze.engines import runner
from edge_squeeze.errors import ConversionError, UsageError
from edge_squeeze.inspection.inspector import inspect
from edge_squeeze.models.original import Original
from edge_squeeze.pictures.loading import load_folder, photograph_crops

NAMES = [f"{target.format}-{target.precision}" for target in all_targets()]
FLOAT32 = ["tflite-float32", "onnx-float32"]
# Of the 1,235,496 float32 weights: half for float16, a quarter and a little for int8.
LARGEST = {"float32": 1.02, "float16": 0.52, "dynamic": 0.28, "int8": 0.29, "int16x8": 0.29}
FILES = {"model.json", "labels.txt", "parity.json", "golden/picture.png", "golden/pixels.rgb"}


def rarely(often: list[Any], *values: list[Any]) -> list[Any]:
    """The combinations of `values` that the quick run leaves out, for each value of which one is among `often`."""
    left_out = (case for case in itertools.product(*values) if case not in often)
    return [pytest.param(*case, marks=pytest.mark.slow) for case in left_out]


@pytest.mark.parametrize("name", NAMES)
def test_real_weights_pass_their_gates(exported_11: Exports, name: str) -> None:
    proof = exported_11[name].proof
    assert proof.verdict == "pass", proof.failures
    assert len(proof.pictures) >= 32
    assert proof.judgments


OF_10 = [("float32_10", "tflite-float32")]


@pytest.mark.parametrize(("exports", "name"), [*OF_10, *rarely([], ["exported_10"], NAMES)])
def test_real_weights_of_10_pass_their_gates(request: pytest.FixtureRequest, exports: str, name: str) -> None:
    proof = request.getfixturevalue(exports)[name].proof
    assert proof.verdict == "pass", proof.failures


@pytest.mark.parametrize("name", NAMES)
def test_the_artifact_is_complete(exported_11: Exports, name: str) -> None:
    loaded = artifact.load(exported_11[name].folder)
    files = {str(p.relative_to(loaded.folder)) for p in loaded.folder.rglob("*") if p.is_file()}
    expected = FILES | {loaded.manifest.file.name} | {entry.file for entry in loaded.manifest.golden.scores.values()}
    assert files == expected | ({"calibration.json"} if loaded.manifest.quantizer else set())
    assert loaded.labels()[285] == "Egyptian cat"
    assert len(loaded.model()) == loaded.manifest.file.size_bytes
    assert len(loaded.model()) <= LARGEST[loaded.manifest.precision] * 4 * loaded.manifest.parameters


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_what_its_name_says(exported_11: Exports, name: str) -> None:
    loaded = artifact.load(exported_11[name].folder)
    inspection = inspect(loaded.model(), loaded.manifest.format)
    quantized = {"int8": "int8", "int16x8": "int16"}.get(loaded.manifest.precision)
    picture = (1, 3, 227, 227) if loaded.manifest.format == "onnx" else (1, 227, 227, 3)
    assert [(t.name, t.shape, t.dtype) for t in inspection.inputs] == [
        ("image", picture, "uint8" if quantized else "float32")
    ]
    assert loaded.manifest.input.layout == loaded.manifest.options["layout"] == ("nchw" if picture[1] == 3 else "nhwc")
    assert [(t.name, t.shape) for t in inspection.outputs] == [("probabilities", (1, 1000))]
    assert not inspection.custom_operators
    assert sum(inspection.weight_types.values()) == 26
    if quantized:
        assert (inspection.inputs[0].scale, inspection.inputs[0].zero_point) == (1.0, 0)
        assert inspection.convolutions == {quantized: 26}
        assert inspection.weight_types == {"int8": 26} or loaded.manifest.format == "onnx"
        head = ("GlobalAveragePool", "Softmax") if loaded.manifest.format == "onnx" else ("MEAN", "SOFTMAX")
        assert (inspection.float_fallbacks, inspection.float_head) == ({}, dict.fromkeys(head, 1))
        assert (inspection.outputs[0].dtype, inspection.outputs[0].scale) == ("float32", None)


def test_no_transposes_are_left_over(exported_11: Exports) -> None:
    assert exported_11["onnx-float32"].manifest.graph.transposes == 0
    assert exported_11["tflite-float32"].manifest.graph.transposes == 0


OPTIONS: list[dict[str, Any]] = [{"layout": "nhwc"}, {"dynamic_batch": True}, {"io": "uint8"}, {"opset": 13}]
TOGETHER = [("float32", OPTIONS[0] | OPTIONS[3]), ("float16", OPTIONS[1] | OPTIONS[2])]


@pytest.mark.parametrize(("precision", "options"), [*TOGETHER, *rarely(TOGETHER, ["float32", "float16"], OPTIONS)])
def test_onnx_options_are_proven_too(tmp_path: Path, options: dict[str, object], precision: str) -> None:
    (export,) = edge_squeeze.export(format="onnx", precision=precision, out=tmp_path, **options)  # type: ignore[arg-type]
    assert export.proof.verdict == "pass", export.proof.failures
    assert export.manifest.graph.transposes == (1 if "layout" in options else 0)  # NHWC pictures, NCHW convolutions
    assert export.manifest.graph.opset == options.get("opset", 17)
    assert export.manifest.input.dtype == options.get("io", "float32")
    if "dynamic_batch" in options:
        assert export.manifest.input.shape == (None, 3, 227, 227)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_usual_input_type_is_proven(exported_11: Exports, precision: str) -> None:
    usual = exported_11[f"tflite-{precision}"]
    assert usual.manifest.input.dtype == targets.find("tflite", precision).ios[0]
    assert usual.proof.verdict == "pass"


@pytest.mark.parametrize(
    ("precision", "io"),
    [
        ("float32", "uint8"),
        ("float32", "int8"),
        ("int8", "int8"),
        *rarely([], ["float32", "int8"], ["float32"]),
        pytest.param("int8", "uint8", marks=pytest.mark.slow),
    ],
)
def test_tflite_input_types_are_proven_too(tmp_path: Path, exported_11: Exports, precision: str, io: str) -> None:
    calibration = exported_11["tflite-int8"].folder / "calibration.json" if precision == "int8" else None
    if io not in targets.find("tflite", precision).ios:
        with pytest.raises(UsageError, match="has no --io"):
            edge_squeeze.export(precision=precision, io=io, out=tmp_path)
        return
    (export,) = edge_squeeze.export(precision=precision, io=io, calibration=calibration, out=tmp_path)
    assert export.proof.verdict == "pass", export.proof.failures
    assert export.manifest.input.dtype == io


def test_baked_preprocessing_equals_the_original(original_11: Original) -> None:
    baked, done = normalization.bake(original_11.model, original_11.preprocessing.baked)
    assert done == [FOLD_NORMALIZATION]
    crops = photograph_crops(4, (227, 227), seed=9).pixels
    got = np.asarray(baked(crops.astype(np.float32), training=False))
    assert np.abs(got - original_11.run(crops)).max() <= 1e-5


def test_a_file_that_lies_about_itself_is_refused(exported_11: Exports) -> None:
    dynamic = artifact.load(exported_11["tflite-dynamic"].folder).model()
    (order,), _ = targets.plan(["tflite"], ["int8"], FileOptions())
    with pytest.raises(ConversionError) as caught:
        conformance.check(inspect(dynamic, "tflite"), order, (227, 227), 1000)
    message = str(caught.value)
    assert "('image', (1, 227, 227, 3), 'uint8')" in message
    assert "no float tensors" in message


@pytest.mark.slow
def test_exports_are_the_same_each_time(command_process: CommandLine, tmp_path: Path) -> None:
    hashes = []
    for out in ("first", "second"):
        done = command_process("export", "--format", "all", "--precision", "all", "--out", out)
        assert done.returncode == 0, done.stderr
        folders = sorted((tmp_path / out).iterdir())
        assert len(folders) == len(all_targets())
        hashes.append([artifact.load(folder).manifest.file.sha256 for folder in folders])
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_what_a_layer_computes_is_called_like_it(exported_11: Exports, precision: str) -> None:
    import tflite

    model = tflite.Model.GetRootAs(artifact.load(exported_11[f"tflite-{precision}"].folder).model(), 0)
    graph = model.Subgraphs(0)
    outputs = {graph.Tensors(graph.Operators(i).Outputs(0)).Name().decode() for i in range(graph.OperatorsLength())}
    assert {"conv1", "pool1", "fire2_squeeze1x1", "fire9_concat", "conv10", "pool10", "probabilities"} <= outputs


def test_random_weights_are_never_called_proven(tmp_path: Path) -> None:
    (export,) = edge_squeeze.export(weights="random", seed=3, classes=10, input_size=64, out=tmp_path)
    assert export.manifest.name == "squeezenet1.1-tflite-float32-random-classes-10-input-size-64"
    assert (export.proof.verdict, export.proof.reason) == ("unproven", "untrained weights")
    assert export.manifest.parity.verdict == "unproven"
    assert export.manifest.weights.seed == 3


def test_parity_json_holds_every_picture(exported_11: Exports) -> None:
    export = exported_11["tflite-int8"]
    content = json.loads((export.folder / "parity.json").read_text())
    (pictures,) = content["sets"]
    assert content["verdict"] == "pass"
    assert len(pictures["figures"]["per_picture"]) == len(export.proof.pictures) == 40
    assert all(gate["passed"] for gate in pictures["gates"])


OFTEN_SHOWN = [("exported_11", "onnx-float32", 40)]


@pytest.mark.parametrize(
    ("variant", "name", "count"), [*OFTEN_SHOWN, *rarely([], ["exported_11", "exported_10"], FLOAT32, [200])]
)
def test_float32_agrees_on_imagenet(
    request: pytest.FixtureRequest, tmp_path: Path, imagenet_pictures: Path, variant: str, name: str, count: int
) -> None:
    for picture in sorted(imagenet_pictures.glob("*.jpg"))[:count]:
        (tmp_path / picture.name).symlink_to(picture)
    export = request.getfixturevalue(variant)[name]
    verification = edge_squeeze.verify(export.folder, images=tmp_path)
    assert verification.proof is not None
    assert len(verification.proof.pictures) == count
    assert verification.proof.parity.top1_agreement == 1
    assert verification.proof.parity.max_abs <= 2e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "agreement", "kl"), [("squeezenet1.1", 0.92, 0.005), ("squeezenet1.0", 0.88, 0.013)]
)
def test_int8_keeps_its_accuracy_on_pictures_it_was_not_calibrated_on(
    tmp_path: Path, imagenet_pictures: Path, deep_compression_file: Path, variant: str, agreement: float, kl: float
) -> None:
    """Better than with stock weights; those of 1.0 fail the gate. Agreement of 100 pictures is within 5 points."""
    truth = {row["file"]: int(row["class_index"]) for row in csv.DictReader((imagenet_pictures / "labels.csv").open())}
    for i, name in enumerate(sorted(truth)):
        folder = tmp_path / ("calibration" if i % 2 == 0 else "test")
        folder.mkdir(exist_ok=True)
        (folder / name).symlink_to(imagenet_pictures / name)
    weights = "imagenet" if variant == "squeezenet1.1" else deep_compression_file
    pictures = {"calibration": tmp_path / "calibration", "images": tmp_path / "test"}
    options = {"weights": weights, "out": tmp_path / "out", **pictures}
    exported = edge_squeeze.export(variant, format="all", precision="float32,int8", quantizer="tuned", **options)
    by_name = {export.manifest.name.removeprefix(f"{variant}-"): export for export in exported}
    both = [by_name["tflite-float32"], by_name["tflite-int8"]]
    float32, int8 = (export.proof for export in both)
    assert int8.parity.top1_agreement >= agreement
    assert int8.parity.kl <= kl
    as_onnx = by_name["onnx-int8"].proof
    assert (as_onnx.verdict, as_onnx.parity.pictures) == ("pass", 100)
    assert as_onnx.parity.top1_agreement >= int8.parity.top1_agreement - 0.03
    assert as_onnx.parity.kl <= 1.25 * int8.parity.kl  # on 2,000 views of them 1.03 (1.1) and 0.98 (1.0) times
    tested = load_folder(tmp_path / "test", both[0].manifest.preprocessing)
    expected = np.array([truth[name] for name in tested.names])
    accuracy = [np.mean(scores(export, tested.pixels).argmax(axis=1) == expected) for export in both]
    assert accuracy[0] >= 0.5
    assert accuracy[1] >= accuracy[0] - 0.05
    assert float32.verdict == int8.verdict == "pass"
    (stock,) = (export.proof for export in edge_squeeze.export(variant, precision="int8", quantizer="stock", **options))
    assert stock.verdict == ("pass" if variant == "squeezenet1.1" else "fail")
    assert stock.parity.kl > 2 * int8.parity.kl


def scores(export: Exported, pixels: np.ndarray) -> np.ndarray:
    loaded = artifact.load(export.folder)
    return runner.open_runner(loaded.model(), loaded.manifest.format).run(pixels)


# Negative controls: each damage below must be caught by every precision's gates.


def swapped_channels(model: object, own: object) -> object:
    return normalization.bake(model, dataclasses.replace(own, order="rgb"))  # type: ignore[type-var]


def without_mean(model: object, own: object) -> object:
    return normalization.bake(model, dataclasses.replace(own, mean=(0, 0, 0)))  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("damage", "kinds", "precision"),
    [
        (swapped_channels, "tflite", "float32,int8"),
        *(pytest.param(damage, "all", "all", marks=pytest.mark.slow) for damage in (swapped_channels, without_mean)),
    ],
)
def test_wrong_preprocessing_fails_every_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[..., object], kinds: str, precision: str
) -> None:
    """With the ranges of the right network, which are nearly those of the wrong one.

    Tuned weights are those of the right network: they are refused where they do not fit, and repair nothing.
    """
    monkeypatch.setattr("edge_squeeze.converters.export.bake", damage)
    tuned: list[Exported] = []
    with pytest.raises(UsageError, match="not those it was") if damage is swapped_channels else nullcontext():
        tuned += edge_squeeze.export(precision="int8", out=tmp_path)
    assert len(tuned) == (damage is without_mean)
    stock = edge_squeeze.export(format=kinds, precision=precision, quantizer="stock", out=tmp_path)
    for export in [*stock, *tuned]:
        assert export.proof.verdict == "fail", export.manifest.name
        assert "worst picture: " in export.proof.reason
        assert artifact.load(export.folder).manifest.parity.verdict == "fail"  # the evidence is kept


@pytest.mark.parametrize("quantizer", ["stock", pytest.param("tuned", marks=pytest.mark.slow)])
def test_calibrating_on_noise_fails_the_gate(
    tmp_path: Path,
    command_line: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    exported_11: Exports,
    quantizer: str,
) -> None:
    """As it would if the lint, which refuses noise, let it through."""
    from PIL import Image

    rng = np.random.default_rng(0)
    (tmp_path / "noise").mkdir()
    for i in range(8):
        Image.fromarray(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)).save(tmp_path / "noise" / f"{i:03}.png")
    monkeypatch.setattr(lint, "screen", lambda pictures: pictures)
    ranges = ("--calibration", "noise", "--calibration-range", "minmax")
    passed = exported_11["tflite-int8"].folder
    shutil.copytree(passed, tmp_path / "out" / f"{passed.name}{'-stock' if quantizer == 'stock' else ''}")
    done = command_line("export", "--precision", "int8", "--quantizer", quantizer, *ranges)
    assert done.returncode == 3
    assert "this replaces a file that had passed" in done.stderr
    assert "cosine is" in done.stdout
    assert "worst picture: " in " ".join(done.stdout.split())
    (folder,) = (tmp_path / "out").iterdir()
    assert artifact.load(folder).manifest.parity.verdict == "fail"
