"""The figures of a result, and what it warns of."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from edge_squeeze.training.scoring import Report

LABELS = ("bird", "cat", "dog")


def report(truth: list[int], predicted: list[int], confidence: float = 0.8) -> Report:
    scores = np.full((len(truth), 3), (1 - confidence) / 2, np.float32)
    scores[np.arange(len(truth)), predicted] = confidence
    return Report(LABELS, np.array(truth), scores)


UNEVEN = report([0] * 10 + [1] * 10 + [2] * 4, [0] * 9 + [1] + [1] * 8 + [0, 2] + [2] * 4)


def test_precision_and_recall_are_those_of_the_matrix() -> None:
    assert UNEVEN.matrix.tolist() == [[9, 1, 0], [1, 8, 1], [0, 0, 4]]
    assert UNEVEN.accuracy == 21 / 24
    bird, cat, dog = UNEVEN.classes()
    assert (bird.precision, bird.recall, bird.tested) == (0.9, 0.9, 10)
    assert (cat.precision, cat.recall) == (8 / 9, 0.8)
    assert (dog.precision, dog.recall) == (0.8, 1.0)
    assert dog.recall_interval == pytest.approx((0.510, 1.0), abs=1e-3)  # Wilson, of 4 of 4
    assert UNEVEN.interval == pytest.approx((0.690, 0.957), abs=1e-3)


def test_the_matrix_is_text_and_csv() -> None:
    rows = list(csv.reader(UNEVEN.csv().splitlines()))
    assert rows == [
        ["true \\ predicted", *LABELS],
        ["bird", "9", "1", "0"],
        ["cat", "1", "8", "1"],
        ["dog", "0", "0", "4"],
    ]
    assert [line.split() for line in UNEVEN.text().splitlines()][1:] == [
        ["1", "bird", "9", "1", "."],
        ["2", "cat", "1", "8", "1"],
        ["3", "dog", ".", ".", "4"],
    ]


def test_the_most_confident_mistakes_come_first() -> None:
    scores = np.array([[0.6, 0.3, 0.1], [0.9, 0.05, 0.05], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]], np.float32)
    assert Report(LABELS, np.array([1, 2, 1, 0]), scores).worst(2) == [1, 3]


def test_what_to_know_before_the_figures_are_believed() -> None:
    few, *rest = UNEVEN.warnings([50, 50, 20])
    assert few.startswith("Too few test pictures for a figure of their own: dog (below 10 each).")
    assert not rest
    (dominant,) = report([0] * 90 + [1] * 15 + [2] * 15, [0] * 90 + [1] * 15 + [2] * 15).warnings([900, 50, 50])
    assert dominant.startswith("90% of all pictures are bird: look at the recall of the other classes")
    (guess,) = report([0] * 15 + [1] * 15 + [2] * 15, ([0, 1, 2] * 15)).warnings([75] * 3)
    assert "not significantly better than always giving the most frequent class (33.3%)" in guess
    (dead,) = report([0] * 15 + [1] * 15 + [2] * 15, [1] * 45).warnings([75] * 3)
    assert dead.startswith("Every test picture gets the same scores")
    good = report([0] * 15 + [1] * 15 + [2] * 15, [0] * 15 + [1] * 15 + [2] * 15)
    assert good.warnings([75] * 3) == ()
