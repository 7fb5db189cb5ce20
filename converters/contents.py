"""What goes into an artifact's folder: model.json, the files beside the model, and what the model says of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from edge_squeeze import packages
from edge_squeeze.artifact.folder import CALIBRATION, FRONTIER, FRONTIER_PAGE, LABELS, MANIFEST, PARITY
from edge_squeeze.artifact.manifest import (
    ONE_SCORE_VERSION,
    SCHEMA_VERSION,
    Golden,
    Graph,
    LabelsFile,
    Manifest,
    ModelFile,
    ParityRecord,
    TensorSpec,
    to_json,
)
from edge_squeeze.converters.quantization import calibration
from edge_squeeze.converters.quantization.calibration import CalibrationRecord
from edge_squeeze.converters.quantization.mixed import Point
from edge_squeeze.converters.request import Prepared, Request
from edge_squeeze.converters.targets import Order
from edge_squeeze.inspection.inspector import FileTensor, Inspection
from edge_squeeze.inspection.model_card import PREPROCESSING, RGB, ModelCard
from edge_squeeze.proof import gates
from edge_squeeze.proof.verification import Proof
from edge_squeeze.reports import page, plots
from edge_squeeze.scores import PROBABILITY, THRESHOLD
from edge_squeeze.version import __version__

TOOLS = ("edge-squeeze", "tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "numpy", "pillow")


def files(
    request: Request,
    described: Manifest,
    model: bytes,
    proof: Proof,
    record: CalibrationRecord | None,
    frontier: Sequence[Point] = (),
) -> dict[str, bytes]:
    """The files of an artifact, its golden ones apart: name -> bytes."""
    texts = {
        MANIFEST: to_json(described),
        LABELS: _label_lines(request),
        PARITY: json.dumps(proof.to_dict(described.file.sha256), indent=1, allow_nan=False) + "\n",
    }
    if record is not None:
        texts[CALIBRATION] = calibration.to_json(record)
    if frontier:
        document = {"schema_version": 1, "points": list(map(asdict, frontier))}
        texts[FRONTIER] = json.dumps(document, indent=1) + "\n"
        if page.can_be_made():
            texts[FRONTIER_PAGE] = plots.frontier(described.name, described.file.sha256, document)
    return {described.file.name: model, **{name: text.encode() for name, text in texts.items()}}


def manifest(
    request: Request, order: Order, prepared: Prepared, inspection: Inspection, gold: Golden, proof: Proof
) -> Manifest:
    """The content of model.json for a file with this `inspection`."""
    target, subject = order.target, request.subject
    one_score = prepared.reference.content == PROBABILITY
    return Manifest(
        schema_version=ONE_SCORE_VERSION if one_score else SCHEMA_VERSION,
        name=request.name(order),
        variant=subject.variant,
        format=target.format,
        precision=target.precision,
        options=_options(order, prepared),
        file=ModelFile(request.file_name(order), inspection.size_bytes, inspection.sha256),
        weights=subject.weights,
        parameters=prepared.reference.original.model.count_params(),
        classes=subject.classes,
        input_size=subject.preprocessing.size,
        labels=LabelsFile(LABELS, hashlib.sha256(_label_lines(request).encode()).hexdigest()),
        input=_end(inspection.inputs[0], order.layout, "pixels"),
        output=_end(inspection.outputs[0], "nc", prepared.reference.content),
        preprocessing=subject.preprocessing,
        rewrites=prepared.rewrites,
        quantizer=_quantizer(order, prepared),
        gates=gates.find(target.format, target.precision, order.options.head).records(own=subject.own),
        golden=gold,
        parity=ParityRecord(proof.verdict, proof.reason),
        graph=Graph(
            inspection.operators,
            inspection.tensor_types,
            inspection.transposes,
            inspection.opset,
            inspection.float_fallbacks,
            inspection.float_head,
        ),
        tools=packages.versions(TOOLS),
        command=request.options.command,
        design=subject.design,
        threshold=THRESHOLD if one_score else None,
        reject=None if one_score else request.reject,
    )


def _options(order: Order, prepared: Prepared) -> dict[str, Any]:
    """How the file was written; of the quantizer, what was chosen."""
    options, record = asdict(order.options), prepared.record(order)
    chosen = (None, None) if record is None else (record.quantizer, record.effort)
    kept = prepared.kept.layers if prepared.kept is not None and record is not None else []
    return {**options, **dict(zip(("quantizer", "effort"), chosen, strict=True)), "kept_float": kept}


def _quantizer(order: Order, prepared: Prepared) -> str | None:
    record = prepared.record(order)
    if record is None:
        return None
    effort = "" if record.effort is None else f", effort {record.effort}"
    return f"{order.target.quantizer} ({record.quantizer} weights{effort})"


def card(request: Request, order: Order, prepared: Prepared) -> ModelCard:
    """What the file of `order` says of itself: every file takes raw RGB pixels, its preprocessing is baked in.

    Where one score stands for two classes, it has the name of the second.
    """
    subject, labels = request.subject, request.labels
    facts = {"name": request.name(order), "made_by": f"edge-squeeze {__version__}"}
    if subject.variant is not None:
        facts["variant"] = subject.variant
    record = subject.weights
    weights = {"source": record.source, "sha256": record.sha256, "seed": record.seed}
    facts |= {f"weights_{key}": str(value) for key, value in weights.items() if value is not None}
    if prepared.reference.content == PROBABILITY:
        below, *labels = labels
        facts |= {"threshold": str(THRESHOLD), "label_below_threshold": below}
    preprocessing = json.loads(json.dumps(asdict(subject.preprocessing)))  # lists, as a file gives them back
    return ModelCard(tuple(labels), record.licence, RGB, (0.0,), (1.0,), {**facts, PREPROCESSING: preprocessing})


def _label_lines(request: Request) -> str:
    return "".join(f"{name}\n" for name in request.labels)


def _end(tensor: FileTensor, layout: str, content: str) -> TensorSpec:
    return TensorSpec(tensor.name, tensor.shape or (), tensor.dtype, layout, content, tensor.scale, tensor.zero_point)
