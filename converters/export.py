"""The main job: one original -> one proven artifact per target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze import packages
from edge_squeeze.artifact import folder as artifacts, labels
from edge_squeeze.artifact.folder import EXPORTED, FRONTIER_PAGE
from edge_squeeze.artifact.manifest import Manifest, WeightsRecord
from edge_squeeze.converters import conformance, contents
from edge_squeeze.converters.options import STOCK, ExportOptions
from edge_squeeze.converters.quantization import calibration, mixed, quantizer
from edge_squeeze.converters.quantization.calibration import CalibrationRecord, Samples
from edge_squeeze.converters.quantization.mixed import Kept
from edge_squeeze.converters.request import Prepared, Request, resolve
from edge_squeeze.converters.rewrites import catalogue
from edge_squeeze.converters.rewrites.normalization import bake
from edge_squeeze.converters.targets import Order
from edge_squeeze.engines.runner import open_runner
from edge_squeeze.errors import ConversionError, EdgeSqueezeError, PartlyExportedError, UsageError
from edge_squeeze.files import atomic
from edge_squeeze.inspection.inspector import Inspection, inspect
from edge_squeeze.inspection.tflite_file import MIN_RUNTIME_VERSION
from edge_squeeze.models import keras_object, original as originals, source
from edge_squeeze.models.source import Subject
from edge_squeeze.pictures.loading import PictureSet, photograph_crops
from edge_squeeze.proof import gates as gate_table, golden
from edge_squeeze.proof.leakage import CalibrationPicture
from edge_squeeze.proof.parity import FAIL, FIGURES, PASS
from edge_squeeze.proof.verification import CONSTANT, Proof, load_pictures, prove_all, refer
from edge_squeeze.reporting import Reporter, html_table, megabytes
from edge_squeeze.reports import page
from edge_squeeze.scores import comparable

OLDEST_RUNTIME = (2, 14)  # of the versions that an extra of this package brings
RUNTIME = f"tflite-runtime {'.'.join(map(str, OLDEST_RUNTIME))}"


@dataclass(frozen=True)
class Exported:
    """One artifact that was written, and what its proof said."""

    folder: Path
    manifest: Manifest
    proof: Proof
    warnings: tuple[str, ...]  # of the original
    lint: tuple[str, ...]  # of the calibration

    def __repr__(self) -> str:
        name, verdict, size, *_, agreement = self._cells()
        return f"<Exported {name}: {verdict}, {size} MB, same top-1 {agreement}, in {self.folder}>"

    def _cells(self) -> tuple[str, ...]:
        """Name, verdict, MB and the figures of its parity."""
        size = megabytes(self.manifest.file.size_bytes)
        return self.manifest.name, self.proof.verdict.upper(), size, *self.proof.parity.cells()


class Exports(list[Exported]):
    """The artifacts of an export, in the order of formats and precisions; a table in a notebook."""

    def _repr_html_(self) -> str:
        return html_table(("artifact", "verdict", "MB", *FIGURES), [exported._cells() for exported in self])  # noqa: SLF001


def export(options: ExportOptions, reporter: Reporter) -> Exports:
    """Convert, inspect, prove and write every file that `options` ask for; a failed proof is reported, not raised.

    Raises UsageError, ConversionError or MissingDependencyError; what was written before stays.
    """
    request = resolve(options, reporter)
    for order in request.orders:
        atomic.check_target(request.folder(order), EXPORTED)
        _check_origin(request.folder(order), request.subject)
        for warning in _layout_warnings(request, order):
            reporter.note(f"warning: {warning}")
    for warning in request.subject.warnings:
        reporter.note(f"warning: {warning}")
    if (names := _forgotten_labels(request)) is not None:
        reporter.note(f"warning: classes are numbered; --labels {names} has names for them")
    pictures = _calibration_source(request, reporter)
    with reporter.step(f"load {request.subject.name} ({request.subject.weights.source})"):
        prepared = _prepare(request, calibration.measured_on(pictures), reporter)
    if pictures is not None:
        with reporter.step("quantize"):
            output, subject = prepared.reference.content, request.subject
            quantized = quantizer.quantize(subject, prepared.baked, pictures, request.wanted, output, reporter)
            for finding in quantized.record.lint:
                reporter.note(f"warning: {finding}")
            shown = pictures if isinstance(pictures, PictureSet) else None
            prepared = replace(prepared, quantized=quantized, calibrated_on=shown)
        if request.options.file.keep_float is not None:
            with reporter.step("layers to keep in float"):
                prepared = replace(prepared, kept=_keep(request, prepared, reporter))
    return _export_each(request, prepared, reporter)


def _export_each(request: Request, prepared: Prepared, reporter: Reporter) -> Exports:
    """Every file that can be made; one that cannot does not keep the others from being."""
    exported, failures = Exports(), []
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


def _keep(request: Request, prepared: Prepared, reporter: Reporter) -> Kept:
    """What integer files keep in float: chosen on the calibration pictures, or else on the built-in photographs."""
    quantized, output, text = prepared.quantized, prepared.reference.content, request.options.file.keep_float
    assert quantized is not None
    assert text is not None
    pictures = prepared.calibrated_on
    if pictures is None:
        pictures = photograph_crops(calibration.CROPS_PER_PHOTOGRAPH, request.subject.preprocessing.size, seed=1)
        reporter.note("files are compared on crops of the built-in photographs: the calibration has no pictures")
    pixels = Samples.of(pictures, mixed.VIEWS).pixels
    with reporter.part("original"):
        expected = comparable(prepared.reference.original.run(pixels), output)
    mixture = mixed.Mixture(quantized.model, quantized.record.ranges, output)
    kept = mixed.keep(text, mixture, expected, pixels, output, reporter)
    for note in kept.notes():
        reporter.note(note)
    if not page.can_be_made():
        install = packages.install("report")
        reporter.note(f"{FRONTIER_PAGE}, which would draw them, is left out: jinja2 is not installed. Run: {install}")
    return kept


def _manifest(folder: Path) -> Manifest | None:
    """What `folder` holds; None if that is no artifact, or one that this version cannot read."""
    try:
        return artifacts.load(folder).manifest
    except UsageError:
        return None


def _layout_warnings(request: Request, order: Order) -> list[str]:
    """What to know of artifacts that were exported when another layout was the default, which names do not show."""
    folder, warnings = request.folder(order), []
    older = _manifest(folder)
    if older is not None and older.input.layout != order.layout:
        warnings.append(
            f"{folder} takes {older.input.layout} pictures; the artifact that replaces it takes {order.layout}. "
            f"For {older.input.layout}, pass --layout {older.input.layout}"
        )
    for earlier in request.earlier_folders(order):
        older = _manifest(earlier)
        if older is not None and older.input.layout == order.layout:
            warnings.append(
                f"{earlier} takes {order.layout} pictures, too, and is not updated. Delete it if nothing uses it"
            )
    return warnings


def _check_origin(folder: Path, subject: Subject) -> None:
    """Raise UsageError if `folder` holds what was made from another model, or other weights, of the same name."""
    older = _manifest(folder)
    if older is None:
        return
    there, here = older.weights, subject.weights
    same = there.sha256 == here.sha256 or _place(there) == _place(here)  # of one place: trained again, say
    same = same or (older.variant is None and _is_saved(older, subject))
    if older.variant != subject.variant or not same:
        made, makes = there.path or older.variant or there.source, here.path or subject.name
        raise UsageError(
            f"{folder} was made from {made}, not from {makes}. Move it, or choose another folder with --out."
        )


def _is_saved(older: Manifest, subject: Subject) -> bool:
    """Whether a model in memory and the one in a file, from which `older` and `subject` were made, are the same."""
    if older.weights.in_memory == subject.weights.in_memory:
        return False
    if older.weights.in_memory:
        return keras_object.digest(subject.original().model) == older.weights.sha256
    try:
        saved = source.find_again(older, None, None)
    except EdgeSqueezeError:  # gone, or changed
        return False
    return keras_object.digest(saved.original().model) == subject.weights.sha256


def _place(record: WeightsRecord) -> tuple[str, Path | None]:
    return record.kind, None if record.path is None else Path(record.path).resolve()


def _forgotten_labels(request: Request) -> Path | None:
    """The file of names that `train` left beside the weights, where none was given."""
    weights, classes = request.subject.weights.path, request.subject.classes
    if weights is None or request.labels != labels.default(classes):
        return None
    beside = Path(weights).with_name(artifacts.LABELS)
    return beside if beside.is_file() else None


def _calibration_source(request: Request, reporter: Reporter) -> calibration.Source | None:
    """What to calibrate on, read before TensorFlow is loaded so that a broken picture is told at once."""
    if any(order.target.quantizer for order in request.orders):
        options = request.options
        drawn = calibration.sample(options.calibration_samples, options.calibration_seed)
        path, skip = options.calibration, options.skip_unreadable
        kind = options.file.quantizer
        source = calibration.load_source(path, request.subject, drawn, kind, skip_unreadable=skip)
        if isinstance(source, PictureSet) and source.sampled:
            reporter.note(f"calibrates on {source.description} (seed {source.seed})")
        elif options.calibration_samples is not None and (path is None or isinstance(source, CalibrationRecord)):
            reporter.note("--calibration-samples is not used: it draws from pictures given with --calibration")
        if options.effort is not None and (kind == STOCK or isinstance(source, CalibrationRecord)):
            reporter.note("--effort is not used: it is for weights that are tuned on pictures given with --calibration")
        return source
    if request.options.effort is not None:
        reporter.note("--effort is not used: nothing here is quantized")
    if request.options.calibration is not None:
        reporter.note("--calibration is not used: nothing here is quantized")
    return None


def _prepare(request: Request, calibrated: Sequence[CalibrationPicture], reporter: Reporter) -> Prepared:
    subject = request.subject
    with reporter.part("pictures"):
        options = request.options
        pictures = load_pictures(
            options.images,
            subject.preprocessing,
            subject.other_sizes,
            skip_unreadable=options.skip_unreadable,
            calibrated=calibrated,
        )
        for remark in pictures[0].remarks:
            reporter.note(remark)
    with reporter.part("import TensorFlow"):
        originals.load_tensorflow()
    with reporter.part("build the original"):
        original = subject.original()
    with reporter.part("scores of the original"):
        references = [refer(original, size) for size in pictures]
        if len(pictures[0]) > 1 and references[0].is_constant:
            reporter.note(f"warning: {CONSTANT}; quantizing it may fail")
    with reporter.part("bake the preprocessing in"):
        baked, rewrites = bake(original.model, original.preprocessing.baked)
    return Prepared(references, *_folded(request, baked, rewrites, reporter))


def _folded(request: Request, baked: Any, rewrites: list[str], reporter: Reporter) -> tuple[Any, list[str]]:
    """`baked` with its scaling layers in others, if that is asked for; ConversionError if its scores change."""
    if not catalogue.wants(request.options.file.rewrites, catalogue.FOLD_BATCH_NORM):
        return baked, rewrites
    with reporter.part("fold layers that scale"):
        folded, done = catalogue.fold_layers(baked)
        if done:
            preprocessing = request.subject.preprocessing
            pixels = photograph_crops(1, preprocessing.size, seed=0).pixels.astype(np.float32)
            before, after = (np.asarray(model(pixels, training=False)) for model in (baked, folded))
            catalogue.require_same(before, after, done)
    return folded, [*rewrites, *done]


def _newer(inspection: Inspection) -> str | None:
    """The version of TensorFlow Lite that a file requires, if that is newer than the oldest runtime."""
    version = str(inspection.metadata.get(MIN_RUNTIME_VERSION, ""))
    numbers = tuple(int(part) for part in version.split(".") if part.isdecimal())
    return version if numbers[:2] > OLDEST_RUNTIME else None


def _export_one(request: Request, order: Order, prepared: Prepared, reporter: Reporter) -> Exported:
    target, measured = order.target, replace(prepared.measured(order), card=contents.card(request, order, prepared))
    gates = gate_table.find(target.format, target.precision, order.options.head)
    with reporter.step(request.name(order)):
        with reporter.part("convert"):
            model = target.convert(prepared.model(order), order.options, measured)
            prepared = replace(prepared, rewrites=[*prepared.rewrites, *measured.done])
        with reporter.part("inspect"):
            inspection = inspect(model, target.format)
            subject, strict = request.subject, request.options.strict_int8
            ends = subject.file_size, prepared.outputs, measured.output
            conformance.check(inspection, order, *ends, card=measured.card, strict=strict, floats=measured.floats)
        if (version := _newer(inspection)) is not None:
            reporter.note(f"warning: {RUNTIME} does not load this file: it needs TensorFlow Lite {version} or newer")
        with reporter.part("prove"):
            runner = open_runner(model, target.format)
            proof = prove_all(prepared.references, runner, gates, reporter, own=request.subject.own)
        with reporter.part("golden files"):
            span = prepared.span(inspection.outputs[0])
            gold, files = golden.make(model, target.format, request.subject.preprocessing, gates.golden, span)
        manifest = contents.manifest(request, order, prepared, inspection, gold, proof)
        with reporter.part("write"):
            record = prepared.record(order)
            frontier = prepared.kept.frontier if prepared.kept is not None and record is not None else ()
            files |= contents.files(request, manifest, model, proof, record, frontier)
            older = _manifest(request.folder(order))
            atomic.write(request.folder(order), files, EXPORTED)
        reporter.note(f"{len(model):,} bytes, {proof.verdict}")
        if proof.verdict == FAIL and older is not None and older.parity.verdict == PASS:
            reporter.note(
                "warning: this replaces a file that had passed; export again with the former options to have it back"
            )
    lint = record.lint if record else []
    return Exported(request.folder(order), manifest, proof, request.subject.warnings, tuple(lint))
