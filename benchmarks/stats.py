"""What the samples of fresh processes say: typical time, percentiles, outliers, drift, two modes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.floating[Any]] | NDArray[np.integer[Any]]  # [N], of one launch, all above zero
Launches = Sequence[Samples]

BOUND_CONFIDENCE = 0.95  # a percentile is given from as many samples as bound it from above at this confidence
MLPERF_PERCENTILE, MLPERF_CONFIDENCE = 0.9, 0.99
MLPERF_QUERIES = 64  # as few as LoadGen accepts
MILD, SEVERE = 1.5, 3.0  # Tukey's fences, in interquartile ranges
DRIFT = 0.03
DRIFT_CHANCE = 0.03
GAP = 0.05
GAP_IN_ERRORS = 4.0
GAP_IN_SPREADS = 5.0
FEWEST_IN_MODES = 6


@dataclass(frozen=True)
class Outliers:
    """How many samples are beyond 1.5 (`mild`), and how many beyond 3 interquartile ranges (`severe`)."""

    mild: int
    severe: int


def medians(launches: Launches) -> list[float]:
    """The median of each launch."""
    return [float(np.median(samples)) for samples in launches]


def percentile(launches: Launches, q: float) -> float | None:
    """The value that a share `q` of all samples does not exceed, each launch counting the same; None for too few.

    Enough are n samples with 1 - q^n >= 0.95: the largest of them then is an upper bound at 95 % confidence whatever
    the distribution, if they are independent (29 for 0.9, 59 for 0.95, 299 for 0.99).
    """
    values = np.concatenate(launches) if launches else np.empty(0)
    if 1 - q ** len(values) < BOUND_CONFIDENCE:
        return None
    weights = np.concatenate([np.full(len(samples), 1 / len(samples)) for samples in launches])
    order = np.argsort(values)
    shares = np.cumsum(weights[order])
    rounding = 1 - 1e-12
    return float(values[order[np.searchsorted(shares, q * shares[-1] * rounding)]])


def overlatency_allowed(queries: int) -> int:
    """How many of `queries` may be over a latency that is still shown to be above the 90th percentile; -1: not one.

    The largest t with P(Binomial(queries, 0.1) <= t) <= 1 - 0.99, which is MLPerf's I_0.9(queries - t, t + 1) <= 0.01
    (early stopping, mlcommons/inference, loadgen/early_stopping.cc).
    """
    k = np.arange(queries)
    over, under = 1 - MLPERF_PERCENTILE, MLPERF_PERCENTILE
    log_steps = np.log((queries - k) / (k + 1)) + math.log(over / under)
    log_chances = queries * math.log(under) + np.concatenate([[0.0], np.cumsum(log_steps)])
    return int(np.searchsorted(np.cumsum(np.exp(log_chances)), 1 - MLPERF_CONFIDENCE, side="right")) - 1


def p90_upper99(samples: Samples) -> float | None:
    """MLPerf's early-stopping estimate of the 90th percentile, an upper bound at 99 %; None below 64 samples.

    As LoadGen takes it (loadgen/results.cc, single stream): with t over-latency queries allowed, the t-th largest.
    """
    if len(samples) < MLPERF_QUERIES:
        return None
    return float(np.sort(samples)[-overlatency_allowed(len(samples))])


def outliers(launches: Launches) -> Outliers:
    """How many samples are outside Tukey's fences of their own launch; they are only counted, never dropped."""
    beyond = [_in_quartile_ranges(samples) for samples in launches]
    mild, severe = (sum(int((distances > fence).sum()) for distances in beyond) for fence in (MILD, SEVERE))
    return Outliers(mild - severe, severe)


def _in_quartile_ranges(samples: Samples) -> NDArray[np.float64]:
    low, high = np.quantile(samples, (0.25, 0.75))
    distance = np.maximum(low - samples, samples - high)
    infinite = np.where(distance > 0, np.inf, 0.0)  # where all in the middle are equal
    return infinite if high == low else distance / (high - low)


def drift(values: Sequence[float]) -> float:
    """Relative change of launch medians from the first to the last in run order: Theil-Sen slope of their logarithms.

    0 for fewer than two.
    """
    n = len(values)
    if n <= 1:
        return 0.0
    logs = np.log(np.asarray(values, np.float64))
    earlier, later = np.triu_indices(n, 1)
    slope = np.median((logs[later] - logs[earlier]) / (later - earlier))
    return math.expm1(float(slope) * (n - 1))


def drifts(values: Sequence[float], threshold: float = DRIFT) -> bool:
    """Whether launch medians in run order change by more than `threshold`, and not by chance.

    Chance is judged by Mann-Kendall's test, two-sided at 3 %, which asks nothing of the distribution. Below 5
    launches the answer is no: even an unbroken rise of 4 comes by chance once in 12 sessions. Simulated for 10
    launches: found in 1.5 % of sessions of 3 % noise (34.6 % without the test) and in all that drift by 10 % at 1 %
    noise; of those, 5 launches find 82 %.
    """
    return abs(drift(values)) > threshold and trend_chance(values) < DRIFT_CHANCE


def trend_chance(values: Sequence[float]) -> float:
    """Two-sided p-value of Mann-Kendall's test for a trend in `values`.

    Normal approximation with Kendall's correction for continuity (Rank Correlation Methods, 1948, chapter 4).
    """
    n = len(values)
    ordered = np.asarray(values, np.float64)
    earlier, later = np.triu_indices(n, 1)
    score = int(np.sign(ordered[later] - ordered[earlier]).sum())
    deviation = math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    return math.erfc((abs(score) - 1) / deviation / math.sqrt(2)) if score else 1.0


def stationarity(samples: Samples) -> float:
    """Relative change of one launch's median from its first third to its last; 0.02 is 2 % slower at the end."""
    third = max(1, len(samples) // 3)
    return float(np.median(samples[-third:]) / np.median(samples[:third])) - 1


def largest_gap(launches: Launches) -> float:
    """The largest relative step from one launch median to the next longer one; 0 for fewer than two launches."""
    gaps = np.diff(np.sort(np.log(medians(launches))))
    return math.expm1(float(gaps.max())) if len(gaps) else 0.0


def bimodal(launches: Launches) -> bool:
    """Whether launch medians fall into two groups rather than scatter about one value.

    The largest gap must be above 5 % and above 4 standard errors of a launch's median (`median_error`), and, as the
    largest gap of 10 launches of 5 % noise is often above 5 % too, above 5 standard deviations within the groups that
    it parts, each of two launches or more: one launch apart is an outlier. Below 6 launches the answer is no.
    Simulated for 10 launches: found in at most 0.3 % of sessions of 3 to 10 % noise (6 launches: 4 %) and in 98 % of
    those with two even modes 15 % apart at 1 % noise (the rest have fewer than two launches in a mode).
    """
    logs = np.sort(np.log(medians(launches)))
    if len(logs) < FEWEST_IN_MODES:
        return False
    split = int(np.diff(logs).argmax()) + 1
    groups = np.split(logs, [split])
    spread = math.sqrt(sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / (len(logs) - 2))
    gap = float(logs[split] - logs[split - 1])
    least = max(math.log1p(GAP), GAP_IN_ERRORS * median_error(launches), GAP_IN_SPREADS * spread)
    return gap > least and min(map(len, groups)) > 1


def median_error(launches: Launches) -> float:
    """Relative standard error of a launch's median, root mean square over the launches; 0 for one sample each.

    From the order statistics that bound the median at 95 % (McKean and Schrader 1984), on a log scale. It takes the
    samples of a launch for independent, so it is too small where they are not.
    """
    return math.sqrt(sum(_median_error(samples) ** 2 for samples in launches) / len(launches))


def _median_error(samples: Samples) -> float:
    z = 1.96
    n = len(samples)
    below = max(0, round((n + 1) / 2 - z * math.sqrt(n / 4)) - 1)
    logs = np.log(np.sort(samples))
    return float(logs[n - 1 - below] - logs[below]) / (2 * z)
