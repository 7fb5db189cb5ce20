from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from int8_files import SIDE, chain, int8_file, kinds, layers, same_integers

from edge_squeeze.converters.formats import tflite_edits, to_tflite
from edge_squeeze.converters.rewrites.pixel_pairs import pair_pixels
from edge_squeeze.converters.rewrites.tflite_tree import numbers, schema

MOVES = ("PAD", "RESHAPE")


def conv(kernel: Any = 3, strides: Any = 2, padding: str = "valid", **options: Any) -> Any:
    return layers().Conv2D(8, kernel, strides, padding, activation="relu", name="conv", **options)


def paired(data: bytes) -> tuple[bytes, bool]:
    model, changed = pair_pixels(tflite_edits.unpack(data))
    return tflite_edits.pack(model), changed


@pytest.mark.parametrize(
    ("kernel", "strides", "padding", "sides", "weights", "moves"),
    [
        (7, 2, "valid", (35, 35), (7, 4, 6), {"PAD": 1, "RESHAPE": 2}),
        (7, 2, "valid", (36, 36), (7, 4, 6), {"RESHAPE": 1}),
        (3, 2, "valid", (33, 35), (3, 2, 6), {"PAD": 1, "RESHAPE": 2}),
        (3, 2, "same", (32, 32), (3, 2, 6), {"PAD": 1, "RESHAPE": 2}),
        (3, 2, "same", (33, 35), (3, 2, 6), {"PAD": 1, "RESHAPE": 2}),
        ((2, 4), 2, "valid", (32, 32), (2, 2, 6), {"RESHAPE": 1}),
        ((5, 6), (1, 2), "same", (32, 33), (5, 3, 6), {"PAD": 1, "RESHAPE": 2}),
        ((1, 3), (3, 2), "valid", (32, 32), (1, 2, 6), {"RESHAPE": 1}),
    ],
)
def test_pairs_give_the_same_integers(
    kernel: Any, strides: Any, padding: str, sides: tuple[int, int], weights: Any, moves: dict[str, int]
) -> None:
    plain = int8_file(chain(conv(kernel, strides, padding), sides=sides))
    data, changed = paired(plain)
    assert changed
    same_integers(plain, data, sides)
    assert {kind: count for kind, count in kinds(data).items() if kind in MOVES} == moves
    graph = tflite_edits.unpack(data).subgraphs[0]
    stem = next(
        operator
        for operator in graph.operators
        if len(graph.tensors[operator.outputs[0]].shape) == 4
        and operator.builtinOptionsType == schema().BuiltinOptions.Conv2DOptions
    )
    assert tuple(graph.tensors[stem.inputs[1]].shape[1:]) == weights
    assert paired(data) == (data, False)


def test_a_kernel_that_is_off_by_a_pixel_would_be_seen() -> None:
    plain = int8_file(chain(conv(3, 2, "same")))
    model, _ = pair_pixels(tflite_edits.unpack(plain))
    graph = model.subgraphs[0]
    weights = next(tensor for tensor in graph.tensors if list(tensor.shape) == [8, 3, 2, 6])
    moved = np.roll(numbers(model, weights, np.int8).reshape(8, 3, 4, 3), 1, axis=2)
    model.buffers[weights.buffer].data = np.frombuffer(moved.tobytes(), np.uint8)
    with pytest.raises(AssertionError):
        same_integers(plain, tflite_edits.pack(model), (SIDE, SIDE))


def twice(x: Any) -> Any:
    return layers().Concatenate(name="both")([conv()(x), layers().Conv2D(4, 3, 2, name="other")(x)])


@pytest.mark.parametrize(
    "build",
    [
        lambda: chain(conv(strides=1)),
        lambda: chain(conv(strides=(2, 1))),
        lambda: chain(conv(4, strides=(2, 3))),
        lambda: chain(conv(strides=1, dilation_rate=2)),
        lambda: chain(conv((3, 1))),
        lambda: chain(conv(2), sides=(33, 33)),  # a column of pixels is not read
        lambda: chain(layers().Conv2D(8, 3, name="first"), conv()),  # of eight channels
        lambda: chain(layers().MaxPooling2D(name="pool"), conv()),
        lambda: chain(layers().DepthwiseConv2D(3, 2, name="conv")),
        lambda: chain(twice),
    ],
)
def test_what_cannot_be_paired_is_left_alone(build: Any) -> None:
    data = int8_file(build())
    assert paired(data)[1] is False


def test_a_file_in_float_is_left_alone() -> None:
    """Its kernels take channels one at a time, so that pairs would save nothing."""
    assert paired(to_tflite.FloatFile(chain(conv())).data)[1] is False


def test_a_file_of_any_picture_size_is_left_alone() -> None:
    assert paired(int8_file(chain(conv(), sides=(None, None))))[1] is False
