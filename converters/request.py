"""What the options of an export stand for, and what is found out before its files are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_squeeze.artifact import labels
from edge_squeeze.artifact.manifest import Rejection
from edge_squeeze.converters import targets
from edge_squeeze.converters.options import EFFORTS, QUICK, ExportOptions, Measured
from edge_squeeze.converters.quantization import calibration, ranges
from edge_squeeze.converters.quantization.calibration import CalibrationRecord
from edge_squeeze.converters.quantization.mixed import Kept
from edge_squeeze.converters.quantization.quantizer import Quantized, Wanted
from edge_squeeze.converters.targets import Order
from edge_squeeze.errors import UsageError
from edge_squeeze.formats import FORMATS
from edge_squeeze.inspection.inspector import FileTensor
from edge_squeeze.models import source
from edge_squeeze.models.source import Subject
from edge_squeeze.pictures import loading
from edge_squeeze.pictures.loading import PictureSet
from edge_squeeze.proof.verification import Reference
from edge_squeeze.reporting import Reporter

STEPS = 256  # of an 8-bit number


@dataclass(frozen=True)
class Request:
    """The options of an export, and what they stand for."""

    options: ExportOptions
    subject: Subject
    orders: list[Order]
    labels: list[str]
    reject: Rejection | None = None  # what `finetune --reject` left beside the labels

    @property
    def wanted(self) -> Wanted:
        """How to quantize; ranges are the widest ones where nothing takes others."""
        narrower = [order for order in self.orders if order.target.quantizer and not order.target.widest]
        rule = self.options.calibration_range if narrower else ranges.MINMAX
        return Wanted(self.options.file.quantizer, self.options.effort or QUICK, rule)

    def name(self, order: Order) -> str:
        """The artifact's name: model, format, precision and each option that is not the default."""
        return self._name(order, order.suffix)

    def _name(self, order: Order, suffix: str) -> str:
        return f"{self.subject.name}-{order.target.format}-{order.target.precision}{self.subject.suffix}{suffix}"

    def file_name(self, order: Order) -> str:
        """The model file's name."""
        return f"{self.subject.name}-{order.target.precision}{self.suffix(order)}{FORMATS[order.target.format].suffix}"

    def suffix(self, order: Order) -> str:
        """What the options that are not the default add to a name."""
        return f"{self.subject.suffix}{order.suffix}"

    def folder(self, order: Order) -> Path:
        """Where the artifact goes."""
        return self.options.out / self.name(order)

    def earlier_folders(self, order: Order) -> list[Path]:
        """Where a version of this package in which another layout was the default put the artifact."""
        _, *others = order.target.layouts
        suffixes = [order.options.suffix(order.target.io, layout) for layout in others]
        return [self.options.out / self._name(order, suffix) for suffix in suffixes]


def resolve(options: ExportOptions, reporter: Reporter) -> Request:
    """What `options` stand for, all of them checked; UsageError for what cannot be used."""
    ranges.check(options.calibration_range)
    if options.effort not in (None, *EFFORTS):
        raise UsageError(f"effort must be {' or '.join(EFFORTS)}, got {options.effort!r}.")
    if options.strict_int8 and options.file.keep_float is not None:
        raise UsageError("--strict-int8 refuses what --keep-float asks for. Leave one of them out.")
    orders, notes = targets.plan(options.format, options.precision, options.file)
    for note in notes:
        reporter.note(note)
    _check_files(options, reporter)
    subject = source.find(options.source, reporter)
    names = labels.load(options.labels, subject.classes)
    reject = None if options.labels is None else labels.rejection(options.labels)
    if reject is not None:
        reporter.note(f'"none of these" below a confidence of {reject.threshold:.1%}, as {labels.REJECTION} says')
    return Request(options, subject, orders, names, reject)


def _check_files(options: ExportOptions, reporter: Reporter) -> None:
    """Raise UsageError for what is missing or cannot be read, before TensorFlow and a model are loaded."""
    if options.labels is not None and not options.labels.exists():
        raise UsageError(f"No such file or folder: {options.labels}.")
    if options.images is not None:
        for note in loading.check(options.images, skip_unreadable=options.skip_unreadable):
            reporter.note(note)
    drawn = calibration.sample(options.calibration_samples, options.calibration_seed)
    if options.calibration is not None:
        for note in calibration.check(options.calibration, drawn, skip_unreadable=options.skip_unreadable):
            reporter.note(note)


@dataclass(frozen=True)
class Prepared:
    """What every order shares: the original's scores, and its copy that takes raw pixels."""

    references: Sequence[Reference]  # the usual size's first
    baked: Any
    rewrites: list[str]
    quantized: Quantized | None = None  # the model and ranges of integer files
    calibrated_on: PictureSet | None = None  # None: on a record of another export
    kept: Kept | None = None  # what integer files keep in float

    @property
    def reference(self) -> Reference:
        """The original's scores at the usual size."""
        return self.references[0]

    @property
    def outputs(self) -> int:
        """How many scores the files give."""
        outputs: int = self.baked.output_shape[-1]
        return outputs

    def measured(self, order: Order) -> Measured:
        """What the converter of `order` needs to know."""
        record = self.record(order)
        pictures = None if self.calibrated_on is None else self.calibrated_on.pixels
        floats = self.kept.floats if self.kept is not None and record is not None else ()
        return Measured(self.reference.content, record.ranges if record else None, pictures, floats=floats)

    def model(self, order: Order) -> Any:
        """The Keras model that the file of `order` is made from."""
        return self.baked if self.quantized is None or order.target.quantizer is None else self.quantized.model

    def record(self, order: Order) -> CalibrationRecord | None:
        """The calibration as the file of `order` uses it; None if that is not quantized."""
        if self.quantized is None or order.target.quantizer is None:
            return None
        return calibration.widest(self.quantized.record) if order.target.widest else self.quantized.record

    def span(self, scores: FileTensor) -> float:
        """How far apart the scores of the file can be: all the steps of a quantized output, else what was seen."""
        if scores.scale is not None:
            return STEPS * scores.scale
        low, high = self.quantized.record.ranges["output"] if self.quantized else (0.0, 0.0)
        return max(self.reference.span, high - low)
