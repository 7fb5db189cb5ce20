"""Keras models of a few hundred weights, for tests that want a model and not its answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze.models import source
from edge_squeeze.models.source import Choice, Subject
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
