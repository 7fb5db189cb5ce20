"""Keras models of a few hundred weights, for tests that want a model and not its answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze.models import source
from edge_squeeze.models.source import Choice, Subject
from edge_squeeze.pictures.loading import photograph_crops
from edge_squeeze.reporting import Silent

SIDE = 16


def layers() -> Any:
    """Keras' layers, imported late."""
    import keras

    return keras.layers


def network(shape: tuple[Any, ...] = (SIDE, SIDE, 3), classes: int = 3, **options: Any) -> Any:
    """A convolution and a dense layer, that give logits."""
    import keras

    inputs = keras.Input(shape, **options)
    convolution = layers().Conv2D(4, 3)(inputs)
    return keras.Model(inputs, layers().Dense(classes)(layers().GlobalAveragePooling2D()(convolution)))


def find(path: Path, **options: Any) -> Subject:
    """The user's model at `path`, taken as an export takes it."""
    return source.find(Choice(path, **{"preprocessing": "raw", **options}), Silent())


def scattered(model: Any) -> Any:
    """`model` with weights of which none is what its initializer gives."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(np.asarray(weight) + rng.uniform(0.1, 0.5, weight.shape).astype(weight.dtype))
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):  # Normalization works out its divisor from its weights
            layer.finalize_state()
    return model


def deep(blocks: int) -> Any:
    """So many convolutions, block1 to blockN, each of which is added to what it reads, and a dense layer.

    The classes of photographs differ, and depend on every layer.
    """
    import keras

    pixels = x = keras.Input((SIDE, SIDE, 3), name="image")
    x = layers().Conv2D(8, 3, padding="same", activation="relu", name="first")(x)
    for number in range(1, blocks + 1):
        block = layers().Conv2D(8, 3, padding="same", activation="relu", name=f"block{number}")(x)
        x = layers().Add(name=f"sum{number}")([x, block])
    features = layers().GlobalAveragePooling2D(name="mean")(x)
    model = keras.Model(pixels, layers().Dense(5, activation="softmax", name="scores")(features), name="deep")
    rng = np.random.default_rng(3)
    for weight in model.weights:
        spread = np.sqrt(np.prod(weight.shape[:-1])) * (255 if weight.shape[-2:] == (3, 8) else 3)
        weight.assign(rng.normal(0, 1 / spread, weight.shape))
    crops = photograph_crops(4, (SIDE, SIDE), seed=0).pixels.astype(np.float32)
    means = np.asarray(keras.Model(pixels, features)(crops))
    kernel = rng.normal(0, 1, (8, 5)) / means.std(axis=0)[:, None]
    model.get_layer("scores").set_weights([kernel, -means.mean(axis=0) @ kernel])
    return model


def modules(side: int = 32, *, limited: bool = False) -> Any:
    """What quantizers meet: a fire module, a pooling, a residual sum, a depthwise convolution, a dense layer.

    With `limited`, the depthwise convolution is followed by a ReLU6, which does not commute with factors.
    """
    import keras

    pixels = keras.Input((side, side, 3), name="image")
    x = layers().Conv2D(8, 3, strides=2, activation="relu", name="first")(pixels)
    x = layers().MaxPooling2D(2, name="pool")(x)
    squeezed = layers().Conv2D(4, 1, activation="relu", name="squeeze")(x)
    left = layers().Conv2D(8, 1, activation="relu", name="left")(squeezed)
    right = layers().Conv2D(8, 3, padding="same", activation="relu", name="right")(squeezed)
    joined = layers().Concatenate(name="joined")([left, right])
    wide = layers().DepthwiseConv2D(3, padding="same", name="wide")(joined)
    wide = layers().ReLU(6.0 if limited else None, name="limit")(wide)
    total = layers().Add(name="total")([joined, layers().Conv2D(16, 1, name="back")(wide)])
    logits = layers().Dense(5, name="scores")(layers().GlobalAveragePooling2D(name="mean")(total))
    model = keras.Model(pixels, layers().Softmax(name="probabilities")(logits), name="modules")
    rng = np.random.default_rng(2)
    for weight in model.weights:
        spread = rng.lognormal(0, 1, weight.shape[-1:])  # channels of unequal size
        scale = 1 / 255 if weight.shape[:3] == (3, 3, 3) else 1.0
        values = rng.normal(0, 1 / np.sqrt(max(1, np.prod(weight.shape[:-1]))), weight.shape) * spread
        weight.assign((values * scale).astype(np.float32) if weight.name == "kernel" else np.abs(values) / 10)
    return model
