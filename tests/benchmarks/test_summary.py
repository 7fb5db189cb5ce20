from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from synthetic import MS, a_launch, a_memory_launch, launches

from edge_squeeze.benchmarks import intervals
from edge_squeeze.benchmarks.launch_records import PACED, SUSTAINED, Launch
from edge_squeeze.benchmarks.summary import Sustained, peak_rss, samples_ms, summarize, timed

LEVEL = 0.95
COSTS = ("cpu_ns", "wall_ns", "import_ns", "load_init_ns", "first_ns")
LAUNCHES = [
    a_launch(samples, at, invoke_only_ns=[value * MS for value in invoked], **dict(zip(COSTS, costs, strict=True)))
    for at, (samples, invoked, costs) in enumerate(
        [
            ([2, 1, 3], [1, 1, 4], [6 * MS, 6 * MS, 10 * MS, 5 * MS, 9 * MS]),
            ([4, 4, 10], [3, 3, 3], [15 * MS, 12 * MS, 60 * MS, 1 * MS, 7 * MS]),
            ([16, 8, 24], [9, 2, 11], [90 * MS, 45 * MS, 20 * MS, 9 * MS, 50 * MS]),
        ]
    )
]
MEMORY_LAUNCHES = [
    dataclasses.replace(a_memory_launch(peak, at), load_init_ns=load * MS)
    for at, (peak, load) in enumerate([(61_000_000, 40), (65_000_000, 90), (90_000_000, 60)])
]


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        ("p50_ms", (2 * 4 * 16) ** (1 / 3)),
        ("median_of_medians_ms", 4),
        ("mean_ms", 8),  # of 2, 6 and 16
        ("mad_ms", 1),  # of 1, 0 and 8
        ("floor_ms", 1),
        ("n_launches", 3),
        ("n_samples", 9),
        ("launches_for_2_percent", intervals.launches_for_precision([2, 4, 16])),
        ("invoke_only_ms", 3),  # of 1, 3 and 9
        ("cpu_ms", 5),  # of 2, 5 and 30
        ("cores_busy", 1.25),  # of 1, 1.25 and 2
        ("import_ms", 20),
        ("load_init_ms", 5),
        ("cold_load_ms", 60),  # of 40, 90 and 60
        ("first_ms", 9),
        ("peak_rss_bytes", 15_000_000),  # of 11, 15 and 40 million
        ("throughput_ips", 1000 / (2 * 4 * 16) ** (1 / 3)),
        ("p90_ms", None),
        ("p90_upper99_ms", None),
        ("sustained", None),
        ("paced", None),
    ],
)
def test_every_figure_by_hand(figure: str, expected: float | None) -> None:
    value = getattr(summarize([*LAUNCHES, *MEMORY_LAUNCHES], LEVEL), figure)
    assert value == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("level", [0.95, 0.97])
def test_the_interval_is_that_of_all_launches_at_the_level(level: float) -> None:
    expected = intervals.interval([np.array([2.0, 1, 3]), np.array([4.0, 4, 10]), np.array([16.0, 8, 24])], level)
    summary = summarize([*MEMORY_LAUNCHES, *LAUNCHES], level)
    assert expected is not None
    assert (summary.p50_ci95, summary.ci_method) == ([expected.low, expected.high], expected.method)
    assert summary.rel_half_width == expected.half_width


def test_two_launches_give_no_interval_and_no_advice() -> None:
    summary = summarize(LAUNCHES[:2], LEVEL)
    assert summary.p50_ms == pytest.approx(8**0.5)
    unknown = (summary.p50_ci95, summary.ci_method, summary.rel_half_width, summary.launches_for_2_percent)
    assert unknown == (None,) * 4


@pytest.mark.parametrize(
    ("samples", "known"),
    [(28, []), (29, ["p90"]), (58, ["p90"]), (59, ["p90", "p95"]), (298, ["p90", "p95"]), (299, ["p90", "p95", "p99"])],
)
def test_percentiles_need_samples_that_support_them(samples: int, known: list[str]) -> None:
    half = samples // 2
    summary = summarize([a_launch([1.0] * half), a_launch([1.0] * (samples - half), 1)], LEVEL)
    assert [name for name in ("p90", "p95", "p99") if getattr(summary, f"{name}_ms") is not None] == known


def test_percentiles_are_those_of_the_samples() -> None:
    summary = summarize([a_launch(np.random.default_rng(0).permutation(np.arange(1, 1001)))], LEVEL)
    assert (summary.p90_ms, summary.p95_ms, summary.p99_ms) == (900, 950, 990)
    assert summary.p90_upper99_ms is not None
    assert 910 < summary.p90_upper99_ms < 930


@pytest.mark.parametrize(("samples", "expected"), [(63, None), (64, 64)])
def test_the_upper_bound_needs_64_samples_of_all_launches(samples: int, expected: float | None) -> None:
    values = list(range(1, samples + 1))
    assert summarize([a_launch(values[:30]), a_launch(values[30:], 1)], LEVEL).p90_upper99_ms == expected


def test_outliers_are_counted_within_their_launch_and_kept() -> None:
    quiet = list(np.linspace(10, 11, 50))  # quartiles 0.5 apart: fences 0.75 and 1.5 beyond them
    summary = summarize([a_launch([*quiet, 11.7, 5.0]), a_launch([2 * value for value in quiet], 1)], LEVEL)
    assert (summary.outliers.mild, summary.outliers.severe) == (1, 1)
    assert (summary.floor_ms, summary.n_samples) == (5, 102)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], None),
        ([{"peak_rss_bytes": None}], None),
        ([{"baseline_rss_bytes": None}], None),
        ([{"peak_rss_bytes": None}, {}], 20_000_000),
        ([{}, {"peak_rss_bytes": 51_000_000}, {"peak_rss_bytes": 99_000_000}], 20_000_000),
    ],
)
def test_memory_comes_from_memory_launches_that_know_it(changes: list[dict[str, Any]], expected: int | None) -> None:
    memory_launches = [dataclasses.replace(a_memory_launch(), **change) for change in changes]
    assert peak_rss([*launches([10] * 3), *memory_launches]) == expected
    assert summarize([*launches([10] * 3), *memory_launches], LEVEL).peak_rss_bytes == expected


def test_loading_from_the_disk_is_unknown_without_memory_launches() -> None:
    assert summarize(LAUNCHES, LEVEL).cold_load_ms is None


def test_launches_are_put_in_the_order_of_their_rounds() -> None:
    ordered = [*launches(np.linspace(10, 12, 8)), *MEMORY_LAUNCHES]
    mixed = random.Random(0).sample(ordered, len(ordered))
    assert [launch.round for launch in mixed if launch.samples_ns] != list(range(8))
    assert [launch.round for launch in timed(mixed)] == list(range(8))
    assert summarize(mixed, LEVEL) == summarize(ordered, LEVEL)


def test_only_launches_that_were_timed_and_took_samples_count() -> None:
    memory = dataclasses.replace(a_memory_launch(), samples_ns=[5 * MS])
    empty = dataclasses.replace(a_launch([1.0]), samples_ns=[])
    (launch,) = launches([10])
    assert timed([memory, launch, empty]) == [launch]


def test_samples_are_told_in_milliseconds() -> None:
    assert [list(samples) for samples in samples_ms([a_launch([1.5, 2])])] == [[1.5, 2]]


def long_run(*stretches: tuple[float, float], noise: float = 0.0, seed: int = 0) -> Sustained:
    """A run of stretches, each of so many seconds at so many milliseconds."""
    rng = np.random.default_rng(seed)
    parts = [ms * np.exp(rng.normal(0, noise, round(seconds * 1000 / ms))) for seconds, ms in stretches]
    sustained = summarize([a_launch(np.concatenate(parts), kind=SUSTAINED)], LEVEL).sustained
    assert sustained is not None
    return sustained


@pytest.mark.parametrize("noise", [0, 0.02])
@pytest.mark.parametrize(
    ("stretches", "ratio", "t_throttle_s"),
    [
        ([(300, 50), (295, 75)], 1.5, 300),
        ([(595, 50)], 1.0, None),
        ([(200, 50), (200, 75), (195, 50)], 1.0, None),
        ([(100, 50), (100, 75), (100, 50), (295, 75)], 1.5, 300),
        ([(300, 75), (295, 50)], 1.0, None),
        ([(150, 50), (445, 54)], 1.08, None),
        ([(150, 50), (445, 56)], 1.12, 150),
        ([(30, 50), (25, 75)], 1.5, 30),
        ([(3, 5), (6, 10)], 2, 3),  # shorter than three windows of ten seconds
    ],
)
def test_a_long_run_tells_when_it_throttled_for_good(
    stretches: Sequence[tuple[float, float]], ratio: float, t_throttle_s: float | None, noise: float
) -> None:
    sustained = long_run(*stretches, noise=noise)
    assert sustained.ratio == pytest.approx(ratio, rel=0.01 if noise else 1e-6)
    assert sustained.ratio == sustained.steady_ms / sustained.peak_ms
    assert sustained.t_throttle_s == (None if t_throttle_s is None else pytest.approx(t_throttle_s, abs=1))


@pytest.mark.parametrize(
    ("seconds", "steady_ms"),  # how long the end takes, and what most inferences of the last 120 s take
    [(75, 80), (55, 60)],
)
def test_the_peak_is_the_best_stretch_and_steady_the_last_fifth(seconds: float, steady_ms: float) -> None:
    sustained = long_run((100, 50), (100, 40), (400 - seconds, 60), (seconds, 80))
    assert (sustained.peak_ms, sustained.steady_ms) == (40, steady_ms)


def test_a_single_slow_sample_is_no_throttling() -> None:
    sustained = summarize([a_launch([50.0] * 5000 + [5000.0] + [50.0] * 5000, kind=SUSTAINED)], LEVEL).sustained
    assert sustained is not None
    assert (sustained.ratio, sustained.t_throttle_s) == (1, None)


def test_the_curve_has_seconds_and_milliseconds_of_at_most_sixty_stretches() -> None:
    curve = long_run((300, 50), (300, 75)).curve
    assert len(curve) == 60
    assert curve[:2] == [[0, 50], [10, 50]]
    assert curve[-1] == [590, 75]
    assert len(long_run((300, 50), (315, 75)).curve) == 31  # of 61 stretches, every other


def test_a_long_run_of_one_inference_has_a_curve_of_one_point() -> None:
    sustained = summarize([a_launch([700_000.0], kind=SUSTAINED)], LEVEL).sustained
    assert sustained == Sustained(700_000.0, 700_000.0, 1.0, None, [[0.0, 700_000.0]])


def paced(service: Sequence[float], response: Sequence[float], back: Sequence[float], **changes: Any) -> Launch:
    lists = {"response_ns": [round(ms * MS) for ms in response], "back_to_back_ns": [round(ms * MS) for ms in back]}
    return a_launch(service, kind=PACED, **{"rate": 50.0, **lists, **changes})


def test_frames_at_a_rate_are_told_by_service_and_by_response() -> None:
    pace = summarize([paced([12] * 50, [13] * 40 + [31] * 10, [8] * 20) for _ in range(3)], LEVEL).paced
    assert pace is not None
    assert (pace.rate, pace.service_p90_ms, pace.response_p90_ms) == (50, 12, 31)
    assert pace.miss_pct == pytest.approx(20)
    assert pace.idle_penalty == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("rate", "late", "expected"),
    [(50.0, 20.0, 0), (50.0, 20.001, 10), (100.0, 11.0, 10), (100.0, 9.9, 0), (None, 999.0, 0), (None, 1001.0, 10)],
)
def test_a_frame_is_missed_if_it_ends_after_the_next_is_due(rate: float | None, late: float, expected: float) -> None:
    pace = summarize([paced([5] * 10, [6] * 9 + [late], [5] * 10, rate=rate)], LEVEL).paced
    assert pace is not None
    assert pace.miss_pct == pytest.approx(expected)


def test_misses_and_the_penalty_are_those_of_all_launches() -> None:
    pace = summarize([paced([8], [30], [4]), paced([9] * 3, [1] * 3, [9] * 5, round=1)], LEVEL).paced
    assert pace is not None
    assert pace.miss_pct == pytest.approx(25)
    assert pace.idle_penalty == pytest.approx(2**0.5)
    assert (pace.service_p90_ms, pace.response_p90_ms) == (None, None)
