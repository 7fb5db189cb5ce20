"""Intervals and tests of paired outcomes: the published examples, exact fractions, and coverage."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from edge_squeeze.errors import UsageError
from edge_squeeze.proof import accuracy
from edge_squeeze.proof.accuracy import BETTER, EQUAL, UNCLEAR, WORSE, Pairs
from edge_squeeze.proof.parity import FAIL, PASS, UNPROVEN


def test_pairs_are_counted_picture_by_picture() -> None:
    cand = [True, True, True, False, False, False]
    base = [True, True, False, True, False, False]
    assert Pairs.of(cand, base) == Pairs(both=2, cand_only=1, base_only=1, neither=2)
    with pytest.raises(UsageError, match=r"an outcome of both files for each picture\. Got: \[6\] and \[5\]"):
        Pairs.of(cand, base[:5])
    with pytest.raises(UsageError, match="for each picture"):
        Pairs.of([], [])


# Airway hyper-responsiveness (Fagerland, Lydersen, Laake 2014), and two rows of Newcombe's table II (1998).
@pytest.mark.parametrize(
    ("pairs", "low", "high"),
    [
        (Pairs(1, 1, 7, 12), -0.507, -0.026),
        (Pairs(36, 12, 2, 0), 0.0569, 0.3404),
        (Pairs(53, 0, 0, 1), -0.0729, 0.0729),
    ],
)
def test_the_difference_has_newcombes_interval(pairs: Pairs, low: float, high: float) -> None:
    assert pairs.difference_interval == pytest.approx((low, high), abs=6e-4)


@pytest.mark.parametrize(("cand_only", "base_only"), [(0, 0), (1, 0), (7, 1), (3, 3), (40, 61)])
def test_the_p_value_is_mcnemars_exact_one(cand_only: int, base_only: int) -> None:
    decided = cand_only + base_only
    tail = sum(Fraction(math.comb(decided, k), 2**decided) for k in range(min(cand_only, base_only) + 1))
    expected = min(Fraction(1), 2 * tail)
    assert Pairs(50, cand_only, base_only, 20).p_value == pytest.approx(float(expected), rel=1e-9)
    assert Pairs(50, base_only, cand_only, 20).p_value == Pairs(50, cand_only, base_only, 20).p_value


def test_twenty_thousand_differing_answers_have_a_p_value_as_well() -> None:
    assert Pairs(0, 10_000, 10_000, 0).p_value == 1
    assert 0 < Pairs(0, 10_300, 9_700, 0).p_value < 1e-4


def test_intervals_cover_the_truth_in_95_of_100_sets() -> None:
    rng = np.random.default_rng(0)
    shares = [0.55, 0.02, 0.05]
    truth = shares[1] - shares[2], (shares[0] + shares[1]) / (shares[0] + shares[2])
    hits = np.zeros(2)
    for counts in rng.multinomial(400, [*shares, 1 - sum(shares)], 1000).tolist():
        pairs = Pairs(*counts)
        assert pairs.ratio_interval is not None
        intervals = pairs.difference_interval, pairs.ratio_interval
        hits += [low <= value <= high for value, (low, high) in zip(truth, intervals, strict=True)]
    assert ((hits / 1000 >= 0.935) & (hits / 1000 <= 0.975)).all(), hits


def test_the_original_is_kept_only_if_the_whole_interval_says_so() -> None:
    assert accuracy.ratio_verdict(Pairs(30_000, 100, 120, 19_780)) == PASS
    assert accuracy.ratio_verdict(Pairs(250, 5, 8, 137)) == UNPROVEN, "98.8 %, but of few pictures"
    assert accuracy.ratio_verdict(Pairs(200, 0, 60, 140)) == FAIL
    assert accuracy.ratio_verdict(Pairs(0, 3, 0, 97)) == UNPROVEN, "the original knows nothing"
    low, high = Pairs(250, 5, 8, 137).ratio_interval or (0, 0)
    assert low < 0.98 < (Pairs(250, 5, 8, 137).ratio or 0) < high


@pytest.mark.parametrize(
    ("pairs", "verdict"),
    [
        (Pairs(250, 30, 8, 112), BETTER),
        (Pairs(250, 8, 30, 112), WORSE),
        (Pairs(250, 8, 9, 133), UNCLEAR),
        (Pairs(30_000, 100, 120, 19_780), EQUAL),
        (Pairs(30_000, 100, 200, 19_700), EQUAL),  # significant, but surely less than a point
    ],
)
def test_a_difference_is_named_only_if_it_is_one(pairs: Pairs, verdict: str) -> None:
    assert accuracy.verdict(pairs, pairs.p_value) == verdict


def test_many_comparisons_make_each_harder() -> None:
    assert accuracy.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert accuracy.holm([]) == []
    assert accuracy.verdict(Pairs(250, 8, 20, 122), 0.036) == WORSE
    assert accuracy.verdict(Pairs(250, 8, 20, 122), 0.072) == UNCLEAR


def test_shares_come_with_wilsons_interval() -> None:
    assert accuracy.share([True] * 61 + [False] * 39) == (0.61, pytest.approx((0.5120, 0.6998), abs=1e-4))
    assert accuracy.share([]) == (None, None)
