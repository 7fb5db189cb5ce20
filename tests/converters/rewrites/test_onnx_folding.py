from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from operator_models import SIDE, crops, layers, scores

import edge_squeeze
from edge_squeeze.converters.formats import to_onnx
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.converters.rewrites import catalogue, onnx_folding
from edge_squeeze.engines.runner import open_runner

ROUNDING = {"float32": 1e-5, "float16": 5e-3}


def mobile() -> Any:
    """Three blocks as MobileNetV2 has them, whose normalizations have the statistics of photographs."""
    import keras

    keras.utils.set_random_seed(1)
    around_1 = keras.initializers.RandomUniform(0.5, 1.5)

    def normalized(x: Any) -> Any:
        options = {"momentum": 0.0, "gamma_initializer": around_1, "beta_initializer": around_1}
        return layers().ReLU(6.0)(layers().BatchNormalization(**options)(x))

    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers().Rescaling(1 / 127.5, offset=-1)(inputs)
    for filters in (8, 12, 8):
        x = normalized(layers().Conv2D(filters, 1, use_bias=False)(x))
        x = normalized(layers().DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x))
    model = keras.Model(inputs, layers().Dense(3)(layers().Flatten()(x)))
    model(crops(4, seed=0).astype(np.float32), training=True)
    return model


def convert(model: Any, precision: str, layout: str) -> bytes:
    data: bytes = getattr(to_onnx, precision)(model, FileOptions(layout=layout), Measured("logits"))
    return data


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("precision", ROUNDING)
def test_normalizations_after_depthwise_convolutions_are_folded(
    monkeypatch: pytest.MonkeyPatch, precision: str, layout: str
) -> None:
    model, pixels = mobile(), crops(4, seed=1)
    new = convert(model, precision, layout)
    with monkeypatch.context() as patch:
        patch.setattr(onnx_folding, "fold_into_convolutions", lambda proto: (proto, False))
        old = convert(model, precision, layout)
    kinds = [Counter(node.op_type for node in onnx.load_from_string(data).graph.node) for data in (old, new)]
    assert kinds[0] - kinds[1] == Counter(Mul=3, Add=3)
    assert not kinds[1] - kinds[0]
    runs, expected = [open_runner(data, "onnx").run(pixels) for data in (old, new)], scores(model, pixels)
    scale = np.abs(expected).max()
    for run in runs:
        np.testing.assert_allclose(run, expected, atol=ROUNDING[precision] * scale)
    assert np.abs(runs[1][::-1] - expected).max() > 10 * ROUNDING[precision] * scale  # of other pictures


def graph(text: str, **constants: np.ndarray) -> Any:
    """A model of the nodes in `text`, with a convolution of x to 2 channels before them; its output is y."""
    weights = {"W": np.arange(6, dtype=np.float32).reshape(2, 3, 1, 1), **constants}
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,4,4] x) => (float[N,C,H,W] y)'
        f"{{ c = Conv(x, W) {text} }}"
    )
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in weights.items())
    return proto


def run(proto: Any, x: np.ndarray) -> np.ndarray:
    from onnx.reference import ReferenceEvaluator

    (y,) = ReferenceEvaluator(proto).run(None, {"x": x})
    return np.asarray(y)


CHANNELS = np.array([2.0, -3.0], np.float32).reshape(1, 2, 1, 1)


@pytest.mark.parametrize(
    ("text", "constant", "left"),
    [
        ("y = Mul(c, k)", CHANNELS, 1),
        ("y = Add(k, c)", CHANNELS, 1),
        ("y = Mul(c, k)", CHANNELS[0], 1),
        ("y = Mul(c, k)", np.float32(4), 1),
        ("m = Mul(c, k) a = Add(m, k) y = Relu(a)", CHANNELS, 2),
        ("y = Mul(c, k)", np.arange(4, dtype=np.float32).reshape(1, 1, 1, 4), 2),  # a number for each column
        ("y = Mul(c, k)", np.ones((1, 2, 4, 4), np.float32), 2),
        ("y = Mul(c, k)", np.ones((1, 1, 1, 1, 1), np.float32), 2),  # another dimension comes out
        ("m = Mul(c, k) y = Add(m, c)", CHANNELS, 3),  # the convolution is read twice
        ("y = Mul(c, c)", CHANNELS, 2),
        ("y = Sub(c, k)", CHANNELS, 2),
        ("d = Conv(x, W) m = Mul(c, k) y = Add(m, d)", CHANNELS, 4),  # the weights are
    ],
)
def test_only_what_is_exact_is_folded(text: str, constant: np.ndarray, left: int) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (1, 3, 4, 4)).astype(np.float32)
    expected = run(graph(text, k=np.asarray(constant)), x)
    folded, changed = onnx_folding.fold_into_convolutions(graph(text, k=np.asarray(constant)))
    assert (len(folded.graph.node), changed) == (left, left < len(graph(text).graph.node))
    onnx.checker.check_model(folded)
    np.testing.assert_allclose(run(folded, x), expected, atol=1e-5)
    read = {name for node in folded.graph.node for name in node.input}
    assert {entry.name for entry in folded.graph.initializer} <= read | {"k"}


ONE_EACH, CORNER = (0, 0, 1, 1, 0, 0, 1, 1), (0, 0, 0, 0, 0, 0, 1, 1)
POOL, AVERAGE = "MaxPool <kernel_shape = [2, 2]> (p)", "AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (p)"


def run_as_it_is(proto: Any, x: np.ndarray) -> np.ndarray:
    """The output by ONNX Runtime, which must not fold pads itself."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": x})
    return np.asarray(y)


def pad_graph(text: str, sides: tuple[int, ...], value: float = 0) -> Any:
    kernel = np.arange(16, dtype=np.float32).reshape(2, 2, 2, 2) - 7
    numbers = {"s": np.array(sides, np.int64), "v": np.float32(value), "k": kernel, "low": np.float32(0)}
    return graph(text, **{name: np.asarray(array) for name, array in numbers.items()})


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("p = Pad(c, s) y = Conv(p, k)", ONE_EACH),
        ("p = Pad(c, s, v) y = Conv <pads = [0, 1, 1, 0]> (p, k)", CORNER),
        ("p = Pad(c, s) y = Conv <dilations = [2, 2], strides = [2, 2]> (p, k)", ONE_EACH),
        (f"p = Pad(c, s) y = {AVERAGE}", ONE_EACH),
        (f"r = Relu(c) p = Pad(r, s, v) y = {POOL}", CORNER),
        (f"r = Relu(c) m = Concat <axis = 1> (r, r) p = Pad(m, s) y = {POOL}", ONE_EACH),
    ],
)
def test_pads_of_zeros_go_into_what_reads_them(text: str, sides: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (1, 3, 4, 4)).astype(np.float32)
    expected = run_as_it_is(pad_graph(text, sides), x)
    folded, changed = onnx_folding.fold_pads(pad_graph(text, sides))
    assert changed
    assert "Pad" not in {node.op_type for node in folded.graph.node}
    onnx.checker.check_model(folded)
    np.testing.assert_allclose(run_as_it_is(folded, x), expected, atol=1e-5)
    (padded,) = [attribute for node in folded.graph.node for attribute in node.attribute if attribute.name == "pads"]
    padded.ints[:] = [*padded.ints[2:], *padded.ints[:2]] if sides == CORNER else [0, 0, 0, 0]
    assert not np.array_equal(run_as_it_is(folded, x), expected), "pads on other sides would be seen"


@pytest.mark.parametrize(
    ("text", "sides", "value"),
    [
        (f"p = Pad(c, s) y = {POOL}", ONE_EACH, 0),  # below zero, a padded zero is the largest
        (f"r = Relu(c) p = Pad(r, s, v) y = {POOL}", ONE_EACH, 1),
        ('p = Pad <mode = "reflect"> (c, s) y = Conv(p, k)', ONE_EACH, 0),
        ("p = Pad(c, s) y = Conv(p, k)", (0, 0, 0, 0, 0, 0, -1, -1), 0),
        ("p = Pad(c, s) y = Conv(p, k)", (0, 0, 2, 2, 0, 0, 0, 0), 0),  # a window of padding alone
        ("p = Pad(c, s) y = Conv(p, W)", (0, 0, 0, 0, 0, 1, 0, 0), 0),  # a channel
        (f"p = Pad(c, s) q = {AVERAGE} r = Conv(p, k) y = Add(r, q)", ONE_EACH, 0),  # read twice
        ("p = Pad(c, s) y = AveragePool <kernel_shape = [2, 2], pads = [0, 0, 1, 1]> (p)", CORNER, 0),
        ("p = Pad(c, s) y = AveragePool <kernel_shape = [2, 2], ceil_mode = 1, strides = [2, 2]> (p)", CORNER, 0),
        ('p = Pad(c, s) y = Conv <auto_pad = "SAME_UPPER"> (p, k)', ONE_EACH, 0),
    ],
)
def test_pads_that_would_become_something_else_are_left_alone(text: str, sides: tuple[int, ...], value: float) -> None:
    before = pad_graph(text, sides, value)
    folded, changed = onnx_folding.fold_pads(pad_graph(text, sides, value))
    assert not changed
    assert [node.op_type for node in folded.graph.node] == [node.op_type for node in before.graph.node]


def everything() -> Any:
    """A user's model with all that inference does not need."""
    import keras

    keras.utils.set_random_seed(1)
    around_1 = keras.initializers.RandomUniform(0.5, 1.5)

    def normalized(x: Any) -> Any:
        options = {"momentum": 0.0, "gamma_initializer": around_1, "beta_initializer": around_1}
        return layers().BatchNormalization(**options)(x)

    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers().RandomFlip()(layers().Rescaling(1 / 127.5, offset=-1)(inputs))
    x = layers().ReLU()(normalized(layers().Conv2D(8, 3, strides=2, use_bias=False)(x)))
    x = layers().MaxPooling2D(3, 2)(layers().ZeroPadding2D(((0, 1), (0, 1)))(layers().Dropout(0.3)(x)))
    x = layers().DepthwiseConv2D(3, use_bias=False)(layers().ZeroPadding2D(1)(x))
    x = layers().Identity()(layers().ReLU()(normalized(x)))
    x = layers().SpatialDropout2D(0.1)(layers().Conv2D(8, 1, activation="relu")(normalized(x)))
    x = layers().AveragePooling2D(2)(layers().ZeroPadding2D(1)(layers().GaussianNoise(0.1)(x)))
    x = normalized(layers().Dense(3)(normalized(layers().GlobalAveragePooling2D()(x))))
    model = keras.Model(inputs, layers().Softmax()(x), name="everything")
    model(crops(4, seed=0).astype(np.float32), training=True)
    return model


def test_a_users_file_holds_only_what_inference_needs(tmp_path: Path) -> None:
    model = everything()
    (done,) = edge_squeeze.export(model, format="onnx", out=tmp_path)
    file = done.folder / done.manifest.file.name
    assert [node.op_type for node in onnx.load(file).graph.node] == [
        *("Conv", "Relu", "MaxPool"),
        *("Conv", "Relu", "Conv", "Relu", "AveragePool"),
        *("GlobalAveragePool", "Squeeze", "Gemm", "Softmax"),
    ]
    assert done.manifest.rewrites == [catalogue.FOLD_BATCH_NORM]
    pixels = crops(4, seed=1)
    np.testing.assert_allclose(open_runner(file.read_bytes(), "onnx").run(pixels), scores(model, pixels), atol=1e-5)
