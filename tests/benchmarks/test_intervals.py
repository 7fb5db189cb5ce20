"""Intervals of medians, and when they are narrow enough."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from edge_squeeze.benchmarks import intervals
from edge_squeeze.benchmarks.intervals import Interval


def density(t: np.ndarray, df: int) -> np.ndarray:
    scale = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - math.log(df * math.pi) / 2
    return np.exp(scale - (df + 1) / 2 * np.log1p(t**2 / df))


@pytest.mark.parametrize("df", [1, 2, 3, 4, 5, 9, 10, 29, 30, 199])
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0, 2.5, 12.0])
def test_t_is_the_integral_of_its_density(t: float, df: int) -> None:
    grid = np.linspace(0, t, 20001)
    simpson = np.tile([2.0, 4.0], 10001)[:-1]
    simpson[[0, -1]] = 1
    expected = 0.5 + float(simpson @ density(grid, df)) * t / 20000 / 3
    assert intervals.t_cdf(t, df) == pytest.approx(expected, abs=1e-11)
    assert intervals.t_cdf(-t, df) == pytest.approx(1 - expected, abs=1e-11)


@pytest.mark.parametrize(
    ("p", "df", "expected"),
    [
        (0.975, 1, 12.706204736432095),
        (0.975, 2, 4.302652729696144),
        (0.975, 3, 3.182446305284263),
        (0.975, 5, 2.5705818366147395),
        (0.975, 9, 2.2621571627409915),
        (0.975, 10, 2.2281388519649385),
        (0.995, 10, 3.169272672616872),
        (0.95, 20, 1.7247182429207857),
        (0.975, 30, 2.0422724563012373),
        (0.025, 30, -2.0422724563012373),
        (0.975, 100, 1.9839715184496334),
        (0.5, 7, 0.0),
        (0.9999, 1, 1 / math.tan(math.pi * 1e-4)),
    ],
)
def test_quantiles_of_t(p: float, df: int, expected: float) -> None:
    assert intervals.t_quantile(p, df) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_t_of_many_degrees_is_normal() -> None:
    assert intervals.t_quantile(0.975, 100_001) == pytest.approx(statistics.NormalDist().inv_cdf(0.975), abs=1e-4)


@pytest.mark.parametrize("t", [-math.inf, -1e9, 1e9, math.inf])
@pytest.mark.parametrize("df", [1, 2, 7, 40])
def test_the_far_tails_of_t(t: float, df: int) -> None:
    assert intervals.t_cdf(t, df) == pytest.approx(float(t > 0), abs=1e-9)
    assert 0 <= intervals.t_cdf(t, df) <= 1


@pytest.mark.parametrize("p", [0.0, 1.0, -1.0, math.nan])
def test_what_is_no_probability_has_no_quantile(p: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        intervals.t_quantile(p, 3)


def test_the_t_interval_by_hand() -> None:
    low, high = intervals.t_interval([math.exp(x) for x in (1.0, 2.0, 3.0)]) or (0, 0)
    half = 4.302652729696144 / math.sqrt(3)
    assert (math.log(low), math.log(high)) == pytest.approx((2 - half, 2 + half))


def test_two_launches_have_no_interval() -> None:
    two = [np.array([1.0, 2.0])] * 2
    assert intervals.t_interval([1.0, 2.0]) is None
    assert intervals.bootstrap_interval(two) is None
    assert intervals.interval(two) is None
    assert not intervals.precise_enough(two)


def brute_medians(samples: np.ndarray, times: int, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(np.median(rng.choice(samples, (times, len(samples))), axis=1))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9, 10, 50, 51])
def test_medians_of_resamples_are_distributed_as_resampled_ones(n: int) -> None:
    rng = np.random.default_rng(3)
    samples, times = np.exp(rng.standard_normal(n)), 20_000
    drawn = intervals.resampled_medians([samples, samples], rng.integers(2, size=(times, 1)), rng)[:, 0]
    brute = brute_medians(samples, times, rng)
    grid = np.sort(np.concatenate([drawn, brute])) + 1e-12
    gaps = np.abs(np.searchsorted(np.sort(drawn), grid) - np.searchsorted(np.sort(brute), grid)) / times
    assert gaps.max() < 1.95 * math.sqrt(2 / times)  # Kolmogorov-Smirnov at 0.1 %


def test_resamples_come_from_the_launch_that_was_picked() -> None:
    launches = [np.array([1.0, 1.0]), np.array([2.0]), np.array([3.0, 3.0, 3.0])]
    picked = np.array([[0, 1, 2], [2, 2, 0]])
    assert (intervals.resampled_medians(launches, picked, np.random.default_rng(0)) == picked + 1).all()


def test_the_bootstrap_interval_is_that_of_plain_resampling() -> None:
    rng = np.random.default_rng(4)
    launches = [np.exp(0.05 * rng.standard_normal() + 0.1 * rng.standard_normal(n)) for n in (20, 21, 40, 41, 30)]
    picked = rng.integers(5, size=(20_000, 5))
    medians = np.stack([brute_medians(samples, 100_000, rng) for samples in launches])
    logs = np.log(medians[picked, rng.integers(100_000, size=picked.shape)]).mean(axis=1)
    bounds = intervals.bootstrap_interval(launches, resamples=20_000)
    assert bounds == pytest.approx(tuple(np.exp(np.quantile(logs, (0.025, 0.975)))), abs=0.002)


def test_the_bootstrap_interval_repeats_itself_and_obeys_its_seed() -> None:
    launches = [np.exp(np.random.default_rng(i).standard_normal(30)) for i in range(5)]
    assert intervals.bootstrap_interval(launches) == intervals.bootstrap_interval(launches)
    assert intervals.bootstrap_interval(launches) != intervals.bootstrap_interval(launches, seed=1)


@pytest.mark.parametrize(("between", "within", "method"), [(0.1, 0.001, "t"), (0.001, 0.1, "bootstrap")])
def test_the_wider_interval_is_reported(between: float, within: float, method: str) -> None:
    rng = np.random.default_rng(5)
    launches = [np.exp(between * rng.standard_normal() + within * rng.standard_normal(50)) for _ in range(20)]
    interval = intervals.interval(launches)
    both = [
        intervals.t_interval([float(np.median(launch)) for launch in launches]),
        intervals.bootstrap_interval(launches),
    ]
    widths = [math.log(high / low) / 2 for low, high in filter(None, both)]
    assert interval is not None
    assert (interval.half_width, interval.method) == (pytest.approx(max(widths)), method)


def test_samples_in_nanoseconds_may_be_whole() -> None:
    launches = [np.array([10, 11, 12, 13]) + i for i in range(4)]
    assert intervals.interval(launches) == intervals.interval([launch.astype(float) for launch in launches])


def test_the_half_width_is_relative() -> None:
    assert Interval(98, 102, "t").half_width == pytest.approx(0.02, rel=1e-3)


def test_launches_without_spread_are_precise() -> None:
    assert intervals.precise_enough([np.array([2.0, 2.0])] * 3, target=0)


@pytest.mark.parametrize(("target", "enough"), [(0.02, True), (0.01, False)])
def test_precision_is_judged_by_the_half_width(target: float, enough: bool) -> None:
    launches = [np.array([x]) for x in (1.0, 1.01, 1.02, 1.0, 1.01, 1.02)]  # +-0.93 % at 95, +-1.2 % at 97 %
    assert intervals.precise_enough(launches, target, level=0.97) is enough
    assert intervals.precise_enough(launches, 0.01, level=0.95)


@pytest.mark.parametrize(
    ("floor", "cap", "level"),
    [
        (3, 6, 0.97),
        (4, 8, 0.97),
        (5, 10, 0.96),
        (10, 20, 0.96),
        (20, 40, 0.96),
        (10, 10, 0.95),
        (3, 3, 0.95),
        (1, 1, 0.95),
    ],
)
def test_only_an_adaptive_stop_raises_the_level(floor: int, cap: int, level: float) -> None:
    assert intervals.stop_level(floor, cap) == level


@pytest.mark.parametrize(
    ("deviation", "half_width", "launches"), [(0.02, 0.02, 4), (0.05, 0.02, 25), (0.1, 0.02, 97), (0.0, 0.02, 3)]
)
def test_launches_for_a_precision_by_hand(deviation: float, half_width: float, launches: int) -> None:
    medians = [math.exp(x * deviation) for x in (-1.0, 0.0, 1.0)]
    assert intervals.launches_for_precision(medians, half_width) == launches


def test_launches_for_a_precision_are_at_least_those_of_an_interval() -> None:
    assert intervals.launches_for_precision([]) == intervals.launches_for_precision([1.0]) == 3


def medians_of(rng: np.random.Generator, cv: float, n: int, tails: int | None) -> list[float]:
    """Launch medians about 1: log-normal, or with logarithms of Student's t with `tails` degrees of freedom."""
    noise = rng.standard_t(tails, n) / math.sqrt(tails / (tails - 2)) if tails else rng.standard_normal(n)
    return [math.exp(x) for x in math.sqrt(math.log1p(cv**2)) * noise]


def coverage(floor: int, cap: int, cv: float, tails: int | None = None, level: float | None = None) -> float:
    """The share of 2000 sessions whose printed t interval, never wider than the printed one, holds the truth."""
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(2000):
        medians = medians_of(rng, cv, cap, tails)
        for n in range(floor, cap + 1):
            low, high = intervals.t_interval(medians[:n], level or intervals.stop_level(floor, cap)) or (0, 0)
            if Interval(low, high, "t").half_width <= intervals.PRECISION:
                break
        covered += low <= 1 <= high
    return covered / 2000


@pytest.mark.parametrize("launches", [3, 10])
@pytest.mark.parametrize("cv", [0.01, 0.1])
def test_the_t_interval_covers_95_percent(launches: int, cv: float) -> None:
    assert 0.93 <= coverage(launches, launches, cv) <= 0.97


HARDEST = [(3, 6, 0.025), (10, 20, 0.04), (20, 40, 0.06)]


OFTEN_CV, RARE_CV = (0.005, 0.025, 0.04, 0.06, 0.1), (0.01, 0.02, 0.03, 0.05)


@pytest.mark.parametrize("cv", [*OFTEN_CV, *(pytest.param(cv, marks=pytest.mark.slow) for cv in RARE_CV)])
@pytest.mark.parametrize(("floor", "cap"), [(3, 6), (10, 20), (20, 40)])
def test_stopping_when_precise_keeps_the_coverage(floor: int, cap: int, cv: float) -> None:
    assert coverage(floor, cap, cv) >= 0.935


@pytest.mark.parametrize(("floor", "cap", "cv"), HARDEST)
def test_stopping_when_precise_keeps_the_coverage_with_heavy_tails(floor: int, cap: int, cv: float) -> None:
    assert coverage(floor, cap, cv, tails=3) >= 0.94


def test_without_the_raised_level_stopping_would_lose_coverage() -> None:
    assert coverage(3, 6, 0.025, level=0.95) < 0.93


@pytest.mark.parametrize(("floor", "cap", "cv"), HARDEST[:2])
def test_what_is_printed_after_an_adaptive_stop_covers(floor: int, cap: int, cv: float) -> None:
    rng = np.random.default_rng(7)
    covered, level = 0, intervals.stop_level(floor, cap)
    for _ in range(500):
        launches = [median * np.exp(0.02 * rng.standard_normal(11)) for median in medians_of(rng, cv, cap, None)]
        for n in range(floor, cap + 1):
            interval = intervals.interval(launches[:n], level, resamples=199)
            assert interval is not None
            if interval.half_width <= intervals.PRECISION:
                break
        covered += interval.low <= 1 <= interval.high
    assert covered / 500 >= 0.93
