"""A temperature that makes confidence as high as accuracy, and a threshold that keeps most right answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import edge_squeeze
from edge_squeeze.artifact import folder as artifact, labels
from edge_squeeze.artifact.manifest import Rejection
from edge_squeeze.errors import UsageError
from edge_squeeze.scores import confidence
from edge_squeeze.training.rejection import calibrate, expected_error


def drawn(sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of 400 pictures to the power of `sharpness`, and classes drawn from what they were before."""
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(4, 0.5), 400)
    truth = np.array([rng.choice(4, p=row) for row in probabilities])
    powers = np.maximum(probabilities, 1e-6) ** sharpness
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32), truth


def test_an_overconfident_network_gets_its_temperature_back() -> None:
    overconfident, honest = calibrate(*drawn(3.0)), calibrate(*drawn(1.0))
    assert overconfident.temperature == pytest.approx(3.0, rel=0.15)
    assert overconfident.error < 0.06
    assert overconfident.error_before > 0.1
    assert honest.temperature == pytest.approx(1.0, rel=0.15)
    assert honest.error_before < 0.06


def test_most_right_answers_stay_and_fewer_wrong_ones_do() -> None:
    calibration = calibrate(*drawn(2.0))
    assert 0.95 <= calibration.kept <= 0.96
    assert calibration.kept_wrong is not None
    assert calibration.kept_wrong < calibration.kept


def test_where_all_answers_are_right_confidence_stays_as_it_is() -> None:
    scores, _ = drawn(1.0)
    calibration = calibrate(scores, scores.argmax(axis=1))
    assert (calibration.temperature, calibration.kept_wrong) == (1.0, None)
    assert calibration.threshold == pytest.approx(np.quantile(scores.max(axis=1), 0.05, method="lower"), rel=1e-5)


def test_a_threshold_of_few_right_answers_is_warned_of() -> None:
    """One of six right answers rejects one in seven others, whatever their confidences are; 19 are one too few."""
    scores, _ = drawn(1.0)
    rng, confidences = np.random.default_rng(1), scores.max(axis=1)
    rejected = []
    for _ in range(150):
        few = rng.choice(len(scores), 6, replace=False)
        calibration = calibrate(scores[few], scores[few].argmax(axis=1))
        rejected.append((confidences < calibration.threshold - 1e-6).mean())
    assert np.mean(rejected) == pytest.approx(1 / 7, abs=0.03)
    (warning,) = calibration.warnings
    assert "rests on 6 right answers for validation pictures, too few: about 1 in 7 right answers" in warning
    for count, warned in ((19, True), (20, False)):
        calibration = calibrate(scores[:count], scores[:count].argmax(axis=1))
        assert (calibration.right, bool(calibration.warnings)) == (count, warned)
    assert "every answer will be rejected" in calibrate(scores[:30], scores[:30].argmin(axis=1)).warnings[0]


def test_confidence_is_that_of_a_softmax_at_a_temperature() -> None:
    logits = np.array([2.0, 1.0, -1.0])
    probabilities = (np.exp(logits) / np.exp(logits).sum()).astype(np.float32)
    expected = np.exp(logits / 2.5).max() / np.exp(logits / 2.5).sum()
    assert confidence(probabilities, 2.5) == pytest.approx(expected, rel=1e-5)
    assert confidence(probabilities, 1.0) == pytest.approx(probabilities.max(), rel=1e-6)


def test_the_expected_error_is_the_mean_gap_of_bins() -> None:
    confidences, right = np.array([0.95, 0.95, 0.55, 0.55]), np.array([True, False, True, True])
    assert expected_error(confidences, right) == pytest.approx(0.5 * 0.45 + 0.5 * 0.45)


def test_what_stands_beside_labels_is_taken_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    assert labels.rejection(path) is None
    (tmp_path / "reject.json").write_text(json.dumps({"temperature": 1.5, "threshold": 0.4, "error": 0.01}))
    assert labels.rejection(path) == Rejection(1.5, 0.4)
    (tmp_path / "reject.json").write_text(json.dumps({"temperature": 1.5}))
    with pytest.raises(UsageError, match="must have temperature, threshold"):
        labels.rejection(path)
    (tmp_path / "reject.json").write_text(json.dumps({"temperature": 0, "threshold": 0.4}))
    with pytest.raises(UsageError, match="required a temperature above 0"):
        labels.rejection(path)


def test_an_export_with_labels_beside_it_has_it_in_its_manifest(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("".join(f"thing {number}\n" for number in range(10)))
    (tmp_path / "reject.json").write_text(json.dumps({"temperature": 1.5, "threshold": 0.4, "kept": 0.95}))
    (exported,) = edge_squeeze.export(
        "squeezenet-lab", weights="random", labels=tmp_path / "labels.txt", out=tmp_path / "out"
    )
    assert artifact.load(exported.folder).manifest.reject == Rejection(1.5, 0.4)
