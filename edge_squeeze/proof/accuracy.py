"""How many pictures a file classifies correctly, and how sure that is: intervals, ratios, and paired comparisons.

Everything here takes what one file answered for each picture, right or wrong, so that files are compared picture by
picture: two files of one network err on mostly the same pictures, and only the others tell them apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from edge_squeeze.errors import UsageError
from edge_squeeze.proof.parity import FAIL, PASS, UNPROVEN, wilson

Z = 1.959963984540054  # of two-sided 95 % intervals
ALPHA = 0.05
MLPERF_RATIO = 0.98  # of the original's accuracy (MLPerf Mobile and Tiny: the quality target of image classification)
MARGIN = 0.01  # of accuracy: files that are surely closer than one percentage point count as equal
BETTER, WORSE, EQUAL, UNCLEAR = "better", "worse", "equal", "unclear"
Interval = tuple[float, float]


def share(outcomes: ArrayLike) -> tuple[float | None, Interval | None]:
    """The share of `outcomes` [N] that are true, and its 95 % interval (Wilson's); None without any."""
    array = np.asarray(outcomes, np.bool_)
    count = int(array.sum())
    return (count / len(array), wilson(count, len(array))) if len(array) else (None, None)


@dataclass(frozen=True)
class Pairs:
    """How often two files were right on the same pictures: both, the candidate alone, the baseline alone, neither."""

    both: int
    cand_only: int
    base_only: int
    neither: int

    @staticmethod
    def of(cand: ArrayLike, base: ArrayLike) -> Pairs:
        """The pairs of two outcomes per picture [N], right or wrong; UsageError unless they are equally many.

        Args:
            cand: Whether the candidate was right on each picture.
            base: The same for the baseline, for the same pictures in the same order.
        """
        a, b = np.asarray(cand, np.bool_), np.asarray(base, np.bool_)
        if a.shape != b.shape or a.ndim != 1 or not len(a):
            raise UsageError(
                f"Required: an outcome of both files for each picture. Got: {list(a.shape)} and {list(b.shape)}."
            )
        return Pairs(int((a & b).sum()), int((a & ~b).sum()), int((b & ~a).sum()), int((~a & ~b).sum()))

    @property
    def pictures(self) -> int:
        """How many there are."""
        return self.both + self.cand_only + self.base_only + self.neither

    @property
    def difference(self) -> float:
        """The candidate's accuracy minus the baseline's."""
        return (self.cand_only - self.base_only) / self.pictures

    @property
    def difference_interval(self) -> Interval:
        """The 95 % interval of `difference` (Newcombe, Stat. Med. 17:2635, 1998, method 10)."""
        n, difference = self.pictures, self.difference
        right, base_right = self.both + self.cand_only, self.both + self.base_only
        p, q = right / n, base_right / n
        (p_low, p_high), (q_low, q_high) = wilson(right, n), wilson(base_right, n)
        phi = self._correlation()
        below = _distance(p - p_low, q_high - q, phi)
        above = _distance(p_high - p, q - q_low, phi)
        return max(-1.0, difference - below), min(1.0, difference + above)

    def _correlation(self) -> float:
        """The phi coefficient, its numerator corrected for continuity as Newcombe does."""
        a, b, c, d = self.both, self.cand_only, self.base_only, self.neither
        margins = (a + b) * (c + d) * (a + c) * (b + d)
        if not margins:
            return 0.0
        surplus = a * d - b * c
        corrected = max(surplus - self.pictures / 2, 0.0) if surplus > 0 else surplus
        return float(corrected / math.sqrt(margins))

    @property
    def p_value(self) -> float:
        """The exact two-sided p-value of McNemar's test: how surprising this would be if both were equally good."""
        decided = self.cand_only + self.base_only
        fewer = min(self.cand_only, self.base_only)
        logs = [_log_choose(decided, k) - decided * math.log(2) for k in range(fewer + 1)]
        return min(1.0, 2 * math.fsum(map(math.exp, logs)))

    @property
    def ratio(self) -> float | None:
        """The candidate's accuracy as a share of the baseline's; None if the baseline was never right."""
        base_right = self.both + self.base_only
        return (self.both + self.cand_only) / base_right if base_right else None

    @property
    def ratio_interval(self) -> Interval | None:
        """The 95 % interval of `ratio` (Bonett and Price, Stat. Med. 25:3039, 2006, from Wilson's intervals)."""
        right, base_right = self.both + self.cand_only, self.both + self.base_only
        n = self.both + self.cand_only + self.base_only
        if not base_right:
            return None
        spread = math.sqrt((self.cand_only + self.base_only + 2) / ((right + 1) * (base_right + 1)))
        own, base = (math.sqrt((1 - (x + 1) / (n + 2)) / (x + 1)) for x in (right, base_right))
        z = Z * spread / (own + base)
        (low, high), (base_low, base_high) = wilson(right, n, z), wilson(base_right, n, z)
        return low / base_high, high / base_low


def _distance(a: float, b: float, phi: float) -> float:
    return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def ratio_verdict(pairs: Pairs) -> str:
    """Whether the candidate keeps 98 % of the original's accuracy.

    FAIL only if its interval is below that, PASS only if its interval reaches it with its lower end, else UNPROVEN.
    """
    interval = pairs.ratio_interval
    if interval is None:
        return UNPROVEN
    low, high = interval
    return PASS if low >= MLPERF_RATIO else FAIL if high < MLPERF_RATIO else UNPROVEN


def verdict(pairs: Pairs, p_value: float) -> str:
    """What a comparison comes to: better, worse, equal (surely within one percentage point) or unclear.

    Args:
        pairs: The outcomes.
        p_value: That of `pairs`, corrected for the number of comparisons.
    """
    low, high = pairs.difference_interval
    if max(-low, high) <= MARGIN:
        return EQUAL
    if p_value >= ALPHA:
        return UNCLEAR
    return BETTER if pairs.difference > 0 else WORSE


def holm(p_values: Sequence[float]) -> list[float]:
    """`p_values` corrected for being several (Holm, Scand. J. Stat. 6:65, 1979)."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected
