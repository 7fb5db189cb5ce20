"""Layers that pixels go into: exact where products are added in pairs of 16 bits, and as close to the float ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from edge_squeeze.converters.formats import onnx_pixels, to_onnx
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.engines.runner import open_runner
from edge_squeeze.pictures.loading import photograph_crops

SIZE = 64
PHOTOGRAPHS = photograph_crops(2, (SIZE, SIZE), seed=7).pixels
NOISE = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
WHITE = np.full((1, SIZE, SIZE, 3), 255, np.uint8)
SMALLEST, LARGEST = -(1 << 15), (1 << 15) - 1  # what 16 bits hold
RANGES = {"first": (-900.0, 900.0), "scores": (-900.0, 900.0), "output": (-900.0, 900.0)}


def network(first: Any, *, moved: Any = None) -> Any:
    """A network whose pixels go into the layer `first`, by way of what `moved` makes of them."""
    import keras
    from keras import layers

    pixels = keras.Input((SIZE, SIZE, 3), name="image")
    x = first(pixels if moved is None else moved(pixels))
    if len(x.shape) > 2:
        x = layers.GlobalAveragePooling2D(name="mean")(layers.Conv2D(3, 1, name="scores")(x))
    return keras.Model(pixels, x)


def convolution(**options: Any) -> Any:
    """The layer `first`, with weights like those of a trained one: smooth, of both signs."""
    from keras import layers

    def kernel(shape: tuple[int, ...], dtype: Any) -> Any:
        rng = np.random.default_rng(3)
        waves = np.cumsum(rng.normal(0, 0.1, shape), axis=0)
        return (waves / np.abs(waves).sum(axis=(0, 1, 2))).astype(np.float32)

    settings = {"kernel_size": 5, "strides": 2, "kernel_initializer": kernel, "bias_initializer": "random_normal"}
    return layers.Conv2D(16, name="first", **settings | options)


def exported(model: Any, layout: str = "nchw") -> bytes:
    return to_onnx.int8(model, FileOptions(layout=layout), Measured("logits", RANGES, PHOTOGRAPHS))


class First:
    """The layer that reads pixels, as a file has it."""

    def __init__(self, data: bytes) -> None:
        graph = onnx.load_from_string(data).graph
        constants = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
        made_by = {name: node for node in graph.node for name in node.output}
        self.node = next(node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul"))
        parts = [[constants[name] for name in made_by[name].input] for name in self.node.input[1:]]
        (self.codes, self.steps, self.zeros), *biases = parts
        self.bias = sum((codes * steps for codes, steps, _ in biases), np.zeros(1))

    def in_pairs(self, pixels: Any) -> tuple[Any, Any]:
        """What processors without VNNI add up of `pixels`, in the order of a window: saturated in pairs, and exact."""
        _, _, height, width = self.codes.shape
        codes = self.codes.transpose(0, 2, 3, 1).reshape(len(self.codes), -1).astype(int)
        windows = pixels[:, :height, :width].reshape(len(pixels), -1).astype(int)
        products = windows[:, None] * codes
        padded = np.pad(products, ((0, 0), (0, 0), (0, products.shape[-1] % 2)))
        pairs = padded.reshape(*padded.shape[:2], -1, 2).sum(-1)
        return pairs.clip(SMALLEST, LARGEST).sum(-1), products.sum(-1)


def test_no_pair_of_products_exceeds_16_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network(convolution())
    first = First(exported(model))
    assert first.codes.dtype == np.int8
    assert not first.zeros.any()
    assert 2 * 255 * np.abs(first.codes.astype(int)).max() <= LARGEST
    assert (np.abs(first.codes.astype(int)).max(axis=(1, 2, 3)) == onnx_pixels.STEPS).all()  # all the steps are used
    for pixels in (PHOTOGRAPHS, NOISE, WHITE):
        np.testing.assert_array_equal(*first.in_pairs(pixels))
    # As ONNX Runtime's own quantizer writes them:
    monkeypatch.setattr(onnx_pixels, "round_weights", lambda *_: set())
    monkeypatch.setattr(onnx_pixels, "make_unsigned", lambda *_: None)
    stock = First(exported(model))
    assert 2 * 255 * np.abs(stock.codes.astype(int)).max() > LARGEST
    saturated, exact = stock.in_pairs(WHITE)
    assert (saturated != exact).any()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="usual"),
        pytest.param({"padding": "same", "strides": 1}, id="padded"),
        pytest.param({"dilation_rate": 2, "strides": 1}, id="dilated"),
        pytest.param({"use_bias": False}, id="without bias"),
        pytest.param({"kernel_size": (3, 7), "strides": (1, 2)}, id="oblong"),
    ],
)
def test_rounded_outputs_are_closer_than_by_nearest_rounding(options: dict[str, Any]) -> None:
    model = network(convolution(**options))
    layer = model.get_layer("first")
    own, *bias = (np.asarray(weights) for weights in layer.get_weights())
    first = First(exported(model))
    pixels = PHOTOGRAPHS.astype(np.float32)
    required = np.asarray(layer(pixels), np.float64)

    def error(kernel: Any, bias: list[Any]) -> float:
        layer.set_weights([kernel, *bias])
        return float(((np.asarray(layer(pixels), np.float64) - required) ** 2).sum() / required.var() / required.size)

    steps = np.abs(own).max(axis=(0, 1, 2)) / onnx_pixels.STEPS
    nearest = error(np.rint(own / steps) * steps, bias)
    assert 1e-5 < nearest < 1e-2
    assert error(first.codes.transpose(2, 3, 1, 0) * first.steps, [first.bias] * len(bias)) < nearest / 5


def test_both_layouts_and_every_run_have_the_same_weights() -> None:
    model = network(convolution())
    kernels = [First(exported(model, layout)).codes for layout in ("nchw", "nhwc", "nchw")]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    np.testing.assert_array_equal(kernels[0], kernels[2])


def depthwise() -> Any:
    from keras import layers

    return network(layers.DepthwiseConv2D(3, strides=2, name="first"))


def dense() -> Any:
    from keras import layers

    return network(layers.Dense(3, name="scores"), moved=lambda pixels: layers.Flatten()(pixels[:, ::8, ::8]))


def pooled() -> Any:
    from keras import layers

    return network(convolution(), moved=layers.MaxPooling2D(2))


def twice() -> Any:
    """Two readers of one kernel, which both would round."""
    import keras

    shared = convolution()
    return network(lambda pixels: keras.layers.Add()([shared(pixels), shared(pixels[:, ::-1])]))


@pytest.mark.parametrize("made", [depthwise, dense, pooled, twice])
def test_other_layers_keep_their_weights_without_a_sign(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made()
    unsigned = exported(model)
    assert First(unsigned).codes.dtype == np.uint8
    monkeypatch.setattr(onnx_pixels, "make_unsigned", lambda *_: None)
    signed = exported(model)
    assert First(signed).codes.dtype == np.int8
    np.testing.assert_array_equal(First(unsigned).codes.astype(int) - 128, First(signed).codes)
    runs = [open_runner(data, "onnx").run(NOISE) for data in (unsigned, signed)]
    np.testing.assert_array_equal(*runs)  # here: a processor without VNNI gets the signed ones wrong
