"""Figures of samples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_squeeze.benchmarks import stats
from edge_squeeze.benchmarks.stats import Launches, Outliers

RNG_SEED = 20


def one_sample_each(values: np.ndarray) -> list[np.ndarray]:
    """Launches of which only a median is known."""
    return list(np.asarray(values, np.float64)[:, None])


def share(outcomes: list[bool]) -> float:
    return sum(outcomes) / len(outcomes)


def test_medians_are_taken_per_launch() -> None:
    assert stats.medians([np.array([3, 1, 2]), np.array([4.0, 5.0])]) == [2, 4.5]


@pytest.mark.parametrize(("q", "fewest"), [(0.9, 29), (0.95, 59), (0.99, 299), (0.999, 2995)])
def test_a_percentile_needs_samples_that_bound_it(q: float, fewest: int) -> None:
    assert stats.percentile([np.arange(1.0, fewest)], q) is None
    assert stats.percentile([np.arange(1.0, fewest), np.array([1.0])], q) is not None


def test_a_percentile_of_nothing_is_unknown() -> None:
    assert stats.percentile([], 0.9) is None


@pytest.mark.parametrize(("q", "expected"), [(0.5, 50), (0.9, 90), (0.901, 91), (0.95, 95)])
def test_a_percentile_is_the_smallest_sample_that_enough_do_not_exceed(q: float, expected: float) -> None:
    assert stats.percentile([np.random.default_rng(0).permutation(np.arange(1, 101))], q) == expected


def test_launches_count_the_same_in_a_percentile_however_many_samples_they_have() -> None:
    launches: Launches = [np.full(1000, 1.0), np.full(20, 2.0), np.full(20, 3.0)]
    assert stats.percentile(launches, 0.5) == 2
    assert stats.percentile(launches, 0.9) == 3


@pytest.mark.parametrize(("allowed", "queries"), [(0, 44), (1, 64), (2, 81), (5, 127), (10, 197), (20, 325)])
def test_early_stopping_allows_what_mlperf_allows(allowed: int, queries: int) -> None:
    assert stats.overlatency_allowed(queries) == allowed
    assert stats.overlatency_allowed(queries - 1) == allowed - 1


@pytest.mark.parametrize(("n", "expected"), [(64, 64), (80, 80), (81, 80), (127, 123), (325, 306)])
def test_the_early_stopping_estimate_is_the_sample_that_loadgen_takes(n: int, expected: float) -> None:
    assert stats.p90_upper99(np.random.default_rng(0).permutation(np.arange(1, n + 1))) == expected


def test_early_stopping_needs_64_samples() -> None:
    assert stats.p90_upper99(np.arange(1, 64)) is None


@pytest.mark.parametrize("n", [64, 100, 5000])
def test_the_early_stopping_estimate_is_above_the_percentile_at_99_percent(n: int) -> None:
    rng = np.random.default_rng(RNG_SEED)
    assert share([(stats.p90_upper99(rng.random(n)) or 0) >= 0.9 for _ in range(1000)]) >= 0.985


SPREAD = [10.0, 11.0, 12.0, 13.0, 14.0] * 4  # quartiles 11 and 13: mild beyond 8 and 16, severe beyond 5 and 19


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ([], Outliers(0, 0)),
        ([16.0, 8.0], Outliers(0, 0)),
        ([16.1, 7.9], Outliers(2, 0)),
        ([19.1], Outliers(0, 1)),
        ([17.5, 100.0, 0.1], Outliers(1, 2)),
    ],
)
def test_outliers_are_counted_by_tukeys_fences(extra: list[float], expected: Outliers) -> None:
    assert stats.outliers([np.array(SPREAD + extra)]) == expected


def test_outliers_are_those_of_their_own_launch() -> None:
    slow = [value * 3 for value in SPREAD]
    assert stats.outliers([np.array(SPREAD), np.array(slow)]) == Outliers(0, 0)
    assert stats.outliers([np.array([*SPREAD, 100.0]), np.array([*slow, 300.0])]) == Outliers(0, 2)


def test_outliers_among_equal_samples() -> None:
    assert stats.outliers([np.array([7] * 9 + [8]), np.array([7])]) == Outliers(0, 1)


@pytest.mark.parametrize("launches", [2, 3, 10, 40])
@pytest.mark.parametrize("change", [0.1, -0.2, 0.0])
def test_drift_is_the_change_from_the_first_launch_to_the_last(launches: int, change: float) -> None:
    assert stats.drift(list(5 * np.geomspace(1, 1 + change, launches))) == pytest.approx(change)


def test_one_launch_apart_is_no_drift() -> None:
    assert stats.drift([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0]) == 0
    assert stats.drift([1.0]) == stats.drift([]) == 0


def sessions(n: int, noise: float, drift: float = 0.0, times: int = 1000) -> np.ndarray:
    """Launch medians [times,n] that change linearly by the share `drift`."""
    rng = np.random.default_rng(RNG_SEED)
    return np.exp(noise * rng.standard_normal((times, n))) * np.linspace(1, 1 + drift, n)


@pytest.mark.parametrize("launches", [3, 5, 6, 10, 20, 40])
@pytest.mark.parametrize("noise", [0.01, 0.03, 0.1])
def test_noise_is_no_drift(launches: int, noise: float) -> None:
    assert share([stats.drifts(list(session)) for session in sessions(launches, noise)]) < 0.05


@pytest.mark.parametrize("drift", [0.1, -0.1])
def test_a_drift_of_ten_percent_is_found(drift: float) -> None:
    assert share([stats.drifts(list(session)) for session in sessions(10, 0.01, drift)]) > 0.95


def test_without_the_guard_noise_would_be_called_drift() -> None:
    assert share([abs(stats.drift(list(session))) > stats.DRIFT for session in sessions(10, 0.03)]) > 0.2


def test_a_drift_below_the_threshold_is_none() -> None:
    rise = list(np.linspace(1, 1.02, 10))
    assert not stats.drifts(rise)
    assert stats.drifts(rise, threshold=0.01)


def test_four_launches_tell_no_drift_and_five_do() -> None:
    assert not stats.drifts([1.0, 1.1, 1.2, 1.3])
    assert stats.drifts([1.0, 1.1, 1.2, 1.3, 1.4])


@pytest.mark.parametrize(
    ("values", "chance"),  # exact two-sided p from the numbers of permutations with so many inversions
    [([1, 2, 3, 4, 5], 2 / 120), ([1, 2, 3, 5, 4], 10 / 120), ([2, 1, 3, 4, 5, 6], 12 / 720), ([1, 1, 1], 1), ([], 1)],
)
def test_the_chance_of_a_trend(values: list[float], chance: float) -> None:
    assert stats.trend_chance(values) == pytest.approx(chance, abs=0.012)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [([1, 1, 1, 9, 9, 9, 2, 2, 2], 1.0), ([4, 4, 4, 4, 3, 3], -0.25), ([5], 0.0), ([5, 6], 0.2), ([2, 8, 3], 0.5)],
)
def test_stationarity_compares_the_thirds(samples: list[float], expected: float) -> None:
    assert stats.stationarity(np.array(samples)) == pytest.approx(expected)


def test_the_largest_gap() -> None:
    assert stats.largest_gap(one_sample_each(np.array([1.3, 1.0, 1.04, 1.56]))) == pytest.approx(0.25)
    assert stats.largest_gap([np.array([1.0])]) == stats.largest_gap([]) == 0


def modes(n: int, noise: float, apart: float, odds: float = 0.5, times: int = 1000) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(RNG_SEED)
    slow = rng.random((times, n)) < odds
    return [one_sample_each(row) for row in np.exp(noise * rng.standard_normal((times, n))) * (1 + apart * slow)]


@pytest.mark.parametrize(("noise", "most"), [(0.01, 0.0), (0.03, 0.01), (0.05, 0.02), (0.1, 0.02)])
@pytest.mark.parametrize("launches", [10, 20])
def test_noise_has_one_mode(launches: int, noise: float, most: float) -> None:
    assert share([stats.bimodal(session) for session in modes(launches, noise, 0)]) <= most


def test_two_modes_are_found() -> None:
    assert share([stats.bimodal(session) for session in modes(10, 0.01, 0.15)]) >= 0.95
    assert share([stats.bimodal(session) for session in modes(20, 0.01, 0.15, odds=0.3)]) >= 0.95


TWO_MODES = [1.0, 1.01, 1.0, 1.2, 1.21, 1.2]


@pytest.mark.parametrize(
    ("medians", "expected"),
    [
        (TWO_MODES, True),
        (TWO_MODES[:5], False),  # too few
        ([1.0, 1.01, 1.0, 1.01, 1.0, 1.2], False),  # an outlier
        ([1.0, 1.001, 1.0, 1.04, 1.041, 1.04], False),  # not 5 % apart
        ([1.0, 1.06, 1.0, 1.2, 1.26, 1.2], False),  # too wide themselves
        ([1.0] * 6, False),
    ],
)
def test_two_modes_are_two_narrow_groups_apart(medians: list[float], expected: bool) -> None:
    assert stats.bimodal(one_sample_each(np.array(medians))) is expected


def test_medians_that_are_uncertain_themselves_tell_no_modes() -> None:
    def launches(noise: float) -> list[np.ndarray]:
        return [median * np.exp(np.linspace(-noise, noise, 25)) for median in TWO_MODES]

    assert stats.bimodal(launches(0.1))
    assert not stats.bimodal(launches(0.4))


@pytest.mark.parametrize("n", [25, 100, 501])
def test_the_error_of_a_median_is_that_of_normal_samples(n: int) -> None:
    rng = np.random.default_rng(RNG_SEED)
    error = stats.median_error([np.exp(0.1 * rng.standard_normal(n)) for _ in range(400)])
    assert error == pytest.approx(0.1 * math.sqrt(math.pi / 2 / n), rel=0.1)


def test_the_error_of_a_single_sample_is_unknown() -> None:
    assert stats.median_error([np.array([3.0])] * 4) == 0
