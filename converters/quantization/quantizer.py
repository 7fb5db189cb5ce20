"""Chooses between stock and tuned quantization, and makes the model and the ranges that integer files come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.converters.formats.to_tflite import FloatFile
from edge_squeeze.converters.options import AUTO, FULL, QUICK, STOCK, TUNED, FileOptions, Ranges
from edge_squeeze.converters.quantization import adjustments, calibration, ranges, rounding, smoothing, tuning
from edge_squeeze.converters.quantization.calibration import CalibrationRecord, Measurement, Samples, Source
from edge_squeeze.converters.quantization.network import Network, Weights, flat, with_weights
from edge_squeeze.converters.quantization.rounding import Gain
from edge_squeeze.converters.rewrites.keras_graph import UncopyableError
from edge_squeeze.errors import UsageError
from edge_squeeze.models.source import Subject
from edge_squeeze.pictures.loading import PictureSet
from edge_squeeze.pictures.preprocessing import Pixels
from edge_squeeze.proof.parity import kl_divergence
from edge_squeeze.reporting import Reporter
from edge_squeeze.scores import Scores

MOST_NAMED = 5  # layers in a note
# Of each picture, where there are files to take them from: the whole and two crops. On SqueezeNet 1.0 they take a third
# off the divergence; docs/quantization.md has the trials.
VIEWS = 3
MOST_BYTES = 1 << 30  # of one tensor for all pictures; of larger ones fewer pictures are rounded on


@dataclass(frozen=True)
class Wanted:
    """What is asked for: a quantizer, how much effort it may take, and the rule for ranges."""

    quantizer: str = AUTO
    effort: str = QUICK
    rule: str = ranges.AUTO


@dataclass(frozen=True)
class Quantized:
    """A Keras model that takes raw pixels, on whose ranges and weights integer files are made."""

    model: Any
    record: CalibrationRecord


@dataclass(frozen=True)
class Task:
    """What is quantized: the model that takes raw pixels, what its scores are, and the pictures it is fitted to."""

    subject: Subject
    baked: Any
    output: str
    pictures: PictureSet
    reporter: Reporter

    @cached_property
    def views(self) -> Samples:
        """The pictures, and further views of each."""
        return Samples.of(self.pictures, VIEWS)

    def measure(self, model: Any, rule: str, samples: Samples | None = None) -> Measurement:
        """The ranges of `model` on the pictures, or else on their views."""
        shown = Samples.of(self.pictures) if samples is None else samples
        return calibration.measure(model, shown, rule, self.output, self.reporter)

    def divergences(self, model: Any, limits: Ranges) -> NDArray[np.float64]:
        """Those of the integer file from the original, in nats, on held-out pictures, each the mean of its views."""
        views, output = self.views, self.output
        data = FloatFile(model).quantize(limits, FileOptions(), output)
        scores = calibration.scores_of(data, views.held_out, output)
        each = kl_divergence(self._expected.astype(np.float64), scores.astype(np.float64))
        pictures = views.pictures[views.is_held_out]
        return np.array([each[pictures == picture].mean() for picture in np.unique(pictures)])

    @cached_property
    def _expected(self) -> Scores:
        return calibration.scores_of(FloatFile(self.baked).data, self.views.held_out, self.output)


def quantize(
    subject: Subject, baked: Any, source: Source, wanted: Wanted, output: str, reporter: Reporter
) -> Quantized:
    """The model and ranges that integer files of `baked` are made with.

    Args:
        subject: What is exported.
        baked: Its Keras model, which takes raw pixels.
        source: What to calibrate on.
        wanted: The quantizer, its effort and the rule for ranges.
        output: What the scores are.
        reporter: Shows the progress, and is told what was chosen and why.

    Raises:
        UsageError: The record of an earlier calibration, or the model, does not allow what is wanted.
    """
    if isinstance(source, CalibrationRecord):
        return _as_recorded(baked, source, wanted)
    task = Task(subject, baked, output, source, reporter)
    network = None if wanted.quantizer == STOCK else _network(baked, wanted, reporter)
    if network is None:
        return Quantized(baked, calibration.record(subject, source, task.measure(baked, wanted.rule)))
    return _tuned_or_stock(task, network, wanted)


def _as_recorded(baked: Any, record: CalibrationRecord, wanted: Wanted) -> Quantized:
    if wanted.quantizer not in (AUTO, record.quantizer):
        raise UsageError(
            f"The calibration was made for the {record.quantizer} quantizer, required {wanted.quantizer}. "
            f"Pass --quantizer {record.quantizer}, or calibrate with pictures."
        )
    kept = calibration.by_rule(record, wanted.rule)
    if record.adjustments is None:
        return Quantized(baked, kept)
    try:
        return Quantized(adjustments.apply(Network(flat(baked)), record.adjustments), kept)
    except UncopyableError as error:
        raise UsageError(f"The calibration is of another model: {error}. Calibrate with pictures.") from error


def _network(baked: Any, wanted: Wanted, reporter: Reporter) -> Network | None:
    """The layers of `baked`; None with a note if they cannot be tuned, UsageError if that was asked for outright."""
    reason = "it has no convolution or dense layer whose weights can be rounded"
    try:
        network = Network(flat(baked))
        if network.weighted:
            return network
    except UncopyableError as error:
        reason = str(error)
    if wanted.quantizer == TUNED:
        raise UsageError(f"The model cannot be tuned: {reason}. Pass --quantizer stock.")
    reporter.note(f"quantizer: stock; the model cannot be tuned: {reason}")
    return None


def _tuned_or_stock(task: Task, network: Network, wanted: Wanted) -> Quantized:
    """The tuned model; where the choice is open, only if it diverges clearly less than stock on held-out pictures."""
    factors = smoothing.factors(network, task.views.early)
    smoothed = smoothing.smooth(network, factors)
    measured = task.measure(smoothed, wanted.rule, task.views)
    judged: dict[str, float] = {}
    if wanted.quantizer == AUTO:
        stock = task.measure(task.baked, wanted.rule)
        limits = ranges.choose(measured.early, measured.rule)
        weights, _ = _rounded(smoothed, task.views.early, limits, task.reporter)
        by_stock = task.divergences(task.baked, ranges.choose(stock.early, stock.rule))
        by_tuned = task.divergences(with_weights(smoothed, weights), limits)
        judged = {STOCK: float(by_stock.mean()), TUNED: float(by_tuned.mean())}
        won = TUNED if _is_less(by_tuned, by_stock) else STOCK
        figures = " and ".join(f"{judged[name]:.4f} nats with {name}" for name in judged)
        count = len(task.views.held_out)
        close = "; not clearly less with tuned" if won == STOCK and judged[TUNED] < judged[STOCK] else ""
        task.reporter.note(f"quantizer: {won}; the file diverges by {figures} weights on {count} held-out views{close}")
        if won == STOCK:
            record = calibration.record(task.subject, task.pictures, stock)
            return Quantized(task.baked, replace(record, quantizers=judged))
    return _tuned(task, network, factors, measured, wanted.effort, judged)


def _is_less(divergences: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Whether they are less on the same pictures, by more than the standard error of the difference."""
    differences = others - divergences
    error = differences.std(ddof=1) / len(differences) ** 0.5 if len(differences) > 1 else 0.0
    return bool(differences.mean() > error)


def _tuned(
    task: Task,
    network: Network,
    factors: smoothing.Factors,
    measured: Measurement,
    effort: str,
    judged: dict[str, float],
) -> Quantized:
    """The model smoothed, rounded and, with full effort, trained on all pictures."""
    smoothed, limits = smoothing.smooth(network, factors), dict(measured.ranges)
    weights, gains = _rounded(smoothed, task.views.pixels, limits, task.reporter)
    for line in _summary(network, gains):
        task.reporter.note(line)
    record = calibration.record(task.subject, task.pictures, measured)
    if effort == FULL:
        groups = [members for members, _ in measured.file.groups()]
        simulation = tuning.Simulation(Network(smoothed), weights, limits, groups)
        batches = tuning.crops(task.pictures.whole(tuning.DETAIL), task.pictures.size, seed=0)
        result = tuning.tune(simulation, batches, task.reporter)
        weights, limits = result.weights, {**limits, **result.ranges}
        record = replace(record, ranges=limits, range_rule=f"{measured.rule}, tuned")
    made = adjustments.of(network, factors, weights)
    errors = {gain.layer: (gain.nearest, gain.rounded) for gain in gains}
    record = replace(record, quantizer=TUNED, effort=effort, quantizers=judged, output_errors=errors, adjustments=made)
    return Quantized(adjustments.apply(network, made), record)


def _rounded(model: Any, pixels: Pixels, limits: Ranges, reporter: Reporter) -> tuple[Weights, list[Gain]]:
    largest = max(np.asarray(values).size for _, values in Network(model).values(pixels[:1]))
    most = max(calibration.FEWEST_HELD_OUT, MOST_BYTES // (4 * largest))
    every = -(-len(pixels) // most)
    return rounding.round_weights(model, pixels[::every], limits, reporter)


def _named(layers: Sequence[str]) -> str:
    more = f" and {len(layers) - MOST_NAMED} more" if len(layers) > MOST_NAMED else ""
    return ", ".join(layers[:MOST_NAMED]) + more


def _summary(network: Network, gains: Sequence[Gain]) -> list[str]:
    """What tuning did to the layers, in words."""
    falls = {gain.layer: 1 - gain.rounded / gain.nearest for gain in gains if gain.nearest}
    lines = []
    if falls:
        most = max(falls, key=lambda name: falls[name])
        median = float(np.median([*falls.values()]))
        lines.append(
            f"weights of {len(gains)} layers rounded; the squared error of their outputs falls by {median:.0%} in the "
            f"median, by {falls[most]:.0%} in {most} (calibration.json lists all)"
        )
    if wide := [name for name, step in network.weighted.items() if rounding.is_wide(step)]:
        lines.append(f"rounded to nearest, having more than {rounding.MOST_INPUTS:,} inputs: {_named(wide)}")
    if network.left:
        lines.append(f"left as they were: {_named(network.left)}")
    return lines
