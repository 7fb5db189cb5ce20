"""A model shows by its first layers that it takes raw pixels, or it does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import SIDE, find, layers, network

from edge_squeeze.errors import UsageError
from edge_squeeze.models.pixel_range import entrance, entrance_of_keras_2
from edge_squeeze.pictures.preprocessing import Normalization
from edge_squeeze.pictures.presets import PRESETS, preset

IMAGENET = {"mean": [123.675, 116.28, 103.53], "variance": [3410.0, 3262.7, 3291.9]}
IMAGENET_UNIT = {"mean": [0.485, 0.456, 0.406], "variance": [0.229**2, 0.224**2, 0.225**2]}


def behind(*first: Any, channels: int = 3) -> Any:
    """A small classifier whose input goes through the layers `first`."""
    import keras

    inputs = x = keras.Input((SIDE, SIDE, channels))
    for layer in first:
        x = layer(x)
    return keras.Model(inputs, layers().Dense(3)(layers().GlobalAveragePooling2D()(layers().Conv2D(4, 3)(x))))


def rescaled(scale: Any, offset: Any = 0.0) -> Any:
    return behind(layers().Rescaling(scale, offset))


def normalized(mean: Any, variance: Any, *, channels: int = 3) -> Any:
    return behind(layers().Normalization(mean=mean, variance=variance), channels=channels)


def augmented() -> Any:
    """As Keras' tutorials have it: augmentation and resizing in a model of their own, then the rescaling."""
    import keras

    augmentation = keras.Sequential([layers().RandomFlip(), layers().RandomRotation(0.1)])
    return behind(augmentation, layers().Resizing(24, 24), layers().Rescaling(1 / 255))


def nested() -> Any:
    import keras

    inputs = keras.Input((SIDE, SIDE, 3))
    return keras.Model(inputs, layers().Softmax()(rescaled(1 / 127.5, -1)(inputs)))


def stacked() -> Any:
    import keras

    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers().Rescaling(1 / 255), *network().layers[1:]])


def scaled_and_standardized() -> Any:
    return behind(layers().Rescaling(1 / 255), layers().Normalization(**IMAGENET_UNIT))


def handwritten() -> Any:
    return behind(layers().Rescaling(1 / 255), layers().Normalization(mean=[0.1307], variance=[0.3081**2]), channels=1)


@pytest.mark.parametrize(
    ("build", "meaning"),
    [
        (lambda: rescaled(1 / 255), "0 to 1"),
        (lambda: rescaled(1 / 256), "0 to 1"),
        (lambda: rescaled(1 / 127.5, -1), "-1 to 1"),
        (lambda: rescaled(1 / 255, -0.5), "-0.5 to 0.5"),
        (lambda: rescaled(1.0, [-123.68, -116.779, -103.939]), "ImageNet's mean subtracted"),
        (lambda: rescaled([1 / 58.395, 1 / 57.12, 1 / 57.375], [-2.118, -2.036, -1.804]), "ImageNet's mean and dev"),
        (augmented, "0 to 1"),
        (nested, "-1 to 1"),
        (stacked, "0 to 1"),
        (scaled_and_standardized, "ImageNet's mean and deviation"),
        (lambda: normalized(**IMAGENET), "ImageNet's mean and deviation"),
        (lambda: normalized([110, 105, 98], [4000, 3900, 4100]), "a mean of 0 and a deviation of 1"),
        (handwritten, "a mean of 0 and a deviation of 1"),
    ],
)
def test_first_layers_that_bring_raw_pixels_to_a_usual_range_show_it(
    tmp_path: Path, build: Callable[[], Any], meaning: str
) -> None:
    build().save(tmp_path / "model.keras")
    subject = find(tmp_path / "model.keras", preprocessing=None)
    channels = subject.original().model.input_shape[-1]
    assert subject.preprocessing.baked == (PRESETS["raw"].color if channels == 3 else PRESETS["raw"].grey)
    assert (entrance(subject.original().model).meaning() or "").startswith(meaning)
    assert subject.warnings == ()


def forked() -> Any:
    """Its pixels reach one branch rescaled, and another one as they are."""
    import keras

    inputs = keras.Input((SIDE, SIDE, 3))
    both = layers().Concatenate()([layers().Rescaling(1 / 255, name="scaled")(inputs), layers().Conv2D(3, 1)(inputs)])
    return keras.Model(inputs, layers().Dense(3)(layers().GlobalAveragePooling2D()(both)))


def calculated() -> Any:
    """Its pixels go through arithmetic that is no layer before its rescaling."""
    import keras

    inputs = keras.Input((SIDE, SIDE, 3))
    scaled = layers().Rescaling(2.0, -1.0)(inputs / 255.0)
    return keras.Model(inputs, layers().Dense(3)(layers().Flatten()(scaled)))


@pytest.mark.parametrize(
    ("build", "detail"),
    [
        (lambda: rescaled(2.0, -1.0), r"become -1 to 509, .* with --preprocessing unit they become -1 to 1"),
        (lambda: normalized([0.45, 0.42, 0.4], [0.07] * 3), r"mean 0\.45, 0\.42, 0\.4, .*--preprocessing unit"),
        (lambda: normalized([0.1, -0.1, -0.2], [0.3] * 3), r"variance 0\.3\).*--preprocessing tf"),
        (lambda: normalized([0.1, 0, 0], [1.1, 1, 1]), "--preprocessing torch"),
        (lambda: normalized([4, -3, 1], [4200.0] * 3), "--preprocessing caffe"),
        (lambda: normalized([0, 0, 0], [1, 1, 1]), r"become 0 to 255, which networks are not usually trained on\.$"),
        (lambda: rescaled(1.0), r"become 0 to 255, which networks are not usually trained on\.$"),
        (lambda: rescaled(-1 / 255, 1.0), r"scale -0\.003922, offset 1"),
        (lambda: rescaled(1.0, [-103.939, -116.779, -123.68]), 'take BGR pictures: .*"order": "bgr"'),
        (lambda: normalized([103.53, 116.28, 123.675], [3300] * 3), "take BGR pictures"),
        (lambda: behind(layers().Rescaling(1 / 255), layers().Rescaling(1 / 255)), r"become 0 to 0\.003922"),
        (lambda: behind(layers().Conv2D(3, 1, name="learns"), layers().Rescaling(0.2)), "goes into learns"),
        (forked, r"It has scaled \(Rescaling, .*\), but not at its input: that one goes into several layers"),
        (calculated, "but not at its input: that one goes into true_divide"),
    ],
)
def test_other_layers_and_numbers_show_nothing_and_are_named(
    tmp_path: Path, build: Callable[[], Any], detail: str
) -> None:
    build().save(tmp_path / "model.keras")
    with pytest.raises(UsageError, match=rf"Give --preprocessing: .*{detail}"):
        find(tmp_path / "model.keras", preprocessing=None)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_weights_of_a_normalization_count_that_its_configuration_does_not_show(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (8, SIDE, SIDE, 3)).astype(np.float32)
    for name, adapted in {"raw": pixels, "unit": pixels / 255}.items():
        layer = layers().Normalization()
        layer.adapt(adapted)
        behind(layer).save(tmp_path / f"{name}{suffix}")
    assert find(tmp_path / f"raw{suffix}", preprocessing=None).preprocessing.baked == Normalization()
    with pytest.raises(UsageError, match="with --preprocessing unit they become a mean of 0 and a deviation of 1"):
        find(tmp_path / f"unit{suffix}", preprocessing=None)


@pytest.mark.parametrize(
    ("preprocessing", "warned"),
    [
        ("unit", []),
        ("raw", [r"^rescaling\S* \(.*\) makes -1 to 509 of pixels"]),
        ("tf", [r"its pictures are normalized twice: rescaling\S* \(.*\) makes -3 to 1 of pixels"]),
    ],
)
def test_a_chosen_preprocessing_is_held_against_the_first_layers(
    tmp_path: Path, preprocessing: str, warned: list[str]
) -> None:
    rescaled(2.0, -1.0).save(tmp_path / "model.keras")
    warnings = find(tmp_path / "model.keras", preprocessing=preprocessing).warnings
    assert len(warnings) == len(warned)
    assert all(re.search(words, warning) for words, warning in zip(warned, warnings, strict=True))


APPLICATIONS = {  # of keras.applications -> what their own preprocessing gives
    "EfficientNetB0": "0 to 1",  # untrained: its Normalization gets numbers with the ImageNet weights
    "EfficientNetV2B0": "ImageNet's mean and deviation",
    "EfficientNetV2S": "-1 to 1",
    "MobileNetV3Small": "-1 to 1",
    "ConvNeXtTiny": "ImageNet's mean and deviation",
    "MobileNetV2": None,
    "ResNet50V2": None,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_networks_of_keras_applications_show_what_they_do(name: str) -> None:
    import keras

    model = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=4)
    inputs = keras.Input((64, 64, 3))
    for each in (model, keras.Model(inputs, model(layers().RandomFlip()(inputs)))):
        assert entrance(each).takes_raw == (APPLICATIONS[name] is not None)
        assert not entrance(each).layers or entrance(each).meaning() == APPLICATIONS[name]


def test_efficientnets_three_layers_are_imagenets_normalization() -> None:
    """Its ImageNet weights divide by the deviation's root twice: in Normalization, and in a Rescaling behind it."""
    deviation = np.array([0.229, 0.224, 0.225])
    model = behind(
        layers().Rescaling(1 / 255),
        layers().Normalization(mean=IMAGENET_UNIT["mean"], variance=deviation.tolist()),
        layers().Rescaling((1 / np.sqrt(deviation)).tolist()),
    )
    assert entrance(model).meaning() == "ImageNet's mean and deviation"


def keras_2(*layers: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """The configuration of a Sequential as Keras 2 saves it."""
    inner = [{"class_name": kind, "config": config} for kind, config in layers]
    return {"class_name": "Sequential", "config": {"name": "sequential", "layers": inner}}


def test_the_first_layers_of_a_keras_2_file_show_what_is_normalized_twice() -> None:
    size = (16, 16)
    rescaling = ("Rescaling", {"name": "rescaling", "scale": 1 / 255, "offset": 0.0})
    last = ("Conv2D", {"name": "conv"}), ("Rescaling", {"name": "residual", "scale": 0.2, "offset": 0.0})
    seen = entrance_of_keras_2(keras_2(("InputLayer", {}), ("RandomFlip", {}), rescaling, *last), 3)
    assert seen is not None
    assert [layer.name for layer in seen.layers] == ["rescaling"]
    assert seen.meaning(preset("raw", size)) == "0 to 1"
    assert seen.meaning(preset("tf", size)) is None
    untouched = entrance_of_keras_2(keras_2(("InputLayer", {}), *last), 3)
    assert untouched is not None
    assert not untouched.layers
    assert entrance_of_keras_2(keras_2(("Normalization", {}), *last), 3) is None  # its numbers are among the weights
