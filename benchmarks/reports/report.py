"""What a benchmark says below its first line: the table, and what a reader of it has to know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge_squeeze.benchmarks.checks import EMULATED, FAIL, PASS, UNKNOWN, VALID, WARN, is_emulated
from edge_squeeze.benchmarks.comparison import MEMORY_GATE, P50
from edge_squeeze.benchmarks.machine.cores import cpu_ranges
from edge_squeeze.benchmarks.reports.headline import label
from edge_squeeze.benchmarks.result import ArmResult, Comparison, Result, baseline, of_networks
from edge_squeeze.benchmarks.statistics.verdicts import EQUIVALENT, IMPROVEMENT, INCONCLUSIVE, REGRESSION, margin

NOTHING = "-"
COLUMNS = (
    "arm", "engine", "threads", "p50 ms", "95 %", "p90", "p95", "first", "load", "peak MB", "file MB", "x faster",
    "trust", "verdict",
)  # fmt: skip
BASELINE = "baseline"
NOT_FOR_ALL = ("denormals", "delegation", "percentiles", "precision")  # checks that some files or profiles do not have


def rows(result: Result) -> list[tuple[str, ...]]:
    """A row of COLUMNS for each arm."""
    return [_row(one, result) for one in result.arms]


def _row(one: ArmResult, result: Result) -> tuple[str, ...]:
    arm, found = one.arm, one.summary
    about = arm.name, arm.engine_name, str(arm.threads)
    if found is None:
        return *about, *[NOTHING] * 7, _mb(arm.size_bytes), NOTHING, NOTHING, f"failed: {one.failure}"
    peak = NOTHING if found.peak_rss_bytes is None else f"{found.peak_rss_bytes / 1e6:.1f}"
    base = baseline(one, result.arms).summary
    times = f"{base.p50_ms / found.p50_ms:.2f}" if base and not is_emulated(one.checks) else NOTHING
    return (
        *about, ms(found.p50_ms), interval(found.p50_ci95), ms(found.p90_ms), ms(found.p95_ms), ms(found.first_ms),
        ms(found.load_init_ms), peak, _mb(arm.size_bytes), times, one.validity, _verdict(one, result),
    )  # fmt: skip


def _verdict(one: ArmResult, result: Result) -> str:
    found = next((c for c in result.comparisons if c.cand == one.arm.id and c.metric == P50), None)
    is_baseline = any(c.base == one.arm.id for c in result.comparisons)
    compared = said(found) if found else BASELINE if is_baseline else NOTHING
    text = EMULATED if is_emulated(one.checks) else compared
    proof = {"pass": "", "unknown": ""}.get(one.correctness.gate, f"; parity {one.correctness.gate.upper()}")
    return text + proof


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


def notes(result: Result) -> Iterator[str]:
    """What a reader of the table has to know, a line each."""
    yield _protocol(result)
    if len(groups := of_networks(result.arms)) > 1:
        told = "; ".join(", ".join(label(one, result.arms) for one in group) for group in groups)
        yield f"{len(groups)} networks, each compared with its own first file (--across-networks: all): {told}."
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
        if held.t_throttle_s is not None and {"contention", "waiting"} & {c.id for c in one.checks if c.status != PASS}:
            when += ", perhaps for the sake of other programs"
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


def _doubts(result: Result) -> Iterator[str]:
    """What spoke against trusting arms: each hint once, with the arms that it concerns."""
    told: dict[tuple[str, str], list[str]] = {}
    for one in result.arms:
        for check in one.checks:
            if check.status in (FAIL, WARN):
                key = f"{check.id} ({'fails' if check.status == FAIL else 'doubtful'})", check.hint or ""
                limit = "" if check.threshold is None else f" (limit {_value(check.threshold)})"
                told.setdefault(key, []).append(f"{label(one, result.arms)} {_value(check.value)}".strip() + limit)
    for (what, hint), whom in told.items():
        yield f"{what}: {'; '.join(whom)}. {hint}"
    if not told and any(one.summary for one in result.arms):
        looked = [check.id for one in result.arms for check in one.checks if check.status == UNKNOWN]
        unknown = [name for name in dict.fromkeys(looked) if name not in NOT_FOR_ALL]
        besides = f" Not known here: {', '.join(unknown)}." if unknown else ""
        yield f"{VALID.capitalize()}: every check passed that could be made.{besides}"


def _value(value: float | str | None) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)


def failed_ci(comparisons: Sequence[Comparison]) -> int:
    """The exit code of docs/commands.md that `comparisons` demand: 8, 10, 9 or 0."""
    verdicts = {found.verdict for found in comparisons}
    good = {EQUIVALENT, IMPROVEMENT}
    codes = {REGRESSION: 8, "incomparable": 10, INCONCLUSIVE: 9}
    return next((code for verdict, code in codes.items() if verdict in verdicts - good), 0)
