"""How times are taken, on a clock that moves only when something runs or sleeps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from synthetic import a_reading

from edge_squeeze.benchmarks.launches import sampling
from edge_squeeze.benchmarks.launches.records import Pace

MS = 1_000_000
FEED = [np.zeros(1)]


class Clock:
    """Nanoseconds, an engine that takes some of them for each of its runs, and the telemetry beside it."""

    def __init__(self, runs_ms: Sequence[float]) -> None:
        self.now, self.runs_ms = 0, itertools.chain(runs_ms, itertools.repeat(runs_ms[-1]))
        self.fed: list[Any] = []

    def __call__(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1000 * MS)

    def run(self, arrays: Any) -> None:
        self.fed.append(arrays)
        self.now += round(next(self.runs_ms) * MS)

    def read(self) -> Any:
        return a_reading(0)


def at(monkeypatch: pytest.MonkeyPatch, *runs_ms: float) -> Any:
    clock = Clock(runs_ms)
    monkeypatch.setattr(sampling, "clock", clock)
    monkeypatch.setattr(sampling.time, "sleep", clock.sleep)
    return clock


def test_a_stall_delays_the_frames_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = at(monkeypatch, 2, 25, 2, 2, 2)
    pace = Pace(0, 0, 0, runs=5, seconds=0, cap_s=0, rate=100)
    samples, response = sampling.paced(clock, itertools.repeat(FEED), clock, pace)
    assert samples.listed() == [2 * MS, 25 * MS, 2 * MS, 2 * MS, 2 * MS]
    assert response == [2 * MS, 25 * MS, 17 * MS, 9 * MS, 2 * MS]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [((20, 0.05, 5), 20), ((5, 0.3, 5), 30), ((1000, 9, 0.2), 20), ((0, 0, 0), 0)],
)
def test_runs_go_on_until_both_floors_or_the_cap(
    monkeypatch: pytest.MonkeyPatch, bounds: tuple[int, float, float], expected: int
) -> None:
    clock = at(monkeypatch, 10)
    samples = sampling.repeat(clock, itertools.repeat(FEED), clock, bounds, block_s=0.05)
    assert samples.count == expected
    assert samples.listed() == [10 * MS] * expected
    assert samples.ends == list(range(5, expected + 1, 5))
    assert len(samples.readings) == len(samples.ends) + 1


def test_inputs_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = at(monkeypatch, 10)
    sampling.repeat(clock, itertools.cycle("abc"), clock, (7, 0, 5), block_s=0.07)  # type: ignore[arg-type]
    assert "".join(clock.fed) == "abcabca"
