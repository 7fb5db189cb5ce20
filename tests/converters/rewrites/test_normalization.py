from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_squeeze.artifact.manifest import FOLD_NORMALIZATION, PREPEND_NORMALIZATION
from edge_squeeze.converters.rewrites import normalization
from edge_squeeze.pictures.preprocessing import Normalization, Preprocessing
from edge_squeeze.pictures.presets import preset

SIDE = 12
PIXELS = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
FOLD, PREPEND = [FOLD_NORMALIZATION], [PREPEND_NORMALIZATION]


def convolution(channels: int = 3, **options: Any) -> Any:
    import keras

    keras.utils.set_random_seed(1)
    inputs = keras.Input((SIDE, SIDE, channels))
    return keras.Model(inputs, keras.layers.Conv2D(6, 3, bias_initializer="ones", **options)(inputs))


def twice() -> Any:
    """Two layers read the pixels."""
    import keras

    inputs = keras.Input((SIDE, SIDE, 3))
    ends = [keras.layers.Conv2D(2, 3)(inputs) for _ in range(2)]
    return keras.Model(inputs, keras.layers.Add()(ends))


def subclassed() -> Any:
    import keras

    class Doubled(keras.layers.Conv2D):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return super().call(inputs * inputs)

    inputs = keras.Input((SIDE, SIDE, 3))
    return keras.Model(inputs, Doubled(2, 3)(inputs))


def secretive() -> Any:
    """A layer that does not tell how it is made."""
    import keras

    class Times(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, factor: Any) -> None:
            super().__init__()
            self.factor = factor

        def call(self, inputs: Any) -> Any:
            return inputs * self.factor

    inputs = keras.Input((SIDE, SIDE, 3))
    return keras.Model(inputs, Times(Half())(keras.layers.Conv2D(2, 3)(inputs)))


class Half:
    def __rmul__(self, pixels: Any) -> Any:
        return pixels / 2


@pytest.mark.parametrize(
    ("build", "name", "channels", "expected"),
    [
        (convolution, "caffe", 3, FOLD),
        (convolution, "torch", 3, FOLD),
        (lambda: convolution(1), "tf", 1, FOLD),
        (lambda: convolution(padding="same"), "torch", 3, PREPEND),  # a padded zero is not mean grey
        (lambda: convolution(padding="same"), "unit", 3, FOLD),  # but it is black
        (lambda: convolution(1, padding="same"), "raw", 1, FOLD),
        (lambda: convolution(use_bias=False), "tf", 3, PREPEND),  # nowhere to put the mean
        (lambda: convolution(use_bias=False), "unit", 3, FOLD),
        (lambda: convolution(groups=3), "unit", 3, PREPEND),
        (twice, "tf", 3, PREPEND),
        (subclassed, "unit", 3, PREPEND),
        (secretive, "torch", 3, PREPEND),
        (convolution, "raw", 3, []),
    ],
)
def test_baking_changes_nothing_but_what_goes_in(build: Any, name: str, channels: int, expected: list[str]) -> None:
    model, preprocessing = build(), preset(name, (SIDE, SIDE), channels)
    wanted = np.asarray(model(preprocessing.normalize(PIXELS)))
    baked, done = normalization.bake(model, preprocessing.baked)
    assert done == expected
    got = np.asarray(baked(PIXELS.astype(np.float32)))
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


def test_a_padded_zero_would_be_seen_if_it_were_folded() -> None:
    """The exactness above can fail: what is refused would indeed compute something else."""
    model = convolution(padding="same")
    own = Normalization("rgb", (127.5,) * 3, (1 / 127.5,) * 3)
    wanted = np.asarray(model(Preprocessing(SIDE, (SIDE, SIDE), baked=own).normalize(PIXELS)))
    folded = normalization.fold_normalization(model, model.layers[1], own, normalization._copy(model))
    assert np.abs(np.asarray(folded(PIXELS.astype(np.float32))) - wanted).max() > 0.1
