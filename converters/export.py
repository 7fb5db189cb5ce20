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

from edge_squeeze import artifact, golden, labels, original as originals, runtimes
from edge_squeeze.artifact import CALIBRATION, LABELS, MANIFEST, PARITY
from edge_squeeze.converters import calibration, conformance
from edge_squeeze.converters.calibration import CalibrationRecord
from edge_squeeze.converters.rewrites import FOLD_NORMALISATION, fold_normalisation
from edge_squeeze.converters.targets import FORMATS, Order
from edge_squeeze.inspection import FileTensor, Inspection, inspect
from edge_squeeze.manifest import Golden, Graph, LabelsFile, Manifest, ModelFile, ParityRecord, TensorSpec, to_json
from edge_squeeze.model import Architecture
from edge_squeeze.original import Original
from edge_squeeze.reporting import Reporter
from edge_squeeze.verification import Proof, Reference, load_pictures, prove, refer
from edge_squeeze.weights import Weights

TOOLS = ("edge-squeeze", "tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "numpy", "pillow")


@dataclass(frozen=True)
class Request:
    """Everything an export is told."""

    arch: Architecture
    weights: Weights
    orders: list[Order]
    out: Path
    calibration: Path | None  # pictures, a calibration.json, or None for crops of the built-in photographs
    images: Path | None  # pictures for the proof, or None for crops of the built-in photographs
    command: str

    def name(self, order: Order) -> str:
        """The artifact's name: model, format, precision and each option that is not the default."""
        return f"{self.arch.variant}-{order.target.format}-{order.target.precision}{self.suffix(order)}"

    def file_name(self, order: Order) -> str:
        """The model file's name."""
        return f"{self.arch.variant}-{order.target.precision}{self.suffix(order)}{FORMATS[order.target.format].suffix}"

    def suffix(self, order: Order) -> str:
        """What the options that are not the default add to a name."""
        row, (height, width) = self.arch.row, self.arch.input_size
        parts = [
            not self.weights.record.trained and "-random",
            self.arch.classes != row.classes and f"-classes-{self.arch.classes}",
            (height, width) != (row.input_size,) * 2 and f"-input-size-{height}",
            height != width and f"x{width}",
            order.suffix,
        ]
        return "".join(part for part in parts if part)


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
    with reporter.step(f"load {request.arch.variant} ({request.weights.record.source})"):
        reference, baked = _prepare(request, reporter)
    record = None
    if source is not None:
        with reporter.step("calibrate"):
            record = calibration.calibrate(reference.original, baked, source, reporter)
            for finding in [*record.lint, *calibration.overlap(record, reference.pictures)]:
                reporter.note(f"warning: {finding}")
    return [_export_one(request, order, reference, baked, record, reporter) for order in request.orders]


def _calibration_source(request: Request, reporter: Reporter) -> calibration.Source | None:
    """What to calibrate on, read before TensorFlow is loaded so that a broken picture is told at once."""
    if any(order.target.quantizer for order in request.orders):
        preprocessing = originals.preprocessing(request.arch)
        return calibration.load_source(request.calibration, request.arch, request.weights.record, preprocessing)
    if request.calibration is not None:
        reporter.note("--calibration is not used: nothing here is quantised")
    return None


def _prepare(request: Request, reporter: Reporter) -> tuple[Reference, Any]:
    """The original with its scores on the proof's pictures, and its copy that takes raw pixels."""
    with reporter.part("pictures"):
        pictures = load_pictures(request.images, originals.preprocessing(request.arch))
    with reporter.part("import TensorFlow"):
        originals.load_tensorflow()
    with reporter.part("build the original"):
        original = originals.build(request.arch, request.weights)
    with reporter.part("scores of the original"):
        reference = refer(original, pictures)
    with reporter.part("fold the preprocessing"):
        return reference, fold_normalisation(original.model, original.preprocessing.baked)


def _export_one(
    request: Request,
    order: Order,
    reference: Reference,
    baked: Any,
    record: CalibrationRecord | None,
    reporter: Reporter,
) -> Exported:
    target, name = order.target, request.name(order)
    with reporter.step(name):
        options = dataclasses.replace(order.options, ranges=record.ranges if record and target.quantizer else None)
        with reporter.part("convert"):
            model = target.convert(baked, options=options)
        with reporter.part("inspect"):
            found = inspect(model, target.format)
            conformance.check(found, order, request.arch.input_size, request.arch.classes)
        with reporter.part("prove"):
            gates = target.gates(len(reference.pictures), photographs=reference.pictures.photographs)
            proof = prove(reference, runtimes.open_runner(model, target.format), gates, reporter)
        with reporter.part("golden files"):
            gold, files = golden.make(model, target.format, reference.original.preprocessing, target.golden)
        manifest = _manifest(request, order, reference.original, model, found, gold, proof)
        with reporter.part("write"):
            files |= _files(manifest, model, proof, record if target.quantizer else None)
            artifact.write(request.out / name, files)
        reporter.note(f"{len(model):,} bytes, {proof.verdict}")
    return Exported(request.out / name, manifest, proof)


def _files(manifest: Manifest, model: bytes, proof: Proof, record: CalibrationRecord | None) -> dict[str, bytes]:
    texts = {
        MANIFEST: to_json(manifest),
        LABELS: _labels(manifest.classes),
        PARITY: json.dumps(proof.to_dict(), indent=1, allow_nan=False) + "\n",
    }
    if record is not None:
        texts[CALIBRATION] = calibration.to_json(record)
    return {manifest.file.name: model, **{name: text.encode() for name, text in texts.items()}}


def _manifest(
    request: Request,
    order: Order,
    original: Original,
    model: bytes,
    found: Inspection,
    gold: Golden,
    proof: Proof,
) -> Manifest:
    target, options = order.target, order.options
    return Manifest(
        name=request.name(order),
        variant=request.arch.variant,
        format=target.format,
        precision=target.precision,
        options={key: value for key, value in dataclasses.asdict(options).items() if key != "ranges"},
        file=ModelFile(request.file_name(order), len(model), hashlib.sha256(model).hexdigest()),
        weights=original.weights,
        parameters=original.model.count_params(),
        classes=request.arch.classes,
        input_size=request.arch.input_size,
        labels=LabelsFile(LABELS, hashlib.sha256(_labels(request.arch.classes).encode()).hexdigest()),
        input=_end(found.inputs[0], options.layout, "pixels"),
        output=_end(found.outputs[0], "nc", "probabilities"),
        preprocessing=original.preprocessing,
        rewrites=[FOLD_NORMALISATION],
        quantizer=target.quantizer,
        gates=target.gate_records(),
        golden=gold,
        parity=ParityRecord(proof.verdict, proof.reason),
        graph=Graph(found.operators, found.tensor_types, found.transposes, found.opset),
        tools=tool_versions(),
        command=request.command,
    )


def _labels(classes: int) -> str:
    return "".join(f"{name}\n" for name in labels.default(classes))


def _end(tensor: FileTensor, layout: str, content: str) -> TensorSpec:
    return TensorSpec(tensor.name, tensor.shape, tensor.dtype, layout, content, tensor.scale, tensor.zero_point)


def tool_versions() -> dict[str, str]:
    """Versions of Python and of every package that has a hand in an artifact, as far as they are installed."""
    versions = {"python": platform.python_version()}
    for package in TOOLS:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
