"""Figures and comparisons from saved results: nothing is measured, everything is computed anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_squeeze.benchmarks import comparison
from edge_squeeze.benchmarks.benchmark import judged
from edge_squeeze.benchmarks.comparison import Pair, differences, fingerprint
from edge_squeeze.benchmarks.result import ArmResult, Comparison, Result
from edge_squeeze.benchmarks.stored import Stored, StoredArm, load
from edge_squeeze.benchmarks.summary import timed
from edge_squeeze.errors import UsageError

GONE, ADDED = "only the earlier result has it", "only the later result has it"


def replay(path: Path, gates: Sequence[str]) -> Result:
    """The result saved in `path`, its figures, checks and verdicts computed anew."""
    stored = load(path)
    arms = _arms(stored)
    return Result(
        stored.created_utc, stored.session_id, stored.profile, stored.argv, stored.seed, stored.order,
        stored.measured_on, arms, comparison.compare(comparison.within(arms), gates, stored.aa_floor, paired=True),
        stored.waited_s, stored.resumed_after_s, stored.aa_floor,
    )  # fmt: skip


def compare(old: Path, new: Path, gates: Sequence[str], *, force: bool) -> list[Comparison]:
    """The arms of the result `new` against those of `old`; with `force` whatever their circumstances were."""
    before, after = load(old), load(new)
    olds, news = ({one.arm.id: one for one in _arms(stored)} for stored in (before, after))
    if not olds or not news:
        raise UsageError(f"{new if olds else old} has no arms.")
    if len(olds) == len(news) == 1:  # a renamed file is still the successor of the other
        news = dict(zip(olds, news.values(), strict=True))
    pairs = [_pair(olds[at], news[at], before, after, force=force) for at in olds if at in news]
    pairs += [Pair(one, one, (GONE,)) for at, one in olds.items() if at not in news]
    pairs += [Pair(one, one, (ADDED,)) for at, one in news.items() if at not in olds]
    floors = [stored.aa_floor for stored in (before, after) if stored.aa_floor is not None]
    return comparison.compare(pairs, gates, max(floors, default=None), paired=False)


def _pair(old: ArmResult, new: ArmResult, before: Stored, after: Stored, *, force: bool) -> Pair:
    found = differences(_fingerprint(old, before), _fingerprint(new, after))
    return Pair(old, new, found, force)


def _fingerprint(one: ArmResult, stored: Stored) -> Mapping[str, object]:
    return fingerprint(stored.measured_on, one, stored.profile)


def _arms(stored: Stored) -> list[ArmResult]:
    return [_arm(one, stored) for one in stored.arms]


def _arm(one: StoredArm, stored: Stored) -> ArmResult:
    failure, looked = one.failure, one.model.inspection
    bare = ArmResult(one.arm(), one.launches, None, one.correctness, [], failure, looked, one.denormals, one.why)
    if one.failure is not None or not timed(one.launches):
        return bare
    return judged(bare, stored.profile, stored.measured_on, stored.resumed_after_s, one.denormals)
