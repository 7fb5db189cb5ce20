"""The preprocessing a network was trained with: that of published weights, a common preset, or a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_squeeze.errors import UsageError, unknown
from edge_squeeze.files.documentation import page
from edge_squeeze.files.reading import decode, read_json
from edge_squeeze.pictures.filters import BILINEAR
from edge_squeeze.pictures.preprocessing import CROP, RESIZES, STRETCH, Normalization, Preprocessing

LARGEST_FILE = 1 << 20


@dataclass(frozen=True)
class Preset:
    """A common way to scale pixels, in color and, if there is one, in grayscale."""

    color: Normalization
    grey: Normalization | None = None


# caffe, torch and tf are the modes of keras.applications' preprocess_input. The mean of its caffe is not the rounded
# one of the published SqueezeNets (below).
PRESETS = {
    "caffe": Preset(Normalization("bgr", (103.939, 116.779, 123.68))),
    "torch": Preset(Normalization("rgb", (123.675, 116.28, 103.53), (1 / 58.395, 1 / 57.12, 1 / 57.375))),
    "tf": Preset(Normalization("rgb", (127.5,) * 3, (1 / 127.5,) * 3), Normalization("grey", (127.5,), (1 / 127.5,))),
    "unit": Preset(Normalization("rgb", scale=(1 / 255,) * 3), Normalization("grey", (0.0,), (1 / 255,))),
    "raw": Preset(Normalization(), Normalization("grey", (0.0,), (1.0,))),
}

KERAS_APPLICATIONS = "keras-applications:"
# Preset -> the networks of keras.applications whose preprocess_input it is. Those of raw have it inside, unless they
# were built with include_preprocessing=False.
NETWORKS = {
    "caffe": ("ResNet50", "ResNet101", "ResNet152", "VGG16", "VGG19"),
    "torch": ("DenseNet121", "DenseNet169", "DenseNet201"),
    "tf": (
        *("InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV2", "NASNetLarge", "NASNetMobile"),
        *("ResNet50V2", "ResNet101V2", "ResNet152V2", "Xception"),
    ),
    "raw": (
        *(f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large", "XLarge")),
        *(f"EfficientNetB{i}" for i in range(8)),
        *(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")),
        *("MobileNetV3Large", "MobileNetV3Small"),
    ),
}


def preset(
    name: str,
    size: tuple[int, int],
    channels: int = 3,
    resize: str = CROP,
    filter: str = BILINEAR,  # noqa: A002 - the option's name
) -> Preprocessing:
    """The preset `name` for pictures of `size` (height, width); UsageError if there is none for `channels`.

    `resize` is crop (the short side to that of the network), stretch, or the pixels of the short side before the crop;
    `filter` one of FILTERS.
    """
    if name not in PRESETS:
        raise unknown("preprocessing", name, PRESETS)
    row = PRESETS[name]
    baked = row.color if channels == row.color.channels else row.grey
    if baked is None:
        choices = ", ".join(known for known, entry in PRESETS.items() if entry.grey)
        raise UsageError(
            f"Preprocessing {name!r} is for color pictures, but the network takes grayscale. Choices: {choices}."
        )
    if resize not in RESIZES and not resize.isdecimal():
        raise UsageError(f"resize must be {', '.join(RESIZES)} or a number of pixels, got {resize!r}.")
    rule, short_side = (resize, max(size)) if resize in RESIZES else (CROP, int(resize))
    return Preprocessing(short_side, size, rule, filter, baked=baked)


def squeezenet_caffe(size: tuple[int, int]) -> Preprocessing:
    """Preprocessing of the SqueezeNets trained in Caffe (both published ImageNet sets): 256 -> 227, BGR minus the mean.

    Source: github.com/forresti/SqueezeNet, train_val.prototxt. Other input sizes keep the ratio of 256 to 227.
    """
    return Preprocessing(round(max(size) * 256 / 227), size, baked=Normalization("bgr", (104.0, 117.0, 123.0)))


@dataclass(frozen=True)
class Convention:
    """What the weights of one origin need: a default size, and the preprocessing for each size."""

    input_size: int
    preprocessing: Callable[[tuple[int, int]], Preprocessing]


# Origin of a SqueezeNet's weights (see weight_files) -> what they were trained with.
CONVENTIONS = {
    "caffe": Convention(227, squeezenet_caffe),
    "torchvision": Convention(224, lambda size: preset("torch", size, resize=str(round(max(size) * 256 / 224)))),
}


def preset_of(choice: str) -> str:
    """The one of PRESETS that `choice` stands for if it is keras-applications:NETWORK, else `choice` itself.

    UsageError for a network that keras.applications does not have.
    """
    if not choice.startswith(KERAS_APPLICATIONS):
        return choice
    network = choice.removeprefix(KERAS_APPLICATIONS)
    for name, networks in NETWORKS.items():
        if network in networks:
            return name
    raise unknown("network of keras.applications", network, [name for row in NETWORKS.values() for name in row])


def check_choice(choice: str) -> None:
    """Raise UsageError if `choice` is none of PRESETS, no network of keras.applications, and no file."""
    choice = preset_of(choice)
    if choice not in PRESETS and not Path(choice).is_file():
        raise UsageError(f"{unknown('preprocessing', choice, PRESETS)} Or give a file: {choice} does not exist.")


def choose(
    choice: str,
    size: tuple[int, int],
    channels: int = 3,
    resize: str | None = None,
    filter: str | None = None,  # noqa: A002 - the option's name
) -> Preprocessing:
    """The preprocessing that `choice` names; UsageError if it does not fit the network.

    It is one of PRESETS, keras-applications:NETWORK, or a JSON file with the content of `preprocessing` in model.json,
    where `short_side` and `crop` default to the network's size. `resize` and `filter` are as in
    `preset`, and only apply to presets.
    """
    check_choice(choice)
    choice = preset_of(choice)
    if choice in PRESETS:
        return preset(choice, size, channels, resize or CROP, filter or BILINEAR)
    for option, value in {"--resize": resize, "--filter": filter}.items():
        if value is not None:
            raise UsageError(f"{option} does not apply to {choice}: the file specifies how pictures are resized.")
    path = Path(choice)
    prepared = _read(path, size)
    if prepared.size != size:
        raise UsageError(f"{path}: the network takes pictures of {size}, this preprocessing gives {prepared.size}.")
    if prepared.baked.channels != channels:
        order = f"the order {prepared.baked.order} has {prepared.baked.channels}"
        raise UsageError(f"{path}: the network takes {channels} channels, {order}.")
    return prepared


def _read(path: Path, size: tuple[int, int]) -> Preprocessing:
    content = read_json(path, LARGEST_FILE)
    if not isinstance(content, dict):
        raise UsageError(f"{path} must contain an object of {', '.join(_keys(Preprocessing))}.")
    _check_keys(content, Preprocessing, ("baked",), str(path))
    _check_keys(content["baked"], Normalization, _keys(Normalization), f"{path}: baked")
    content = {"short_side": max(size), "crop": list(size), **content}
    decoded = decode(Preprocessing, content, str(path))
    assert isinstance(decoded, Preprocessing)
    return decoded


def _keys(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def _check_keys(content: Any, kind: type, required: Iterable[str], where: str) -> None:
    """Raise UsageError for a key that `kind` does not have, or one of `required` that is missing.

    People write these files: a misspelled key would silently be left at its default.
    """
    if not isinstance(content, dict):
        raise UsageError(f"{where} must be an object of {', '.join(_keys(kind))}.")
    for key in content:
        if key not in _keys(kind):
            raise UsageError(f"{where}: {unknown('key', key, _keys(kind))}")
    if missing := [key for key in required if key not in content]:
        raise UsageError(
            f"{where} lacks {', '.join(missing)}. It may have: {', '.join(_keys(kind))} ({page('models')})."
        )


def describe(preprocessing: Preprocessing) -> str:
    """One line for a user to check: what happens to a picture."""
    height, width = preprocessing.crop
    baked = preprocessing.baked
    mean, scale = (", ".join(f"{value:.4g}" for value in values) for values in (baked.mean, baked.scale))
    pad = f", padded by {preprocessing.pad}" if any(preprocessing.pad) else ""
    resize = f"short side to {preprocessing.short_side}, center crop {height} x {width}"
    if preprocessing.resize == STRETCH:
        resize = f"stretched to {height} x {width}"
    return f"{resize}{pad}, filter {preprocessing.filter}; {baked.order.upper()}, (value - ({mean})) x ({scale})"
