"""What a network's scores are: probabilities, logits, independent scores of each class, or one for two classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
PROBABILITIES, LOGITS, SCORES = "probabilities", "logits", "scores"
PROBABILITY = "probability"  # one number for two classes: that of the second
THRESHOLD = 0.5  # above it, the second class is the best
ROUNDING = 1e-3  # how far probabilities may be from a sum of one: 1,000 float32 classes stay within 1e-6


def content(scores: Scores) -> str:
    """What `scores` [N,classes] of a float32 network on several pictures are, judging by their values."""
    if scores.min() < 0 or scores.max() > 1 + ROUNDING:
        return LOGITS
    if scores.shape[1] == 1:
        return PROBABILITY
    return PROBABILITIES if np.abs(scores.sum(axis=1) - 1).max() <= ROUNDING else SCORES


def comparable(scores: Scores, kind: str) -> Scores:
    """`scores` [N,classes] on a scale of 0 to 1: logits go through a softmax, others stay as they are.

    One probability for two classes becomes those of both.
    """
    if kind == PROBABILITY:
        return np.concatenate([1 - scores, scores], axis=-1)
    if kind != LOGITS:
        return scores
    powers = np.exp(scores.astype(np.float64) - scores.max(axis=-1, keepdims=True))
    probabilities: Scores = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
    return probabilities


def confidence(probabilities: Scores, temperature: float) -> float:
    """The highest of `probabilities` [classes] after they are raised to the power of 1 / `temperature`."""
    powers = (probabilities.astype(np.float64) / max(float(probabilities.max()), np.finfo(float).tiny)) ** (
        1 / temperature
    )
    return float(1 / powers.sum())


def top_k(scores: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Indices of the `k` highest of `scores` [classes], best first; equal scores keep their order.

    int8 scores have 256 steps, so ties are common: an unstable sort would rank them differently on each machine.
    """
    return np.argsort(-scores, kind="stable")[:k]
