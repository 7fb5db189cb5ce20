from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from int8_files import SIDE, int8_file, kinds, layers

from edge_squeeze.converters.formats import tflite_edits, to_tflite
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.converters.rewrites.linear_head import average_before_convolution
from edge_squeeze.engines.runner import RunOptions, open_runner
from edge_squeeze.formats import FORMATS
from edge_squeeze.pictures.loading import photograph_crops

PLAIN = FileOptions(rewrites="none"), Measured(output="logits")


def model(kernel: int = 1, keepdims: bool = False, **options: Any) -> Any:
    import keras

    keras.utils.set_random_seed(1)
    pixels = keras.Input((SIDE, SIDE, 3), name="image")
    x = layers().Conv2D(8, 3, activation="relu", name="first")(pixels)
    bias = keras.initializers.RandomNormal(stddev=5.0)
    x = layers().Conv2D(6, kernel, bias_initializer=bias, name="last", **options)(x)
    x = layers().GlobalAveragePooling2D(keepdims=keepdims, name="average")(x)
    return keras.Model(pixels, layers().Flatten()(x) if keepdims else x, name="net")


def exchanged(data: bytes) -> tuple[bytes, bool]:
    rewritten, changed = average_before_convolution(tflite_edits.unpack(data))
    return tflite_edits.pack(rewritten), changed


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("convert", [to_tflite.float32, to_tflite.float16])
def test_the_average_first_gives_the_same_scores(convert: Any, keepdims: bool) -> None:
    plain = convert(model(keepdims=keepdims), *PLAIN)
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
        lambda: to_tflite.float32(model(activation="relu"), *PLAIN),
        lambda: to_tflite.float32(model(3), *PLAIN),
        lambda: to_tflite.float32(model(strides=2), *PLAIN),
        lambda: to_tflite.float32(model(groups=2), *PLAIN),
        lambda: int8_file(model(), head="int8"),
        lambda: int8_file(model()),
    ],
)
def test_what_would_be_other_numbers_is_left_alone(build: Any) -> None:
    assert exchanged(build())[1] is False
