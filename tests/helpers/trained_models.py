"""Keras models that are not ours: small ones, fitted to tell from which photograph a crop was taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edge_squeeze.artifact.manifest import FOLD_NORMALIZATION, PREPEND_NORMALIZATION
from edge_squeeze.pictures.loading import PHOTOGRAPHS, photograph_crops

SIZE = 48
CROPS, EPOCHS = 30, 8  # of each photograph, to fit on


@dataclass(frozen=True)
class Case:
    """How a model is built, what it was trained on, and what its artifacts must say."""

    build: Callable[[], Any]
    normalize: Callable[[np.ndarray], np.ndarray]
    preprocessing: str | None
    rewrites: list[str]
    content: str = "probabilities"
    suffix: str = ".keras"


def to_tf(pixels: np.ndarray) -> np.ndarray:
    return pixels / 127.5 - 1


def to_torch(pixels: np.ndarray) -> np.ndarray:
    mean, deviation = (np.array(v, np.float32) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return (pixels / 255 - mean) / deviation


def to_grey(pixels: np.ndarray) -> np.ndarray:
    return pixels @ np.array([[0.299], [0.587], [0.114]], np.float32) / 255


def depthwise(*, head: str | None = "softmax", own: tuple[Any, ...] = ()) -> Any:
    """Batch normalization and depthwise convolutions behind a first convolution that pads with zeros."""
    from keras import Input, Model, layers

    inputs = x = Input((SIZE, SIZE, 3))
    for layer in own:
        x = layer(x)
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(96, 1, use_bias=False)(x)))
    return Model(inputs, layers.Dense(len(PHOTOGRAPHS), activation=head)(layers.GlobalAveragePooling2D()(x)))


def sequential(channels: int) -> Any:
    from keras import Input, Sequential, layers

    convolutions = [layers.Conv2D(filters, 3, strides=2, activation="relu") for filters in (16, 32)]
    head = layers.Dense(len(PHOTOGRAPHS), activation="softmax")
    return Sequential([Input((SIZE, SIZE, channels)), *convolutions, layers.Flatten(), head])


def rescaling() -> Any:
    from keras import layers

    return depthwise(own=(layers.Rescaling(1 / 127.5, -1),))


def nested() -> Any:
    from keras import Input, Model, layers

    inputs = Input((SIZE, SIZE, 3))
    return Model(inputs, depthwise()(layers.ZeroPadding2D(0)(inputs)))


def mobilenet() -> Any:
    from keras.applications import MobileNetV2

    return MobileNetV2(weights=None, input_shape=(SIZE, SIZE, 3), classes=len(PHOTOGRAPHS), alpha=0.35)


FOLD, PREPEND = [FOLD_NORMALIZATION], [PREPEND_NORMALIZATION]
CASES = {
    "mobilenet": Case(mobilenet, to_tf, "tf", PREPEND),
    "depthwise": Case(depthwise, lambda x: x / 255, "unit", FOLD),  # zeros stay zeros, so even 'same' is exact
    "valid": Case(lambda: sequential(3), to_torch, "torch", FOLD),
    "rescaling": Case(rescaling, lambda x: x, None, [], suffix=".h5"),
    "logits": Case(lambda: depthwise(head=None), to_tf, "tf", PREPEND, content="logits"),
    "sigmoid": Case(lambda: depthwise(head="sigmoid"), to_tf, "tf", PREPEND, content="scores"),
    "grey": Case(lambda: sequential(1), to_grey, "unit", FOLD),
    "nested": Case(nested, to_tf, "tf", PREPEND),
    "saved": Case(depthwise, to_torch, "torch", PREPEND, suffix=""),
}


def fit(model: Any, case: Case, crops: np.ndarray) -> None:
    import keras

    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.7  # few steps: the default would not have settled
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=case.content == "logits")
    model.compile(keras.optimizers.Adam(3e-3), loss)
    truth = np.repeat(np.arange(len(PHOTOGRAPHS)), CROPS)
    model.fit(case.normalize(crops.astype(np.float32)), truth, epochs=EPOCHS, batch_size=16, verbose=0)


def save_crops(folder: Path, per_photograph: int, seed: int) -> Path:
    folder.mkdir()
    crops = photograph_crops(per_photograph, (96, 96), seed)
    for name, pixels in zip(crops.names, crops.pixels, strict=True):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder
