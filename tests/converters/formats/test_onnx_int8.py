from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import edge_squeeze
from edge_squeeze.converters.formats import onnx_int8, to_onnx, to_tflite
from edge_squeeze.converters.formats.to_tflite import FloatFile
from edge_squeeze.converters.options import OPSETS, FileOptions, Measured, Ranges
from edge_squeeze.converters.quantization.ranges import Activations
from edge_squeeze.converters.rewrites import normalization
from edge_squeeze.engines.runner import open_runner
from edge_squeeze.errors import ConversionError, UsageError
from edge_squeeze.inspection import tflite_file
from edge_squeeze.inspection.inspector import inspect
from edge_squeeze.pictures.preprocessing import Normalization

SIZE = 20
PICTURES = np.random.default_rng(0).integers(0, 256, (6, SIZE, SIZE, 3), dtype=np.uint8)

MEET = ("narrow", "wide", "meet", "pool")


def fire() -> Any:
    """What SqueezeNet is made of: two expanding convolutions that meet, a pooling, a convolution, an average."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    pixels = keras.Input((SIZE, SIZE, 3))
    first = layers.Conv2D(8, 3, strides=2, activation="relu", name="first")(pixels)
    narrow = layers.Conv2D(8, 1, activation="relu", name="narrow")(first)
    wide = layers.Conv2D(8, 3, padding="same", activation="relu", name="wide")(first)
    pooled = layers.MaxPooling2D(2, name="pool")(layers.Concatenate(name="meet")([narrow, wide]))
    last = layers.Conv2D(5, 1, name="last")(pooled)
    return keras.Model(pixels, layers.Activation("softmax")(layers.GlobalAveragePooling2D(name="mean")(last) * 1e-2))


def normalized() -> Any:
    """A batch normalization that no convolution takes in, and zeros around a depthwise convolution."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    pixels = keras.Input((SIZE, SIZE, 3))
    first = layers.Conv2D(6, 1, activation="relu", name="first")(pixels)
    batch = layers.BatchNormalization(name="batch", gamma_initializer="random_normal", beta_initializer="ones")(first)
    padded = layers.ZeroPadding2D(((0, 1), (0, 1)))(batch)
    deep = layers.DepthwiseConv2D(3, strides=2, activation="relu", name="deep")(padded)
    mean = layers.GlobalAveragePooling2D()(deep)
    return keras.Model(pixels, layers.Dense(4, bias_initializer="random_normal", name="dense")(mean))


def limits(model: Any) -> Ranges:
    activations = Activations()
    for layers in FloatFile(model).activations(PICTURES):
        activations.widen(layers)
    return activations.limits


@pytest.fixture(scope="module")
def model() -> Any:
    return fire()


@pytest.fixture(scope="module")
def ranges(model: Any) -> Ranges:
    measured = limits(model)
    shared = (0.0, max(measured[name][1] for name in MEET))
    return {**measured, **dict.fromkeys(MEET, shared)}  # as TensorFlow's quantizer requires it


def error(model: Any, data: bytes) -> float:
    """The largest difference of scores, as a share of their span."""
    required = np.asarray(model(PICTURES.astype(np.float32)))
    return float(np.abs(open_runner(data, "onnx").run(PICTURES) - required).max() / np.ptp(required))


@pytest.mark.parametrize(
    "options",
    [
        FileOptions(),
        FileOptions(opset=OPSETS[0]),
        *(pytest.param(FileOptions(opset=opset), marks=pytest.mark.slow) for opset in OPSETS[1:]),
        FileOptions(layout="nhwc"),
        FileOptions(layout="nhwc", io="float32", dynamic_batch=True),
        pytest.param(FileOptions(dynamic_batch=True), marks=pytest.mark.slow),
    ],
    ids=lambda options: options.suffix("uint8", "nchw"),
)
def test_every_layer_is_integer_between_pixels_and_a_float_head(
    model: Any, ranges: Ranges, options: FileOptions
) -> None:
    data = to_onnx.int8(model, options, Measured(ranges=ranges))
    assert error(model, data) < 0.05
    held = inspect(data, "onnx")
    assert held.convolutions == {"int8": 4}
    assert held.weight_types == {"int8": 4}
    assert not held.custom_operators
    assert held.opset == options.opset
    assert (held.float_fallbacks, max(held.float_head)) == ({}, "Softmax")
    assert held.operators.get("Cast", 0) == held.operators.get("Relu", 0) == held.float_islands == 0
    (pixels,), (scores,) = held.inputs, held.outputs
    quantized = (1.0, 0) if options.io is None else (None, None)
    assert (pixels.dtype, pixels.scale, pixels.zero_point) == (options.io or "uint8", *quantized)
    assert (scores.dtype, scores.scale) == ("float32", None)


def scales(data: bytes) -> dict[str, tuple[float, int]]:
    """The scale and zero point of every quantized activation, by the layer."""
    graph = onnx.load_from_string(data).graph
    constants = {constant.name: onnx.numpy_helper.to_array(constant) for constant in graph.initializer}
    nodes = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    pairs = ([constants[name].item() for name in node.input[1:]] for node in nodes)
    layers = (node.input[0].split("/")[-2].removesuffix("_1") for node in nodes)
    return {layer: (scale, zero) for layer, (scale, zero) in zip(layers, pairs, strict=True)}


def test_the_ranges_decide_both_formats(model: Any, ranges: Ranges) -> None:
    wider = {**ranges, **dict.fromkeys(MEET, (0.0, 3000.0))}
    for chosen in (ranges, wider):
        tflite = to_tflite.int8(model, FileOptions(), Measured(ranges=chosen))
        tensors = {tensor.name: tensor for tensor in tflite_file.read(tflite).tensors}
        by_layer = scales(to_onnx.int8(model, FileOptions(), Measured(ranges=chosen)))
        assert set(by_layer) == {"first", "narrow", "wide", "meet", "pool", "last"}
        for layer, (scale, zero) in by_layer.items():
            assert scale == pytest.approx(tensors[layer].scale, rel=1e-4)
            assert zero == (tensors[layer].zero_point or 0) + 128
    assert by_layer["wide"][0] == pytest.approx(3000 / 255)
    assert [zero for layer, (_, zero) in by_layer.items() if layer != "last"] == [0] * 5


def test_an_activation_is_clamped_at_zero_whatever_was_measured(model: Any, ranges: Ranges) -> None:
    by_layer = scales(to_onnx.int8(model, FileOptions(), Measured(ranges={**ranges, "first": (-5.0, 100.0)})))
    assert by_layer["first"] == (pytest.approx(100 / 255), 0)


def test_what_the_calibration_does_not_know_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    model = normalized()
    ranges = limits(model)
    data = to_onnx.int8(model, FileOptions(), Measured("logits", ranges, PICTURES))
    assert error(model, data) < 0.03
    held = inspect(data, "onnx")
    assert held.convolutions == {"int8": 3}
    assert not {"Pad", "MatMul"} & set(held.operators)  # one with its convolution, one with its bias
    assert held.float_fallbacks == {}
    with pytest.raises(UsageError, match=r"no range for batch\. Calibrate with pictures"):
        to_onnx.int8(model, FileOptions(), Measured("logits", ranges))
    monkeypatch.setattr(onnx_int8, "_measure", lambda _, names, __: dict.fromkeys(names, (0.0, 1e-3)))
    assert error(model, to_onnx.int8(model, FileOptions(), Measured("logits", ranges, PICTURES))) > 0.1


@pytest.mark.parametrize("output", ["probabilities", "logits"])
def test_an_integer_head_leaves_nothing_in_float(model: Any, ranges: Ranges, output: str) -> None:
    import keras

    whole = model if output == "probabilities" else keras.Model(model.inputs, model.get_layer("mean").output)
    known = ranges if output == "probabilities" else limits(whole)
    data = to_onnx.int8(whole, FileOptions(head="int8"), Measured(output, known))
    held = inspect(data, "onnx")
    assert (held.float_fallbacks, held.float_head) == ({}, {})
    assert held.outputs[0].dtype == "float32"  # ONNX has no place for the scale of uint8 scores
    assert error(whole, data) < 0.06


def test_ranges_are_required(model: Any) -> None:
    with pytest.raises(ConversionError, match="int8 needs calibration ranges"):
        to_onnx.int8(model, FileOptions(), Measured())


def swapped(usual: Normalization) -> Normalization:
    return dataclasses.replace(usual, order="bgr" if usual.order == "rgb" else "rgb")


def without_mean(usual: Normalization) -> Normalization:
    return dataclasses.replace(usual, mean=(0.0,) * 3)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [swapped, without_mean])
def test_wrong_preprocessing_of_real_weights_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Normalization], Normalization]
) -> None:
    bake = normalization.bake
    monkeypatch.setattr("edge_squeeze.converters.export.bake", lambda model, baked: bake(model, damage(baked)))
    (exported,) = edge_squeeze.export(format="onnx", precision="int8", quantizer="stock", out=tmp_path)
    assert exported.proof.verdict == "fail"
    assert {judgment.gate.metric for judgment in exported.proof.judgments if not judgment.passed} >= {"top1_agreement"}
