"""Where the loss of an artifact comes from: leg by leg from the original to the engine, and layer by layer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze import formats
from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.artifact.folder import CALIBRATION, Artifact
from edge_squeeze.converters import targets
from edge_squeeze.converters.debugging.bisection import Bisected, Bisection
from edge_squeeze.converters.debugging.layers import LayerLoss, Measurement
from edge_squeeze.converters.debugging.legs import CONVERSION, KERNELS, QUANTIZATION, Leg, Stage, divergence_of, split
from edge_squeeze.converters.debugging.machines import (
    CHUNK,
    Answer,
    Board,
    Here,
    Machine,
    Times,
    run,
    times as measure_times,
)
from edge_squeeze.converters.debugging.simulation import Simulation
from edge_squeeze.converters.debugging.symptoms import Case, Finding, find
from edge_squeeze.converters.formats.tracing import scope_names
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.converters.quantization import adjustments
from edge_squeeze.converters.quantization.calibration import CalibrationRecord
from edge_squeeze.converters.quantization.network import Network, flat
from edge_squeeze.converters.rewrites.keras_graph import UncopyableError
from edge_squeeze.converters.rewrites.normalization import bake
from edge_squeeze.engines.engine import REFERENCE
from edge_squeeze.engines.runner import Runner, RunOptions, open_runner
from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import decode, read_json
from edge_squeeze.formats import FORMATS
from edge_squeeze.models import original as originals
from edge_squeeze.pictures.loading import PictureSet, check as check_pictures
from edge_squeeze.pictures.preprocessing import Pixels
from edge_squeeze.proof import leakage
from edge_squeeze.proof.golden import GoldenCheck
from edge_squeeze.proof.verification import Reference, find_subject, load_pictures, other_original, refer
from edge_squeeze.reporting import Reporter
from edge_squeeze.scores import Scores, comparable

MOST_PICTURES = 50
CHEAPEST_US = 10.0  # a smaller cost is not told from noise
LONG_S = 600.0  # that the divergences of layers may take
PER_LAYER = 1.5  # passes over the pictures: three, each from the layer on
FLOAT = "float32"
TUNED_WITHOUT_RECORD = f"its weights are tuned, and {CALIBRATION}, which says how, is not in its folder"
NOT_ROUNDED = "none of its layers has weights or values that are rounded to 8 bits"


@dataclass(frozen=True)
class DebugOptions:
    """What a search for the loss is asked for."""

    images: Path | None = None
    samples: int = MOST_PICTURES  # most pictures to use
    original: Path | None = None
    custom_objects: str | None = None
    runtime: str | None = None
    threads: int = 1
    skip_unreadable: bool = False
    trust_file: bool = False
    detailed: bool = True  # whether to measure the divergences and times of layers
    bisect: bool | None = None  # for the layer that loses most, in place of divergences; None is where these take long

    @property
    def run(self) -> RunOptions:
        """How the file runs."""
        return RunOptions(self.threads, self.runtime)

    def __post_init__(self) -> None:
        if self.samples < 2:  # noqa: PLR2004 - an interval needs two
            raise UsageError(f"--samples must be 2 or more, got {self.samples}.")


@dataclass(frozen=True)
class Preparation:
    """What preprocessing makes of the golden picture, against what it must make of it."""

    pixels_equal: bool
    largest_difference: int  # between pixels, of 255
    kl: float  # of the original's scores for both, in nats
    golden: GoldenCheck  # of the engine's scores


@dataclass(frozen=True)
class Debugged:
    """Where the loss comes from."""

    artifact: Artifact
    pictures: PictureSet
    runtime: str
    kernels: str
    device: str | None  # that the file ran on; None for this machine
    timed_on: str | None  # the machine whose times the layers have; None for this one
    legs: list[Leg]
    preparation: Preparation
    layers: list[LayerLoss]  # those that pay best in float first
    simulated: Leg | None  # what the layers add up to in the simulation, beside the leg of quantization
    without_layers: str | None  # why there are none
    bisected: Bisected | None = None  # in place of the layers' divergences
    findings: list[Finding] = field(default_factory=list)  # what is likely wrong, the likeliest first

    def to_dict(self) -> dict[str, Any]:
        """The content of `debug --json`."""
        manifest = self.artifact.manifest
        return {
            "schema_version": 1,
            "name": manifest.name,
            "sha256": manifest.file.sha256,
            "pictures": self.pictures.description,
            "count": len(self.pictures),
            "runtime": self.runtime,
            "kernels": self.kernels,
            "device": self.device,
            "timed_on": self.timed_on,
            "legs": [asdict(leg) for leg in self.legs],
            "preprocessing": asdict(self.preparation),
            "layers": [asdict(layer) for layer in self.layers],
            "simulated": None if self.simulated is None else asdict(self.simulated),
            "without_layers": self.without_layers,
            "bisected": self.bisected and {**asdict(self.bisected), "text": str(self.bisected)},
            "findings": [{**asdict(finding), "text": str(finding)} for finding in self.findings],
        }


@dataclass(frozen=True)
class Subjects:
    """The artifact beside its original, on the pictures."""

    artifact: Artifact
    data: bytes
    reference: Reference
    baked: Any  # the original as a Keras model that takes raw pixels

    @property
    def format(self) -> str:
        """The kind of the artifact's file."""
        return self.artifact.manifest.format

    def scores(self, runner: Runner, title: str, reporter: Reporter) -> Scores:
        """What a file gives for the pictures, from 0 to 1."""
        return comparable(run(runner, self.reference.pictures.pixels, title, reporter), self.reference.content)

    def float_file(self) -> bytes:
        """The original in a file of the same kind, in float32."""
        options = FileOptions(layout=self.artifact.manifest.input.layout, rewrites="none")
        data: bytes = targets.find(self.format, FLOAT).convert(self.baked, options, Measured(self.reference.content))
        return data


def debug(folder: Path, options: DebugOptions, reporter: Reporter, board: Board | None = None) -> Debugged:
    """Where the loss of the artifact in `folder` comes from.

    Args:
        folder: What `export` left.
        options: Pictures, original and engine.
        reporter: Shows the progress.
        board: Where the file runs; None is this machine.

    Raises:
        UsageError: The artifact, its original or the pictures cannot be used.
        ConversionError: The engine refuses the file.
        MissingDependencyError: TensorFlow or the engine is not installed.
        DeviceError: The board cannot be used.
    """
    artifact = artifacts.load(folder)
    data = artifact.model()
    _check_pictures(options, reporter)
    machine = board or Here(artifact, data, options.run)
    originals.require_tensorflow()
    with reporter.step("original"):
        subjects = _subjects(artifact, data, options, reporter)
    with reporter.step("legs"):
        float_data = subjects.float_file()
        here = options if board is None else replace(options, runtime=None)  # which this machine may lack
        stages = _stages(subjects, float_data, here, reporter)
    with reporter.step(f"kernels{'' if board is None else f' of {board.name}'}"):
        timed = options.detailed and not options.bisect
        answer = machine.answer(subjects.reference.pictures.pixels, float_data if timed else None, reporter)
        stages.append(_last_stage(subjects, answer, machine))
        legs = split(subjects.reference.scores, stages)
        preparation = prepare(subjects, answer)
    with reporter.step("layers"):
        simulation = simulate(subjects)
        inside = Inside([]) if isinstance(simulation, str) else look_inside(subjects, simulation, options, reporter)
    findings = find(_case(subjects, stages[-1].scores, legs, preparation, inside.layers))
    if not isinstance(simulation, str) and any(each.gain is not None for each in inside.layers):
        times = answer.times or _times_here([float_data, data], subjects.format, here, reporter)
        inside = replace(inside, layers=_with_costs(simulation, inside.layers, times))
    return Debugged(
        artifact,
        subjects.reference.pictures,
        answer.runtime,
        answer.kernels,
        machine.name,
        machine.name if answer.times else None,
        legs,
        preparation,
        sorted(inside.layers, key=_pays, reverse=True),
        inside.simulated,
        simulation if isinstance(simulation, str) else None,
        inside.bisected,
        findings,
    )


def _check_pictures(options: DebugOptions, reporter: Reporter) -> None:
    """Raise UsageError, before any work, if a picture cannot be read."""
    if options.images is not None:
        for note in check_pictures(options.images, skip_unreadable=options.skip_unreadable):
            reporter.note(note)


def _case(
    subjects: Subjects, scores: Scores, legs: Sequence[Leg], preparation: Preparation, layers: Sequence[LayerLoss]
) -> Case:
    pixels = golden_pixels(subjects.artifact)
    return Case(subjects.artifact, subjects.reference, scores, legs, preparation.golden, pixels, layers)


def _subjects(artifact: Artifact, data: bytes, options: DebugOptions, reporter: Reporter) -> Subjects:
    subject = find_subject(artifact, options.original, options.custom_objects, trust_file=options.trust_file)
    if isinstance(subject, str):
        raise UsageError(f"The loss is found by comparison with the original, but {subject}.")
    for note in other_original(artifact, subject, options.original):
        reporter.note(note)
    original = subject.original()
    calibrated = leakage.read(artifact) if options.images is not None else ()
    every, *_ = load_pictures(
        options.images, subject.preprocessing, skip_unreadable=options.skip_unreadable, calibrated=calibrated
    )
    count = min(len(every), options.samples)
    rows = sorted({i * len(every) // count for i in range(count)})
    pictures = every.subset(rows, f"{len(every) - count:,} others", [f"uses {count} of {len(every):,} pictures"])
    for remark in pictures.remarks:
        reporter.note(remark)
    return Subjects(artifact, data, refer(original, pictures), bake(original.model, original.preprocessing.baked)[0])


def prepare(subjects: Subjects, answer: Answer) -> Preparation:
    """What the recorded preprocessing makes of the golden picture, and the engine of its pixels."""
    original, recorded, made = subjects.reference.original, golden_pixels(subjects.artifact), answer.made
    if made.shape != recorded.shape:
        raise UsageError(f"The golden picture must become pixels of shape {recorded.shape}, got {made.shape}.")
    scores = [comparable(original.run(pixels[None]), subjects.reference.content) for pixels in (recorded, made)]
    difference = int(np.abs(recorded.astype(int) - made.astype(int)).max())
    return Preparation(difference == 0, difference, float(divergence_of(*scores)[0]), answer.golden)


def golden_pixels(artifact: Artifact) -> Pixels:
    """The pixels [H,W,3] that preprocessing must make of the golden picture; UsageError if they are damaged."""
    name, (height, width) = artifact.manifest.golden.pixels, artifact.manifest.preprocessing.size
    data = artifact.read(name)
    if len(data) != height * width * 3:
        raise UsageError(f"{name}: required {height * width * 3:,} bytes of pixels, got {len(data):,}.")
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def _stages(subjects: Subjects, float_data: bytes, options: DebugOptions, reporter: Reporter) -> list[Stage]:
    """What each file on the way gives on this machine, up to the reference kernels."""
    kind, name = subjects.format, subjects.artifact.manifest.precision
    plain = RunOptions(options.threads, options.runtime, REFERENCE)
    stages: list[tuple[str, str, Callable[[], Runner]]] = [
        (CONVERSION, "original to float32 file", lambda: open_runner(float_data, kind, RunOptions(options.threads))),
        (QUANTIZATION, f"to {name}, reference kernels", lambda: open_runner(subjects.data, kind, plain)),
    ]
    if name == FLOAT:
        stages[:2] = [(CONVERSION, "original to file, reference kernels", stages[1][2])]
    return [Stage(leg, way, subjects.scores(opened(), leg, reporter)) for leg, way, opened in stages]


def _last_stage(subjects: Subjects, answer: Answer, machine: Machine) -> Stage:
    """What the engine that is used gives."""
    where = "" if machine.name is None else f" on {machine.name}"
    way = f"to {answer.runtime.partition(' ')[0]}, {answer.kernels} kernels{where}"
    return Stage(KERNELS, way, comparable(answer.scores, subjects.reference.content))


def simulate(subjects: Subjects) -> Simulation | str:
    """The integer network of the artifact in Keras; why there is none, in words."""
    artifact = subjects.artifact
    row = FORMATS[subjects.format]
    if artifact.manifest.precision == FLOAT or not row.integers:
        return NOT_ROUNDED
    record = _record(artifact)
    if record is None and (artifact.manifest.options.get("quantizer") or "stock") != "stock":
        return TUNED_WITHOUT_RECORD
    try:
        network = Network(flat(subjects.baked))
    except UncopyableError as error:
        return f"the model cannot be taken apart layer by layer: {error}"
    if record is not None and record.adjustments is not None:
        network = adjustments.smoothed(network, record.adjustments)
    integers = formats.module(row.integers).read(subjects.data, scope_names(network.model))
    simulation = Simulation(network, integers)
    return simulation if simulation.weights or simulation.grids else NOT_ROUNDED


def _record(artifact: Artifact) -> CalibrationRecord | None:
    path = artifact.folder / CALIBRATION
    if not path.is_file():
        return None
    record = decode(CalibrationRecord, read_json(path), str(path))
    assert isinstance(record, CalibrationRecord)
    return record


@dataclass(frozen=True)
class Inside:
    """What the simulation of a file shows."""

    layers: list[LayerLoss]
    simulated: Leg | None = None
    bisected: Bisected | None = None


def look_inside(subjects: Subjects, simulation: Simulation, options: DebugOptions, reporter: Reporter) -> Inside:
    """Figures of the layers; where their divergences would take long, the layer that loses most in place of them."""
    start = time.perf_counter()
    scores = _simulated(subjects, simulation)
    seconds = PER_LAYER * len(simulation.layers) * (time.perf_counter() - start)
    leg = split(subjects.reference.scores, [Stage("simulation", "all roundings in Keras", scores)])[0]
    bisect = options.detailed and (seconds > LONG_S if options.bisect is None else options.bisect)
    if bisect and options.bisect is None:
        reporter.note(f"bisects, since one layer after the other would take about {seconds / 60:.0f} min (--no-bisect)")
    bisected = Bisection(simulation, subjects.reference, scores).run(reporter) if bisect else None
    measurement = Measurement(simulation, subjects.reference.content)
    ranges_only = bisect or not options.detailed
    layers = measurement.run(subjects.reference.pictures.pixels, reporter, ranges_only=ranges_only)
    return Inside(layers, leg, bisected)


def _simulated(subjects: Subjects, simulation: Simulation) -> Scores:
    """What the simulation gives with all roundings, from 0 to 1."""
    pixels, content = subjects.reference.pictures.pixels, subjects.reference.content
    parts = [pixels[i : i + CHUNK] for i in range(0, len(pixels), CHUNK)]
    output = simulation.network.output
    made = [np.asarray(simulation.values(part, simulation.everything)[output]) for part in parts]
    return comparable(np.concatenate(made), content)


def _times_here(files: Sequence[bytes], kind: str, options: DebugOptions, reporter: Reporter) -> Sequence[Times] | None:
    with reporter.step("time of each operator"):
        return measure_times(files, kind, options.run)


def _with_costs(simulation: Simulation, layers: Sequence[LayerLoss], times: Sequence[Times] | None) -> list[LayerLoss]:
    """`layers` with what keeping each in float takes longer, and what that gives back for each microsecond.

    `times` are those of the layers of the float32 file and of the artifact's.
    """
    if times is None:
        return list(layers)
    floats, integers = times
    known = {*floats} & {*integers}
    costed = []
    for layer in layers:
        kept = [] if layer.gain is None else simulation.kept(layer.layer)
        cost = sum(floats[name] - integers[name] for name in kept) if kept and known >= {*kept} else None
        per_us = None if cost is None or layer.gain is None else layer.gain / max(cost, CHEAPEST_US)
        costed.append(replace(layer, cost_us=cost, gain_per_us=per_us))
    return costed


def _pays(layer: LayerLoss) -> tuple[float, float]:
    """By what layers are sorted: gain for each microsecond, then gain; what is not known comes last."""
    unknown = -np.inf
    return unknown if layer.gain_per_us is None else layer.gain_per_us, unknown if layer.gain is None else layer.gain
