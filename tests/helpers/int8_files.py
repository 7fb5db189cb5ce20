"""Small int8 .tflite files of seeded weights, and whether two of them compute the same integers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from operator_models import layers

from edge_squeeze.converters.formats.to_tflite import FloatFile
from edge_squeeze.converters.options import FileOptions
from edge_squeeze.engines.runner import RunOptions, open_runner
from edge_squeeze.formats import FORMATS
from edge_squeeze.inspection.inspector import inspect
from edge_squeeze.pictures.loading import photograph_crops

SIDE, RANGE = 32, 300.0
KIND = "tflite"


def chain(*parts: Any, sides: tuple[int | None, int | None] = (SIDE, SIDE), channels: int = 3) -> Any:
    """A model of pictures of these sides through `parts`, one after the other, with a dense layer as its head."""
    import keras

    keras.utils.set_random_seed(1)
    x = pixels = keras.Input((*sides, channels), name="image")
    for part in parts:
        x = part(x)
    head = layers().Dense(3, name="head")(layers().GlobalAveragePooling2D(name="average")(x))
    return keras.Model(pixels, head, name="net")


def int8_file(model: Any, ranges: dict[str, tuple[float, float]] | None = None, **options: Any) -> bytes:
    """The int8 file of `model`, with one range for all layers except for those in `ranges`."""
    file = FloatFile(model)
    known = dict.fromkeys(file.tensors(), (-RANGE, RANGE)) | (ranges or {})
    return file.quantize(known, FileOptions(**options), "logits")


def kinds(data: bytes) -> Counter[str]:
    """How many operators of each kind the file has."""
    return Counter(inspect(data, KIND).operators)


def same_integers(before: bytes, after: bytes, sides: tuple[int, int]) -> None:
    """Assert that two files give the same scores for photographs, bit by bit, whatever kernels compute them."""
    pixels = photograph_crops(2, sides, seed=3).pixels
    for kernels in FORMATS[KIND].kernels:
        scores = [open_runner(data, KIND, RunOptions(kernels=kernels)).run(pixels) for data in (before, after)]
        assert np.ptp(scores[0], axis=0).max() > 0
        np.testing.assert_array_equal(*scores)


def linear_head(kernel: int = 1, keepdims: bool = False, **options: Any) -> Any:
    """A network whose last convolution has no activation, and then averages."""
    import keras

    keras.utils.set_random_seed(1)
    pixels = keras.Input((SIDE, SIDE, 3), name="image")
    x = layers().Conv2D(8, 3, activation="relu", name="first")(pixels)
    bias = keras.initializers.RandomNormal(stddev=5.0)
    x = layers().Conv2D(6, kernel, bias_initializer=bias, name="last", **options)(x)
    x = layers().GlobalAveragePooling2D(keepdims=keepdims, name="average")(x)
    return keras.Model(pixels, layers().Flatten()(x) if keepdims else x, name="net")
