from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from int8_files import SIDE, chain, int8_file, kinds, layers, same_integers

from edge_squeeze.converters.formats import tflite_edits, to_tflite
from edge_squeeze.converters.rewrites.pixel_conversion import convert_pixels_by_float


def model() -> Any:
    return chain(layers().Conv2D(8, 3, activation="relu", name="conv"))


def converted(data: bytes) -> tuple[bytes, bool]:
    rewritten, changed = convert_pixels_by_float(tflite_edits.unpack(data))
    return tflite_edits.pack(rewritten), changed


def test_pixels_by_float_are_the_same_integers() -> None:
    plain = int8_file(model())
    data, changed = converted(plain)
    assert changed
    assert kinds(data) - kinds(plain) == {"DEQUANTIZE": 1}
    same_integers(plain, data, (SIDE, SIDE))
    assert converted(data) == (data, False)


def test_a_scale_that_is_off_would_be_seen() -> None:
    plain = int8_file(model())
    rewritten, _ = convert_pixels_by_float(tflite_edits.unpack(plain))
    graph = rewritten.subgraphs[0]
    quantize = next(operator for operator in graph.operators if graph.inputs[0] not in operator.inputs)
    integers = graph.tensors[quantize.outputs[0]]
    assert list(integers.quantization.scale) == [1]
    integers.quantization.scale = np.array([0.5], np.float32)  # 255 becomes 127.5
    with pytest.raises(AssertionError):
        same_integers(plain, tflite_edits.pack(rewritten), (SIDE, SIDE))


@pytest.mark.parametrize("options", [{"io": "int8"}, {"io": "float32"}, {"head": "int8"}])
def test_other_pixels_and_files_without_floats_are_left_alone(options: dict[str, str]) -> None:
    assert converted(int8_file(model(), **options))[1] is False


def test_pixels_of_another_scale_are_left_alone() -> None:
    tree = tflite_edits.unpack(int8_file(model()))
    tree.subgraphs[0].tensors[tree.subgraphs[0].inputs[0]].quantization.scale = np.array([0.5], np.float32)
    assert converted(tflite_edits.pack(tree))[1] is False


def test_a_file_in_float_is_left_alone() -> None:
    assert converted(to_tflite.FloatFile(model()).data)[1] is False
