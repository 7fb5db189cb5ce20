"""What a benchmark says below its first line: the table, and what a reader of it has to know."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from edge_squeeze.benchmarks.checks import EMULATED, FAIL, WARN, is_emulated
from edge_squeeze.benchmarks.comparison import INCOMPARABLE, MEMORY_GATE, P50
from edge_squeeze.benchmarks.reports.headline import label
from edge_squeeze.benchmarks.reports.trust import doubts
from edge_squeeze.benchmarks.result import ArmResult, Comparison, Result, baseline, of_networks
from edge_squeeze.benchmarks.statistics.verdicts import EQUIVALENT, IMPROVEMENT, INCONCLUSIVE, REGRESSION, margin
from edge_squeeze.errors import ExitCode
from edge_squeeze.machine.cores import cpu_ranges
from edge_squeeze.reporting import Column

NOTHING, FAILED = "-", "failed"
ENGINE, THREADS, PARITY = 1, 2, 13  # of COLUMNS
COLUMNS = (
    Column("arm", text=True), Column("engine", 3, text=True), Column("threads", 2), Column("p50 ms"), Column("95 %"),
    Column("p90", 6), Column("p95", 7), Column("first", 8), Column("load", 9), Column("peak MB", 4),
    Column("file MB", 5), Column("x faster", 1), Column("trust"), Column("parity", text=True),
    Column("verdict", text=True),
)  # fmt: skip
BASELINE = "baseline"
UNMARKED = ("pass", "unknown")  # parity of arms that nothing speaks against


def table(result: Result) -> tuple[list[Column], list[list[str]]]:
    """The columns, and a row for each arm.

    What tells arms of one name apart is never left out; parity is a column only where it speaks against an arm.
    """
    rows, columns = [_row(one, result) for one in result.arms], list(COLUMNS)
    if len({row[0] for row in rows}) < len(rows):
        for at in (ENGINE, THREADS):
            if len({row[at] for row in rows}) > 1:
                columns[at] = dataclasses.replace(columns[at], rank=0)
    shown = [at for at in range(len(columns)) if at != PARITY or any(_marked(one) for one in result.arms)]
    return [columns[at] for at in shown], [[row[at] for at in shown] for row in rows]


def _marked(one: ArmResult) -> bool:
    return one.correctness.gate not in UNMARKED


def _row(one: ArmResult, result: Result) -> tuple[str, ...]:
    arm, found = one.arm, one.summary
    about = arm.name, arm.engine_name, str(arm.threads)
    if found is None:
        return *about, *[NOTHING] * 7, _mb(arm.size_bytes), NOTHING, NOTHING, one.correctness.gate.upper(), FAILED
    peak = NOTHING if found.peak_rss_bytes is None else f"{found.peak_rss_bytes / 1e6:.1f}"
    base = baseline(one, result.arms).summary
    times = f"{base.p50_ms / found.p50_ms:.2f}" if base and not is_emulated(one.checks) else NOTHING
    return (
        *about, ms(found.p50_ms), interval(found.p50_ci95), ms(found.p90_ms), ms(found.p95_ms), ms(found.first_ms),
        ms(found.load_init_ms), peak, _mb(arm.size_bytes), times, one.validity,
        one.correctness.gate.upper(), _verdict(one, result),
    )  # fmt: skip


def _verdict(one: ArmResult, result: Result) -> str:
    found = next((c for c in result.comparisons if c.cand == one.arm.id and c.metric == P50), None)
    is_baseline = any(c.base == one.arm.id for c in result.comparisons)
    compared = found.verdict if found else BASELINE if is_baseline else NOTHING
    return EMULATED if is_emulated(one.checks) else compared


def said(found: Comparison) -> str:
    """The verdict in words."""
    if found.verdict == INCONCLUSIVE and found.metric == MEMORY_GATE and found.ci95 is None:
        return f"{found.verdict} (memory was measured less than 3 times: ask with --gate memory)"
    if found.verdict == INCONCLUSIVE:
        needed = "over 1000" if found.launches_needed is None else f"about {found.launches_needed}"
        return f"{found.verdict} (needs {needed} launches)"
    return found.verdict


def ms(value: float | None) -> str:
    """Milliseconds with three digits."""
    if value is None:
        return NOTHING
    return f"{value:.3g}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004 - digits


def interval(bounds: Sequence[float] | None) -> str:
    """An interval in milliseconds."""
    return NOTHING if bounds is None else f"{ms(bounds[0])}-{ms(bounds[1])}"


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.2f}" if size_bytes >= 1e5 else f"{size_bytes / 1e6:.4f}"  # noqa: PLR2004 - digits


def notes(result: Result, *, every: bool = True) -> Iterator[str]:
    """What a reader of the table has to know, a line each; with `every` arm named that a finding concerns."""
    yield _protocol(result)
    if len(groups := of_networks(result.arms)) > 1:
        told = "; ".join(", ".join(label(one, result.arms) for one in group) for group in groups)
        yield f"{len(groups)} networks, each compared with its own first file (--across-networks: all): {told}."
    yield from (f"{label(one, result.arms)} failed: {one.failure}" for one in result.arms if one.summary is None)
    if result.measured_floor is not None:
        yield (
            f"A/A floor of this device: {result.measured_floor:.1%}. It is kept: comparisons here call nothing below "
            f"{margin(result.measured_floor, cross_session=False):.1%} a change, with this engine and so many threads. "
            f"Remove {result.floor_file} to forget it."
        )
    elif result.floor_refused:
        yield "The A/A floor was not kept, since an invalid measurement tells nothing of the device."
    elif result.aa_floor is not None and len(result.arms) > 1:
        yield (
            f"Nothing below {margin(result.aa_floor, cross_session=False):.1%} is called a change here: twice the A/A "
            f"floor of this device ({result.aa_floor:.1%}), at least 3 %."
        )
    if result.waited_s:
        yield f"Waited {result.waited_s:.0f} s, in all, for the machine to become idle."
    for one in result.arms:
        yield from _long_run(one, result.arms)
    yield from _undecided(result)
    yield from (_compared(found, result) for found in result.comparisons if found.metric != P50)
    yield from doubts(result, every=every)
    for one in result.arms:
        if one.why:
            times, *reasons = one.why
            yield f"Why {label(one, result.arms)} is not faster ({times}):"
            yield from (f"  {reason}" for reason in reasons)


def _undecided(result: Result) -> Iterator[str]:
    """What it would take to decide comparisons of p50: arms that need as many launches are named together."""
    names = {one.arm.id: label(one, result.arms) for one in result.arms if not is_emulated(one.checks)}
    told: dict[str, list[str]] = {}
    for found in result.comparisons:
        if found.metric == P50 and found.verdict == INCONCLUSIVE and found.cand in names:
            told.setdefault(said(found), []).append(names[found.cand])
    yield from (f"{', '.join(whom)}: {what}" for what, whom in told.items())


def _protocol(result: Result) -> str:
    arm, profile = result.arms[0].arm, result.profile
    counts = sorted({one.summary.n_launches for one in result.arms if one.summary})
    number = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1])))) if counts else "0"
    bound = any(launch.affinity for one in result.arms for launch in one.launches)
    inputs = f"{arm.inputs.count} pictures of {arm.inputs.source}" if arm.inputs.source else "8 seeded inputs in turn"
    return (
        f"{profile.name}: {number} fresh process{'' if number == '1' else 'es'} of each arm, in rounds of random "
        f"order; host arrays in, host arrays out; {inputs}; cores "
        f"{cpu_ranges(arm.cpus) if arm.cpus and bound else 'any'} of {result.device.name}. Times in ms."
    )


def _long_run(one: ArmResult, arms: Sequence[ArmResult]) -> Iterator[str]:
    if one.summary and (held := one.summary.sustained):
        when = "held its speed" if held.t_throttle_s is None else f"slower from {held.t_throttle_s:.0f} s on"
        disturbed = any(c.id in ("contention", "waiting") and c.status in (WARN, FAIL) for c in one.checks)
        if held.t_throttle_s is not None and disturbed:
            when += ", possibly because other programs were running"
        yield (
            f"{label(one, arms)}: peak {ms(held.peak_ms)}, steady {ms(held.steady_ms)}: {held.ratio:.2f} times its "
            f"peak; {when}."
        )
    if one.summary and (paced := one.summary.paced):
        yield (
            f"{label(one, arms)} at {paced.rate:g} frames a second: response p90 {ms(paced.response_p90_ms)}, "
            f"{paced.miss_pct:.1f} % late (not done when the next was due); an inference takes "
            f"{paced.idle_penalty:.2f} times what it takes without pauses."
        )


def _compared(found: Comparison, result: Result) -> str:
    names = {one.arm.id: label(one, result.arms) for one in result.arms}
    ratio = "" if found.ratio is None else f", {found.ratio:.2f} times the baseline's"
    why = f": {found.reason}" if found.reason else ""
    return f"{found.metric} of {names[found.cand]}: {said(found)}{ratio}{why}"


def failed_ci(comparisons: Sequence[Comparison]) -> int:
    """The exit code of docs/commands.md that `comparisons` demand: 8, 10, 9 or 0."""
    verdicts = {found.verdict for found in comparisons}
    good = {EQUIVALENT, IMPROVEMENT}
    codes = {REGRESSION: ExitCode.REGRESSION, INCOMPARABLE: ExitCode.INCOMPARABLE, INCONCLUSIVE: ExitCode.INCONCLUSIVE}
    return next((code for verdict, code in codes.items() if verdict in verdicts - good), 0)
