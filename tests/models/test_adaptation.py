"""Models in half precision, with channels first or with whole numbers as input are taken, and compute the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import SIDE, find, layers, network

import edge_squeeze
from edge_squeeze.errors import UsageError
from edge_squeeze.formats import FORMATS


@pytest.fixture
def mixed() -> Iterator[None]:
    import keras

    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


def deep() -> Any:
    """A model inside a model, with batch normalization, and an adapted Normalization."""
    import keras

    inner = keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers().Conv2D(8, 3), layers().BatchNormalization()])
    scaled = layers().Normalization()
    scaled.adapt(np.random.default_rng(1).integers(0, 256, (8, SIDE, SIDE, 3)).astype(np.float32))
    inputs = keras.Input((SIDE, SIDE, 3))
    pooled = layers().GlobalAveragePooling2D()(layers().ReLU()(inner(scaled(inputs))))
    return keras.Model(inputs, layers().Dense(4, activation="softmax", dtype="float32")(pooled))


def pixels(shape: tuple[int, ...] = (SIDE, SIDE, 3)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, *shape), dtype=np.uint8)


@pytest.mark.usefixtures("mixed")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_mixed_precision_becomes_float32(tmp_path: Path, suffix: str) -> None:
    import keras

    model = deep()
    expected = np.asarray(model(pixels().astype(np.float32), training=False))
    model.save(tmp_path / f"model{suffix}")
    subject = find(tmp_path / f"model{suffix}", preprocessing=None)  # its Normalization is fitted to 0..255
    original = subject.original()
    assert {layer.compute_dtype for layer in original.model.layers[1:]} == {"float32"}
    np.testing.assert_allclose(original.run(pixels()), expected, atol=2e-3)  # float16 has 11 bits
    keras.config.set_dtype_policy("float32")
    exact = deep()
    exact.set_weights(model.get_weights())
    exact.layers[1].finalize_state()
    np.testing.assert_allclose(original.run(pixels()), exact(pixels().astype(np.float32), training=False), atol=1e-6)
    assert np.abs(original.run(pixels()[:, ::-1, ::-1, ::-1]) - expected).max() > 2e-3
    (warning,) = subject.warnings
    assert "of its layers computed in half precision" in warning


@pytest.mark.usefixtures("mixed")
def test_a_mixed_model_exports_and_verifies(tmp_path: Path) -> None:
    deep().save(tmp_path / "model.keras")
    (exported,) = edge_squeeze.export(tmp_path / "model.keras", out=tmp_path)
    assert exported.proof.parity.max_abs < 1e-4
    again = edge_squeeze.verify(exported.folder)
    assert again.proof is not None
    assert again.proof.parity.max_abs < 1e-4


def channels_first() -> Any:
    import keras

    inputs = keras.Input((3, SIDE, SIDE + 4))
    scaled = layers().Rescaling(1 / 255)(inputs)
    features = layers().Conv2D(8, 3, data_format="channels_first", activation="relu")(scaled)
    features = layers().MaxPooling2D(data_format="channels_first")(layers().BatchNormalization(axis=1)(features))
    return keras.Model(inputs, layers().Dense(3, activation="softmax")(layers().Flatten()(features)))


def test_channels_first_are_where_a_format_has_them(tmp_path: Path) -> None:
    model = channels_first()
    pictures = pixels((SIDE, SIDE + 4, 3))
    expected = np.asarray(model(pictures.transpose(0, 3, 1, 2).astype(np.float32), training=False))
    model.save(tmp_path / "model.keras")
    exports = edge_squeeze.export(tmp_path / "model.keras", format="all", out=tmp_path)
    for exported in exports:
        sides = (SIDE, SIDE + 4)
        picture = {"nhwc": (1, *sides, 3), "nchw": (1, 3, *sides)}[FORMATS[exported.manifest.format].layouts[0]]
        assert exported.manifest.input.shape == picture
        classifier = edge_squeeze.load(exported.folder)
        np.testing.assert_allclose(classifier.runner.run(pictures), expected, atol=1e-5)
        assert exported.warnings == ("it takes channels first; its files take pictures as --layout says",)


def whole_numbers(first: Callable[[Any], Any]) -> Any:
    import keras

    inputs = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    return keras.Model(inputs, layers().Dense(3)(layers().Flatten()(first(inputs))))


def test_whole_numbers_become_float32_and_are_raw_pixels(tmp_path: Path) -> None:
    model = whole_numbers(layers().Rescaling(1 / 127.5, -1))
    model.save(tmp_path / "model.keras")
    (exported,) = edge_squeeze.export(tmp_path / "model.keras", out=tmp_path)
    scores = edge_squeeze.load(exported.folder).runner.run(pixels())
    np.testing.assert_allclose(scores, np.asarray(model(pixels(), training=False)), atol=1e-4)
    assert exported.manifest.preprocessing.baked.scale == (1.0, 1.0, 1.0)
    with pytest.raises(UsageError, match=r"takes whole numbers, which pixels are before any preprocessing\. Give raw"):
        find(tmp_path / "model.keras", preprocessing="tf")


def test_arithmetic_of_whole_numbers_is_refused(tmp_path: Path) -> None:
    whole_numbers(lambda inputs: inputs + inputs + inputs).save(tmp_path / "wraps.keras")  # wraps at 256
    network(dtype="uint8").save(tmp_path / "convolves.keras")
    for name in ("wraps", "convolves"):
        with pytest.raises(UsageError, match=r"it takes uint8, .* Build it with a float32 input"):
            find(tmp_path / f"{name}.keras")
