"""Whole networks of others, with random weights: their files give the scores of the Keras model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge_squeeze
from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.engines.runner import open_runner
from edge_squeeze.inspection.inspector import inspect
from edge_squeeze.pictures.loading import photograph_crops

pytestmark = pytest.mark.slow

SIDE, CLASSES = 64, 5
PRECISE = 1e-5  # of the largest score: float32 sums in another order
ROUGH = 0.2  # of the span of the scores: int8 through more than fifty layers of random weights


def conv_next() -> Any:
    from keras.applications import ConvNeXtTiny

    return ConvNeXtTiny(weights=None, input_shape=(SIDE, SIDE, 3), classes=CLASSES, classifier_activation=None)


def efficient_net() -> Any:
    from keras.applications import EfficientNetV2B0

    return EfficientNetV2B0(weights=None, input_shape=(SIDE, SIDE, 3), classes=CLASSES, classifier_activation=None)


def vision_transformer() -> Any:
    """Patches of 8 x 8 as words, two blocks of attention with layer normalization and GELU."""
    import keras
    from keras import layers

    inputs = keras.Input((SIDE, SIDE, 3))
    patches = layers.Conv2D(32, 8, strides=8)(layers.Rescaling(1 / 127.5, -1)(inputs))
    x = layers.Reshape((-1, 32))(patches)
    for _ in range(2):
        normal = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.Add()([x, layers.MultiHeadAttention(4, 8)(normal, normal)])
        wide = layers.Dense(64, activation="gelu")(layers.LayerNormalization(epsilon=1e-6)(x))
        x = layers.Add()([x, layers.Dense(32)(wide)])
    pooled = layers.GlobalAveragePooling1D()(layers.LayerNormalization(epsilon=1e-6)(x))
    return keras.Model(inputs, layers.Dense(CLASSES)(pooled))


def scattered(model: Any) -> Any:
    """`model` with a head that tells pictures apart, and layer scales of 0.3 instead of Keras' 1e-6."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if hasattr(layer, "gamma") and type(layer).__name__ == "LayerScale":
            layer.set_weights([np.full_like(weight, 0.3) for weight in layer.get_weights()])
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([rng.normal(size=kernel.shape), bias])
    return model


# Tuning the 28 million weights of the first takes a quarter of an hour.
@pytest.mark.parametrize(
    ("build", "quantizer"), [(conv_next, "stock"), (vision_transformer, "auto"), (efficient_net, "auto")]
)
def test_every_file_gives_the_scores_of_the_keras_model(
    tmp_path: Path, build: Callable[[], Any], quantizer: str
) -> None:
    import keras

    keras.utils.set_random_seed(1)
    model = scattered(build())
    model.save(tmp_path / "own.keras")
    options = {"preprocessing": "raw", "out": tmp_path / "out"}
    exported = [
        *edge_squeeze.export(tmp_path / "own.keras", precision="float32,int8", quantizer=quantizer, **options),
        *edge_squeeze.export(tmp_path / "own.keras", format="onnx", **options),
    ]
    pixels = photograph_crops(4, (SIDE, SIDE), seed=5).pixels
    expected = np.asarray(model(pixels.astype(np.float32), training=False))
    for done in exported:
        artifact = artifacts.load(done.folder)
        scores = open_runner(artifact.model(), artifact.manifest.format).run(pixels)
        quantized = artifact.manifest.precision == "int8"
        limit = ROUGH * np.ptp(expected) if quantized else PRECISE * np.abs(expected).max()
        assert np.abs(scores - expected).max() <= limit, artifact.manifest.name
        assert np.abs(scores[::-1] - expected).max() > limit, artifact.manifest.name  # of other pictures
        if quantized:
            kernels = inspect(artifact.model(), "tflite").kernels
            assert {(kernel.dtype, kernel.arithmetic) for kernel in kernels} == {("int8", "int8")}
