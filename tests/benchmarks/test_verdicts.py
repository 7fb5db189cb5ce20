"""Verdicts on plain numbers."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from edge_squeeze.benchmarks import verdicts
from edge_squeeze.benchmarks.intervals import t_quantile
from edge_squeeze.benchmarks.verdicts import Evidence, Judgment, Paired, Unpaired, judge

DELTA = 0.03
BOUND = math.log1p(DELTA)
Make = Callable[..., Evidence]


def paired(rng: np.random.Generator, cv: float, n: int, change: float = 0.0, delta: float = DELTA) -> Paired:
    return Paired(tuple(math.log1p(change) + cv * (rng.standard_normal(n) - rng.standard_normal(n))), delta)


def unpaired(rng: np.random.Generator, cv: float, n: int, change: float = 0.0, delta: float = DELTA) -> Unpaired:
    base, cand = cv * rng.standard_normal((2, n))
    return Unpaired(tuple(base), tuple(cand + math.log1p(change)), delta)


BOTH = pytest.mark.parametrize("make", [paired, unpaired])


def shares(make: Make, *how: float, times: int = 1000) -> dict[str, float]:
    """How often each verdict is given to evidence of `make`."""
    rng = np.random.default_rng(8)
    counts = Counter(judge([make(rng, *how)])[0].verdict for _ in range(times))
    return {verdict: counts[verdict] / times for verdict in ("regression", "improvement", "equivalent", "inconclusive")}


@BOTH
@pytest.mark.parametrize("cv", [0.01, pytest.param(0.03, marks=pytest.mark.slow), 0.1])
@pytest.mark.parametrize("launches", [3, 10])
def test_the_same_twice_is_rarely_told_apart(make: Make, cv: float, launches: int) -> None:
    rates = shares(make, cv, launches)
    assert rates["regression"] + rates["improvement"] <= 0.05


@BOTH
def test_five_percent_slower_is_a_regression(make: Make) -> None:
    assert shares(make, 0.01, 10, 0.05)["regression"] >= 0.9


@BOTH
def test_five_percent_faster_is_an_improvement(make: Make) -> None:
    assert shares(make, 0.01, 10, 1 / 1.05 - 1)["improvement"] >= 0.9


@BOTH
def test_the_same_twice_is_equivalent_in_little_noise(make: Make) -> None:
    assert shares(make, 0.01, 10)["equivalent"] >= 0.95


@BOTH
def test_what_is_just_beyond_the_margin_is_rarely_called_equivalent(make: Make) -> None:
    assert shares(make, 0.01, 10, 0.0301)["equivalent"] <= 0.05


@BOTH
def test_much_noise_is_inconclusive(make: Make) -> None:
    assert shares(make, 0.1, 10)["inconclusive"] >= 0.9


ARMS = 6


@functools.cache
def family_errors(change: float, delta: float, times: int = 1000) -> tuple[float, float]:
    """How often at least one of six arms, none changed by more than `delta`, is told apart.

    Judged as a family, and each alone.
    """
    rng = np.random.default_rng(9)
    together = alone = 0
    for _ in range(times):
        arms = [paired(rng, 0.01, 10, change, delta) for _ in range(ARMS)]
        together += is_any_told_apart(judge(arms))
        alone += is_any_told_apart([judge([arm])[0] for arm in arms])
    return together / times, alone / times


def is_any_told_apart(judgments: Sequence[Judgment]) -> bool:
    return any(judgment.verdict in ("regression", "improvement") for judgment in judgments)


def test_the_error_of_a_family_stays_at_five_percent() -> None:
    assert family_errors(DELTA, DELTA)[0] <= 0.05
    assert family_errors(0.0, 0.0)[0] <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1000)


def test_arms_judged_alone_would_err_more_often() -> None:
    assert family_errors(DELTA, DELTA)[1] > 0.1
    assert family_errors(0.0, 0.0)[1] > 0.2


def told_apart(base: np.ndarray, cand: np.ndarray) -> bool:
    (judgment,) = judge([Unpaired(tuple(base.ravel()), tuple(cand.ravel()), 0.0)])
    return judgment.verdict in ("regression", "improvement")


def test_samples_of_a_launch_are_not_independent() -> None:
    rng = np.random.default_rng(10)
    pooled = by_launch = 0
    for _ in range(200):
        medians = 0.03 * rng.standard_normal((2, 10))
        base, cand = medians[:, :, None] + 0.05 * rng.standard_normal((2, 10, 50))
        pooled += told_apart(base, cand)
        by_launch += told_apart(np.median(base, axis=1), np.median(cand, axis=1))
    assert pooled > 100
    assert by_launch <= 20


def test_a_paired_judgment_by_hand() -> None:
    (judgment,) = judge([Paired((0.04, 0.05, 0.06, 0.07), DELTA)])
    error = math.sqrt(0.0005 / 3) / 2
    half = t_quantile(0.975, 3) * error
    angle = math.atan((0.055 - BOUND) / error / math.sqrt(3))
    assert judgment.verdict == "regression"
    assert judgment.ratio == pytest.approx(math.exp(0.055))
    assert judgment.ci95 == pytest.approx((math.exp(0.055 - half), math.exp(0.055 + half)))
    assert judgment.p_adj == pytest.approx(1 - (2 * angle + math.sin(2 * angle)) / math.pi)
    assert judgment.launches_needed is None


def test_welch_by_hand() -> None:
    base, cand = (0.0, 0.1, 0.2, 0.3), (0.1, 0.2, 0.9, 0.4, 0.4)
    estimate = Unpaired(base, cand, DELTA).estimate()
    a, b = (0.05 / 3) / 4, (0.38 / 4) / 5
    assert estimate is not None
    assert estimate.mean == pytest.approx(0.25)
    assert estimate.error == pytest.approx(math.sqrt(a + b))
    assert estimate.df == math.floor((a + b) ** 2 / (a**2 / 3 + b**2 / 4)) == 5


@pytest.mark.parametrize(
    ("log_ratios", "verdict"),
    [
        ((0.1, 0.1, 0.1), "regression"),
        ((-0.1, -0.1, -0.1), "improvement"),
        ((0.0, 0.0, 0.0), "equivalent"),
        ((0.1, 0.101, 0.099), "regression"),
        ((0.001, -0.001, 0.0), "equivalent"),
        ((0.1, 0.0, -0.1), "inconclusive"),
        ((BOUND, BOUND + 0.01, BOUND - 0.01), "inconclusive"),
    ],
)
def test_verdicts_are_read_off_the_interval(log_ratios: tuple[float, ...], verdict: str) -> None:
    base = (1.0, 1.0, 1.0)
    cand = tuple(1 + x for x in log_ratios)
    assert judge([Paired(log_ratios, DELTA)])[0].verdict == verdict
    assert judge([Unpaired(base, cand, DELTA)])[0].verdict == verdict


@pytest.mark.parametrize(("log_ratio", "verdict"), [(0.0, "equivalent"), (1e-6, "regression"), (-1e-6, "improvement")])
def test_sizes_may_be_judged_without_a_margin(log_ratio: float, verdict: str) -> None:
    assert judge([Paired((log_ratio,) * 3, 0.0)])[0].verdict == verdict


@pytest.mark.parametrize(
    ("evidence", "ratio"),
    [
        (Paired((), DELTA), None),
        (Paired((0.5, 0.5), DELTA), math.exp(0.5)),
        (Unpaired((), (0.1,), DELTA), None),
        (Unpaired((0.0, 0.0), (0.1,) * 9, DELTA), math.exp(0.1)),
        (Unpaired((0.0,) * 9, (0.1, 0.1), DELTA), math.exp(0.1)),
    ],
)
def test_fewer_than_three_launches_decide_nothing(evidence: Evidence, ratio: float | None) -> None:
    (judgment,) = judge([evidence])
    assert (judgment.verdict, judgment.ci95, judgment.p_adj) == ("inconclusive", None, None)
    assert judgment.launches_needed == 3
    assert judgment.ratio == (None if ratio is None else pytest.approx(ratio))


def test_what_cannot_be_tested_costs_the_others_nothing() -> None:
    clear = Paired((0.04, 0.05, 0.06, 0.07), DELTA)
    assert judge([Paired((), DELTA), clear, Paired((0.1,), DELTA)])[1] == judge([clear])[0]
    assert judge([]) == []


@pytest.mark.parametrize(
    ("p_values", "adjusted", "levels"),
    [
        ([0.01], [0.01], [0.05]),
        ([0.04, 0.01, 0.03], [0.06, 0.03, 0.06], [0.05 / 2, 0.05 / 3, 0.05 / 2]),
        ([0.001, 0.02, 0.04], [0.003, 0.04, 0.04], [0.05 / 3, 0.05 / 2, 0.05]),
        ([0.02, 0.03, 0.9], [0.06, 0.06, 0.9], [0.05 / 3] * 3),
        ([1.0, 1.0], [1.0, 1.0], [0.025, 0.025]),
    ],
)
def test_holm_steps_down(p_values: list[float], adjusted: list[float], levels: list[float]) -> None:
    assert verdicts._holm(p_values, 0.05) == [pytest.approx(pair) for pair in zip(adjusted, levels, strict=True)]


@BOTH
def test_verdicts_and_adjusted_p_values_agree(make: Make) -> None:
    rng = np.random.default_rng(11)
    for _ in range(50):
        for judgment in judge([make(rng, 0.02, 6, change) for change in rng.uniform(-0.15, 0.15, 5)]):
            assert judgment.p_adj is not None
            assert (judgment.verdict in ("regression", "improvement")) == (judgment.p_adj < 0.05)


@BOTH
@pytest.mark.parametrize("change", [0.0, 0.04, -0.05, 0.1])
def test_the_launches_needed_are_the_fewest_that_decide(make: Make, change: float) -> None:
    rng = np.random.default_rng(12)
    inconclusive = 0
    for _ in range(20):
        evidence = make(rng, 0.04, 4, change)
        (judgment,) = judge([evidence])
        inconclusive += judgment.launches_needed is not None
        for n in (judgment.launches_needed or 0) - 1, judgment.launches_needed or 0:
            estimate = evidence.estimate(n) if n >= 4 else None
            if estimate is not None:
                decided = verdicts._verdict(*estimate.interval(0.05), DELTA) != "inconclusive"
                assert decided == (n == judgment.launches_needed)
    assert inconclusive


def test_more_launches_than_a_thousand_are_no_advice() -> None:
    assert judge([Paired((BOUND - 0.1, BOUND + 0.1, BOUND + 1e-6), DELTA)])[0].launches_needed is None


def test_launches_needed_grow_with_the_family() -> None:
    noisy = Paired((0.05, -0.05, 0.03, -0.03), DELTA)
    alone, of_six = judge([noisy])[0].launches_needed, judge([noisy] * 6)[0].launches_needed
    assert alone is not None
    assert of_six is not None
    assert 4 < alone < of_six


@pytest.mark.parametrize(
    ("floor", "cross_session", "expected"),
    [
        (None, False, 0.03),
        (0.01, False, 0.03),
        (0.04, False, 0.08),
        (None, True, 0.05),
        (0.02, True, 0.05),
        (0.03, True, 0.06),
    ],
)
def test_the_margin_follows_the_floor_of_the_device(floor: float | None, cross_session: bool, expected: float) -> None:
    assert verdicts.margin(floor, cross_session=cross_session) == pytest.approx(expected)
