"""The way from the original to what an engine gives, in legs: what each adds to the divergence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.proof.accuracy import Interval, Pairs
from edge_squeeze.proof.parity import kl_divergence
from edge_squeeze.scores import Scores, top_k

CONVERSION, QUANTIZATION, KERNELS = "conversion", "quantization", "kernels"
RESAMPLES = 2000
LEVEL = (2.5, 97.5)  # percentiles of a 95 % interval


@dataclass(frozen=True)
class Stage:
    """What a file gives for the pictures, and the leg that leads there."""

    leg: str  # CONVERSION | QUANTIZATION | KERNELS
    way: str  # where it leads, in words
    scores: Scores  # [N,classes], from 0 to 1


@dataclass(frozen=True)
class Leg:
    """What one leg adds: differences of the same pictures before and after it."""

    name: str
    way: str
    kl: float  # mean of what it adds to the divergence from the original, in nats
    kl_interval: Interval  # 95 %, of the mean of pairs
    agreement: float  # what it adds to the share of pictures with the original's best class
    agreement_interval: Interval
    kl_after: float  # the divergence at its end
    agreement_after: float

    @property
    def is_zero(self) -> bool:
        """Whether it adds nothing that matters: less than a hundred thousandth of a nat."""
        return max(map(abs, self.kl_interval)) < 1e-5  # noqa: PLR2004 - the docstring says it


def split(original: Scores, stages: Sequence[Stage]) -> list[Leg]:
    """The legs that lead from the scores of the `original` [N,classes] to each of `stages` in turn."""
    divergence, agrees = np.zeros(len(original)), np.ones(len(original), np.bool_)
    legs = []
    for stage in stages:
        after = divergence_of(original, stage.scores)
        agrees_after = agreement_of(original, stage.scores)
        pairs = Pairs.of(agrees_after, agrees)
        legs.append(
            Leg(
                stage.leg,
                stage.way,
                float((after - divergence).mean()),
                mean_interval(after - divergence),
                pairs.difference,
                pairs.difference_interval,
                float(after.mean()),
                float(agrees_after.mean()),
            )
        )
        divergence, agrees = after, agrees_after
    return legs


def divergence_of(original: Scores, scores: Scores) -> NDArray[np.float64]:
    """The divergence of `scores` [N,classes] from the original's in nats, picture by picture [N]."""
    return kl_divergence(original.astype(np.float64), scores.astype(np.float64))


def agreement_of(original: Scores, scores: Scores) -> NDArray[np.bool_]:
    """Whether both have the same best class, picture by picture [N]."""
    return np.array([top_k(a, 1)[0] == top_k(b, 1)[0] for a, b in zip(original, scores, strict=True)])


def mean_interval(values: NDArray[np.float64]) -> Interval:
    """The 95 % interval of the mean of `values` [N], by resampling them."""
    rows = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[rows].mean(axis=1), LEVEL)
    return float(low), float(high)
