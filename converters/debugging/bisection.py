"""Where in a network most of its loss arises, in few passes: the first layers are rounded, all others are not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.converters.debugging.legs import divergence_of, mean_interval
from edge_squeeze.converters.debugging.machines import CHUNK
from edge_squeeze.converters.debugging.simulation import Rounded, Simulation
from edge_squeeze.proof.accuracy import Interval
from edge_squeeze.proof.verification import Reference
from edge_squeeze.reporting import Reporter
from edge_squeeze.scores import Scores, comparable

MOST = 0.5  # of the loss
NOTHING = 1e-5  # nats
Divergences = NDArray[np.float64]


@dataclass(frozen=True)
class Bisected:
    """The layer with which the loss passes half of its whole; divergences are means over the pictures, in nats."""

    layer: str
    position: int  # among the layers that round, from 1
    count: int  # of them
    kl_before: float  # when those before it are rounded
    kl_with: float  # when it is, too
    kl: float  # when all are
    kl_without: float  # when all but it are
    gain_interval: Interval  # 95 %, of what leaving out its roundings takes off
    passes: int  # over the pictures

    @property
    def is_alone(self) -> bool:
        """Whether this layer accounts for most of the loss, seen from both sides: added to few, and left out of all."""
        most = MOST * self.kl
        return self.kl_with - self.kl_before >= most and self.kl - self.kl_without >= most and self.gain_interval[0] > 0

    def __str__(self) -> str:
        before, added, whole, without = (
            f"{1e3 * value:.2f}" for value in (self.kl_before, self.kl_with, self.kl, self.kl_without)
        )
        place = f"{self.layer} (layer {self.position} of {self.count})"
        figures = (
            f"in thousandths of a nat, KL is {before} with the layers before it rounded, {added} with it, too, "
            f"{whole} with all, and {without} with all but it"
        )
        if self.is_alone:
            return f"{place} accounts for most of the loss: {figures}."
        return f"No single layer accounts for most of the loss. Half of it is there after {place}: {figures}."


class Bisection:
    """Passes over the pictures with any of the layers of a simulation rounded."""

    def __init__(self, simulation: Simulation, reference: Reference, rounded: Scores) -> None:
        """`rounded` are the scores of the simulation with all its roundings, for the pictures of the reference."""
        self._simulation, self._reference = simulation, reference
        self._whole = divergence_of(reference.scores, rounded)
        self.layers = simulation.layers
        self._places = [at for at, step in enumerate(simulation.network.steps) if step.name in self.layers]
        self._progress: Iterator[int] = iter(())
        self._passes = 1  # the one that gave `rounded`

    @property
    def most_passes(self) -> int:
        """How many passes there are at most, no more than 2 x log2 of the number of layers from three layers on."""
        return self._passes + math.ceil(math.log2(max(len(self.layers), 1))) + 1

    def run(self, reporter: Reporter) -> Bisected | None:
        """The layer with which the loss passes half of its whole; None if there is none to speak of."""
        kl = float(self._whole.mean())
        if kl < NOTHING or not self.layers:
            return None
        chunks = math.ceil(len(self._reference.pictures) / CHUNK)
        self._progress = iter(reporter.track(range((self.most_passes - self._passes) * chunks), "bisection"))
        position, before, added = crossing(len(self.layers), kl, lambda count: self._mean(self._first(count)))
        name = self.layers[position - 1]
        gains = self._whole - self._divergences(self._all_but(name))
        list(self._progress)  # to its end, where a pass was spared
        without, interval = kl - float(gains.mean()), mean_interval(gains)
        return Bisected(name, position, len(self.layers), before, added, kl, without, interval, self._passes)

    def _first(self, count: int) -> Rounded:
        """The roundings of the first `count` layers, and of what passes on their numbers."""
        end = self._places[count] if count < len(self._places) else None
        names = {step.name for step in self._simulation.network.steps[:end]}
        everything = self._simulation.everything
        return Rounded(names.intersection(everything.weights), names.intersection(everything.activations))

    def _all_but(self, name: str) -> Rounded:
        return Rounded({*self._simulation.weights} - {name}, self._simulation.without(name).activations)

    def _mean(self, rounded: Rounded) -> float:
        return float(self._divergences(rounded).mean())

    def _divergences(self, rounded: Rounded) -> Divergences:
        """The divergence of each picture, in one pass."""
        self._passes += 1
        reference, network, parts = self._reference, self._simulation.network, []
        for start in range(0, len(reference.pictures), CHUNK):
            next(self._progress, None)
            values = self._simulation.values(reference.pictures.pixels[start : start + CHUNK], rounded)
            parts.append(np.asarray(values[network.output], np.float32))
        return divergence_of(reference.scores, comparable(np.concatenate(parts), reference.content))


def crossing(count: int, whole: float, loss: Callable[[int], float]) -> tuple[int, float, float]:
    """The number of layers with which the loss passes half of the `whole`, and the losses before and at it.

    Args:
        count: Of layers.
        whole: The loss of all.
        loss: The loss of so many first layers, which need not grow with each; asked log2(count) times at most.
    """
    low, high, below, above = 0, count, 0.0, whole
    while high - low > 1:
        middle = (low + high) // 2
        if (value := loss(middle)) < MOST * whole:
            low, below = middle, value
        else:
            high, above = middle, value
    return high, below, above
