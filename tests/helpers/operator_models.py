"""Keras models around one operation, whose scores differ from picture to picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edge_squeeze.pictures.loading import photograph_crops

SIDE = 32
Middle = Callable[[Any], Any]


def middle(kind: str, *arguments: Any, **options: Any) -> Middle:
    """A layer of that kind, called "middle"; Keras is imported when it is called."""
    return lambda x: getattr(layers(), kind)(*arguments, **{"name": "middle", **options})(x)  # noqa: PLW0108 - late


def layers() -> Any:
    from keras import layers as keras_layers

    return keras_layers


def network(operation: Middle, **options: Any) -> Any:
    """A convolution, `operation` and a dense layer, with seeded weights."""
    import keras

    keras.utils.set_random_seed(1)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = operation(layers().Conv2D(8, 3, strides=2)(layers().Rescaling(1 / 255)(inputs)))
    head = layers().Dense(3, kernel_initializer=keras.initializers.RandomNormal(stddev=3.0))
    return keras.Model(inputs, head(layers().GlobalAveragePooling2D()(x)), **options)


def crops(count: int, seed: int) -> np.ndarray:
    """Crops of the built-in photographs, `count` of each, in the size of the models."""
    return photograph_crops(count, (SIDE, SIDE), seed).pixels


def scores(model: Any, pixels: np.ndarray) -> np.ndarray:
    return np.asarray(model(pixels.astype(np.float32), training=False))


def layer_ranges(model: Any, pixels: np.ndarray) -> dict[str, tuple[float, float]]:
    """Smallest and largest value of each layer on `pixels`."""
    from edge_squeeze.converters.formats.to_tflite import FloatFile
    from edge_squeeze.converters.quantization.ranges import Activations

    activations = Activations()
    for values in FloatFile(model).activations(pixels):
        activations.widen(values)
    return activations.limits
