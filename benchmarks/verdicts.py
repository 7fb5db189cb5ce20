"""Whether a candidate is slower or faster than its baseline: the comparison rule, on plain numbers."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from edge_squeeze.benchmarks.intervals import FEWEST, t_cdf, t_quantile

REGRESSION, IMPROVEMENT, EQUIVALENT, INCONCLUSIVE = "regression", "improvement", "equivalent", "inconclusive"
ALPHA = 0.05
MOST_LAUNCHES = 1000  # above it more launches are no advice
SMALLEST_MARGIN = 0.03
CROSS_SESSION_MARGIN = 0.05


@dataclass(frozen=True)
class Estimate:
    """A mean log ratio, its standard error and the degrees of freedom of that."""

    mean: float
    error: float
    df: int

    def interval(self, alpha: float) -> tuple[float, float]:
        """The two-sided t interval at 1 - `alpha`."""
        half = t_quantile(1 - alpha / 2, self.df) * self.error
        return self.mean - half, self.mean + half


@dataclass(frozen=True)
class Paired:
    """ln(candidate) - ln(baseline) of the launch medians of each round that ran both."""

    log_ratios: tuple[float, ...]
    delta: float

    @property
    def ratio(self) -> float | None:
        """The candidate's time to the baseline's, geometric mean; None without any rounds."""
        return math.exp(fmean(self.log_ratios)) if self.log_ratios else None

    def estimate(self, launches: int | None = None) -> Estimate | None:
        """The mean log ratio of these rounds, or of `launches` that scatter like them; None below 3 rounds."""
        if len(self.log_ratios) < FEWEST:
            return None
        n = launches or len(self.log_ratios)
        return Estimate(fmean(self.log_ratios), math.sqrt(self._variance / n), n - 1)

    @functools.cached_property
    def _variance(self) -> float:
        return variance(self.log_ratios)


@dataclass(frozen=True)
class Unpaired:
    """Log launch medians of a baseline and of a candidate that ran in sessions of their own."""

    base: tuple[float, ...]
    cand: tuple[float, ...]
    delta: float

    @property
    def ratio(self) -> float | None:
        """The candidate's time to the baseline's, of geometric means; None if one has no launches."""
        return math.exp(fmean(self.cand) - fmean(self.base)) if self.base and self.cand else None

    def estimate(self, launches: int | None = None) -> Estimate | None:
        """The mean log ratio by Welch's rule, or as of `launches` each that scatter like them; None below 3 of either.

        Degrees of freedom are rounded down (Welch 1947, Satterthwaite 1946).
        """
        arms = (self.base, self.cand)
        if min(map(len, arms)) < FEWEST:
            return None
        sizes = [launches or len(arm) for arm in arms]
        parts = [spread / n for spread, n in zip(self._variances, sizes, strict=True)]
        weight = sum(part**2 / (n - 1) for part, n in zip(parts, sizes, strict=True))
        df = sum(parts) ** 2 / weight if weight else sum(sizes) - 2
        return Estimate(fmean(self.cand) - fmean(self.base), math.sqrt(sum(parts)), max(1, math.floor(df)))

    @functools.cached_property
    def _variances(self) -> tuple[float, float]:
        return variance(self.base), variance(self.cand)


Evidence = Paired | Unpaired


@dataclass(frozen=True)
class Judgment:
    """A verdict on a candidate, with the `ratio` of its time to the baseline's; None for what needs more launches.

    `ci95` bounds the ratio at its Holm level: wider than 95 % alone, so that all of a family hold together.
    `launches_needed` in all (rounds, or launches of either arm) would end an inconclusive comparison if means and
    scatter stay; None above 1000.
    """

    verdict: str
    ratio: float | None
    ci95: tuple[float, float] | None
    p_adj: float | None
    launches_needed: int | None


def judge(evidences: Sequence[Evidence], alpha: float = ALPHA) -> list[Judgment]:
    """A judgment of each of `evidences`, with errors of the whole family held at `alpha` (Holm 1979).

    A regression is a candidate whose interval is above +delta (slower), an improvement one below -delta, equivalent
    one within both. Evidence of fewer than 3 launches is inconclusive and does not count as part of the family.
    """
    tested = {i: estimate for i, evidence in enumerate(evidences) if (estimate := evidence.estimate()) is not None}
    chances = [_difference_chance(estimate, evidences[i].delta) for i, estimate in tested.items()]
    levels = dict(zip(tested, _holm(chances, alpha), strict=True))
    return [
        _judgment(evidence, tested[i], *levels[i])
        if i in tested
        else Judgment(INCONCLUSIVE, evidence.ratio, None, None, FEWEST)
        for i, evidence in enumerate(evidences)
    ]


def margin(floor: float | None, *, cross_session: bool) -> float:
    """The delta to judge by: twice the A/A `floor` of the device, at least 3 %, and 5 % between sessions."""
    return max(CROSS_SESSION_MARGIN if cross_session else SMALLEST_MARGIN, 2 * (floor or 0.0))


def _difference_chance(estimate: Estimate, delta: float) -> float:
    """Two-sided p-value against a true change within +-`delta`."""
    distance = abs(estimate.mean) - math.log1p(delta)  # the nearer bound has the smaller one-sided p
    if estimate.error == 0:
        return 0.0 if distance > 0 else 1.0
    return min(1.0, 2 * t_cdf(-distance / estimate.error, estimate.df))


def _holm(p_values: Sequence[float], alpha: float) -> list[tuple[float, float]]:
    """The adjusted p-value of each, and the level of its interval: alpha / (hypotheses left at its step).

    The step at which Holm's procedure stops gives the level of all that follow, so that none of them is rejected.
    """
    m, adjusted, rejected = len(p_values), 0.0, 0
    levels: dict[int, tuple[float, float]] = {}
    for rank, i in enumerate(sorted(range(m), key=p_values.__getitem__)):
        adjusted = max(adjusted, min(1.0, (m - rank) * p_values[i]))
        levels[i] = (adjusted, alpha / (m - rejected))
        rejected += adjusted < alpha
    return [levels[i] for i in range(m)]


def _judgment(evidence: Evidence, estimate: Estimate, p_adj: float, alpha: float) -> Judgment:
    low, high = estimate.interval(alpha)
    verdict = _verdict(low, high, evidence.delta)
    needed = _launches_needed(evidence, alpha) if verdict == INCONCLUSIVE else None
    return Judgment(verdict, evidence.ratio, (math.exp(low), math.exp(high)), p_adj, needed)


def _verdict(low: float, high: float, delta: float) -> str:
    bound = math.log1p(delta)
    if low > bound:
        return REGRESSION
    if high < -bound:
        return IMPROVEMENT
    return EQUIVALENT if -bound <= low and high <= bound else INCONCLUSIVE


def _launches_needed(evidence: Evidence, alpha: float) -> int | None:
    def decided(launches: int) -> bool:
        estimate = evidence.estimate(launches)
        return estimate is not None and _verdict(*estimate.interval(alpha), evidence.delta) != INCONCLUSIVE

    if not decided(MOST_LAUNCHES):
        return None
    low, high = FEWEST - 1, MOST_LAUNCHES  # intervals only narrow, so halving finds the first that decides
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decided(middle) else (middle, high)
    return high
