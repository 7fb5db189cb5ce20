from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from int8_files import SIDE, chain, int8_file, kinds, layers, same_integers

from edge_squeeze.converters.formats import tflite_edits, to_tflite
from edge_squeeze.converters.rewrites.pixel_pairs import pair_pixels
from edge_squeeze.converters.rewrites.pixel_windows import take_windows
from edge_squeeze.converters.rewrites.tflite_tree import numbers
from edge_squeeze.inspection.inspector import inspect

MOVES = ("PAD", "SLICE", "RESHAPE", "CONCATENATION")


def conv(kernel: Any = 7, strides: Any = 2, padding: str = "valid", **options: Any) -> Any:
    return layers().Conv2D(8, kernel, strides, padding, activation="relu", name="conv", **options)


def pool(padding: str = "valid") -> Any:
    return layers().MaxPooling2D(3, 2, padding, name="pool")


def rewritten(data: bytes) -> tuple[bytes, bool]:
    model, changed = take_windows(tflite_edits.unpack(data))
    return tflite_edits.pack(model), changed


@pytest.mark.parametrize(
    ("parts", "sides", "weights", "cut"),
    [
        pytest.param([conv()], (37, 37), (7, 1, 24), 0, id="SqueezeNet 1.0, no column too many"),
        pytest.param([conv()], (35, 35), (7, 1, 24), 1, id="a column too many, which an average would see"),
        pytest.param([conv(), pool()], (35, 35), (7, 1, 24), 0, id="a column too many, which no pooling sees"),
        pytest.param([conv(), pool()], (33, 33), (7, 1, 24), 1, id="columns too many, which a pooling would see"),
        pytest.param([conv(), pool("same")], (35, 35), (7, 1, 24), 1, id="a pooling that pads"),
        pytest.param([conv(padding="same")], (32, 34), (7, 1, 24), 1, id="zeros around"),
        pytest.param([conv(padding="same")], (33, 32), (7, 1, 24), 0, id="zeros above and below"),
        pytest.param([conv((11, 11), 4)], (47, 47), (11, 1, 36), 1, id="AlexNet"),
        pytest.param([conv((3, 7), (1, 2))], (32, 40), (3, 1, 24), 1, id="strides of two sizes"),
        pytest.param([conv((1, 7), (3, 2))], (32, 96), (1, 1, 24), 1, id="pixels that no window reads"),
    ],
)
def test_windows_give_the_same_integers(parts: Any, sides: tuple[int, int], weights: Any, cut: int) -> None:
    plain = int8_file(chain(*parts, sides=sides))
    data, changed = rewritten(plain)
    assert changed
    same_integers(plain, data, sides)
    graph = tflite_edits.unpack(data).subgraphs[0]
    stem = next(tensor for tensor in graph.tensors if tuple(tensor.shape[1:]) == weights and len(tensor.shape) == 4)
    phases = sum(graph.tensors.index(stem) in operator.inputs for operator in graph.operators)
    assert phases == weights[2] // 3 // (4 if weights[0] == 11 else 2)
    moves = {kind: count for kind, count in kinds(data).items() if kind in MOVES}
    assert moves == {"PAD": 1, "SLICE": phases + cut, "RESHAPE": phases + 2, "CONCATENATION": 1}
    assert rewritten(data) == (data, False)
    assert pair_pixels(tflite_edits.unpack(data))[1] is False


def test_the_weights_are_stored_once() -> None:
    plain = int8_file(chain(conv(), pool(), sides=(35, 35)))
    data, _ = rewritten(plain)
    before, after = (inspect(each, "tflite") for each in (plain, data))
    assert after.parameters == before.parameters + 7 * 3 * 8  # a column of zeros
    assert after.convolutions == {"int8": 5}  # four for one


def test_a_window_that_is_off_by_a_pixel_would_be_seen() -> None:
    plain = int8_file(chain(conv(), sides=(35, 35)))
    model, _ = take_windows(tflite_edits.unpack(plain))
    begin = next(tensor for tensor in model.subgraphs[0].tensors if tensor.name.endswith(b"/phase2/rows/begin"))
    moved = numbers(model, begin, np.int32) + np.array([0, 0, 3], np.int32)
    model.buffers[begin.buffer].data = np.frombuffer(moved.tobytes(), np.uint8)
    with pytest.raises(AssertionError):
        same_integers(plain, tflite_edits.pack(model), (35, 35))


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: chain(conv(3)), id="pairs have as few products"),
        pytest.param(lambda: chain(conv(5)), id="pairs have as few products, too"),
        pytest.param(lambda: chain(conv(strides=1)), id="no stride"),
        pytest.param(lambda: chain(conv(strides=(2, 1))), id="no stride along the row"),
        pytest.param(lambda: chain(conv(3, 4)), id="a kernel narrower than a stride"),
        pytest.param(lambda: chain(conv(strides=1, dilation_rate=2)), id="a kernel with gaps"),
        pytest.param(lambda: chain(layers().Conv2D(8, 3, name="first"), conv()), id="eight channels"),
        pytest.param(lambda: chain(layers().MaxPooling2D(name="early"), conv()), id="a pooling before"),
        pytest.param(lambda: chain(conv(), sides=(None, None)), id="any size"),
    ],
)
def test_other_files_are_left_alone(build: Any) -> None:
    data = int8_file(build())
    assert rewritten(data)[1] is False


def test_a_file_in_float_is_left_alone() -> None:
    assert rewritten(to_tflite.FloatFile(chain(conv(), sides=(SIDE, SIDE))).data)[1] is False
