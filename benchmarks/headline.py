"""The first line of a report: how fast, how certain, can it be trusted, what to change."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from edge_squeeze.benchmarks.checks import FAIL, INVALID, WARN, is_emulated, rollup
from edge_squeeze.benchmarks.options import P50
from edge_squeeze.benchmarks.result import ArmResult, Result, of_networks
from edge_squeeze.benchmarks.summary import Summary
from edge_squeeze.benchmarks.verdicts import IMPROVEMENT, REGRESSION
from edge_squeeze.proof.parity import FAIL as PROOF_FAILED

MOST_HINTS = 3


def headline(result: Result) -> str:
    """A line for each network: how fast, how certain, can it be trusted, what to change."""
    lines = []
    for arms in of_networks(result.arms):
        ids = {arm.arm.id for arm in arms}
        comparisons = [pair for pair in result.comparisons if pair.cand in ids]
        lines.append(_line_of_network(dataclasses.replace(result, arms=arms, comparisons=comparisons)))
    return "\n".join(lines)


def _line_of_network(result: Result) -> str:
    measured = [arm for arm in result.arms if arm.summary is not None]
    best = fastest(result.arms)
    if best is None:
        return f"No arm can be called fastest: {'; '.join(dict.fromkeys(map(_disqualification, result.arms)))}."
    assert best.summary is not None
    if is_emulated(best.checks):
        return f"No arm is called fast or slow here. {_trust(measured)}"
    line = f"{label(best, result.arms)}: {best.summary.p50_ms:.3g} ms per inference{_certainty(best.summary)}"
    if len(measured) > 1:
        line = f"{_lead(best, measured, result)} is {line}{_speedup(best, result)}"
    if best.summary.paced:
        line += f"; at {best.summary.paced.rate:g} frames per second, {best.summary.paced.miss_pct:.1f} % were late"
    return f"{line}{_regressions(result)}. {_trust([arm for arm in measured if arm in (best, result.arms[0])])}"


def _lead(best: ArmResult, measured: Sequence[ArmResult], result: Result) -> str:
    latencies = [arm.summary.p50_ms for arm in measured if arm.summary and not _is_wrong(arm)]
    if best.summary and min(latencies) < best.summary.p50_ms:
        return "Fastest of those that can be trusted"
    return "Fastest" if _is_proven_fastest(best, result) else "Nominally fastest"


def _trust(arms: Sequence[ArmResult]) -> str:
    """Whether what the line says of `arms` can be trusted, why not, and what to change first."""
    checks = [check for arm in arms for check in arm.checks]
    doubts = sorted((check for check in checks if check.status in (FAIL, WARN)), key=lambda check: check.status != FAIL)
    names = ", ".join(dict.fromkeys(check.id for check in doubts[:MOST_HINTS]))
    hint = f" {doubts[0].hint}" if doubts and doubts[0].hint else ""
    return f"Trust: {rollup(checks)}{f' ({names})' if names else ''}.{hint}"


def _is_proven_fastest(best: ArmResult, result: Result) -> bool:
    """Whether `best` is proven faster than the baseline and below the rivals' intervals, or, as the baseline, than all.

    Arms whose results are wrong do not count.
    """
    right = {arm.arm.id: arm for arm in result.arms if not _is_wrong(arm)}
    verdicts = {pair.cand: pair.verdict for pair in result.comparisons if pair.metric == P50 and pair.cand in right}
    if best is result.arms[0]:
        return all(verdict == REGRESSION for verdict in verdicts.values())
    rivals = [arm for name, arm in right.items() if name in verdicts and arm is not best]
    return verdicts.get(best.arm.id) == IMPROVEMENT and all(_is_below(best, rival) for rival in rivals)


def _is_below(best: ArmResult, rival: ArmResult) -> bool:
    intervals = [arm.summary.p50_ci95 for arm in (best, rival) if arm.summary and arm.summary.p50_ci95]
    return len(intervals) < 2 or intervals[0][1] < intervals[1][0]  # noqa: PLR2004 - of both arms


def _regressions(result: Result) -> str:
    """The arms that are worse than the baseline by any gate."""
    names = {arm.arm.id: label(arm, result.arms) for arm in result.arms}
    worse = [pair for pair in result.comparisons if pair.verdict == REGRESSION]
    named = [f"{names[pair.cand]} ({pair.metric}, {pair.ratio:.2f} times the baseline's)" for pair in worse]
    more = f" and {len(worse) - MOST_HINTS} more" if len(worse) > MOST_HINTS else ""
    return f". Regression: {', '.join(named[:MOST_HINTS])}{more}" if named else ""


def fastest(arms: Sequence[ArmResult]) -> ArmResult | None:
    """The arm with the lowest latency among those that compute what they should, as far as is known.

    An arm whose measurement is invalid counts only if all are: with more threads than cores, say, an arm may look fast
    on a busy machine.
    """
    right = [arm for arm in arms if arm.summary is not None and not _is_wrong(arm)]
    valid = [arm for arm in right if arm.validity != INVALID] or right
    return min(valid, key=lambda arm: arm.summary.p50_ms if arm.summary else math.inf, default=None)


def _is_wrong(arm: ArmResult) -> bool:
    failed = any(check.id == "outputs" and check.status == FAIL for check in arm.checks)
    return arm.correctness.gate == PROOF_FAILED or failed


def _disqualification(arm: ArmResult) -> str:
    if arm.failure is not None:
        return f"{arm.arm.name} could not be measured: {arm.failure.rstrip('.')}"
    return f"{arm.arm.name} {'failed its proof' if arm.correctness.gate == PROOF_FAILED else 'gives infinities or NaN'}"


def label(result: ArmResult, arms: Sequence[ArmResult]) -> str:
    """The name of an arm, with its engine or threads where other arms of that name differ in them."""
    namesakes = [arm.arm for arm in arms if arm.arm.name == result.arm.name]
    parts = [result.arm.name]
    if len({arm.engine_name for arm in namesakes}) > 1:
        parts.append(f"with {result.arm.engine_name}")
    if len({arm.threads for arm in namesakes}) > 1:
        parts.append(f"on {result.arm.threads} thread{'' if result.arm.threads == 1 else 's'}")
    return " ".join(parts)


def _certainty(summary: Summary) -> str:
    if summary.p50_ci95 is None:
        return f" (from {summary.n_launches} launch{'' if summary.n_launches == 1 else 'es'}, no interval)"
    low, high = summary.p50_ci95
    return f" (95 %: {low:.3g} to {high:.3g})"


def _speedup(best: ArmResult, result: Result) -> str:
    base = result.arms[0]
    if best is base or base.summary is None or best.summary is None:
        return ""
    verdicts = {pair.cand: pair.verdict for pair in result.comparisons if pair.metric == P50}
    times = base.summary.p50_ms / best.summary.p50_ms
    return f", {times:.2f} times as fast as {label(base, result.arms)} ({verdicts.get(best.arm.id, 'not compared')})"
