from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from int8_files import SIDE, int8_file, kinds, linear_head

from edge_squeeze.converters.formats import tflite_edits, to_tflite
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.converters.rewrites.linear_head import average_before_convolution
from edge_squeeze.engines.runner import RunOptions, open_runner
from edge_squeeze.formats import FORMATS
from edge_squeeze.pictures.loading import photograph_crops

PLAIN = FileOptions(rewrites="none"), Measured(output="logits")


def exchanged(data: bytes) -> tuple[bytes, bool]:
    rewritten, changed = average_before_convolution(tflite_edits.unpack(data))
    return tflite_edits.pack(rewritten), changed


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("convert", [to_tflite.float32, to_tflite.float16])
def test_the_average_first_gives_the_same_scores(convert: Any, keepdims: bool) -> None:
    plain = convert(linear_head(keepdims=keepdims), *PLAIN)
    data, changed = exchanged(plain)
    assert changed
    assert kinds(data)["MEAN"] == 1
    pixels = photograph_crops(2, (SIDE, SIDE), seed=3).pixels
    for kernels in FORMATS["tflite"].kernels:
        before, after = (open_runner(each, "tflite", RunOptions(kernels=kernels)).run(pixels) for each in (plain, data))
        limit = 1e-5 * np.abs(before).max()
        assert np.abs(after - before).max() <= limit
        assert np.abs(after[::-1] - before).max() > limit  # of other pictures
    assert exchanged(data)[1] is False


@pytest.mark.parametrize(
    "build",
    [
        lambda: to_tflite.float32(linear_head(activation="relu"), *PLAIN),
        lambda: to_tflite.float32(linear_head(3), *PLAIN),
        lambda: to_tflite.float32(linear_head(strides=2), *PLAIN),
        lambda: to_tflite.float32(linear_head(groups=2), *PLAIN),
        lambda: int8_file(linear_head(), head="int8"),
        lambda: int8_file(linear_head()),
    ],
)
def test_what_would_be_other_numbers_is_left_alone(build: Any) -> None:
    assert exchanged(build())[1] is False
