from __future__ import annotations

import numpy as np
import pytest

from edge_squeeze.scores import LOGITS, PROBABILITIES, PROBABILITY, SCORES, comparable, content

RNG = np.random.default_rng(0)
LOGIT = RNG.normal(0, 3, (20, 10)).astype(np.float32)
SIGMOID = 1 / (1 + np.exp(-LOGIT))


@pytest.mark.parametrize(
    ("scores", "kind"),
    [
        (comparable(LOGIT, LOGITS), PROBABILITIES),
        (LOGIT, LOGITS),
        (np.abs(LOGIT), LOGITS),  # after a ReLU
        (SIGMOID, SCORES),
        (np.eye(4, dtype=np.float32), PROBABILITIES),
        (SIGMOID[:, :1], PROBABILITY),
        (np.ones((4, 1), np.float32), PROBABILITY),  # not the sum of one that probabilities of several classes have
        (LOGIT[:, :1], LOGITS),
    ],
)
def test_what_scores_are_is_told_by_their_values(scores: np.ndarray, kind: str) -> None:
    assert content(scores) == kind


def test_logits_go_through_a_softmax_and_the_others_stay() -> None:
    probabilities = comparable(LOGIT, LOGITS)
    expected = np.exp(LOGIT) / np.exp(LOGIT).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
    np.testing.assert_allclose(comparable(LOGIT + 1e4, LOGITS), expected, atol=1e-3)  # no overflow
    np.testing.assert_array_equal(comparable(LOGIT[0], LOGITS), probabilities[0])
    assert comparable(SIGMOID, SCORES) is SIGMOID


def test_one_probability_becomes_those_of_two_classes() -> None:
    both = comparable(np.array([[0.9], [0.25]], np.float32), PROBABILITY)
    np.testing.assert_allclose(both, [[0.1, 0.9], [0.75, 0.25]], atol=1e-7)
    np.testing.assert_allclose(comparable(np.array([0.9], np.float32), PROBABILITY), [0.1, 0.9], atol=1e-7)
