"""What an export is told, and what it has found out before it makes its files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_squeeze.converters.quantization.calibration import CalibrationRecord
from edge_squeeze.converters.targets import FORMATS, Order
from edge_squeeze.inspection.inspector import FileTensor
from edge_squeeze.models.source import Subject
from edge_squeeze.proof.verification import Reference

STEPS = 256  # of an 8-bit number


@dataclass(frozen=True)
class Request:
    """Everything an export is told."""

    subject: Subject
    orders: list[Order]
    labels: list[str]
    out: Path
    calibration: Path | None  # pictures, a calibration.json, or None for crops of the built-in photographs
    images: Path | None  # pictures for the proof, or None for crops of the built-in photographs
    command: str

    def name(self, order: Order) -> str:
        """The artifact's name: model, format, precision and each option that is not the default."""
        return f"{self.subject.name}-{order.target.format}-{order.target.precision}{self.suffix(order)}"

    def file_name(self, order: Order) -> str:
        """The model file's name."""
        return f"{self.subject.name}-{order.target.precision}{self.suffix(order)}{FORMATS[order.target.format].suffix}"

    def suffix(self, order: Order) -> str:
        """What the options that are not the default add to a name."""
        return f"{self.subject.suffix}{order.suffix}"


@dataclass(frozen=True)
class Prepared:
    """What every order shares: the original's scores, and its copy that takes raw pixels."""

    references: Sequence[Reference]  # the usual size's first
    baked: Any
    rewrites: list[str]
    calibration: CalibrationRecord | None = None

    @property
    def reference(self) -> Reference:
        """That of the usual size."""
        return self.references[0]

    def told(self, order: Order) -> Order:
        """`order` with what was found out meanwhile."""
        ranges = self.calibration.ranges if self.calibration and order.target.quantizer else None
        options = dataclasses.replace(order.options, ranges=ranges, output=self.reference.content)
        return dataclasses.replace(order, options=options)

    def span(self, scores: FileTensor) -> float:
        """How far apart the scores of the file can be: all the steps of a quantized output, else what was seen."""
        if scores.scale is not None:
            return STEPS * scores.scale
        low, high = self.calibration.ranges["output"] if self.calibration else (0.0, 0.0)
        return max(self.reference.span, high - low)
