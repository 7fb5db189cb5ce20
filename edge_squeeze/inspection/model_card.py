"""What a model file says of itself: what its scores are called, what it expects of pixels, and where it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RGB = "RGB"
SEPARATOR = "\n"  # between names: none has a line break in it
FACT = "edge_squeeze."  # what our own properties of an .onnx file begin with
LABELS, LICENSE = "labels", "model_license"
PREPROCESSING = "preprocessing"  # the one fact that is an object, as in model.json
# How ONNX says that pixels are RGB, 0 to 255, and go in as they are (docs/MetadataProps.md of onnx).
RAW_RGB = {
    "Image.BitmapPixelFormat": "Rgb8",
    "Image.ColorSpaceGamma": "SRGB",
    "Image.NominalPixelRange": "NominalRange_0_255",
}


@dataclass(frozen=True)
class ModelCard:
    """What is written into a file and read back from it; everything is empty in a file that says nothing."""

    labels: tuple[str, ...] = ()  # one name for each score
    license: str | None = None  # of the weights
    color_space: str | None = None
    mean: tuple[float, ...] = ()  # what goes in is (pixel - mean) / std, pixels being 0 to 255
    std: tuple[float, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)  # where it came from, as JSON has it; docs/formats.md
    unreadable: str | None = None  # why the rest is empty although there is something


EMPTY = ModelCard()


def to_properties(card: ModelCard) -> dict[str, str]:
    """The properties of an .onnx file that say what `card` does, of raw RGB pixels."""
    properties = {LABELS: SEPARATOR.join(card.labels), **RAW_RGB}
    if card.license is not None:
        properties[LICENSE] = card.license
    facts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in card.facts.items()}
    return properties | {f"{FACT}{name}": value for name, value in facts.items()}


def from_properties(properties: Mapping[str, str]) -> ModelCard:
    """What the properties of an .onnx file say, as far as they are those that `to_properties` gives."""
    raw = RAW_RGB.items() <= properties.items()
    return ModelCard(
        tuple(properties[LABELS].split(SEPARATOR)) if LABELS in properties else (),
        properties.get(LICENSE),
        RGB if raw else None,
        (0.0,) if raw else (),
        (1.0,) if raw else (),
        {name.removeprefix(FACT): _fact(text) for name, text in properties.items() if name.startswith(FACT)},
    )


def is_ours(name: str) -> bool:
    """Whether a property of an .onnx file is one that a card has."""
    return name in (LABELS, LICENSE, *RAW_RGB) or name.startswith(FACT)


def _fact(text: str) -> Any:
    """An object as JSON has it; all other facts are texts."""
    try:
        return json.loads(text) if text.startswith("{") else text
    except (ValueError, RecursionError):
        return text
