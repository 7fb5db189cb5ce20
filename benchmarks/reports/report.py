"""What a benchmark says: first how fast, how sure, whether to trust it and what to change; then the table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from edge_squeeze.benchmarks.checks import FAIL, INVALID, VALID, WARN, rollup
from edge_squeeze.benchmarks.comparison import P50
from edge_squeeze.benchmarks.machine.cores import cpu_ranges
from edge_squeeze.benchmarks.result import ArmResult, Comparison, Result
from edge_squeeze.benchmarks.statistics.verdicts import EQUIVALENT, IMPROVEMENT, INCONCLUSIVE, REGRESSION, margin
from edge_squeeze.benchmarks.summary import Summary
from edge_squeeze.parity import FAIL as PROOF_FAILED

NOTHING = "-"
COLUMNS = (
    "arm", "engine", "threads", "p50 ms", "95 %", "p90", "p95", "first", "load", "peak MB", "file MB", "x faster",
    "trust", "verdict",
)  # fmt: skip
BASELINE = "baseline"
MOST_HINTS = 3


def headline(result: Result) -> str:
    """One line: how fast, how sure, can it be trusted, what to change."""
    measured = [one for one in result.arms if one.summary is not None]
    best = fastest(result.arms)
    if best is None:
        return f"No arm may be called fastest: {'; '.join(dict.fromkeys(map(_blame, result.arms)))}."
    assert best.summary is not None
    what = f"{label(best, result.arms)}: {best.summary.p50_ms:.3g} ms an inference{_sure(best.summary)}"
    if len(measured) > 1:
        what = f"Fastest is {what}{_times(best, result)}"
    told = [one for one in measured if one in (best, result.arms[0])]
    trust = rollup([check for one in told for check in one.checks])
    found = [check for one in told for check in one.checks if check.status in (FAIL, WARN)]
    first = sorted(found, key=lambda check: check.status != FAIL)
    change = first[0].hint if first else None
    names = ", ".join(dict.fromkeys(check.id for check in first[:MOST_HINTS]))
    return f"{what}. Trust: {trust}{f' ({names})' if names else ''}.{f' {change}' if change else ''}"


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


def rows(result: Result) -> list[tuple[str, ...]]:
    """A row of COLUMNS for each arm."""
    return [_row(one, result) for one in result.arms]


def _row(one: ArmResult, result: Result) -> tuple[str, ...]:
    arm, found = one.arm, one.summary
    about = arm.name, arm.engine_name, str(arm.threads)
    if found is None:
        return *about, *[NOTHING] * 7, _mb(arm.size_bytes), NOTHING, NOTHING, f"failed: {one.failure}"
    ci95 = NOTHING if found.p50_ci95 is None else f"{_ms(found.p50_ci95[0])}-{_ms(found.p50_ci95[1])}"
    peak = NOTHING if found.peak_rss_bytes is None else f"{found.peak_rss_bytes / 1e6:.1f}"
    base = result.arms[0].summary
    times = f"{base.p50_ms / found.p50_ms:.2f}" if base else NOTHING
    return (
        *about, _ms(found.p50_ms), ci95, _ms(found.p90_ms), _ms(found.p95_ms), _ms(found.first_ms),
        _ms(found.load_init_ms), peak, _mb(arm.size_bytes), times, one.validity, _verdict(one, result),
    )  # fmt: skip


def _verdict(one: ArmResult, result: Result) -> str:
    found = next((c for c in result.comparisons if c.cand == one.arm.id and c.metric == P50), None)
    is_baseline = one is result.arms[0] and len(result.arms) > 1
    text = said(found) if found else BASELINE if is_baseline else NOTHING
    proof = {"pass": "", "unknown": ""}.get(one.correctness.gate, f"; parity {one.correctness.gate.upper()}")
    return text + proof


def said(found: Comparison) -> str:
    """The verdict in words."""
    if found.verdict == INCONCLUSIVE:
        needed = "over 1000" if found.launches_needed is None else f"about {found.launches_needed}"
        return f"{found.verdict} (needs {needed} launches)"
    return found.verdict


def _ms(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004 - digits


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.2f}"


def notes(result: Result) -> Iterator[str]:
    """What a reader of the table has to know, a line each."""
    yield _protocol(result)
    if result.measured_floor is not None:
        yield (
            f"A/A floor of this device: {result.measured_floor:.1%}. It is kept: comparisons here call nothing below "
            f"{margin(result.measured_floor, cross_session=False):.1%} a change."
        )
    elif result.aa_floor is not None and len(result.arms) > 1:
        yield (
            f"Nothing below {margin(result.aa_floor, cross_session=False):.1%} is called a change here: twice the A/A "
            f"floor of this device ({result.aa_floor:.1%}), at least 3 %."
        )
    if result.waited_s:
        yield f"Waited {result.waited_s:.0f} s, in all, for the machine to calm down."
    for one in result.arms:
        yield from _long_run(one, result.arms)
    yield from (_compared(found, result) for found in result.comparisons if found.metric != P50)
    yield from _doubts(result)
    for one in result.arms:
        if one.why:
            times, *reasons = one.why
            yield f"Why {label(one, result.arms)} is not faster ({times}):"
            yield from (f"  {reason}" for reason in reasons)


def _protocol(result: Result) -> str:
    arm, profile = result.arms[0].arm, result.profile
    counts = sorted({one.summary.n_launches for one in result.arms if one.summary})
    number = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1])))) if counts else "0"
    inputs = f"{arm.inputs.count} pictures of {arm.inputs.source}" if arm.inputs.source else "8 seeded inputs in turn"
    return (
        f"{profile.name}: {number} fresh process{'' if number == '1' else 'es'} of each arm, in rounds of random "
        f"order; host arrays in, host arrays out; {inputs}; cores {cpu_ranges(arm.cpus) if arm.cpus else 'any'}. "
        "Times in ms."
    )


def _long_run(one: ArmResult, arms: Sequence[ArmResult]) -> Iterator[str]:
    if one.summary and (held := one.summary.sustained):
        when = "never throttled" if held.t_throttle_s is None else f"slow from {held.t_throttle_s:.0f} s on"
        yield (
            f"{label(one, arms)}: peak {_ms(held.peak_ms)}, steady {_ms(held.steady_ms)}: {held.ratio:.2f} times its "
            f"peak; {when}."
        )
    if one.summary and (paced := one.summary.paced):
        yield (
            f"{label(one, arms)} at {paced.rate:g} frames a second: response p90 {_ms(paced.response_p90_ms)}, "
            f"{paced.miss_pct:.1f} % late; {paced.idle_penalty:.2f} times as slow as without pauses."
        )


def _compared(found: Comparison, result: Result) -> str:
    names = {one.arm.id: label(one, result.arms) for one in result.arms}
    ratio = "" if found.ratio is None else f", {found.ratio:.2f} times the baseline's"
    why = f": {found.reason}" if found.reason else ""
    return f"{found.metric} of {names[found.cand]}: {said(found)}{ratio}{why}"


def _doubts(result: Result) -> Iterator[str]:
    """What spoke against trusting arms: each hint once, with the arms that it concerns."""
    told: dict[tuple[str, str], list[str]] = {}
    for one in result.arms:
        for check in one.checks:
            if check.status in (FAIL, WARN):
                key = f"{check.id} ({'fails' if check.status == FAIL else 'doubtful'})", check.hint or ""
                told.setdefault(key, []).append(f"{label(one, result.arms)} {_value(check.value)}".strip())
    for (what, hint), whom in told.items():
        yield f"{what}: {'; '.join(whom)}. {hint}"
    if not told and any(one.summary for one in result.arms):
        yield f"{VALID.capitalize()}: every check that this machine allows passed."


def _value(value: float | str | None) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)


def failed_ci(comparisons: Sequence[Comparison]) -> int:
    """The exit code of docs/commands.md that `comparisons` demand: 8, 10, 9 or 0."""
    verdicts = {found.verdict for found in comparisons}
    good = {EQUIVALENT, IMPROVEMENT}
    codes = {REGRESSION: 8, "incomparable": 10, INCONCLUSIVE: 9}
    return next((code for verdict, code in codes.items() if verdict in verdicts - good), 0)
