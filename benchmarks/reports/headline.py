"""The first line of a report: how fast, how sure, can it be trusted, what to change."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from edge_squeeze.benchmarks.checks import FAIL, INVALID, WARN, is_emulated, rollup
from edge_squeeze.benchmarks.comparison import P50
from edge_squeeze.benchmarks.result import ArmResult, Result, of_networks
from edge_squeeze.benchmarks.statistics.verdicts import IMPROVEMENT, REGRESSION
from edge_squeeze.benchmarks.summary import Summary
from edge_squeeze.proof.parity import FAIL as PROOF_FAILED

MOST_HINTS = 3


def headline(result: Result) -> str:
    """A line for each network: how fast, how sure, can it be trusted, what to change."""
    lines = []
    for arms in of_networks(result.arms):
        ids = {one.arm.id for one in arms}
        found = [one for one in result.comparisons if one.cand in ids]
        lines.append(_of_network(dataclasses.replace(result, arms=arms, comparisons=found)))
    return "\n".join(lines)


def _of_network(result: Result) -> str:
    measured = [one for one in result.arms if one.summary is not None]
    best = fastest(result.arms)
    if best is None:
        return f"No arm may be called fastest: {'; '.join(dict.fromkeys(map(_blame, result.arms)))}."
    assert best.summary is not None
    if is_emulated(best.checks):
        return f"No arm is called fast or slow here. {_trust(measured)}"
    what = f"{label(best, result.arms)}: {best.summary.p50_ms:.3g} ms an inference{_sure(best.summary)}"
    if len(measured) > 1:
        what = f"{_lead(best, measured, result)} is {what}{_times(best, result)}"
    if best.summary.paced:
        what += f"; at {best.summary.paced.rate:g} frames a second {best.summary.paced.miss_pct:.1f} % were late"
    return f"{what}{_slower(result)}. {_trust([one for one in measured if one in (best, result.arms[0])])}"


def _lead(best: ArmResult, measured: Sequence[ArmResult], result: Result) -> str:
    others = [one.summary.p50_ms for one in measured if one.summary and not _wrong(one)]
    if best.summary and min(others) < best.summary.p50_ms:
        return "Fastest of those that can be trusted"
    return "Fastest" if _told_apart(best, result) else "Nominally fastest"


def _trust(told: Sequence[ArmResult]) -> str:
    """Whether what is said of the arms `told` can be trusted, why not, and what to change first."""
    checks = [check for one in told for check in one.checks]
    found = sorted((one for one in checks if one.status in (FAIL, WARN)), key=lambda one: one.status != FAIL)
    names = ", ".join(dict.fromkeys(one.id for one in found[:MOST_HINTS]))
    change = f" {found[0].hint}" if found and found[0].hint else ""
    return f"Trust: {rollup(checks)}{f' ({names})' if names else ''}.{change}"


def _told_apart(best: ArmResult, result: Result) -> bool:
    """Whether `best` is proven faster than the baseline and below others' intervals, or, as that, than all others."""
    able = {one.arm.id: one for one in result.arms if not _wrong(one)}
    found = {one.cand: one.verdict for one in result.comparisons if one.metric == P50 and one.cand in able}
    if best is result.arms[0]:
        return all(verdict == REGRESSION for verdict in found.values())
    rivals = [one for name, one in able.items() if name in found and one is not best]
    return found.get(best.arm.id) == IMPROVEMENT and all(_below(best, one) for one in rivals)


def _below(best: ArmResult, rival: ArmResult) -> bool:
    intervals = [one.summary.p50_ci95 for one in (best, rival) if one.summary and one.summary.p50_ci95]
    return len(intervals) < 2 or intervals[0][1] < intervals[1][0]  # noqa: PLR2004 - without one nothing is said


def _slower(result: Result) -> str:
    """The arms that are worse than the baseline by any gate."""
    names = {one.arm.id: label(one, result.arms) for one in result.arms}
    worse = [one for one in result.comparisons if one.verdict == REGRESSION]
    told = [f"{names[one.cand]} ({one.metric}, {one.ratio:.2f} times the baseline's)" for one in worse[:MOST_HINTS]]
    more = f" and {len(worse) - MOST_HINTS} more" if len(worse) > MOST_HINTS else ""
    return f". Regression: {', '.join(told)}{more}" if told else ""


def fastest(arms: Sequence[ArmResult]) -> ArmResult | None:
    """The arm with the lowest latency among those that compute what they should, as far as anybody knows.

    One whose measurement is invalid only if all are: threads beyond the cores, say, look fast on a busy machine.
    """
    right = [one for one in arms if one.summary is not None and not _wrong(one)]
    able = [one for one in right if one.validity != INVALID] or right
    return min(able, key=lambda one: one.summary.p50_ms if one.summary else math.inf, default=None)


def _wrong(one: ArmResult) -> bool:
    return one.correctness.gate == PROOF_FAILED or any(c.id == "outputs" and c.status == FAIL for c in one.checks)


def _blame(one: ArmResult) -> str:
    if one.failure is not None:
        return f"{one.arm.name} could not be measured: {one.failure.rstrip('.')}"
    return f"{one.arm.name} {'failed its proof' if one.correctness.gate == PROOF_FAILED else 'gives no finite results'}"


def label(one: ArmResult, arms: Sequence[ArmResult]) -> str:
    """The name of an arm, with what tells it from the others of that name."""
    others = [other.arm for other in arms if other.arm.name == one.arm.name]
    parts = [one.arm.name]
    if len({other.engine_name for other in others}) > 1:
        parts.append(f"with {one.arm.engine_name}")
    if len({other.threads for other in others}) > 1:
        parts.append(f"on {threads(one.arm.threads)}")
    return " ".join(parts)


def threads(number: int) -> str:
    """A number of threads in words."""
    return f"{number} thread{'' if number == 1 else 's'}"


def _sure(summary: Summary) -> str:
    if summary.p50_ci95 is None:
        return f" (from {summary.n_launches} launch{'' if summary.n_launches == 1 else 'es'}, no interval)"
    low, high = summary.p50_ci95
    return f" (95 %: {low:.3g} to {high:.3g})"


def _times(best: ArmResult, result: Result) -> str:
    base = result.arms[0]
    if best is base or base.summary is None or best.summary is None:
        return ""
    found = next((c for c in result.comparisons if c.cand == best.arm.id and c.metric == P50), None)
    times = base.summary.p50_ms / best.summary.p50_ms
    return f", {times:.2f} times as fast as {label(base, result.arms)} ({found.verdict if found else 'not compared'})"
