from __future__ import annotations

import json

import numpy as np
import pytest

from edge_squeeze.proof import gates, parity
from edge_squeeze.proof.gates import at_least, at_most

A = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]], np.float32)
B = np.array([[0.6, 0.3, 0.1], [0.1, 0.4, 0.5]], np.float32)
NAMES = ["cat", "cup"]


def test_figures_by_hand() -> None:
    figures = parity.compare(A, B)
    assert figures.pictures == 2
    assert figures.max_abs == pytest.approx(0.2)
    assert figures.mean_abs == pytest.approx(0.1)
    assert figures.rmse == pytest.approx(np.sqrt(0.1 / 6))
    assert figures.psnr_db == pytest.approx(20 * np.log10(0.7 / np.sqrt(0.1 / 6)), abs=1e-4)
    assert figures.top1_agreement == 0.5
    assert figures.top5_agreement == 1.0
    kl_cat = 0.7 * np.log(0.7 / 0.6) + 0.2 * np.log(0.2 / 0.3)
    assert figures.per_picture["kl"][0] == pytest.approx(kl_cat, rel=1e-5)
    cosine_cat = (0.42 + 0.06 + 0.01) / np.sqrt(0.54 * 0.46)
    assert figures.per_picture["cosine"][0] == pytest.approx(cosine_cat, rel=1e-6)


def test_identical_scores() -> None:
    figures = parity.compare(A, A)
    assert (figures.max_abs, figures.psnr_db, figures.top1_agreement) == (0, parity.PSNR_CEILING_DB, 1)
    assert figures.cosine == pytest.approx(1)
    assert figures.kl == pytest.approx(0)


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    [(40, 40, (0.9124, 1.0)), (0, 10, (0.0, 0.2775)), (50, 100, (0.4038, 0.5962))],
)
def test_wilson(successes: int, trials: int, expected: tuple[float, float]) -> None:
    assert parity.wilson(successes, trials) == pytest.approx(expected, abs=1e-4)


def test_the_first_of_equal_scores_is_the_best() -> None:
    assert parity.compare(np.float32([[0.5, 0.5, 0]]), np.float32([[0.5, 0.4, 0.1]])).top1_agreement == 1
    assert parity.compare(np.float32([[0.5, 0.5, 0]]), np.float32([[0.4, 0.5, 0.1]])).top1_agreement == 0


EVERY_GATE = [
    at_most("max_abs", 1e9, ""),
    at_least("psnr_db", -1e9, ""),
    at_least("cosine", -1e9, ""),
    at_most("kl", 1e9, ""),
    at_most("rmse", 1e9, ""),
]


@pytest.mark.parametrize("gate", EVERY_GATE, ids=str)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_pass_no_gate(gate: gates.Gate, value: float) -> None:
    broken = A.copy()
    broken[1, 1] = value
    with np.errstate(invalid="ignore"):
        figures = parity.compare(A, broken)
    (judgment,) = gates.judge(figures, [gate], NAMES)
    assert not judgment.passed
    json.dumps(parity.to_dict(figures, NAMES), allow_nan=False)


def test_a_failed_gate_names_metric_limit_and_worst_picture() -> None:
    judgments = gates.judge(parity.compare(A, B), [at_most("max_abs", 0.01, "why"), at_least("cosine", 0.5, "")], NAMES)
    assert [judgment.passed for judgment in judgments] == [False, True]
    assert str(judgments[0]) == "max_abs is 0.2, required max_abs <= 0.01; worst picture: cup (why)"


@pytest.mark.parametrize("metric", ["max_abs", "cosine", "kl", "top1_agreement", "psnr_db"])
def test_the_worst_picture_is_the_worst_by_each_metric(metric: str) -> None:
    assert gates.worst(parity.compare(A, B), metric, NAMES) == "cup"


def test_pictures_keep_their_rows() -> None:
    rows = parity.to_dict(parity.compare(A, B), NAMES)["per_picture"]
    assert [row["picture"] for row in rows] == NAMES
    assert rows[0]["top1_agreement"] == 1.0
    assert rows[1]["top1_agreement"] == 0.0
