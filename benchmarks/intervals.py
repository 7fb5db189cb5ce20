"""How sure a typical time is: t and bootstrap intervals of launch medians, and when enough launches have run."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.benchmarks.stats import Launches, medians

LEVEL = 0.95
FEWEST = 3  # launches that give an interval
RESAMPLES = 4999
PRECISION = 0.02
# Fewest launches -> level at which an interval covers about 95 % when its own width decided how many launches ran.
STOP_LEVELS = ((5, 0.96), (0, 0.97))


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a time and how it was made: "t" or "bootstrap"."""

    low: float
    high: float
    method: str

    @property
    def half_width(self) -> float:
        """Half the interval relative to its middle, on a log scale; 0.02 is +-2 %."""
        return math.log(self.high / self.low) / 2


def t_cdf(t: float, df: int) -> float:
    """The chance that Student's t with `df` >= 1 degrees of freedom is at most `t`.

    Closed series for whole `df`: Abramowitz and Stegun, 26.7.3 (odd) and 26.7.4 (even).
    """
    angle = math.atan(t / math.sqrt(df))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd, squared = df % 2, cosine**2
    total, term = 0.0, cosine if odd else 1.0
    for k in range(1 + odd, df, 2):
        total += term
        term *= squared * k / (k + 1)
    half = (angle + sine * total) / math.pi if odd else sine * total / 2
    return max(0.0, 0.5 + half)


@functools.cache
def t_quantile(p: float, df: int) -> float:
    """The t that `t_cdf` gives `p` for, by bisection. ValueError unless 0 < p < 1."""
    if not 0 < p < 1:
        raise ValueError(f"a quantile needs a probability between 0 and 1. Got: {p}.")
    if p < 0.5:  # noqa: PLR2004 - the other half mirrored
        return -t_quantile(1 - p, df)
    low, high = 0.0, 1.0
    while t_cdf(high, df) < p:
        high *= 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if t_cdf(middle, df) < p else (low, middle)
    return high


def t_interval(launch_medians: Sequence[float], level: float = LEVEL) -> tuple[float, float] | None:
    """Student's interval of the geometric mean of `launch_medians`; None below 3 launches."""
    n = len(launch_medians)
    if n < FEWEST:
        return None
    logs = np.log(np.asarray(launch_medians, np.float64))
    mean = float(logs.mean())
    half = t_quantile((1 + level) / 2, n - 1) * float(logs.std(ddof=1)) / math.sqrt(n)
    return math.exp(mean - half), math.exp(mean + half)


def bootstrap_interval(
    launches: Launches, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float] | None:
    """Percentile interval of the geometric mean of launch medians, launches and then their samples drawn anew.

    None below 3 launches.
    """
    if len(launches) < FEWEST:
        return None
    rng = np.random.default_rng(seed)
    picked = rng.integers(len(launches), size=(resamples, len(launches)))
    means = np.log(resampled_medians(launches, picked, rng)).mean(axis=1)
    low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2))
    return math.exp(low), math.exp(high)


def resampled_medians(launches: Launches, picked: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """The median of a bootstrap resample of each of the `picked` launches, in the shape of `picked`.

    A resample's k-th smallest of n is the sample at n x U, U being the k-th smallest of n uniform numbers, that is
    Beta(k, n + 1 - k): nothing has to be resampled. For even n the upper of the two middle ones is the least of the
    n / 2 uniform numbers above the lower one. Both are exact.
    """
    sizes = np.array([len(samples) for samples in launches])
    starts = np.cumsum(sizes) - sizes
    pool = np.concatenate([np.sort(samples) for samples in launches]).astype(np.float64)
    n, start = sizes[picked], starts[picked]
    rank = (n + 1) // 2
    lower = rng.beta(rank, n + 1 - rank)
    least = 1 - rng.random(picked.shape) ** (1 / np.maximum(n - rank, 1))
    upper = np.where(n % 2, lower, lower + (1 - lower) * least)
    at_lower, at_upper = (pool[start + np.minimum(n * u, n - 1).astype(np.int64)] for u in (lower, upper))
    return np.asarray((at_lower + at_upper) / 2)


def interval(launches: Launches, level: float = LEVEL, resamples: int = RESAMPLES) -> Interval | None:
    """The wider of the t interval and the bootstrap interval; None below 3 launches."""
    student = t_interval(medians(launches), level)
    bootstrap = bootstrap_interval(launches, level, resamples)
    if student is None or bootstrap is None:
        return None
    return max(Interval(*student, "t"), Interval(*bootstrap, "bootstrap"), key=lambda made: made.half_width)


def stop_level(floor: int, cap: int) -> float:
    """The level to judge precision and print at, for what is called 95 %, when `floor` to `cap` launches may run.

    Stopping as soon as an interval is narrow prefers sessions that look quieter than they are: at a plain 95 % it
    covers the truth in as few as 91.9 % of them for 3 to 6 launches, 93.9 % for 10 to 20, 94.3 % for 20 to 40. At the
    levels of STOP_LEVELS the fewest are 94.8 %, 95.0 % and 95.5 % (at launch CVs of 2.5 %, 4 % and 6 %; at most 97 %
    between 0.5 % and 10 %; 100000 sessions each, log-normal launch medians, precision 2 %), and 95.9 % where the
    logarithms follow Student's t with 3 degrees of freedom. Another precision moves the worst CV along and leaves its
    coverage. No level repairs strongly skewed launches: 85 to 91 % for exponential noise.
    Without an adaptive stop (`floor` = `cap`) the plain 95 % holds.
    """
    if cap <= floor:
        return LEVEL
    return next(level for fewest, level in STOP_LEVELS if floor >= fewest)


def precise_enough(launches: Launches, target: float = PRECISION, level: float = LEVEL) -> bool:
    """Whether the interval at `level` reaches at most the share `target` to either side; never below 3 launches."""
    reached = interval(launches, level)
    return reached is not None and reached.half_width <= target


def launches_for_precision(launch_medians: Sequence[float], half_width: float = PRECISION) -> int:
    """How many launches in all would give a 95 % interval of +-`half_width`, if they scatter as these; at least 3.

    pyperf's formula, n = 1.96^2 s^2 / w^2, on log medians.
    """
    if len(launch_medians) <= 1:
        return FEWEST
    deviation = float(np.log(np.asarray(launch_medians, np.float64)).std(ddof=1))
    return max(FEWEST, math.ceil((1.96 * deviation / half_width) ** 2))
