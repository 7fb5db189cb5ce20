"""Ranges of activations: what each layer gives on calibration pictures, and what an integer file makes room for."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.errors import UsageError

Range = tuple[float, float]
AUTO, MINMAX, MSE, PERCENTILE = "auto", "minmax", "mse", "percentile"
PERCENTILES = (99.9, 99.99, 99.999)  # in every calibration.json
# What `auto` chooses from. 99.9 is left out: it cost 10 points of agreement on SqueezeNet 1.0.
CANDIDATES = (MINMAX, "percentile:99.999", "percentile:99.99", MSE)
CHOICES = f"{MINMAX}, {PERCENTILE}:P with P from 50 to 100, {MSE} or {AUTO}"
SMALLEST_PERCENTILE = 50.0
BINS = 4096
STEPS = 255  # between the lowest and the highest value of an 8-bit number
FRACTIONS = np.linspace(0.2, 1.0, 161)  # of the whole range, tried for the smallest squared error
OUTPUT = "output"  # the scores, which are never cut


@dataclass(frozen=True)
class Statistics:
    """What one layer gave, and the ranges that each rule makes of it."""

    minmax: Range
    percentiles: dict[str, Range] = field(default_factory=dict)  # "99.99": between it and its counterpart below 50 %
    mse: Range | None = None  # with the smallest squared error of 8-bit numbers


def percentiles(rule: str) -> set[float]:
    """The percentiles to measure where ranges are chosen by `rule`."""
    kind, _, number = rule.partition(":")
    return {*PERCENTILES, *([float(number)] if kind == PERCENTILE else [])}


def check(rule: str) -> None:
    """Raise UsageError if `rule` is none of CHOICES."""
    kind, _, number = rule.partition(":")
    if rule not in (AUTO, MINMAX, MSE) and not (kind == PERCENTILE and _percent(number) is not None):
        raise UsageError(f"--calibration-range must be {CHOICES}, got {rule!r}.")


def _percent(number: str) -> float | None:
    try:
        percent = float(number)
    except ValueError:
        return None
    return percent if SMALLEST_PERCENTILE <= percent <= 100.0 else None  # noqa: PLR2004 - percent


class Activations:
    """What the layers of a network give for some pictures: limits, and how often each value between bounds occurs."""

    def __init__(self) -> None:
        self.limits: dict[str, Range] = {}
        self._counts: dict[str, NDArray[np.int64]] = {}

    def widen(self, layers: Mapping[str, NDArray[np.float32]]) -> None:
        """Take the values of one picture into the limits."""
        for name, values in layers.items():
            low, high = self.limits.get(name, (math.inf, -math.inf))
            self.limits[name] = min(low, float(values.min())), max(high, float(values.max()))

    def count(self, layers: Mapping[str, NDArray[np.float32]], bounds: Mapping[str, Range]) -> None:
        """Count the values of one picture; all pictures must be within `bounds`."""
        for name, values in layers.items():
            low, high = bounds[name]
            places = (values.ravel() - np.float32(low)) * np.float32(BINS / ((high - low) or 1.0))
            bins = np.bincount(np.clip(places.astype(np.int64), 0, BINS - 1), minlength=BINS)
            self._counts[name] = self._counts.get(name, np.zeros(BINS, np.int64)) + bins

    @classmethod
    def merged(cls, parts: Iterable[Self]) -> Self:
        """Those of several sets of pictures together, counted between the same bounds."""
        whole = cls()
        for part in parts:
            for name, limits in part.limits.items():
                whole.limits[name] = _hull([whole.limits.get(name, limits), limits])
            for name, counts in part._counts.items():  # noqa: SLF001 - of the same class
                whole._counts[name] = whole._counts.get(name, np.zeros(BINS, np.int64)) + counts
        return whole

    def statistics(self, bounds: Mapping[str, Range], percentiles: Collection[float]) -> dict[str, Statistics]:
        """The statistics of each layer, counted between `bounds`, with these `percentiles`."""
        return {name: self._of_layer(name, bounds[name], percentiles) for name in self.limits}

    def _of_layer(self, name: str, bounds: Range, percentiles: Collection[float]) -> Statistics:
        counts, edges = self._counts[name], np.linspace(*bounds, BINS + 1)
        cuts = {f"{percent:g}": _percentile(counts, edges, percent) for percent in sorted(percentiles)}
        return Statistics(self.limits[name], cuts, _least_squares(counts, edges))


def _percentile(counts: NDArray[np.int64], edges: NDArray[np.float64], percent: float) -> Range:
    """The range without the (100 - `percent`) % highest values, and without as many lowest ones."""
    share, left = np.cumsum(counts) / counts.sum(), 1 - percent / 100
    first, last = int(np.searchsorted(share, left, side="right")), int(np.searchsorted(share, percent / 100))
    return float(edges[min(first, last)]), float(edges[last + 1])


def _least_squares(counts: NDArray[np.int64], edges: NDArray[np.float64]) -> Range:
    """The range whose 8-bit numbers have the smallest squared error, zero being one of them."""
    centers = (edges[:-1] + edges[1:]) / 2
    low, high = min(edges[0], 0.0), max(edges[-1], 0.0)
    errors = []
    for fraction in FRACTIONS:
        step = (high - low) * fraction / STEPS or 1.0
        lowest = np.rint(low * fraction / step)
        rounded = np.clip(np.rint(centers / step), lowest, lowest + STEPS) * step
        errors.append(float(counts @ (rounded - centers) ** 2))
    best = float(FRACTIONS[int(np.argmin(errors))])
    return float(edges[0]) * best, float(edges[-1]) * best


def share(
    statistics: Mapping[str, Statistics], groups: Iterable[tuple[Collection[str], Collection[str]]]
) -> dict[str, Statistics]:
    """`statistics` with one range for the layers of each group, since integers are copied between them.

    Args:
        statistics: Of each layer.
        groups: The layers that meet in a concatenation, a pooling or the like, and those of them that compute: what
            the others copy does not widen the range.
    """
    shared = dict(statistics)
    for members, computing in groups:
        merged = _widest([statistics[name] for name in computing or members])
        shared |= dict.fromkeys(members, merged)
    return shared


def with_room(
    statistics: Mapping[str, Statistics], names: Iterable[str], room: float, *, both: bool
) -> dict[str, Statistics]:
    """`statistics` that leave logits room for others than those of calibration, and do not cut them by any rule.

    Args:
        statistics: Of each layer.
        names: The layers that hold the logits.
        room: The share of the range that is added above it.
        both: Whether the range is to reach as far below zero as above. Those of a sigmoid may all be on one side in
            calibration; 8 bits would know no other answer.
    """
    roomy = dict(statistics)
    for name in names:
        each = statistics[name]
        low, high = each.minmax
        far = (1 + room) * max(abs(low), abs(high))
        span = (-far, far) if both else (low, high + room * (high - low))
        roomy[name] = Statistics(span, dict.fromkeys(each.percentiles, span), span)
    return roomy


def _widest(group: list[Statistics]) -> Statistics:
    percentiles = {name: _hull([s.percentiles[name] for s in group]) for name in group[0].percentiles}
    least = [s.mse for s in group if s.mse is not None]
    return Statistics(_hull([s.minmax for s in group]), percentiles, _hull(least) if least else None)


def _hull(ranges: Iterable[Range]) -> Range:
    lows, highs = zip(*ranges, strict=True)
    return min(lows), max(highs)


def choose(statistics: Mapping[str, Statistics], rule: str) -> dict[str, Range]:
    """The range of each layer by `rule`; UsageError if the statistics lack what it needs."""
    return {name: each.minmax if name == OUTPUT else _chosen(each, rule) for name, each in statistics.items()}


def _chosen(statistics: Statistics, rule: str) -> Range:
    if rule == MINMAX:
        return statistics.minmax
    percent = rule.partition(":")[2]
    chosen: Any = statistics.mse if rule == MSE else statistics.percentiles.get(f"{float(percent):g}")
    if chosen is None:
        known = ", ".join((MINMAX, *(f"{PERCENTILE}:{name}" for name in statistics.percentiles)))
        raise UsageError(f"The calibration.json has no range by {rule}. It has: {known}. Calibrate with pictures.")
    low, high = chosen
    return low, high
