"""Whether a measurement can be trusted: one check for each thing that is known to spoil one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

import numpy as np

from edge_squeeze.benchmarks import stats, telemetry
from edge_squeeze.benchmarks.arms import Arm
from edge_squeeze.benchmarks.launch_records import PACED, SUSTAINED, Launch
from edge_squeeze.benchmarks.options import Profile
from edge_squeeze.benchmarks.summary import Summary, count, samples_ms, timed
from edge_squeeze.benchmarks.telemetry import Reading
from edge_squeeze.engines.engine import XNNPACK
from edge_squeeze.machine.device import Device

PASS, WARN, FAIL, UNKNOWN = "pass", "warn", "fail", "unknown"
VALID, SUSPECT, INVALID = "valid", "suspect", "invalid"
EMULATED = "emulated"


@dataclass(frozen=True)
class Check:
    """A finding about a measurement; `value` is None where the machine does not show it, `hint` says what to do."""

    id: str
    status: str
    value: float | str | None
    threshold: float | str | None
    hint: str | None = None


def rollup(checks: Sequence[Check]) -> str:
    """valid, suspect (something warned) or invalid (something failed)."""
    statuses = {check.status for check in checks}
    return INVALID if FAIL in statuses else SUSPECT if WARN in statuses else VALID


def is_emulated(checks: Sequence[Check]) -> bool:
    """Whether one of `checks` says that the processor was emulated, so that its times mean nothing."""
    return any(check.id == EMULATED and check.status == FAIL for check in checks)


def percent(share: float | None) -> str:
    """A share in words; 0 % where it is not known."""
    return f"{(share or 0) * 100:.3g} %"


def graded(id_: str, value: float | None, warn: float, fail: float | None, hint: str) -> Check:
    """A check that a `value` of which less is better stays at or below `warn`; beyond `fail` it fails."""
    if value is None:
        return Check(id_, UNKNOWN, None, warn)
    status = PASS if value <= warn else WARN if fail is None or value <= fail else FAIL
    limit = fail if status == FAIL else warn
    return Check(id_, status, float(f"{value:.4g}"), limit, None if status == PASS else hint)


def demanded(id_: str, holds: bool | None, value: float | str | None, hint: str, *, otherwise: str = FAIL) -> Check:  # noqa: FBT001 - what the check is about
    """A check that something holds."""
    if holds is None:
        return Check(id_, UNKNOWN, None, None)
    return Check(id_, PASS if holds else otherwise, value, None, None if holds else hint)


@dataclass(frozen=True)
class Case:
    """All that is known of an arm's measurement; `denormals` is a share of the file's words."""

    arm: Arm
    launches: Sequence[Launch]
    summary: Summary
    profile: Profile
    device: Device
    resumed_after_s: float | None = None
    denormals: float | None = None

    @cached_property
    def runs(self) -> list[Launch]:
        """The launches that took samples."""
        return timed(self.launches)

    @cached_property
    def readings(self) -> list[list[Reading]]:
        """The telemetry of each launch."""
        return [[Reading.from_json(reading) for reading in launch.readings] for launch in self.runs]


PERFORMANCE = "performance"  # the governor that keeps the clock up
PROBED = "The machine sped up or slowed down while launches ran. Let it cool, and end other programs."


def _contention(case: Case) -> Check:
    if case.arm.threads > 1 or case.profile.kind == PACED:
        pressure = telemetry.pressure(case.readings)
        own = case.arm.threads > case.arm.usable_cores
        cause = "Its own threads wait for each other: use fewer." if own else "Other programs use the cores. End them."
        hint = f"Some task of this machine waited for a core {percent(pressure)} of the time. {cause}"
        return graded("contention", pressure, 0.05, 0.25, hint)
    idle = 1 - sum(launch.cpu_ns for launch in case.runs) / sum(launch.wall_ns for launch in case.runs)
    hint = f"The thread ran only {percent(1 - idle)} of the time. {_why_idle(case, idle)}"
    return graded("contention", idle, 0.03, 0.10, hint)


def _why_idle(case: Case, idle: float) -> str:
    """What kept a thread from running, and what to do; other programs only where it waited for a core."""
    waited = telemetry.waiting(case.readings)
    if waited is None or waited >= idle / 2:
        return "Other programs used its core. End them."
    return f"It waited for a core only {percent(waited)}, so other programs are not the reason. Free memory and disk."


def _waiting(case: Case) -> Check:
    hint = "The main thread waited for a core. End other programs, or give it cores of its own (--cores)."
    return graded("waiting", telemetry.waiting(case.readings), 0.03, 0.10, hint)


def _preemption(case: Case) -> Check:
    """Involuntary switches: a sign of other programs where the kernel does not count waiting."""
    switches = _total([launch.nivcsw for launch in case.runs])
    each = None if switches is None else switches / case.summary.n_samples
    hint = f"It lost its core {each or 0:.3g} times per inference. End other programs."
    return graded("preemption", each, 1, 10, hint)


def _total(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _quota(case: Case) -> Check:
    stops = telemetry.increase(case.readings, "cgroup_throttled")
    return graded("quota", stops, 0, 0, "The container's CPU quota stopped it. Raise the quota, or use fewer threads.")


def _steal(case: Case) -> Check:
    hint = "The hypervisor gave the cores to other machines. Measure on a dedicated machine, or at another hour."
    return graded("steal", telemetry.steal(case.readings), 0.01, 0.10, hint)


def _frequency(case: Case) -> Check:
    governor = ", ".join(case.device.cpu.governor) or "unknown"
    drop = telemetry.frequency_drop(case.readings)
    settled = set(case.device.cpu.governor) == {PERFORMANCE}
    more = "" if settled else f" As root: `cpupower frequency-set -g {PERFORMANCE}`."
    hint = f"The clock fell by {percent(drop)} (governor: {governor}). Cool the device.{more}"
    return graded("frequency", drop, 0.05, 0.20, hint)


def _probe(case: Case) -> Check:
    change = median(abs(launch.probe_ns[-1] / launch.probe_ns[0] - 1) for launch in case.runs)
    return graded("probe", change, 0.03, None, PROBED)


def _steadiness(case: Case) -> Check:
    probes = [min(launch.probe_ns) for launch in case.runs]
    spread = float(np.quantile(probes, 0.9) / np.quantile(probes, 0.1)) - 1
    hint = "The machine's own speed differed between launches. Let it cool, end other programs, measure again."
    return graded("steadiness", spread, 0.03, None, hint)


def _thermal(case: Case) -> Check:
    throttled = telemetry.throttling(case.readings)
    hint = f"Throttled: {', '.join(throttled or [])}. Cool the device, or use a better power supply."
    return demanded("thermal", None if throttled is None else not throttled, ", ".join(throttled or []) or None, hint)


def _power(case: Case) -> Check:
    source = case.device.power.source
    hint = "On battery, clocks are lower and vary. Plug it in."
    return demanded("power", None if source is None else source != "battery", source, hint, otherwise=WARN)


def _affinity(case: Case) -> Check:
    bound = [launch.affinity for launch in case.runs if launch.affinity is not None]
    wrong = [cpus for cpus in bound if cpus != case.arm.cpus]
    holds = not wrong if bound else None
    hint = "Processes were not bound to the cores asked for. Name others (--cores); a container may allow only some."
    return demanded("affinity", holds, str([*wrong, *bound][0]) if bound else None, hint, otherwise=WARN)


def _faults(case: Case) -> Check:
    faults = _total([launch.majflt for launch in case.runs])
    return graded("major_faults", faults, 0, None, "Pages were read from disk during inferences. Free memory first.")


def _swap(case: Case) -> Check:
    return graded("swap", telemetry.most(case.readings, "swapped_bytes"), 0, None, "Memory was swapped out. Free some.")


def _emulated(case: Case) -> Check:
    emulated = case.device.device.emulated
    hint = "This processor is emulated: its times say nothing about a real one. Measure on the device itself."
    return demanded(EMULATED, None if emulated is None else not emulated, None, hint)


LATE_S = 300.0  # after a longer interruption, the machine may have changed
TIMES_OVER_CLOCK = 1000
MOST_LEFT = 0.1  # operators that a delegate leaves behind: the ends of a graph are always a few
LONGEST = "rigorous"  # the profile that warms up longest
DENORMAL_SHARE = 0.005  # of a float32 file's words; its few small integers look alike


def check(case: Case) -> list[Check]:
    """Every check of `case`."""
    return [check_case(case) for check_case in CHECKS]


def _stationarity(case: Case) -> Check:
    if case.profile.kind == SUSTAINED:
        return Check("stationarity", PASS, None, None)
    change = abs(median(stats.stationarity(samples) for samples in samples_ms(case.runs)))
    longest = case.profile.name == LONGEST
    todo = (
        "Let the device reach a steady temperature first."
        if longest
        else f"Try --profile {LONGEST}: it warms up longer."
    )
    return graded("stationarity", change, 0.03, None, f"Launches got slower or faster as they ran. {todo}")


def _drift(case: Case) -> Check:
    medians = stats.medians(samples_ms(case.runs))
    drifts, value = stats.drifts(medians), round(stats.drift(medians), 4)
    hint = "Later launches were slower or faster than earlier ones. Let the device reach a steady temperature first."
    return Check("drift", WARN if drifts else PASS, value, stats.DRIFT, hint if drifts else None)


def _bimodal(case: Case) -> Check:
    samples = samples_ms(case.runs)
    bimodal, value = stats.bimodal(samples), round(stats.largest_gap(samples), 4)
    hint = "Launches fall into two groups, by memory layout or by cores of two speeds. Bind it to cores of one kind."
    return Check("bimodal", WARN if bimodal else PASS, value, stats.GAP, hint if bimodal else None)


def _precision(case: Case) -> Check:
    width, target = case.summary.rel_half_width, case.profile.precision
    if case.profile.kind == SUSTAINED:
        return Check("precision", UNKNOWN, None, None)  # one long launch answers another question
    if width is None:
        return Check("precision", WARN, None, target, "Fewer than 3 launches give no interval. Ask for more.")
    needed = math.ceil(case.summary.n_launches * (width / target) ** 2)
    hint = f"The interval is wide. About {needed} launches (--launches) would give +-{target:.0%}."
    return graded("precision", width, target, None, hint)


def _pace(case: Case) -> Check:
    """Whether the frames of a paced run came as they should: one that is late makes the next ones late."""
    if case.summary.paced is None:
        return Check("pace", PASS, None, None)
    late = case.summary.paced.miss_pct / 100
    return graded("pace", late, 0.01, None, "Frames were late: the rate is too high for it. Try a lower --rate.")


def _agreement(case: Case) -> Check:
    """Whether the two usual typical values agree: they differ where launches are skewed."""
    change = abs(case.summary.p50_ms / case.summary.median_of_medians_ms - 1)
    hint = "A few launches were far slower or faster than the rest. Ask for more (--launches)."
    return graded("agreement", change, 0.02, None, hint)


def _percentiles(case: Case) -> Check:
    known = [name for name in ("p90", "p95", "p99") if getattr(case.summary, f"{name}_ms") is not None]
    return Check("percentiles", PASS if known else UNKNOWN, ", ".join(known) or None, None)


def _oversubscription(case: Case) -> Check:
    hint = f"Only {case.arm.usable_cores} cores are available, and more threads wait for each other. Use fewer."
    return graded("oversubscription", case.arm.threads, case.arm.usable_cores, None, hint)


def _samples(case: Case) -> Check:
    """Whether every launch took as many samples as the profile promises: a slow network may reach the limit."""
    required, taken = case.profile.pace.runs, min(map(count, case.runs))
    hint = f"Launches reached their time limit before {required} samples were taken. Ask for more (--launches)."
    return demanded("samples", taken >= required, taken, hint, otherwise=WARN)


def _timer(case: Case) -> Check:
    share = max(launch.timer_ns for launch in case.runs) / 1e6 / case.summary.p50_ms
    hint = "Too short for this clock to time well. Treat it as an upper bound."
    return graded("timer", share, 1 / TIMES_OVER_CLOCK, None, hint)


def _inputs(case: Case) -> Check:
    fed = [launch.inputs for launch in case.runs]
    distinct = f"{min(inputs.distinct for inputs in fed)} distinct"
    faults = {
        "all zero": any(inputs.zero for inputs in fed),
        f"{distinct} of {fed[0].count}": any(inputs.distinct != inputs.count for inputs in fed),
        "not the same in all launches": any(inputs.sha256 != fed[0].sha256 for inputs in fed),
    }
    problems = ", ".join(fault for fault, present in faults.items() if present)
    hint = f"Inputs: {problems}. Give other pictures (--inputs DIR)."
    return demanded("inputs", not problems, problems or distinct, hint)


def _outputs(case: Case) -> Check:
    finite = all(launch.sanity.finite for launch in case.runs)
    return demanded(
        "outputs", finite, None, "Outputs are infinite or NaN, so this file computes nothing of use. Do not use it."
    )


def _variety(case: Case) -> Check:
    """Whether outputs differ: equal ones mostly mean a broken network, though noise may look alike to a good one."""
    outputs = [launch.sanity for launch in case.runs]
    constant, distinct = any(seen.constant for seen in outputs), min(seen.distinct for seen in outputs)
    what = "All scores of all inputs are the same number" if constant else "Outputs are the same for all inputs"
    hint = f"{what}. Give real pictures (--inputs DIR); if this persists, the file is broken."
    value = "one number" if constant else f"{distinct} distinct"
    return demanded("variety", not constant and distinct > 1, value, hint, otherwise=WARN)


def _repeatability(case: Case) -> Check:
    different = len({launch.sanity.sha256 for launch in case.runs})
    several = case.arm.threads > 1
    todo = "Try one thread; if this persists, do not trust the engine." if several else "Try another engine."
    hint = f"Launches computed different outputs from the same inputs. {todo}"
    return graded("repeatability", different - 1, 0, None, hint)


def _denormals(case: Case) -> Check:
    hint = "Weights below float32's normal range are slow on many CPUs. Set them to zero before the export."
    return graded("denormals", case.denormals, DENORMAL_SHARE, None, hint)


def _delegation(case: Case) -> Check:
    served = min((launch.served for launch in case.runs), key=lambda served: served.delegated or 0)
    if served.operators is None or served.delegated is None or served.kernels != XNNPACK:
        return Check("delegation", UNKNOWN, None, None)
    left = served.operators - served.delegated
    hint = f"{left} of {served.operators} operators run on slower built-in kernels. `edge-squeeze inspect` lists them."
    text = f"{served.delegated} of {served.operators} operators"
    return demanded("delegation", left <= MOST_LEFT * served.operators, text, hint, otherwise=WARN)


def _resumed(case: Case) -> Check:
    hint = "The session was interrupted for long, and the machine may have changed since. Start over with --fresh."
    return graded("resumed", case.resumed_after_s or 0, LATE_S, None, hint)


CHECKS: Sequence[Callable[[Case], Check]] = (
    _emulated,
    _contention,
    _waiting,
    _preemption,
    _quota,
    _steal,
    _frequency,
    _probe,
    _steadiness,
    _thermal,
    _power,
    _affinity,
    _faults,
    _swap,
    _stationarity,
    _drift,
    _bimodal,
    _precision,
    _pace,
    _agreement,
    _percentiles,
    _oversubscription,
    _samples,
    _timer,
    _inputs,
    _outputs,
    _variety,
    _repeatability,
    _denormals,
    _delegation,
    _resumed,
)
