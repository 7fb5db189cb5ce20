"""The figures of one arm, computed from what its launches kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import geometric_mean, median

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.benchmarks import intervals, stats
from edge_squeeze.benchmarks.launch_records import MEMORY, PACED, SUSTAINED, Launch

MS = 1e6  # nanoseconds
WINDOW_S = 10.0  # the speed of a moment, in a sustained run, is the median of so long
CURVE_POINTS = 60
STEADY_SHARE = 0.2  # the end of a sustained run that counts as steady
THROTTLED = 1.1  # times the peak's latency


@dataclass(frozen=True)
class Sustained:
    """How speed held over a long run. `curve` has [seconds, ms] for each stretch."""

    peak_ms: float
    steady_ms: float
    ratio: float
    t_throttle_s: float | None  # from when on it never came back to within 10 % of its peak
    curve: list[list[float]]


@dataclass(frozen=True)
class Paced:
    """Frames at a fixed rate: `service` is the inference alone, `response` counts from when a frame was due."""

    rate: float
    service_p90_ms: float | None
    response_p90_ms: float | None
    miss_pct: float  # frames that were not done when the next was due
    idle_penalty: float  # times slower than without pauses, in the same process


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The figures of an arm; None where there are too few samples for one.

    `p50_ms` is the geometric mean of the launch medians, the figure that comparisons compare.
    """

    p50_ms: float
    p50_ci95: list[float] | None
    ci_method: str | None
    rel_half_width: float | None
    median_of_medians_ms: float
    p90_ms: float | None
    p90_upper99_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    mean_ms: float
    mad_ms: float
    floor_ms: float  # the best case, not the typical one
    n_launches: int
    n_samples: int
    launches_for_2_percent: int | None
    outliers: stats.Outliers
    invoke_only_ms: float
    cpu_ms: float  # processor time of all threads for one inference
    cores_busy: float
    import_ms: float
    load_init_ms: float
    cold_load_ms: float | None  # the same with the file read from the disk
    first_ms: float
    peak_rss_bytes: int | None  # beyond what Python and the imported engine take
    throughput_ips: float
    sustained: Sustained | None = None
    paced: Paced | None = None


def timed(launches: Sequence[Launch]) -> list[Launch]:
    """Those of `launches` that took samples, in the order of their rounds."""
    return sorted(
        (launch for launch in launches if launch.kind != MEMORY and launch.samples_ns), key=lambda launch: launch.round
    )


def samples_ms(launches: Sequence[Launch]) -> list[NDArray[np.float64]]:
    """The samples of each launch in milliseconds."""
    return [np.array(launch.samples_ns) / MS for launch in launches]


def count(launch: Launch) -> int:
    """How many inferences the samples of `launch` are, or were."""
    return launch.inferences or len(launch.samples_ns)


def summarize(launches: Sequence[Launch], level: float) -> Summary:
    """The figures of an arm's `launches`, the interval made at confidence `level`."""
    runs = timed(launches)
    samples = samples_ms(runs)
    medians, pooled = stats.medians(samples), np.concatenate(samples)
    interval = intervals.interval(samples, level)
    p50 = geometric_mean(medians)
    return Summary(
        p50_ms=p50,
        p50_ci95=None if interval is None else [interval.low, interval.high],
        ci_method=None if interval is None else interval.method,
        rel_half_width=None if interval is None else interval.half_width,
        median_of_medians_ms=median(medians),
        p90_ms=stats.percentile(samples, 0.90),
        p90_upper99_ms=stats.p90_upper99(pooled),
        p95_ms=stats.percentile(samples, 0.95),
        p99_ms=stats.percentile(samples, 0.99),
        mean_ms=float(np.mean([of_launch.mean() for of_launch in samples])),
        mad_ms=median(float(np.median(np.abs(of_launch - np.median(of_launch)))) for of_launch in samples),
        floor_ms=float(pooled.min()),
        n_launches=len(runs),
        n_samples=sum(map(count, runs)),
        launches_for_2_percent=intervals.launches_for_precision(medians) if len(runs) >= intervals.FEWEST else None,
        outliers=stats.outliers(samples),
        **_costs(runs),
        cold_load_ms=_cold_load_ms(launches),
        peak_rss_bytes=peak_rss(launches),
        throughput_ips=1e3 / p50,
        sustained=max(map(_sustained, samples), key=lambda run: run.ratio) if runs[0].kind == SUSTAINED else None,
        paced=_paced(runs) if runs[0].kind == PACED else None,
    )


def _costs(runs: Sequence[Launch]) -> dict[str, float]:
    return {
        "invoke_only_ms": geometric_mean([median(launch.invoke_only_ns) / MS for launch in runs]),
        "cpu_ms": median(launch.cpu_ns / count(launch) / MS for launch in runs),
        "cores_busy": median(launch.cpu_ns / launch.wall_ns for launch in runs),
        "import_ms": median(launch.import_ns / MS for launch in runs),
        "load_init_ms": median(launch.load_init_ns / MS for launch in runs),
        "first_ms": median(launch.first_ns / MS for launch in runs),
    }


def _cold_load_ms(launches: Sequence[Launch]) -> float | None:
    """Median over the launches before which the system was made to forget the file."""
    times = [launch.load_init_ns / MS for launch in launches if launch.cold]
    return median(times) if times else None


def peak_rss(launches: Sequence[Launch]) -> int | None:
    """Median over the memory launches of the peak beyond what the process had with the engine imported, in bytes."""
    peaks = [
        launch.peak_rss_bytes - launch.baseline_rss_bytes
        for launch in launches
        if launch.kind == MEMORY and launch.peak_rss_bytes is not None and launch.baseline_rss_bytes is not None
    ]
    return int(median(peaks)) if peaks else None


def _sustained(samples: NDArray[np.float64]) -> Sustained:
    at_s = np.cumsum(samples) / 1e3
    length = min(WINDOW_S, at_s[-1] / 3)
    edges = np.arange(int(at_s[-1] / length)) * length  # what is left at the end belongs to the last window
    begun_s = at_s - samples / 1e3
    parts = zip(edges, np.split(samples, np.searchsorted(begun_s, edges[1:])), strict=True)
    windows = [(float(edge), float(np.median(part))) for edge, part in parts if len(part)]
    peak = min(value for _, value in windows)
    steady = float(np.median(samples[at_s >= at_s[-1] * (1 - STEADY_SHARE)]))
    curve = [[round(edge, 1), value] for edge, value in windows[:: -(-len(windows) // CURVE_POINTS)]]
    return Sustained(peak, steady, steady / peak, _throttled_from(windows, THROTTLED * peak), curve)


def _throttled_from(windows: Sequence[tuple[float, float]], limit: float) -> float | None:
    """The first of the seconds from which on every window was slower than `limit`."""
    since = None
    for edge, value in reversed(windows):
        if value <= limit:
            break
        since = round(edge, 1)
    return since


def _paced(runs: Sequence[Launch]) -> Paced:
    response = [np.array(launch.response_ns) / MS for launch in runs]
    back = [np.array(launch.back_to_back_ns) / MS for launch in runs]
    rate = runs[0].rate or 1.0
    late = np.concatenate(response) > 1e3 / rate
    penalty = geometric_mean(stats.medians(samples_ms(runs))) / geometric_mean(stats.medians(back))
    p90 = [stats.percentile(values, 0.9) for values in (samples_ms(runs), response)]
    return Paced(rate, p90[0], p90[1], float(late.mean() * 100), penalty)
