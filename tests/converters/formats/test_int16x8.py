"""Files of 16-bit activations and 8-bit weights: how near they are to Keras, and what stays in float."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import CommandLine
from operator_models import Middle, crops, layer_ranges, layers, middle, network, scores

import edge_squeeze
from edge_squeeze.converters.export import Exported
from edge_squeeze.converters.formats import tflite_edits, to_tflite
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.converters.rewrites import tflite_operators
from edge_squeeze.engines.runner import RunOptions, open_runner
from edge_squeeze.errors import ConversionError, UsageError
from edge_squeeze.inspection.inspector import Inspection, inspect

CLOSE = 0.02  # of the span of the scores: what rounding the weights to 8 bits costs; the activations cost nothing
DEFAULT = RunOptions()


def mobile(x: Any) -> Any:
    """What MobileNets are made of."""
    y = layers().ReLU(6.0)(layers().BatchNormalization()(layers().Conv2D(16, 1, use_bias=False)(x)))
    y = layers().ReLU(6.0)(layers().DepthwiseConv2D(3, padding="same", use_bias=False)(y))
    return layers().Add()([x, layers().Conv2D(8, 1)(y)])


def squeezed(x: Any) -> Any:
    """Two convolutions that meet in a concatenation, and a gate for each channel."""
    y = layers().Concatenate()([layers().Conv2D(4, 1, activation="relu")(x), layers().Conv2D(4, 3, padding="same")(x)])
    means = layers().GlobalAveragePooling2D(keepdims=True)(y)
    return layers().Multiply()([y, layers().Conv2D(8, 1, activation="sigmoid")(means)])


def dense(x: Any) -> Any:
    return layers().Dense(16, activation="relu")(x)


INTEGERS: dict[str, Middle] = {"mobile": mobile, "squeezed": squeezed, "dense": dense}
# A layer -> an operator that keeps all of it in float, since TFLite has no 16-bit kind of it.
FLOATS: dict[str, tuple[Middle, str]] = {
    "elu": (middle("Activation", "elu"), "ELU"),
    "selu": (middle("Activation", "selu"), "GREATER"),  # with SELECT in 16 bits it would be wrong by 0.7
    "hard_swish": (middle("Activation", "hard_swish"), "HARD_SWISH"),
    "LayerNormalization": (middle("LayerNormalization"), "SQUARED_DIFFERENCE"),
    "RMSNormalization": (middle("RMSNormalization"), "SQUARE"),  # in 16 bits by 0.2
}


def converted(model: Any, precision: str = "int16x8", pixels: np.ndarray | None = None, **options: Any) -> bytes:
    ranges = layer_ranges(model, crops(8, seed=1) if pixels is None else pixels)
    data: bytes = getattr(to_tflite, precision)(model, FileOptions(**options), Measured("logits", ranges))
    return data


def difference(model: Any, data: bytes, options: RunOptions = DEFAULT) -> float:
    """The largest difference from the Keras model, as a part of the span of its scores."""
    pixels = crops(8, seed=5)
    expected = scores(model, pixels)
    return float(np.abs(open_runner(data, "tflite", options).run(pixels) - expected).max() / np.ptp(expected))


def computes(file: Inspection) -> set[tuple[str, str]]:
    return {(kernel.dtype, kernel.arithmetic) for kernel in file.kernels}


@pytest.mark.parametrize("name", INTEGERS)
def test_every_operator_is_integer_and_nearer_to_keras_than_int8(name: str) -> None:
    model = network(INTEGERS[name])
    file = inspect(data := converted(model), "tflite")
    assert computes(file) == {("int8", "int16")}
    assert (file.float_fallbacks, file.float_head) == ({}, {})  # of logits, no head is left
    assert (file.inputs[0].dtype, file.inputs[0].scale, file.inputs[0].zero_point) == ("uint8", 1.0, 0)
    assert file.outputs[0].dtype == "float32"
    for family in ("xnnpack", "builtin"):
        assert difference(model, data, RunOptions(kernels=family)) < CLOSE
    assert difference(model, data) < difference(model, converted(model, "int8", head="int8"))


def test_float_pixels_give_the_same_scores() -> None:
    model, pixels = network(mobile), crops(4, seed=5)
    small, large = converted(model), converted(model, io="float32")
    assert inspect(large, "tflite").inputs[0].dtype == "float32"
    runs = [open_runner(data, "tflite").run(pixels) for data in (small, large)]
    assert np.array_equal(*runs)


@pytest.mark.parametrize("name", FLOATS)
def test_a_layer_that_tflite_has_no_16_bits_of_is_in_float_and_right(name: str) -> None:
    operation, kind = FLOATS[name]
    model = network(operation)
    file = inspect(data := converted(model), "tflite")
    assert kind in file.float_fallbacks
    assert file.float_islands == 1  # one way into floats and one back
    assert computes(file) == {("int8", "int16")}
    assert difference(model, data) < CLOSE


@pytest.mark.parametrize("name", ["selu", "RMSNormalization"])
def test_a_layer_that_is_partly_in_16_bits_would_be_wrong(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(tflite_edits, "float_layers", lambda *_: [])
    model = network(FLOATS[name][0])
    assert difference(model, converted(model)) > 5 * CLOSE


@pytest.mark.parametrize(("head", "kinds"), [("float", {"MEAN": 1, "SOFTMAX": 1}), ("int8", {})])
def test_the_head_is_in_float_unless_asked_otherwise(head: str, kinds: dict[str, int]) -> None:
    import keras

    model = network(middle("Conv2D", 8, 1))
    pooled = layers().GlobalAveragePooling2D()(model.get_layer("middle").output)
    model = keras.Model(model.inputs[0], layers().Softmax()(pooled))
    file = inspect(data := converted(model, head=head), "tflite")
    assert (file.float_fallbacks, file.float_head) == ({}, kinds)
    assert file.outputs[0].dtype == "float32"
    assert difference(model, data) < CLOSE


def test_pictures_may_go_beyond_the_ranges_of_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    model, dark = network(mobile), (0.7 * crops(8, seed=1)).astype(np.uint8)
    assert difference(model, converted(model, pixels=dark)) < CLOSE
    monkeypatch.setattr(to_tflite, "ROOM_OF_16_BITS", 1.0)
    assert difference(model, converted(model, pixels=dark)) > 2 * CLOSE


def test_a_range_without_an_end_has_none_with_room_either() -> None:
    """The reciprocal root of a sum of squares of zeros is as large as a float32 can be."""
    model = network(middle("UnitNormalization"))
    file = inspect(converted(model), "tflite")
    assert "RSQRT" in file.float_fallbacks
    assert computes(file) == {("int8", "int16")}


def biases(data: bytes) -> list[str]:
    """The dtypes of the biases of the convolutions."""
    from tensorflow.lite.python import schema_py_generated as schema

    model = tflite_edits.unpack(data)
    types = {schema.TensorType.INT32: "int32", schema.TensorType.INT64: "int64"}
    graph, kinds = model.subgraphs[0], [code.builtinCode for code in model.operatorCodes]
    kernels = [o for o in graph.operators if kinds[o.opcodeIndex] == schema.BuiltinOperator.CONV_2D]
    return [types[graph.tensors[kernel.inputs[2]].type] for kernel in kernels]


@pytest.mark.parametrize(("side", "dtype"), [(8, "int32"), (9, "int64")])
def test_sums_of_32_bits_are_used_only_where_they_cannot_overflow(side: int, dtype: str) -> None:
    """Of equal weights, 516 products of the largest numbers fit into 32 bits: 8 x 8 x 8 do, 9 x 9 x 8 do not."""
    model = network(middle("Conv2D", 8, side, kernel_initializer="ones", bias_initializer="ones"))
    data = converted(model)
    assert biases(data) == ["int32", dtype]
    assert difference(model, data) < CLOSE


def test_biases_of_zeros_which_are_one_tensor_are_shortened_apart() -> None:
    model = network(lambda x: layers().Conv2D(8, 1)(layers().Conv2D(8, 1)(x)))
    ranges = layer_ranges(model, crops(1, seed=1))
    tree = tflite_edits.unpack(to_tflite.FloatFile(model).quantize_to_16_bits(ranges, FileOptions()))
    own = [tree.subgraphs[0].tensors[o.inputs[2]] for o in tree.subgraphs[0].operators if len(o.inputs) > 2][:3]
    assert [bool(np.asarray(tree.buffers[bias.buffer].data).any()) for bias in own] == [False] * 3
    assert len({bias.buffer for bias in own}) == 1
    tflite_operators.shorten_biases(tree)
    assert biases(tflite_edits.pack(tree)) == ["int32"] * 3
    data = tflite_edits.pack(tflite_operators.take_pixels(tree))
    assert difference(model, data) < CLOSE


def test_the_record_has_the_ranges_that_the_file_was_made_with(
    exported_11: dict[str, Exported], tmp_path: Path
) -> None:
    rules = {
        precision: json.loads((exported_11[f"tflite-{precision}"].folder / "calibration.json").read_text())
        for precision in ("int8", "int16x8")
    }
    wide = {name: statistics["minmax"] for name, statistics in rules["int8"]["statistics"].items()}
    assert (rules["int16x8"]["range_rule"], rules["int16x8"]["ranges"]) == ("minmax", wide)
    assert rules["int8"]["range_rule"] != "minmax"
    (alone,) = edge_squeeze.export(network(mobile), preprocessing="raw", precision="int16x8", out=tmp_path)
    record = json.loads((alone.folder / "calibration.json").read_text())
    assert (record["range_rule"], record["held_out"]) == ("minmax", {})  # nothing to choose, so nothing was tried


def test_inspect_says_what_it_computes_in(exported_11: dict[str, Exported], command_line: CommandLine) -> None:
    said = " ".join(command_line("inspect", exported_11["tflite-int16x8"].folder).stdout.split())
    assert "26 of 26 convolutions and dense layers compute in int16 (weights stored as int8); no float" in said


def test_ranges_are_required() -> None:
    model = network(dense)
    with pytest.raises(ConversionError, match="int16x8 needs calibration ranges"):
        to_tflite.int16x8(model, FileOptions(), Measured("logits"))
    with pytest.raises(UsageError, match=r"no range for .*\. Calibrate with pictures"):
        to_tflite.int16x8(model, FileOptions(), Measured("logits", {"output": (0.0, 1.0)}))
