"""Latencies of several calls that take turns, so that whatever else the machine does slows all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

RUNS = 5  # in a turn, of which the shortest counts
LOW = 10  # percentile of the turns: what a call takes where no other program is in its way
RESAMPLES = 1000


def latencies(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Any]:
    """The shortest of RUNS latencies in ms, in each of `rounds` in which every call has its turn: name -> [rounds]."""
    rng = np.random.default_rng(0)
    for call in calls.values():
        call()
    turns: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name in rng.permutation([*calls]):
            times = []
            for _ in range(RUNS):
                start = time.perf_counter()
                calls[name]()
                times.append(1e3 * (time.perf_counter() - start))
            turns[name].append(min(times))
    return {name: np.array(values) for name, values in turns.items()}


def typical(turns: Any) -> float:
    """The latency that stands for these turns, in ms."""
    return float(np.percentile(turns, LOW))


def ratio(fast: Any, slow: Any) -> tuple[float, tuple[float, float]]:
    """How the latencies compare, and the interval that 95 % of resampled rounds give."""
    rng = np.random.default_rng(1)
    drawn = [rng.integers(0, len(fast), len(fast)) for _ in range(RESAMPLES)]
    low, high = np.percentile([typical(fast[rows]) / typical(slow[rows]) for rows in drawn], [2.5, 97.5])
    return round(typical(fast) / typical(slow), 3), (round(float(low), 3), round(float(high), 3))
