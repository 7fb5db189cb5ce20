"""The main job: one original -> one proven artifact per target."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_squeeze import artifact, golden, original as originals, runtimes
from edge_squeeze.artifact import CALIBRATION, LABELS, MANIFEST, PARITY
from edge_squeeze.converters import calibration, conformance
from edge_squeeze.converters.calibration import CalibrationRecord
from edge_squeeze.converters.rewrites import bake
from edge_squeeze.converters.targets import FORMATS, Order
from edge_squeeze.errors import ConversionError, PartlyExportedError
from edge_squeeze.inspection.inspector import FileTensor, Inspection, inspect
from edge_squeeze.manifest import Golden, Graph, LabelsFile, Manifest, ModelFile, ParityRecord, TensorSpec, to_json
from edge_squeeze.reporting import Reporter
from edge_squeeze.subject import Subject
from edge_squeeze.verification import Proof, Reference, load_pictures, prove, refer

STEPS = 256  # of an 8-bit number
TOOLS = ("edge-squeeze", "tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "numpy", "pillow")


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
class Exported:
    """One artifact that was written, and what its proof said."""

    folder: Path
    manifest: Manifest
    proof: Proof


def export(request: Request, reporter: Reporter) -> list[Exported]:
    """Convert, inspect, prove and write every order of `request`; a failed proof is reported, not raised.

    Raises UsageError, ConversionError or MissingDependencyError; what was written before stays.
    """
    for order in request.orders:
        artifact.check_target(request.out / request.name(order))
    source = _calibration_source(request, reporter)
    with reporter.step(f"load {request.subject.name} ({request.subject.weights.source})"):
        prepared = _prepare(request, reporter)
    if source is not None:
        with reporter.step("calibrate"):
            record = calibration.calibrate(request.subject, prepared.baked, source, reporter)
            for finding in [*record.lint, *calibration.overlap(record, prepared.reference.pictures)]:
                reporter.note(f"warning: {finding}")
            prepared = dataclasses.replace(prepared, calibration=record)
    return _export_each(request, prepared, reporter)


def _export_each(request: Request, prepared: Prepared, reporter: Reporter) -> list[Exported]:
    """Every file that can be made; one that cannot does not keep the others from being."""
    exported, failures = [], []
    for order in request.orders:
        try:
            exported.append(_export_one(request, order, prepared, reporter))
        except ConversionError as error:
            failures.append(error)
            reporter.note(f"{request.name(order)}: failed")
    if failures and exported:
        raise PartlyExportedError(failures, exported) from failures[0]
    if failures:
        raise failures[0]
    return exported


def _calibration_source(request: Request, reporter: Reporter) -> calibration.Source | None:
    """What to calibrate on, read before TensorFlow is loaded so that a broken picture is told at once."""
    if any(order.target.quantizer for order in request.orders):
        return calibration.load_source(request.calibration, request.subject)
    if request.calibration is not None:
        reporter.note("--calibration is not used: nothing here is quantised")
    return None


@dataclass(frozen=True)
class Prepared:
    """What every order shares: the original's scores, and its copy that takes raw pixels."""

    reference: Reference
    baked: Any
    rewrites: list[str]
    calibration: CalibrationRecord | None = None

    def told(self, order: Order) -> Order:
        """`order` with what was found out meanwhile."""
        ranges = self.calibration.ranges if self.calibration and order.target.quantizer else None
        options = dataclasses.replace(order.options, ranges=ranges, output=self.reference.content)
        return dataclasses.replace(order, options=options)

    def span(self, scores: FileTensor) -> float:
        """How far apart the scores of the file can be: all the steps of a quantised output, else what was seen."""
        if scores.scale is not None:
            return STEPS * scores.scale
        low, high = self.calibration.ranges["output"] if self.calibration else (0.0, 0.0)
        return max(self.reference.span, high - low)


def _prepare(request: Request, reporter: Reporter) -> Prepared:
    with reporter.part("pictures"):
        pictures = load_pictures(request.images, request.subject.preprocessing)
    with reporter.part("import TensorFlow"):
        originals.load_tensorflow()
    with reporter.part("build the original"):
        original = request.subject.original()
    with reporter.part("scores of the original"):
        reference = refer(original, pictures)
    with reporter.part("bake the preprocessing in"):
        return Prepared(reference, *bake(original.model, original.preprocessing.baked))


def _export_one(request: Request, order: Order, prepared: Prepared, reporter: Reporter) -> Exported:
    order, reference = prepared.told(order), prepared.reference
    target, name = order.target, request.name(order)
    with reporter.step(name):
        with reporter.part("convert"):
            model = target.convert(prepared.baked, options=order.options)
        with reporter.part("inspect"):
            found = inspect(model, target.format)
            conformance.check(found, order, request.subject.preprocessing.size, request.subject.classes)
        with reporter.part("prove"):
            gates = target.gates(len(reference.pictures), photographs=reference.pictures.photographs)
            proof = prove(reference, runtimes.open_runner(model, target.format), gates, reporter)
        with reporter.part("golden files"):
            span = prepared.span(found.outputs[0])
            gold, files = golden.make(model, target.format, request.subject.preprocessing, target.golden, span)
        manifest = _manifest(request, order, prepared, model, found, gold, proof)
        with reporter.part("write"):
            record = prepared.calibration if target.quantizer else None
            files |= _files(request, manifest, model, proof, record)
            artifact.write(request.out / name, files)
        reporter.note(f"{len(model):,} bytes, {proof.verdict}")
    return Exported(request.out / name, manifest, proof)


def _files(
    request: Request, manifest: Manifest, model: bytes, proof: Proof, record: CalibrationRecord | None
) -> dict[str, bytes]:
    texts = {
        MANIFEST: to_json(manifest),
        LABELS: _label_lines(request),
        PARITY: json.dumps(proof.to_dict(), indent=1, allow_nan=False) + "\n",
    }
    if record is not None:
        texts[CALIBRATION] = calibration.to_json(record)
    return {manifest.file.name: model, **{name: text.encode() for name, text in texts.items()}}


def _manifest(
    request: Request,
    order: Order,
    prepared: Prepared,
    model: bytes,
    found: Inspection,
    gold: Golden,
    proof: Proof,
) -> Manifest:
    target, subject = order.target, request.subject
    return Manifest(
        name=request.name(order),
        variant=subject.variant,
        format=target.format,
        precision=target.precision,
        options=order.options.record(),
        file=ModelFile(request.file_name(order), len(model), hashlib.sha256(model).hexdigest()),
        weights=subject.weights,
        parameters=prepared.reference.original.model.count_params(),
        classes=subject.classes,
        input_size=subject.preprocessing.size,
        labels=LabelsFile(LABELS, hashlib.sha256(_label_lines(request).encode()).hexdigest()),
        input=_end(found.inputs[0], order.options.layout, "pixels"),
        output=_end(found.outputs[0], "nc", order.options.output),
        preprocessing=subject.preprocessing,
        rewrites=prepared.rewrites,
        quantizer=target.quantizer,
        gates=target.gate_records(),
        golden=gold,
        parity=ParityRecord(proof.verdict, proof.reason),
        graph=Graph(found.operators, found.tensor_types, found.transposes, found.opset),
        tools=tool_versions(),
        command=request.command,
    )


def _label_lines(request: Request) -> str:
    return "".join(f"{name}\n" for name in request.labels)


def _end(tensor: FileTensor, layout: str, content: str) -> TensorSpec:
    return TensorSpec(tensor.name, tensor.shape or (), tensor.dtype, layout, content, tensor.scale, tensor.zero_point)


def tool_versions() -> dict[str, str]:
    """Versions of Python and of every package that has a hand in an artifact, as far as they are installed."""
    versions = {"python": platform.python_version()}
    for package in TOOLS:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
