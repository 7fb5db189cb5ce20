"""The options of an export, each under one name from the command line to the converter, and their defaults."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from edge_squeeze.converters.rewrites import catalogue
from edge_squeeze.errors import UsageError
from edge_squeeze.formats import layouts
from edge_squeeze.inspection.model_card import ModelCard
from edge_squeeze.models.source import Choice
from edge_squeeze.networks.design import Design
from edge_squeeze.scores import PROBABILITIES

# Read by ONNX Runtime 1.31, its web build, OpenVINO 2026, OpenCV 4 and 5 in every option tried (docs/formats.md).
# 18, the newest that tf2onnx writes, was only tried in float32.
DEFAULT_OPSET = 17
OPSETS = range(13, 19)
FLOAT_HEAD, INT8_HEAD = HEADS = ("float", "int8")
AUTO, TUNED, STOCK = QUANTIZERS = ("auto", "tuned", "stock")
QUICK, FULL = EFFORTS = ("quick", "full")
MOST_KEPT = 100  # layers that --keep-float chooses
LONGEST_SHOWN = 40  # characters of an artifact's name for the layers that are kept in float
PIXEL_RANGE = (0.0, 255.0)  # whatever the pictures held: scale 1 and zero point 0 take pixels as they are
Ranges = Mapping[str, tuple[float, float]]  # layer -> smallest and largest value it gave


@dataclass(frozen=True)
class FileOptions:
    """How to write a file. None stands for the target's own default.

    `io` is the dtype of the pixels, and of the scores of a quantized file with an int8 head. The head is what comes
    after the last convolution or dense layer of a quantized file; `quantizer` says what chose its weights.
    """

    io: str | None = None
    layout: str | None = None
    opset: int = DEFAULT_OPSET
    dynamic_batch: bool = False
    softmax: bool = False  # whether a softmax was put behind the network
    head: str = FLOAT_HEAD
    rewrites: str = catalogue.AUTO  # auto, none, or names of optional rewrites with commas between them
    quantizer: str = AUTO
    keep_float: str | None = None  # names of layers with commas between them, or auto:K

    def check(self) -> None:
        """Raise UsageError for a value that no target knows."""
        if self.layout not in (None, *layouts()):
            raise UsageError(f"layout must be {' or '.join(layouts())}, got {self.layout!r}.")
        if self.head not in HEADS:
            raise UsageError(f"head must be {' or '.join(HEADS)}, got {self.head!r}.")
        if self.quantizer not in QUANTIZERS:
            raise UsageError(f"quantizer must be {', '.join(QUANTIZERS[:-1])} or {STOCK}, got {self.quantizer!r}.")
        if self.opset not in OPSETS:
            raise UsageError(f"opset must be a number from {OPSETS.start} to {OPSETS.stop - 1}, got {self.opset!r}.")

        catalogue.parse(self.rewrites)
        if self.keep_float is not None:
            kept_layers(self.keep_float)

    def without(self, fields: Iterable[str]) -> tuple[FileOptions, list[str]]:
        """These options with `fields` at their defaults, and those of them that were not."""
        defaults = {name: getattr(FileOptions(), name) for name in fields}
        return replace(self, **defaults), [name for name, value in defaults.items() if getattr(self, name) != value]

    def suffix(self, default_io: str, default_layout: str) -> str:
        """What the artifact's name says of options that are not the default: -nhwc, -io-float32, ..."""
        default = FileOptions()
        parts = [
            (self.io or default_io) != default_io and f"-io-{self.io}",
            (self.layout or default_layout) != default_layout and f"-{self.layout}",
            self.opset != default.opset and f"-opset{self.opset}",
            self.dynamic_batch and "-dynamic-batch",
            self.softmax and "-softmax",
            self.head != default.head and f"-head-{self.head}",
            self.rewrites != default.rewrites and f"-rewrites-{'-'.join(catalogue.parse(self.rewrites))}",
            self.quantizer == STOCK and f"-{STOCK}",
            self.keep_float is not None and f"-float-{_shown(self.keep_float)}",
        ]
        return "".join(part for part in parts if part)


def kept_layers(text: str) -> tuple[str, ...] | int:
    """The layers that `--keep-float` names, or how many are to be chosen; UsageError if it says neither."""
    kind, colon, number = text.partition(":")
    if kind == AUTO:
        if not colon or not number.isdecimal() or not 1 <= int(number) <= MOST_KEPT:
            raise UsageError(f"--keep-float auto:K must have a K from 1 to {MOST_KEPT}, got {text!r}.")
        return int(number)
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise UsageError(f"--keep-float must be names of layers with commas between them, or auto:K, got {text!r}.")
    return names


def _shown(text: str) -> str:
    """What an artifact's name says of the layers that `text` keeps in float."""
    wanted = kept_layers(text)
    if isinstance(wanted, int):
        return f"{AUTO}{wanted}"
    plain = "-".join(re.sub(r"[^A-Za-z0-9_.]", "_", name) for name in wanted)
    return plain if len(plain) <= LONGEST_SHOWN else f"{len(wanted)}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Measured:
    """What a converter needs to know of a model besides its layers, found out before it is converted."""

    output: str = PROBABILITIES  # what the scores are, and what the output tensor is called
    ranges: Ranges | None = None  # for quantized targets
    pictures: Iterable[Any] | None = None  # pixels [H,W,3] that the ranges were measured on, if they are at hand
    card: ModelCard | None = None  # what to write into the file about itself
    floats: tuple[str, ...] = ()  # layers that a quantized file keeps in float
    done: list[str] = field(default_factory=list)  # the converter adds the optional rewrites that changed the file


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Everything that an export is asked for; `edge_squeeze.export` says what each option means."""

    source: Choice
    file: FileOptions = FileOptions()
    format: tuple[str, ...] = ("tflite",)
    precision: tuple[str, ...] = ("float32",)
    labels: Path | None = None
    calibration: Path | None = None
    calibration_samples: int | None = None  # None: all of a folder, 200 of a list or an .npz file
    calibration_seed: int = 1
    calibration_range: str = "auto"
    effort: str | None = None  # of the tuned quantizer; None: quick
    images: Path | None = None
    skip_unreadable: bool = False
    out: Path = Path("out")
    strict_int8: bool = False
    command: str = "edge_squeeze.export"

    @classmethod
    def of(cls, keywords: Mapping[str, Any]) -> Self:
        """The options that `keywords` of `edge_squeeze.export` give, None being the default; other names are ignored.

        What the variant's row is changed by is taken from `design`, or else from the keywords of its own.
        """
        chosen = {name: value for name, value in keywords.items() if value is not None}
        design = chosen.get("design") or Design(**_fields(Design, chosen))
        own = _fields(cls, chosen)
        own |= {name: _names(own[name]) for name in ("format", "precision") if name in own}
        own |= {name: Path(own[name]) for name in ("labels", "calibration", "images", "out") if name in own}
        source = Choice(**{**_fields(Choice, chosen), "design": design})
        return cls(**{**own, "source": source, "file": FileOptions(**_fields(FileOptions, chosen))})


def _fields(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `values` that are fields of the dataclass `kind`."""
    return {field.name: values[field.name] for field in dataclasses.fields(kind) if field.name in values}


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    """The names in `value`: several with commas, in a sequence, or both."""
    parts = ",".join([value] if isinstance(value, str) else value).split(",")
    return tuple(part.strip() for part in parts if part.strip())
