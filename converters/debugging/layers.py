"""What each layer of an integer file loses, by its weights and by what it gives, and what it gives back in float."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.converters.debugging.legs import divergence_of, mean_interval
from edge_squeeze.converters.debugging.simulation import Rounded, Simulation, Values
from edge_squeeze.converters.quantization.network import Floats, Step
from edge_squeeze.converters.quantization.ranges import STEPS
from edge_squeeze.converters.quantization.rounding import grid_steps, rows_of
from edge_squeeze.pictures.preprocessing import Pixels
from edge_squeeze.proof.accuracy import Interval
from edge_squeeze.reporting import Reporter
from edge_squeeze.scores import comparable

BATCH = 8  # pictures, whose every tensor is held at once
CONCATENATION = "Concatenate"
HIGHEST_SNR = 200.0  # dB, of an error of nothing
Channel = NDArray[np.float64]


@dataclass(frozen=True)
class LayerLoss:
    """Figures of one layer; divergences are means over the pictures, in nats."""

    layer: str
    kind: str
    snr_db: float | None  # of what it gives for float inputs, to the error of its roundings
    kl_weights: float | None  # at the output, when its weights alone are rounded
    kl_activations: float | None  # when what it gives alone is rounded
    gain: float | None  # what keeping it in float takes off the divergence of the file
    gain_interval: Interval | None
    weight_moves: float | None  # root mean square, in steps, of how far its weights are from the float ones
    clipped: float | None  # share of what it gives that the file's range cuts off
    filled: float | None  # share of the file's range that what it gives fills
    channels: int
    dead: int  # channels that give one number for all pictures
    dying: int  # channels that do so in integers alone
    dominance: float | None  # the largest channel by the median one
    imbalance: float | None  # of a concatenation: its largest input by its smallest
    cost_us: float | None = None  # what keeping it in float takes longer, in microseconds
    gain_per_us: float | None = None
    median_weights: float | None = None  # as kl_weights and kl_activations, of the typical picture
    median_activations: float | None = None


@dataclass
class _Sums:
    """What is added up over the pictures for one layer."""

    weights: list[float] = field(default_factory=list)  # divergences, picture by picture
    activations: list[float] = field(default_factory=list)
    gains: list[float] = field(default_factory=list)
    signal: float = 0.0
    noise: float = 0.0
    clipped: int = 0
    numbers: int = 0
    lowest: float = 0.0  # of what the grid is for, zero included
    highest: float = 0.0
    low: Channel | None = None  # of each channel in float
    high: Channel | None = None
    integer_low: Channel | None = None
    integer_high: Channel | None = None


class Measurement:
    """Goes through pictures, a few at a time, and adds up what each layer of a simulation loses."""

    def __init__(self, simulation: Simulation, content: str) -> None:
        """`content` says what the scores of the network are."""
        self._simulation, self._content, network = simulation, content, simulation.network
        measured = {*simulation.weights, *simulation.grids}
        self.steps = [step for step in network.steps if step.name in measured]
        self._sums = {step.name: _Sums() for step in self.steps}

    def run(self, pixels: Pixels, reporter: Reporter, *, ranges_only: bool = False) -> list[LayerLoss]:
        """The figures of each layer on `pixels` [N,H,W,3], in the order of the network; divergences take longest."""
        starts = range(0, len(pixels), BATCH)
        pairs = [(start, number) for start in starts for number in range(len(self.steps))]
        for start, number in reporter.track(pairs, "layers"):
            if number == 0:
                part = pixels[start : start + BATCH]
                floats = self._simulation.values(part, Rounded())
                integers = self._simulation.values(part, self._simulation.everything)
            step = self.steps[number]
            if not ranges_only:
                self._add(step, floats, integers)
            self._add_ranges(step, self._sums[step.name], floats, integers)
        return [self._loss(step) for step in self.steps]

    def _add(self, step: Step, floats: Values, integers: Values) -> None:
        simulation, name, sums = self._simulation, step.name, self._sums[step.name]
        original = self._scores(floats)
        if name in simulation.weights:
            rounded = simulation.changed(floats, name, Rounded({name}))
            sums.weights += divergence_of(original, self._scores(rounded)).tolist()
            kept = simulation.changed(integers, name, simulation.without(name))
            before, after = (divergence_of(original, self._scores(each)) for each in (integers, kept))
            sums.gains += (before - after).tolist()
        if name in simulation.rounding:
            rounded = simulation.changed(floats, name, Rounded((), {name}))
            sums.activations += divergence_of(original, self._scores(rounded)).tolist()

    def _scores(self, values: Values) -> Floats:
        return comparable(np.asarray(values[self._simulation.network.output], np.float32), self._content)

    def _add_ranges(self, step: Step, sums: _Sums, floats: Values, integers: Values) -> None:
        name, made = step.name, np.asarray(floats[step.output], np.float64)
        own = np.asarray(self._simulation.call(step, floats, Rounded({name}, {name})), np.float64)
        sums.signal += float((made**2).sum())
        sums.noise += float(((made - own) ** 2).sum())
        if (grid := self._simulation.grids.get(name)) is not None:
            low, high = -grid.zero * grid.step, (STEPS - grid.zero) * grid.step
            ranged = np.asarray(self._simulation.ranged(step, floats), np.float64)
            sums.clipped += int(((ranged < low - grid.step / 2) | (ranged > high + grid.step / 2)).sum())
            sums.lowest, sums.highest = min(sums.lowest, ranged.min()), max(sums.highest, ranged.max())
        sums.numbers += made.size
        sums.low, sums.high = _widened(sums.low, sums.high, made)
        integer = np.asarray(integers[step.output], np.float64)
        sums.integer_low, sums.integer_high = _widened(sums.integer_low, sums.integer_high, integer)

    def _loss(self, step: Step) -> LayerLoss:
        simulation, sums, name = self._simulation, self._sums[step.name], step.name
        assert sums.low is not None and sums.high is not None  # noqa: PT018 - both or none
        assert sums.integer_low is not None and sums.integer_high is not None  # noqa: PT018
        extents = np.maximum(np.abs(sums.low), np.abs(sums.high))
        lives, alive = sums.high > sums.low, sums.integer_high > sums.integer_low
        living, grid = extents[lives], simulation.grids.get(name)
        gains, in_integers = np.array(sums.gains), name in simulation.grids
        return LayerLoss(
            name,
            step.kind,
            _decibels(sums.signal, sums.noise),
            _mean(sums.weights),
            _mean(sums.activations),
            _mean(sums.gains),
            mean_interval(gains) if len(gains) else None,
            self._moves(step),
            sums.clipped / sums.numbers if in_integers else None,
            None if grid is None else float((sums.highest - sums.lowest) / (STEPS * grid.step)),
            len(extents),
            int((~lives).sum()),
            int((lives & ~alive).sum()) if in_integers else 0,
            float(living.max() / np.median(living)) if len(living) and living.max() > 0 else None,
            self._imbalance(step),
            median_weights=_median(sums.weights),
            median_activations=_median(sums.activations),
        )

    def _moves(self, step: Step) -> float | None:
        if step.name not in self._simulation.weights:
            return None
        kernel = np.asarray(step.layer.kernel)
        rows = rows_of(step, kernel)
        difference = rows_of(step, self._simulation.weights[step.name][0]) - rows
        return float(np.sqrt(np.mean((difference / grid_steps(rows)) ** 2)))

    def _imbalance(self, step: Step) -> float | None:
        """The largest value of the inputs of a concatenation in integers, by that of its smallest one."""
        if step.kind != CONCATENATION or step.name not in self._simulation.grids:
            return None
        makers = {each.output: each.name for each in self.steps}
        extents = []
        for index in step.inputs:
            sums = self._sums.get(makers.get(index, ""))
            if sums is None or sums.integer_low is None or sums.integer_high is None:
                return None
            extents.append(float(max(abs(sums.integer_low.min()), abs(sums.integer_high.max()))))
        return max(extents) / min(extents) if min(extents) > 0 else None


def _widened(low: Channel | None, high: Channel | None, values: NDArray[np.float64]) -> tuple[Channel, Channel]:
    """The lowest and highest value of each channel, `values` [...,channels] added."""
    rows = values.reshape(-1, values.shape[-1])
    lowest, highest = rows.min(axis=0), rows.max(axis=0)
    return (
        lowest if low is None else np.minimum(low, lowest),
        highest if high is None else np.maximum(high, highest),
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None


def _decibels(signal: float, noise: float) -> float | None:
    if signal <= 0:
        return None
    return min(HIGHEST_SNR, 10 * float(np.log10(signal / noise))) if noise > 0 else HIGHEST_SNR
