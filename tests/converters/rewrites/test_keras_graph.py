from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from small_models import scattered

from edge_squeeze.converters.rewrites import keras_graph
from edge_squeeze.pictures.loading import photograph_crops

SIDE = 16


@pytest.fixture(scope="module")
def pictures() -> Any:
    return photograph_crops(1, (SIDE, SIDE), seed=3).pixels.astype(np.float32)


def branch(name: str, channels: int, layer: str = "conv") -> Any:
    import keras
    from keras import layers

    parts = [layers.Conv2D(4, 3, name=layer), layers.Dropout(0.5), layers.BatchNormalization(name=f"{layer}_norm")]
    return keras.Sequential([keras.Input((SIDE, SIDE, channels)), *parts], name=name)


def nested() -> Any:
    """A model of two models, one of which has another inside, with layers of the same names."""
    import keras
    from keras import layers

    inner = keras.Input((SIDE, SIDE, 3), name="image")
    left = keras.Model(inner, layers.ReLU(name="relu")(branch("deep", 3)(inner)), name="left")
    pixels = keras.Input((SIDE, SIDE, 3), name="image")
    ends = [left(pixels, training=False), branch("right", 3)(pixels)]
    return keras.Model(pixels, layers.Concatenate(name="both")(ends), name="net")


def shared() -> Any:
    """A model inside that is used twice, and so are its layers."""
    import keras
    from keras import layers

    twice, pixels = branch("twice", 3), keras.Input((SIDE, SIDE, 3), name="image")
    flipped = keras.ops.flip(pixels, axis=1)
    return keras.Model(pixels, layers.Add(name="sum")([twice(pixels), twice(flipped) * 2]), name="net")


def adapted() -> Any:
    """A layer that has learned from data what its configuration does not say, in a Sequential of any size."""
    import keras
    from keras import layers

    learned = layers.Normalization(name="learned")
    learned.adapt(np.random.default_rng(0).uniform(0, 255, (4, SIDE, SIDE, 3)))
    parts = [
        keras.Input(batch_shape=(5, None, None, 3), name="image"),
        learned,
        layers.Activation("linear"),
        branch_end(),
    ]
    return keras.Sequential(parts, name="net")


def branch_end() -> Any:
    from keras import layers

    return layers.Conv2D(2, 3, name="conv")


@pytest.mark.parametrize(
    ("build", "names"),
    [
        (nested, ["image", "conv", "right_conv", "conv_norm", "relu", "right_conv_norm", "both"]),
        (shared, ["image", "conv", "conv_norm", "sum"]),
        (adapted, ["image", "learned", "conv"]),
    ],
)
def test_flat_models_compute_the_same_with_the_same_layers(
    build: Callable[[], Any], names: list[str], pictures: Any
) -> None:
    model = scattered(build())
    expected, weights = np.asarray(model(pictures, training=False)), model.get_weights()
    flat, changed = keras_graph.flatten(model)
    assert changed
    assert sorted(layer.name for layer in flat.layers) == sorted(names)
    assert flat.inputs[0].shape == model.inputs[0].shape
    got = np.asarray(flat(pictures, training=False))
    np.testing.assert_allclose(got, expected, atol=1e-5 * np.abs(expected).max())
    assert np.abs(got[::-1] - expected).max() > 0.1 * np.abs(expected).max()
    scattered(flat)  # its weights are its own
    assert all(np.array_equal(now, before) for now, before in zip(model.get_weights(), weights, strict=True))
    assert keras_graph.flatten(flat) == (flat, False)


def subclassed() -> Any:
    import keras

    class Own(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.branch = branch("inner", 3)

        def call(self, pixels: Any, training: bool | None = None) -> Any:
            return self.branch(pixels, training=training)

    model = Own()
    model(np.zeros((1, SIDE, SIDE, 3), np.float32))
    return model


def around(layer: Any, **options: Any) -> Any:
    import keras

    pixels = keras.Input((SIDE, SIDE, 3), name="image")
    return keras.Model(pixels, branch_end()(layer(pixels, **options)), name="net")


def secretive() -> Any:
    """A layer that does not tell how it is made."""
    import keras

    class Times(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, factor: Any) -> None:
            super().__init__()
            self.factor = factor

        def call(self, inputs: Any) -> Any:
            return inputs * np.asarray(self.factor)

    model = around(branch("inner", 3))
    return around(keras.Sequential([keras.Input((SIDE, SIDE, 3)), Times(np.ones(3, np.float32)), model]))


def monte_carlo() -> Any:
    """Dropout that is meant to work outside of training, too."""
    from keras import layers

    return around(layers.Dropout(0.5), training=True)


def converting() -> Any:
    """A layer that rounds its input to float16 does something."""
    from keras import layers

    return around(layers.Dropout(0.5, dtype="float16"))


@pytest.mark.parametrize("build", [subclassed, lambda: around(subclassed()), secretive, monte_carlo, converting])
def test_what_cannot_be_rebuilt_is_left_alone(build: Callable[[], Any]) -> None:
    model = build()
    assert keras_graph.flatten(model) == (model, False)


def test_refusals_say_which_layer_it_is() -> None:
    with pytest.raises(keras_graph.UncopyableError, match=r"layer times.* does not say how it is made"):
        keras_graph.rebuild(secretive())


@pytest.mark.parametrize("kind", sorted(keras_graph.TRAINING_ONLY))
def test_what_only_training_needs_gives_back_what_it_takes(kind: str, pictures: Any) -> None:
    from keras import layers

    factors = {"RandomTranslation": (0.2, 0.2), "RandomFlip": (), "ActivityRegularization": (), "Identity": ()}
    layer = getattr(layers, kind)(*factors.get(kind, (0.4,)))
    batch = pictures[:, 0] if kind.endswith("1D") else pictures[None] if kind.endswith("3D") else pictures
    assert np.array_equal(np.asarray(layer(batch, training=False)), batch)
