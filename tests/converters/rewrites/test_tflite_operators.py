from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from operator_models import SIDE, crops, layer_ranges, layers, middle, network, scores

from edge_squeeze.converters.formats import tflite_edits, to_tflite
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.converters.rewrites import tflite_operators
from edge_squeeze.engines.runner import RunOptions, open_runner
from edge_squeeze.inspection.inspector import Inspection, inspect

FLOATS = ("float32", "float16")
Head = Callable[[Any], Any]


def model(head: Head) -> Any:
    """A convolution and `head`."""
    import keras

    keras.utils.set_random_seed(1)
    inputs = keras.Input((SIDE, SIDE, 3))
    return keras.Model(inputs, head(layers().Conv2D(8, 3, strides=2)(layers().Rescaling(1 / 255)(inputs))))


def dense(units: int, **options: Any) -> Any:
    """A dense layer whose bias is as large as what it is added to."""
    import keras

    return layers().Dense(units, **{"bias_initializer": keras.initializers.RandomNormal(stddev=1.0), **options})


def shared(x: Any) -> Any:
    """The same weights in two layers."""
    layer = dense(30)
    return dense(5)(layer(layers().ReLU()(layer(dense(30)(layers().Flatten()(x))))))


def gated(x: Any) -> Any:
    flat = layers().Flatten()(x)
    return dense(5)(layers().Multiply()([dense(64)(flat), dense(64, activation="sigmoid")(flat)]))


# The dense layers of each: how many there are, and how many are left.
HEADS: dict[str, tuple[Head, int, int]] = {
    "average": (lambda x: dense(5)(layers().GlobalAveragePooling2D()(x)), 1, 0),
    "maximum": (lambda x: dense(5, activation="softmax")(layers().GlobalMaxPooling2D()(x)), 1, 0),
    "flat": (lambda x: dense(5)(dense(30, activation="relu")(layers().Flatten()(x))), 2, 0),
    "no-bias": (lambda x: dense(5, use_bias=False)(layers().GlobalAveragePooling2D()(x)), 1, 0),
    "pixels": (lambda x: layers().GlobalAveragePooling2D()(dense(5)(x)), 1, 0),
    "gated": (gated, 3, 1),  # the last one takes a product
    "shared": (shared, 4, 3),
}


def convert(network_model: Any, precision: str, io: str | None = None) -> bytes:
    ranges = layer_ranges(network_model, crops(2, seed=0)) if precision == "int8" else None
    options = FileOptions(io=io, rewrites="none")
    data: bytes = getattr(to_tflite, precision)(network_model, options, Measured("logits", ranges))
    return data


def as_tensorflow_writes_it(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> bytes:
    with monkeypatch.context() as patch:
        patch.setattr(tflite_operators, "rewrite", lambda tree: (tree, False))
        return convert(*arguments)


def counted(file: Inspection) -> int:
    return file.operators.get("FULLY_CONNECTED", 0)


@pytest.mark.parametrize("precision", FLOATS)
@pytest.mark.parametrize("name", HEADS)
def test_dense_layers_become_convolutions_with_the_same_scores(
    monkeypatch: pytest.MonkeyPatch, name: str, precision: str
) -> None:
    head, before, after = HEADS[name]
    built, pixels = model(head), crops(4, seed=1)
    old, new = as_tensorflow_writes_it(monkeypatch, built, precision), convert(built, precision)
    assert [counted(inspect(data, "tflite")) for data in (old, new)] == [before, after]
    for kernels in ("xnnpack", "builtin"):
        runs = [open_runner(data, "tflite", RunOptions(kernels=kernels)).run(pixels) for data in (old, new)]
        np.testing.assert_array_equal(*runs)
        if precision == "float32":
            np.testing.assert_allclose(runs[1], scores(built, pixels), atol=1e-5)
    assert np.abs(scores(built, pixels[::-1]) - runs[1]).max() > 1e-2  # of other pictures


def test_a_bias_that_is_lost_would_be_seen() -> None:
    built, pixels = model(HEADS["average"][0]), crops(4, seed=1)
    expected = scores(built, pixels)
    tree, changed = tflite_operators.dense_to_convolution(tflite_edits.unpack(convert(built, "float32")))
    assert not changed, "there is none left"
    convolution = [o for o in tree.subgraphs[0].operators if len(o.inputs) == 3][-1]
    bias = tree.buffers[tree.subgraphs[0].tensors[convolution.inputs[2]].buffer]
    bias.data = np.zeros_like(bias.data)
    got = open_runner(tflite_edits.pack(tree), "tflite").run(pixels)
    np.testing.assert_allclose(expected - got, np.tile(built.layers[-1].bias, (len(pixels), 1)), atol=1e-5)


@pytest.mark.parametrize("precision", FLOATS)
def test_names_say_which_layer_a_convolution_was(precision: str) -> None:
    built = model(lambda x: dense(5, name="head")(layers().GlobalAveragePooling2D()(x)))
    file = inspect(convert(built, precision), "tflite")
    assert file.kernels[-1].name == {"float32": "head", "float16": "head/MatMul"}[precision]  # expanded in "head"
    assert [(end.name, end.shape) for end in file.outputs] == [("logits", (1, 5))]


@pytest.mark.parametrize("precision", ["dynamic", "int8"])
def test_dense_layers_in_integers_stay_and_load_in_the_oldest_runtime(
    monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    built = network(middle("Dense", 256, activation="relu"))
    files = [as_tensorflow_writes_it(monkeypatch, built, precision), convert(built, precision)]
    arithmetic = {"dynamic": "hybrid", "int8": "int8"}[precision]
    for file in (inspect(data, "tflite") for data in files):
        assert ("FULLY_CONNECTED", arithmetic) in {(kernel.operator, kernel.arithmetic) for kernel in file.kernels}
    np.testing.assert_array_equal(*(open_runner(data, "tflite").run(crops(4, seed=1)) for data in files))


@pytest.mark.parametrize("precision", FLOATS)
def test_float_files_dequantize_uint8_pixels(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    built, pixels = network(middle("ReLU")), crops(4, seed=1)
    old, new = as_tensorflow_writes_it(monkeypatch, built, precision, "uint8"), convert(built, precision, "uint8")
    before, after = inspect(old, "tflite"), inspect(new, "tflite")
    assert ("CAST" in before.operators, "CAST" in after.operators) == (True, False)
    (pixel,) = after.inputs
    assert (pixel.dtype, pixel.scale, pixel.zero_point) == ("uint8", 1.0, 0)
    assert open_runner(new, "tflite")._engine._default_kernels("tflite-runtime") == "xnnpack", "the network is in float"
    for kernels in ("xnnpack", "builtin"):
        np.testing.assert_array_equal(
            *(open_runner(data, "tflite", RunOptions(kernels=kernels)).run(pixels) for data in (old, new))
        )


def test_a_runtime_is_not_asked_for_kinds_that_no_operator_has() -> None:
    tree = tflite_edits.unpack(convert(model(HEADS["flat"][0]), "float32", "uint8"))
    used = {operator.opcodeIndex for operator in tree.subgraphs[0].operators}
    assert used == set(range(len(tree.operatorCodes)))
    assert "min_runtime_version" in {entry.name.decode() for entry in tree.metadata}
