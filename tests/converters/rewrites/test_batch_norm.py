from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from small_models import scattered

from edge_squeeze.converters.rewrites import batch_norm
from edge_squeeze.pictures.loading import photograph_crops

SIDE = 16


@pytest.fixture(scope="module")
def pictures() -> Any:
    return photograph_crops(1, (SIDE, SIDE), seed=3).pixels.astype(np.float32)


def chain(*parts: Any) -> Any:
    """A model of these layers one after the other, with weights that no initializer gives."""
    import keras

    x = pixels = keras.Input((SIDE, SIDE, 3), name="image")
    for part in parts:
        x = part(x)
    return scattered(keras.Model(pixels, x, name="net"))


def conv(kind: str = "Conv2D", name: str = "conv", **options: Any) -> Any:
    from keras import layers

    sizes = {"DepthwiseConv2D": (3,), "Dense": (6,)}
    return getattr(layers, kind)(*sizes.get(kind, (6, 3)), name=name, **options)


def norm(name: str = "norm", **options: Any) -> Any:
    from keras import layers

    return layers.BatchNormalization(name=name, **options)


def pooled() -> Any:
    from keras import layers

    return layers.GlobalAveragePooling2D(name="pooled")


def scaling(scale: Any = 0.02, offset: Any = -1.5, name: str = "scaling") -> Any:
    from keras import layers

    return layers.Rescaling(scale, offset, name=name)


def learned(**options: Any) -> Any:
    from keras import layers

    return layers.Normalization(mean=(100, 120, 90), variance=(3000, 2500, 0.01), name="scaling", **options)


def twice(second: Callable[[Any], Any]) -> Any:
    """A convolution whose output is read twice."""
    import keras

    pixels = keras.Input((SIDE, SIDE, 3), name="image")
    x = conv()(pixels)
    return scattered(keras.Model(pixels, keras.layers.Concatenate(name="both")([norm()(x), second(x)]), name="net"))


FOLDED: list[tuple[Callable[[], Any], list[str]]] = [
    (lambda: chain(conv(use_bias=False, padding="same", strides=2), norm()), ["norm"]),
    (lambda: chain(conv(), norm(scale=False, epsilon=0.3), norm("second", center=False)), ["second"]),
    (lambda: chain(conv("DepthwiseConv2D", depth_multiplier=2, use_bias=False), norm(axis=3)), ["norm"]),
    (lambda: chain(conv("SeparableConv2D", depth_multiplier=2), norm()), ["norm"]),
    (lambda: chain(conv("Conv2DTranspose", strides=2), norm()), ["norm"]),
    (lambda: chain(conv("Dense", use_bias=False), norm()), ["norm"]),
    (lambda: chain(conv(groups=3), norm()), ["norm"]),
    (lambda: chain(scaling(), conv(use_bias=False)), ["conv"]),
    (lambda: chain(scaling((0.1, 0.2, 0.3), 0), conv(padding="same")), ["conv"]),
    (lambda: chain(learned(), conv("DepthwiseConv2D", depth_multiplier=2)), ["conv"]),
    (lambda: chain(scaling(), scaling(2.0, 1.0, "again"), conv(), norm()), ["norm"]),
    (lambda: chain(conv(activation="relu"), norm(), conv(name="next")), ["conv", "next"]),
    (lambda: chain(pooled(), norm(), conv("Dense"), norm("last")), ["pooled", "last"]),
    (lambda: chain(scaling(), conv("Dense", use_bias=False)), ["conv"]),
    (lambda: chain(conv(), norm(), conv(name="next", padding="same"), norm("last")), ["norm", "last"]),
]


@pytest.mark.parametrize(("build", "names"), FOLDED)
def test_folded_layers_compute_the_same(build: Callable[[], Any], names: list[str], pictures: Any) -> None:
    model = build()
    expected = np.asarray(model(pictures, training=False))
    folded, changed = batch_norm.fold(model)
    assert changed
    assert [layer.name for layer in folded.layers] == ["image", *names]
    got = np.asarray(folded(pictures, training=False))
    assert got.shape == expected.shape
    largest = np.abs(expected).max()
    assert np.abs(got - expected).max() <= 1e-5 * largest
    kernel = folded.layers[-1].weights[0]  # the limit above can be missed: by a thousandth of one layer's weights
    kernel.assign(np.asarray(kernel) * 1.001)
    assert np.abs(np.asarray(folded(pictures, training=False)) - expected).max() > 1e-5 * largest


REFUSED: list[Callable[[], Any]] = [
    lambda: chain(conv(activation="relu"), norm()),
    lambda: chain(conv(), norm(axis=1)),
    lambda: chain(conv(dtype="mixed_float16"), norm()),
    lambda: chain(conv(), norm(dtype="float64")),
    lambda: chain(conv(), lambda x: norm()(x, training=True)),
    lambda: chain(scaling(), conv(padding="same")),  # a padded zero is not -1.5
    lambda: chain(scaling(0.1, 0), conv(groups=3)),
    lambda: chain(learned(invert=True), conv()),
    lambda: chain(scaling(), norm()),
    lambda: chain(conv("Dense", activation="relu"), norm()),
    lambda: twice(lambda x: x),
    lambda: twice(norm("other")),
]


@pytest.mark.parametrize("build", REFUSED)
def test_what_would_not_be_exact_is_left_alone(build: Callable[[], Any]) -> None:
    model = build()
    assert batch_norm.fold(model) == (model, False)


def test_a_convolution_that_is_used_twice_is_left_alone() -> None:
    import keras

    layer, pixels = conv(), keras.Input((SIDE, SIDE, 3), name="image")
    ends = [norm()(layer(pixels)), layer(keras.ops.flip(pixels, axis=1))]
    model = keras.Model(pixels, keras.layers.Add()(ends))
    assert batch_norm.fold(model) == (model, False)


def test_a_shift_through_padding_would_be_seen(pictures: Any) -> None:
    """What is refused would indeed compute something else."""
    import keras

    model, pixels = chain(scaling(), conv(padding="same")), keras.Input((SIDE, SIDE, 3), name="image")
    valid = keras.Model(pixels, conv()(scaling()(pixels)))
    valid.set_weights(model.get_weights())
    folded, changed = batch_norm.fold(valid)
    assert changed
    same = keras.Model(pixels, conv(padding="same")(pixels))
    same.set_weights(folded.get_weights())
    off = np.abs(np.asarray(same(pictures)) - np.asarray(model(pictures)))
    assert off[:, 1:-1, 1:-1].max() < 1e-3
    assert off.max() > 0.1
