"""Legs add up, and their intervals are those of pairs."""

from __future__ import annotations

import numpy as np
import pytest

from edge_squeeze.converters.debugging.legs import CONVERSION, KERNELS, QUANTIZATION, Stage, mean_interval, split
from edge_squeeze.proof.parity import compare

RNG = np.random.default_rng(4)


def scores(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def test_legs_are_successive_differences() -> None:
    logits = RNG.normal(0, 2, (60, 10))
    original = scores(logits)
    after = [logits, logits + RNG.normal(0, 0.3, logits.shape), logits + RNG.normal(0, 1.0, logits.shape)]
    stages = [
        Stage(name, name, scores(each)) for name, each in zip((CONVERSION, QUANTIZATION, KERNELS), after, strict=True)
    ]
    legs = split(original, stages)
    figures = [compare(original, stage.scores) for stage in stages]
    assert [leg.kl_after for leg in legs] == pytest.approx([each.kl for each in figures])
    assert [leg.agreement_after for leg in legs] == pytest.approx([each.top1_agreement for each in figures])
    assert sum(leg.kl for leg in legs) == pytest.approx(figures[-1].kl)
    assert legs[0].is_zero
    for leg in legs[1:]:
        assert leg.kl_interval[0] < leg.kl < leg.kl_interval[1]
        assert leg.kl_interval[0] > 0
        assert not leg.is_zero


def test_the_interval_of_a_mean_covers_it_as_often_as_it_says() -> None:
    covered = 0
    for _ in range(200):
        low, high = mean_interval(RNG.exponential(1.0, 50))
        covered += low <= 1.0 <= high
    assert 170 <= covered <= 198
