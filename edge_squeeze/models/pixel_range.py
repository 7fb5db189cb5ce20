"""What a user's Keras model does to its pixels before it learns from them, and whether that tells what it was given.

A model that takes raw pixels shows it by its first layers: they bring 0..255 to a range that networks are trained on.
A `Rescaling` or `Normalization` anywhere else, or with other numbers, shows nothing: a model that was trained on pixels
of 0..1 may well have one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.models.original import all_layers
from edge_squeeze.pictures.preprocessing import Preprocessing
from edge_squeeze.pictures.presets import PRESETS, preset
from edge_squeeze.weight_files.keras_config import NORMALIZING, layers_of

Values = NDArray[np.float64]  # [channels]
BRIGHT = 255
# Ranges that networks are trained on: what a black and a white pixel become, and how far off each may be.
RANGES = {"0 to 1": (0.0, 1.0, 0.02), "-1 to 1": (-1.0, 1.0, 0.04), "-0.5 to 0.5": (-0.5, 0.5, 0.02)}
STANDARDS = {"torch": "ImageNet's mean and deviation", "caffe": "ImageNet's mean subtracted"}
LIKELY = ("unit", "tf", "torch", "caffe")  # presets, the most common first
CLOSE = 0.02  # of the range: rounded means, 1/256 for 1/255
SMALLEST_DEVIATION = 5.0  # of pixels of 0..255; those of 0..1 have 0.5 at most, those of -1..1 1
ROUNDING = 1.05
SAME_MEAN = 3.0  # pixels; ImageNet's means of red and blue are 20 apart
OPEN_SIDE = 4  # pixels to try a layer on whose size is open
# Layers that leave the range of pixels alone; augmentation does nothing outside of training.
NEUTRAL = {
    *("InputLayer", "Identity", "Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AugMix", "CutMix"),
    *("MixUp", "RandAugment", "Resizing", "CenterCrop", "Cropping2D", "ZeroPadding2D", "Permute"),
}
CONTAINERS = ("Sequential", "Functional", "Model", "DTypePolicy", "Policy")  # in a configuration, around layers


@dataclass(frozen=True)
class Entrance:
    """What stands between a model's input and its first layer with weights to train."""

    layers: Sequence[Any]  # Rescaling and Normalization, in their order
    following: str | None  # name of the layer after them
    elsewhere: Sequence[Any]  # Rescaling and Normalization that stand anywhere else
    channels: int

    def range(self, preprocessing: Preprocessing | None = None) -> tuple[Values, Values]:
        """What a black and a white pixel become, per channel; after `preprocessing`, if there is any."""
        ends = []
        for value in (0, BRIGHT):
            channels = np.full(self.channels, float(value))
            if preprocessing is not None:
                channels = preprocessing.normalize(np.full((1, 1, 1, 3), value, np.uint8))[0, 0, 0].astype(np.float64)
            for layer in self.layers:
                channels = _through(layer, channels)
            ends.append(channels)
        return ends[0], ends[1]

    def meaning(self, preprocessing: Preprocessing | None = None) -> str | None:
        """What the pixels are once through it, in words; None where no network is known to be trained on such."""
        dark, bright = self.range(preprocessing)
        for name, (low, high, off) in RANGES.items():
            if np.abs([dark - low, bright - high]).max() <= off:
                return name
        for name, words in STANDARDS.items():
            if self.channels == PRESETS[name].color.channels and _is_standard(name, dark, bright):
                return words
        adapted = any(layer.__class__.__name__ == "Normalization" for layer in self.layers)
        return "a mean of 0 and a deviation of 1" if adapted and _is_standardized(dark, bright) else None

    @property
    def is_swapped(self) -> bool:
        """Whether its numbers are those of blue, green, red: the model then takes pictures in that order."""
        imagenet = np.array(PRESETS["torch"].color.mean)
        dark, bright = self.range()
        if self.channels != len(imagenet) or (bright == dark).any():
            return False
        mean = -dark * BRIGHT / (bright - dark)
        return bool(np.abs(mean - imagenet[::-1]).max() < SAME_MEAN)

    @property
    def takes_raw(self) -> bool:
        """Whether its layers show that the model takes pixels of 0 to 255, in RGB."""
        return bool(self.layers) and not self.is_swapped and self.meaning() is not None

    def effect(self, preprocessing: Preprocessing) -> str:
        """A sentence on what pixels become in it after `preprocessing`."""
        return f"{self._names()} makes {_interval(*self.range(preprocessing))} of pixels, no usual range to train on"

    def _names(self) -> str:
        return ", then ".join(map(_numbers, self.layers))

    def description(self) -> str:
        """What was found, and what it suggests, as sentences."""
        if not self.layers:
            if not self.elsewhere:
                return "None of its layers normalizes pixels."
            names = ", ".join(_numbers(layer) for layer in self.elsewhere[:3])
            return f"It has {names}, but not at its input: that one goes into {self.following}."
        found = f"Its input goes through {self._names()}: pixels of 0 to 255 become {_interval(*self.range())}"
        if self.is_swapped:
            return (
                f"{found}. These are ImageNet's means in the order blue, green, red, so it seems to take BGR pictures: "
                'give a file with {"baked": {"order": "bgr", "mean": [0, 0, 0], "scale": [1, 1, 1]}}.'
            )
        return f"{found}, which networks are not usually trained on{self._remedy()}."

    def _remedy(self) -> str:
        """The first preset with which its numbers make sense, as the end of a sentence; nothing if there is none."""
        dark, bright = self.range()
        if not dark.any() and (bright == BRIGHT).all():  # they leave pixels alone, and fit any preset
            return ""
        for name in LIKELY:
            if self.channels == 1 and PRESETS[name].grey is None:
                continue
            if (meaning := self.meaning(preset(name, (1, 1), self.channels))) is not None:
                return f"; with --preprocessing {name} they become {meaning}"
        return ""


def entrance(model: Any) -> Entrance:
    """What the Keras `model` does to its pixels first."""
    first, following = [], None
    for layer in _path(model):
        kind = layer.__class__.__name__
        if layer is None:
            following = "several layers"
            break
        if kind in NORMALIZING:
            first.append(layer)
        elif kind not in NEUTRAL and not kind.startswith("Random"):
            following = layer.name
            break
    chosen = {id(layer) for layer in first}
    elsewhere = [y for y in all_layers(model) if y.__class__.__name__ in NORMALIZING and id(y) not in chosen]
    return Entrance(first, following, elsewhere, model.input_shape[-1])


def entrance_of_keras_2(config: Any, channels: int) -> Entrance | None:
    """What a Keras 2 model does to its pixels first, by its configuration, whose layers are in their order.

    None where that does not tell the numbers: those of a `Normalization` are among the weights.
    """
    import keras

    first = list(itertools.takewhile(lambda layer: _is_neutral(layer["class_name"]), layers_of(config)))
    normalizing = [layer for layer in first if layer["class_name"] in NORMALIZING]
    if any(layer["class_name"] != "Rescaling" for layer in normalizing):
        return None
    numbers = [{key: layer["config"].get(key) for key in ("name", "scale", "offset")} for layer in normalizing]
    model = keras.Sequential([keras.Input((1, 1, channels)), *(keras.layers.Rescaling(**each) for each in numbers)])
    return Entrance(model.layers, None, [], channels)


def _is_neutral(kind: str) -> bool:
    return kind in (*NORMALIZING, *NEUTRAL, *CONTAINERS) or kind.startswith("Random")


def _path(model: Any) -> Iterator[Any]:
    """The operations that the input of `model` goes through, those of models inside it in their place.

    It ends with None where several take the same tensor.
    """
    import keras

    if isinstance(model, keras.Sequential):
        for layer in model.layers:
            yield from _inside(layer)
        return
    tensor = model.inputs[0]
    while tensor is not model.outputs[0]:
        nodes = [(o, node) for o in model.operations for node in o._inbound_nodes if _takes(node, tensor)]  # noqa: SLF001
        if len({id(operation) for operation, _ in nodes}) != 1 or len(nodes[0][1].output_tensors) != 1:
            yield None
            return
        operation, node = nodes[0]
        yield from _inside(operation)
        tensor = node.output_tensors[0]


def _inside(operation: Any) -> Iterator[Any]:
    """`operation`, or what lies in it if it is a model that Keras can look into."""
    looks = hasattr(operation, "layers") and getattr(operation, "inputs", None)
    return _path(operation) if looks else iter([operation])


def _takes(node: Any, tensor: Any) -> bool:
    return any(each is tensor for each in node.input_tensors)


def _through(layer: Any, channels: Values) -> Values:
    """What a picture of one color becomes in `layer`; the mean over its pixels, where they differ."""
    shape = [OPEN_SIDE if side is None else side for side in layer.input.shape[1:]]
    first = shape[-1] != len(channels)  # channels first
    color = channels.astype(np.float32)
    picture = np.broadcast_to(color[:, None, None] if first else color, (1, *shape))
    through = np.asarray(layer(picture, training=False), np.float64)[0]
    means: Values = through.mean(axis=(1, 2) if first else (0, 1))
    return means


def _is_standard(name: str, dark: Values, bright: Values) -> bool:
    """Whether a black and a white pixel became what the preset `name` makes of them, for pictures in RGB."""
    row = PRESETS[name].color
    mean, scale = np.array(row.mean), np.array(row.scale)
    if row.order == "bgr":
        mean, scale = mean[::-1], scale[::-1]
    off = np.abs([dark + mean * scale, bright - (BRIGHT - mean) * scale]).max()
    return bool(off <= CLOSE * BRIGHT * scale.max())


def _is_standardized(dark: Values, bright: Values) -> bool:
    """Whether a mean and deviation were made 0 and 1 that can be those of pixels of 0 to 255.

    Such a deviation is at most sqrt(mean * (255 - mean)) (Bhatia and Davis, 2000).
    """
    if not np.isfinite([dark, bright]).all() or (bright <= dark).any():
        return False
    deviation = BRIGHT / (bright - dark)
    mean = -dark * deviation
    possible = deviation**2 <= ROUNDING * mean * (BRIGHT - mean)
    return bool((possible & (deviation >= SMALLEST_DEVIATION)).all())


def _numbers(layer: Any) -> str:
    """The name of `layer`, its kind and its numbers."""
    if layer.__class__.__name__ == "Normalization":
        numbers = f"mean {_list(layer.mean)}, variance {_list(layer.variance)}"
    else:
        numbers = f"scale {_list(layer.scale)}, offset {_list(layer.offset)}"
    return f"{layer.name} ({layer.__class__.__name__}, {numbers})"


def _list(values: Any) -> str:
    numbers = np.unique(np.round(np.asarray(values, np.float64).ravel(), 6))
    flat = np.asarray(values, np.float64).ravel() if len(numbers) > 1 else numbers
    return ", ".join(f"{value:.4g}" for value in flat[:3])


def _interval(dark: Values, bright: Values) -> str:
    return f"{min(dark.min(), bright.min()):.4g} to {max(dark.max(), bright.max()):.4g}"
