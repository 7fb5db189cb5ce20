"""A pretrained network is cut where it says, and a user's own model gets a head for other classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from trained_models import depthwise, nested, sequential

from edge_squeeze.errors import UsageError
from edge_squeeze.reporting import Silent
from edge_squeeze.training import network
from edge_squeeze.training.options import FinetuneOptions

LABELS = ("a", "b", "c", "d")


def load(model: Any, **options: Any) -> network.Network:
    return network.load(FinetuneOptions(model, **options), LABELS, Silent())


def test_the_parts_of_a_squeezenet_together_are_the_whole() -> None:
    loaded = load("squeezenet1.1", input_size=64)
    assert [tuple(cut.shape[1:]) for cut in loaded.cuts] == [
        (3, 3, 512),
        (3, 3, 512),
        (3, 3, 384),
        (3, 3, 384),
        (3, 3, 256),
    ]
    pictures = np.random.default_rng(0).normal(0, 60, (2, 64, 64, 3)).astype(np.float32)
    whole = loaded.model.predict_on_batch(pictures)
    assert whole.shape == (2, 4)
    deepest = loaded.frozen(4).predict_on_batch(pictures)
    later = loaded.between(4, 2).predict_on_batch(deepest)
    assert np.allclose(loaded.trainable(2).predict_on_batch(later), whole, atol=1e-5)
    trained = {layer.name for layer in loaded.trainable(2).layers if layer.weights}
    assert {name.partition("_")[0] for name in trained} == {"fire8", "fire9", "conv10"}


def test_a_model_of_the_users_keeps_all_but_its_last_layer(tmp_path: Path) -> None:
    before = depthwise()
    before.save(tmp_path / "mine.keras")
    loaded = load(str(tmp_path / "mine.keras"), preprocessing="tf")
    assert loaded.name == "mine"
    assert loaded.model.output_shape == (None, 4)
    pictures = np.random.default_rng(0).normal(size=(2, 48, 48, 3)).astype(np.float32)
    features = loaded.frozen(0).predict_on_batch(pictures)
    assert np.allclose(
        features, keras.Model(before.input, before.layers[-2].output).predict_on_batch(pictures), atol=1e-5
    )
    scores = loaded.trainable(0).predict_on_batch(features)
    assert np.allclose(scores, loaded.model.predict_on_batch(pictures), atol=1e-5)
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-5)
    deep = loaded.trainable(2)
    assert not any(layer.trainable for layer in deep.layers if isinstance(layer, keras.layers.BatchNormalization))
    assert any(isinstance(layer, keras.layers.DepthwiseConv2D) for layer in deep.layers)


def test_a_branch_is_not_cut() -> None:
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    branch = keras.layers.Conv2D(4, 1)(keras.layers.Conv2D(6, 1)(x))
    x = keras.layers.Add()([x, branch])
    model = keras.Model(inputs, keras.layers.Dense(5, "softmax")(keras.layers.GlobalAveragePooling2D()(x)))
    loaded = load(model, preprocessing="unit")
    assert [tuple(cut.shape[1:]) for cut in loaded.cuts] == [(4,), (16, 16, 4), (16, 16, 3)], "not (16, 16, 6)"


@pytest.mark.parametrize("build", [nested, lambda: sequential(3)])
def test_models_that_cannot_or_can_be_given_a_head(build: Any) -> None:
    if build is nested:
        with pytest.raises(
            UsageError, match=r"cannot be fine-tuned: it ends with Functional\. Required: a model whose last"
        ):
            load(build(), preprocessing="tf")
    else:
        assert load(build(), preprocessing="torch").model.output_shape == (None, 4)
