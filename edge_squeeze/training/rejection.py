"""When to say "none of these": the confidence below which an answer counts as none, from the validation pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.scores import Scores, confidence
from edge_squeeze.training.collection import Rows

TEMPERATURES = np.geomspace(0.05, 20, 241)  # that are tried
BINS = 10  # of confidence, for the expected calibration error
KEPT = 0.95  # of the right validation answers that stay above the threshold
# Right answers. The lowest of N is above the next one with a probability of 1 in N + 1, so fewer cannot show 5 %.
FEWEST_RIGHT = 20
SMALLEST = 1e-12  # probability, for a finite logarithm


@dataclass(frozen=True)
class Calibration:
    """What a temperature and a threshold do to the answers for the validation pictures."""

    temperature: float  # probabilities are raised to the power of 1 / temperature, then sum to one again
    threshold: float  # of the confidence: below it, the answer is "none of these"
    error_before: float  # expected calibration error of the confidence as it was
    error: float  # and with the temperature
    kept: float  # share of right answers at or above the threshold
    kept_wrong: float | None  # the same of wrong answers; None if there are none
    pictures: int
    right: int  # of the answers for them

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before the threshold is believed."""
        if self.right >= FEWEST_RIGHT:
            return ()
        rejected = f"about 1 in {self.right + 1} right answers for other pictures" if self.right else "every answer"
        warning = (
            f'The threshold for "none of these" rests on {self.right} right answers for validation pictures, too few: '
            f"{rejected} will be rejected. Required: at least {FEWEST_RIGHT}. Pass more pictures, of which a tenth are "
            "for validation."
        )
        return (warning,)


def calibrate(scores: Scores, truth: Rows) -> Calibration:
    """The temperature of the lowest cross-entropy (arXiv 1706.04599), and a threshold that keeps 95 % of right answers.

    Args:
        scores: Probabilities [N,classes] of the validation pictures.
        truth: Their classes [N].
    """
    right = scores.argmax(axis=1) == truth
    losses = [_loss(scores, truth, temperature) for temperature in TEMPERATURES]
    # Where every answer is right, the lowest temperature of all would be the best: nothing shows how sure to be.
    temperature = 1.0 if right.all() else float(TEMPERATURES[int(np.argmin(losses))])
    before, after = (np.array([confidence(row, t) for row in scores]) for t in (1.0, temperature))
    threshold = float(np.quantile(after[right], 1 - KEPT, method="lower")) if right.any() else 1.0
    return Calibration(
        temperature,
        threshold,
        expected_error(before, right),
        expected_error(after, right),
        float((after[right] >= threshold).mean()) if right.any() else 0.0,
        float((after[~right] >= threshold).mean()) if not right.all() else None,
        len(truth),
        int(right.sum()),
    )


def _loss(scores: Scores, truth: Rows, temperature: float) -> float:
    """The mean cross-entropy in nats of `scores` at `temperature`."""
    logits = np.log(np.maximum(scores.astype(np.float64), SMALLEST)) / temperature
    sums = np.log(np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)) + logits.max(axis=1)
    return float((sums - logits[np.arange(len(truth)), truth]).mean())


def expected_error(confidences: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """The expected calibration error: how far confidence is from accuracy, over ten bins of confidence."""
    bins = np.minimum((confidences * BINS).astype(int), BINS - 1)
    gaps = [
        abs(confidences[bins == number].mean() - right[bins == number].mean()) * (bins == number).mean()
        for number in np.unique(bins).tolist()
    ]
    return float(sum(gaps))
