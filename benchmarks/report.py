"""What a benchmark says below its first line: the table, and what a reader of it has to know."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edge_squeeze.benchmarks.checks import EMULATED, FAIL, UNKNOWN, VALID, WARN, Check, is_emulated, percent
from edge_squeeze.benchmarks.comparison import INCOMPARABLE
from edge_squeeze.benchmarks.headline import label
from edge_squeeze.benchmarks.options import MEMORY_GATE, P50
from edge_squeeze.benchmarks.result import ArmResult, Comparison, Result, baseline, of_networks
from edge_squeeze.benchmarks.verdicts import INCONCLUSIVE, REGRESSION, margin
from edge_squeeze.errors import ExitCode
from edge_squeeze.machine.cores import cpu_ranges
from edge_squeeze.reporting import Column, megabytes

NOTHING, FAILED = "-", "failed"
ENGINE, THREADS, PARITY = 1, 2, 13  # of COLUMNS
COLUMNS = (
    Column("arm", text=True), Column("engine", 3, text=True), Column("threads", 2), Column("p50 ms"), Column("95 %"),
    Column("p90", 6), Column("p95", 7), Column("first", 8), Column("load", 9), Column("peak MB", 4),
    Column("file MB", 5), Column("x faster", 1), Column("trust"), Column("parity", text=True),
    Column("verdict", text=True),
)  # fmt: skip
BASELINE = "baseline"
UNMARKED = ("pass", "unknown")  # parity that does not count against an arm
# What each check measures, and the unit of its value: a share (%), seconds (s), bytes (B), a number or words ("").
MEANINGS = {
    "emulated": ("processor", ""),
    "contention": ("time without a core", "%"),
    "waiting": ("time spent waiting for a core", "%"),
    "preemption": ("involuntary switches per inference", ""),
    "quota": ("stops by the CPU quota", ""),
    "steal": ("time taken by the hypervisor", "%"),
    "frequency": ("drop of the clock", "%"),
    "probe": ("change of the machine's speed within launches", "%"),
    "steadiness": ("difference of the machine's speed between launches", "%"),
    "thermal": ("throttling", ""),
    "power": ("power supply", ""),
    "affinity": ("cores used", ""),
    "major_faults": ("pages read from disk", ""),
    "swap": ("memory swapped out", "B"),
    "stationarity": ("change of latency within launches", "%"),
    "drift": ("change of latency from launch to launch", "%"),
    "bimodal": ("gap between two groups of launches", "%"),
    "precision": ("half the width of the interval", "%"),
    "pace": ("late frames", "%"),
    "agreement": ("distance between mean and median of launches", "%"),
    "percentiles": ("known percentiles", ""),
    "oversubscription": ("threads", ""),
    "samples": ("samples of the shortest launch", ""),
    "timer": ("time to read the clock per inference", "%"),
    "inputs": ("inputs", ""),
    "outputs": ("values that are not finite", ""),
    "variety": ("different outputs", ""),
    "repeatability": ("launches with different outputs", ""),
    "denormals": ("weights below the normal range", "%"),
    "delegation": ("operators on fast kernels", ""),
    "resumed": ("length of the interruption", "s"),
}
NOT_FOR_ALL = ("denormals", "delegation", "percentiles", "precision")  # checks that some files or profiles do not have
STATUSES = {FAIL: "fails", WARN: "is doubtful"}
MOST_NAMED = 3  # arms with a value of their own


@dataclass(frozen=True)
class Finding:
    """A check that an arm did not pass."""

    arm: str
    check: Check

    @property
    def size(self) -> float:
        """What the findings of one kind are ordered by."""
        return abs(self.check.value) if isinstance(self.check.value, int | float) else 0.0


def table(result: Result) -> tuple[list[Column], list[list[str]]]:
    """The columns, and a row for each arm.

    Columns in which arms of the same name differ are never hidden; parity is shown only if it counts against an arm.
    """
    rows, columns = [_row(arm, result) for arm in result.arms], list(COLUMNS)
    if len({row[0] for row in rows}) < len(rows):
        for at in (ENGINE, THREADS):
            if len({row[at] for row in rows}) > 1:
                columns[at] = dataclasses.replace(columns[at], rank=0)
    marked = any(arm.correctness.gate not in UNMARKED for arm in result.arms)
    shown = [at for at in range(len(columns)) if at != PARITY or marked]
    return [columns[at] for at in shown], [[row[at] for at in shown] for row in rows]


def _row(result: ArmResult, session: Result) -> tuple[str, ...]:
    arm, summary = result.arm, result.summary
    name, size = (arm.name, arm.engine_name, str(arm.threads)), megabytes(arm.size_bytes)
    parity = result.correctness.gate
    if summary is None:
        return *name, *[NOTHING] * 7, size, NOTHING, NOTHING, parity.upper(), FAILED
    base = baseline(result, session.arms).summary
    times = (summary.p90_ms, summary.p95_ms, summary.first_ms, summary.load_init_ms)
    return (
        *name,
        ms(summary.p50_ms),
        interval(summary.p50_ci95),
        *map(ms, times),
        NOTHING if summary.peak_rss_bytes is None else f"{summary.peak_rss_bytes / 1e6:.1f}",
        size,
        f"{base.p50_ms / summary.p50_ms:.2f}" if base and not is_emulated(result.checks) else NOTHING,
        result.validity,
        parity.upper(),
        _verdict(result, session),
    )


def _verdict(result: ArmResult, session: Result) -> str:
    if is_emulated(result.checks):
        return EMULATED
    verdicts = {pair.cand: pair.verdict for pair in session.comparisons if pair.metric == P50}
    is_baseline = any(pair.base == result.arm.id for pair in session.comparisons)
    return verdicts.get(result.arm.id, BASELINE if is_baseline else NOTHING)


def verdict_text(pair: Comparison) -> str:
    """The verdict, with what an inconclusive one needs."""
    if pair.verdict == INCONCLUSIVE and pair.metric == MEMORY_GATE and pair.ci95 is None:
        return f"{pair.verdict} (memory was measured fewer than 3 times: add --gate memory)"
    if pair.verdict == INCONCLUSIVE:
        needed = "over 1000" if pair.launches_needed is None else f"about {pair.launches_needed}"
        return f"{pair.verdict} (needs {needed} launches)"
    return pair.verdict


def ms(value: float | None) -> str:
    """Milliseconds with three digits."""
    if value is None:
        return NOTHING
    return f"{value:.3g}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004 - digits


def interval(bounds: Sequence[float] | None) -> str:
    """An interval in milliseconds."""
    return NOTHING if bounds is None else f"{ms(bounds[0])}-{ms(bounds[1])}"


def notes(result: Result, *, every: bool = True) -> Iterator[str]:
    """What a reader of the table has to know, a line each; with `every`, findings name all their arms."""
    names = {arm.arm.id: label(arm, result.arms) for arm in result.arms}
    yield _protocol(result)
    if len(networks := of_networks(result.arms)) > 1:
        listed = "; ".join(", ".join(names[arm.arm.id] for arm in arms) for arms in networks)
        yield (
            f"{len(networks)} networks, each compared with its own first file (--across-networks compares all): "
            f"{listed}."
        )
    yield from (f"{names[arm.arm.id]} failed: {arm.failure}" for arm in result.arms if arm.summary is None)
    yield from _floor_notes(result)
    if result.waited_s:
        yield f"Waited {result.waited_s:.0f} s, in all, for the machine to become idle."
    for arm in result.arms:
        yield from _long_run(arm, names[arm.arm.id])
    yield from _undecided(result, names)
    yield from (_gate_note(pair, names) for pair in result.comparisons if pair.metric != P50)
    yield from doubts(result, every=every)
    for arm in result.arms:
        if arm.why:
            times, *reasons = arm.why
            yield f"Why {names[arm.arm.id]} is not faster ({times}):"
            yield from (f"  {reason}" for reason in reasons)


def _floor_notes(result: Result) -> Iterator[str]:
    if result.measured_floor is not None:
        yield (
            f"A/A floor of this device: {result.measured_floor:.1%}. From now on, differences up to "
            f"{margin(result.measured_floor, cross_session=False):.1%} do not count as changes here, with this engine "
            f"and number of threads. To forget the floor, delete {result.floor_file}."
        )
    elif result.floor_refused:
        yield "The A/A floor was not kept: an invalid measurement says nothing about the device."
    elif result.aa_floor is not None and len(result.arms) > 1:
        yield (
            f"Differences up to {margin(result.aa_floor, cross_session=False):.1%} do not count as changes here: twice "
            f"this device's A/A floor ({result.aa_floor:.1%}), but at least 3 %."
        )


def _undecided(result: Result, names: Mapping[str, str]) -> Iterator[str]:
    """What it would take to decide comparisons of p50: arms that need as many launches are named together."""
    emulated = {arm.arm.id for arm in result.arms if is_emulated(arm.checks)}
    undecided: dict[str, list[str]] = {}
    for pair in result.comparisons:
        if pair.metric == P50 and pair.verdict == INCONCLUSIVE and pair.cand not in emulated:
            undecided.setdefault(verdict_text(pair), []).append(names[pair.cand])
    yield from (f"{', '.join(arms)}: {verdict}" for verdict, arms in undecided.items())


def _protocol(result: Result) -> str:
    arm, profile = result.arms[0].arm, result.profile
    counts = sorted({measured.summary.n_launches for measured in result.arms if measured.summary})
    number = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1])))) if counts else "0"
    bound = any(launch.affinity for measured in result.arms for launch in measured.launches)
    inputs = f"{arm.inputs.count} pictures from {arm.inputs.source}" if arm.inputs.source else "8 seeded inputs in turn"
    return (
        f"{profile.name}: {number} fresh process{'' if number == '1' else 'es'} per arm, in rounds of random "
        f"order; host arrays in, host arrays out; {inputs}; cores "
        f"{cpu_ranges(arm.cpus) if arm.cpus and bound else 'any'} of {result.device.name}. Times in ms."
    )


def _long_run(arm: ArmResult, name: str) -> Iterator[str]:
    if arm.summary and (sustained := arm.summary.sustained):
        since = sustained.t_throttle_s
        course = "held its speed" if since is None else f"slower from {since:.0f} s on"
        disturbed = any(check.id in ("contention", "waiting") and check.status in STATUSES for check in arm.checks)
        if since is not None and disturbed:
            course += ", possibly because other programs were running"
        yield (
            f"{name}: peak {ms(sustained.peak_ms)}, steady {ms(sustained.steady_ms)}: {sustained.ratio:.2f} times its "
            f"peak; {course}."
        )
    if arm.summary and (paced := arm.summary.paced):
        yield (
            f"{name} at {paced.rate:g} frames per second: response p90 {ms(paced.response_p90_ms)}, "
            f"{paced.miss_pct:.1f} % late (not done when the next frame was due); an inference takes "
            f"{paced.idle_penalty:.2f} times as long as without pauses."
        )


def _gate_note(pair: Comparison, names: Mapping[str, str]) -> str:
    ratio = "" if pair.ratio is None else f", {pair.ratio:.2f} times the baseline's"
    why = f": {pair.reason}" if pair.reason else ""
    return f"{pair.metric} of {names[pair.cand]}: {verdict_text(pair)}{ratio}{why}"


def failed_ci(comparisons: Sequence[Comparison]) -> int:
    """The exit code of docs/commands.md that `comparisons` demand: 8, 10, 9 or 0."""
    verdicts = {pair.verdict for pair in comparisons}
    codes = {REGRESSION: ExitCode.REGRESSION, INCOMPARABLE: ExitCode.INCOMPARABLE, INCONCLUSIVE: ExitCode.INCONCLUSIVE}
    return next((code for verdict, code in codes.items() if verdict in verdicts), 0)


def doubts(result: Result, *, every: bool) -> Iterator[str]:
    """A paragraph for each kind of finding, which names all its arms if `every`; without any, one that all is well."""
    kinds: dict[tuple[str, str], list[Finding]] = {}
    for arm in result.arms:
        for check in arm.checks:
            if check.status in STATUSES:
                kind = check.id, re.sub(r"[\d.]+", "", check.hint or "")  # hints that differ by their numbers are equal
                kinds.setdefault(kind, []).append(Finding(label(arm, result.arms), check))
    measured = sum(arm.summary is not None for arm in result.arms)
    yield from (_paragraph(findings, measured, every=every) for findings in kinds.values())
    if not kinds and measured:
        checks = [check.id for arm in result.arms for check in arm.checks if check.status == UNKNOWN]
        unknown = [name for name in dict.fromkeys(checks) if name not in NOT_FOR_ALL]
        addition = f" Not known here: {', '.join(unknown)}." if unknown else ""
        yield f"{VALID.capitalize()}: every check that could be made passed.{addition}"


def _paragraph(findings: Sequence[Finding], arms: int, *, every: bool) -> str:
    name = findings[0].check.id
    meaning, _ = MEANINGS[name]
    ordered = sorted(findings, key=lambda finding: (finding.check.status != FAIL, -finding.size))
    parts = []
    for status, word in STATUSES.items():
        if own := [finding for finding in ordered if finding.check.status == status]:
            parts.append(f"{word}{_limit(own)}: {_arms_and_values(own, arms, every=every)}")
    return f"{name} ({meaning}) {'; '.join(parts)}. {ordered[0].check.hint or ''}".strip()


def _arms_and_values(findings: Sequence[Finding], arms: int, *, every: bool) -> str:
    """The arms of `findings`, the largest value first, and their values."""
    values = [_value(finding.check.value, finding.check.id) for finding in findings]
    distinct = [value for value in dict.fromkeys(values) if value]
    if every or len(findings) <= MOST_NAMED:
        return ", ".join(f"{finding.arm} {value}".strip() for finding, value in zip(findings, values, strict=True))
    who = f"all {arms} arms" if len(findings) == arms else f"{len(findings)} of {arms} arms"
    if len(distinct) <= 1:
        return " ".join((who, *distinct))
    if findings[0].size:
        return f"{who} {distinct[-1]} to {distinct[0]}, most for {findings[0].arm}"
    return f"{who} {' or '.join(distinct[:MOST_NAMED])}{' or others' if len(distinct) > MOST_NAMED else ''}"


def _limit(findings: Sequence[Finding]) -> str:
    """The limit that was exceeded, where there is a single one and a value to compare with it."""
    limits = {finding.check.threshold for finding in findings if finding.check.value is not None}
    limit = _value(limits.pop(), findings[0].check.id) if len(limits) == 1 else ""
    return f", limit {limit}" if limit else ""


def _value(value: float | str | None, name: str) -> str:
    _, unit = MEANINGS[name]
    if value is None or isinstance(value, str):
        return value or ""
    if unit == "%":
        return percent(value)
    return f"{value:,.0f} bytes" if unit == "B" else f"{value:.0f} s" if unit == "s" else f"{value:.3g}"
