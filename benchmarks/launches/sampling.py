"""Takes times: runs an engine again and again on inputs in rotation, and nothing else while the clock runs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.benchmarks.launches.records import Pace, as_json
from edge_squeeze.benchmarks.machine.telemetry import Telemetry
from edge_squeeze.engines.engine import Array, Engine

clock = time.perf_counter_ns
Feed = Iterator[list[Array]]
SECOND = 1_000_000_000
MOST_SAMPLES = 1 << 20  # room for five minutes of a network that takes 0.3 ms
INVOKE_SHARE = 4  # the engine alone gets a quarter of the time that the samples took
MOST_INVOKED = 50
PROBED = bytes(1 << 20)
PROBES, TIMER_READS = 5, 1000


@dataclass
class Samples:
    """Times in nanoseconds as they come, with the telemetry at the edges of blocks."""

    taken: NDArray[np.int64] = field(default_factory=lambda: np.zeros(MOST_SAMPLES, np.int64))
    count: int = 0
    ends: list[int] = field(default_factory=list)
    readings: list[dict[str, Any]] = field(default_factory=list)

    def listed(self) -> list[int]:
        """The times taken."""
        return [int(one) for one in self.taken[: self.count]]


def repeat(
    engine: Engine, feed: Feed, telemetry: Telemetry, bounds: tuple[int, float, float], block_s: float
) -> Samples:
    """Samples of host arrays in to host arrays out, in blocks: at least `bounds`' runs and seconds, or its cap."""
    runs, seconds, cap_s = bounds
    samples, start = Samples(), clock()
    samples.readings.append(as_json(telemetry.read()))
    while cap_s > 0 and samples.count < MOST_SAMPLES:
        _block(engine.run, feed, samples, clock() + int(block_s * SECOND))
        samples.ends.append(samples.count)
        samples.readings.append(as_json(telemetry.read()))
        spent = (clock() - start) / SECOND
        if (samples.count >= runs and spent >= seconds) or spent >= cap_s:
            break
    return samples


def _block(run: Callable[[list[Array]], object], feed: Feed, samples: Samples, until: int) -> None:
    taken, at, stop = samples.taken, samples.count, 0
    while stop < until and at < MOST_SAMPLES:
        given = next(feed)
        start = clock()
        run(given)
        stop = clock()
        taken[at] = stop - start
        at += 1
    samples.count = at


def paced(engine: Engine, feed: Feed, telemetry: Telemetry, pace: Pace) -> tuple[Samples, list[int]]:
    """Samples of frames that come `pace.rate` times a second, and the time from when each was due to its end.

    A frame that waits for a slow one before it is late by that wait, too: leaving it out would hide every stall.
    """
    samples, response, period = Samples(), [], int(SECOND / (pace.rate or 1))
    samples.readings.append(as_json(telemetry.read()))
    due = clock() + period
    for at in range(pace.runs):
        time.sleep(max(0, due - clock()) / SECOND)
        start = clock()
        engine.run(next(feed))
        stop = clock()
        samples.taken[at] = stop - start
        response.append(stop - due)
        due += period
    samples.count = pace.runs
    samples.ends.append(samples.count)
    samples.readings.append(as_json(telemetry.read()))
    return samples, response


def invoke_only(engine: Engine, one: list[Array], samples: Samples) -> list[int]:
    """What the engine alone takes, its inputs bound and its outputs left where they are."""
    engine.bind(one)
    times: list[int] = []
    until = clock() + int(samples.taken[: samples.count].sum()) // INVOKE_SHARE
    while len(times) < MOST_INVOKED and (not times or clock() < until):
        times.append(timed(engine.invoke))
    return times


def timed(work: Callable[[], object]) -> int:
    """Nanoseconds that `work` takes."""
    start = clock()
    work()
    return clock() - start


def timer_ns() -> int:
    """What the two readings of the clock around an inference take by themselves."""
    return int(median(timed(int) for _ in range(TIMER_READS)))


def probe() -> int:
    """Nanoseconds that a fixed piece of work takes at its best: it tells a change of clock where nothing else does.

    A hash, since it neither depends on memory nor on what the interpreter has learned: Python's own arithmetic differs
    by a tenth between two moments of one process at the same clock.
    """
    return min(timed(lambda: hashlib.sha256(PROBED).digest()) for _ in range(PROBES))
