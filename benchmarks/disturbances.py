"""Checks of what the machine did while an arm was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

import numpy as np

from edge_squeeze.benchmarks.case import Case
from edge_squeeze.benchmarks.checks import EMULATED, WARN, Check, demanded, graded, percent
from edge_squeeze.benchmarks.launches.records import PACED
from edge_squeeze.benchmarks.machine import conditions

PERFORMANCE = "performance"  # the governor that keeps the clock up
PROBED = "The machine got faster or slower while launches ran. Let it cool, and end other programs."


def _contention(case: Case) -> Check:
    if case.arm.threads > 1 or case.profile.kind == PACED:
        pressure = conditions.pressure(case.readings)
        own = case.arm.threads > case.arm.usable_cores
        cause = "Its own threads wait for each other: use fewer." if own else "Other programs want the cores. End them."
        hint = f"Some thread waited for a core {percent(pressure)} of the time. {cause}"
        return graded("contention", pressure, 0.05, 0.25, hint)
    idle = 1 - sum(one.cpu_ns for one in case.runs) / sum(one.wall_ns for one in case.runs)
    hint = f"The thread ran only {percent(1 - idle)} of the time. {_why_idle(case, idle)}"
    return graded("contention", idle, 0.03, 0.10, hint)


def _why_idle(case: Case, idle: float) -> str:
    """What kept a thread from running, and what to do; other programs only where it waited for a core."""
    waited = conditions.waiting(case.readings)
    if waited is None or waited >= idle / 2:
        return "Other programs had its core. End them."
    return f"It waited for a core only {percent(waited)}, so other programs are not the reason. Free memory and disk."


def _waiting(case: Case) -> Check:
    hint = "The thread waited for a core. End other programs, or give it cores of its own (--cores)."
    return graded("waiting", conditions.waiting(case.readings), 0.03, 0.10, hint)


def _preemption(case: Case) -> Check:
    """Switches that the process did not ask for: what tells of other programs where the kernel counts no waiting."""
    switches = _total([one.nivcsw for one in case.runs])
    each = None if switches is None else switches / case.summary.n_samples
    hint = f"It lost its core {each or 0:.3g} times an inference. End other programs."
    return graded("preemption", each, 1, 10, hint)


def _total(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _quota(case: Case) -> Check:
    stops = conditions.increase(case.readings, "cgroup_throttled")
    return graded("quota", stops, 0, 0, "The container's CPU quota stopped it. Raise the quota, or use fewer threads.")


def _steal(case: Case) -> Check:
    hint = "The hypervisor gave the cores to others meanwhile. Measure on a machine of its own, or at another hour."
    return graded("steal", conditions.steal(case.readings), 0.01, 0.10, hint)


def _frequency(case: Case) -> Check:
    governor = ", ".join(case.device.cpu.governor) or "unknown"
    drop = conditions.frequency_drop(case.readings)
    settled = set(case.device.cpu.governor) == {PERFORMANCE}
    more = "" if settled else f" As root: `cpupower frequency-set -g {PERFORMANCE}`."
    hint = f"The clock fell by {percent(drop)} (governor: {governor}). Cool the device.{more}"
    return graded("frequency", drop, 0.05, 0.20, hint)


def _probe(case: Case) -> Check:
    change = median(abs(one.probe_ns[-1] / one.probe_ns[0] - 1) for one in case.runs)
    return graded("probe", change, 0.03, None, PROBED)


def _steadiness(case: Case) -> Check:
    probes = [min(one.probe_ns) for one in case.runs]
    spread = float(np.quantile(probes, 0.9) / np.quantile(probes, 0.1)) - 1
    hint = "The machine's own speed differed between launches. Let it cool, end other programs, measure again."
    return graded("steadiness", spread, 0.03, None, hint)


def _thermal(case: Case) -> Check:
    throttled = conditions.throttling(case.readings)
    hint = f"Throttled: {', '.join(throttled or [])}. Cool the device, or use a better power supply."
    return demanded("thermal", None if throttled is None else not throttled, ", ".join(throttled or []) or None, hint)


def _power(case: Case) -> Check:
    source = case.device.power.source
    hint = "On battery, clocks are lower and change. Plug it in."
    return demanded("power", None if source is None else source != "battery", source, hint, otherwise=WARN)


def _affinity(case: Case) -> Check:
    bound = [one.affinity for one in case.runs if one.affinity is not None]
    wrong = [one for one in bound if one != case.arm.cpus]
    holds = not wrong if bound else None
    hint = "Processes were not bound to the cores asked for. Name others (--cores); a container may allow only some."
    return demanded("affinity", holds, str([*wrong, *bound][0]) if bound else None, hint, otherwise=WARN)


def _faults(case: Case) -> Check:
    faults = _total([one.majflt for one in case.runs])
    return graded("major_faults", faults, 0, None, "Pages were read from the disk meanwhile. Free memory first.")


def _swap(case: Case) -> Check:
    return graded("swap", conditions.most(case.readings, "swapped_bytes"), 0, None, "It was swapped out. Free memory.")


def _emulated(case: Case) -> Check:
    emulated = case.device.device.emulated
    hint = "This processor is emulated: its times say nothing about a real one. Measure on the device itself."
    return demanded(EMULATED, None if emulated is None else not emulated, None, hint)


CHECKS: Sequence[Callable[[Case], Check]] = (
    _emulated, _contention, _waiting, _preemption, _quota, _steal, _frequency, _probe, _steadiness, _thermal, _power,
    _affinity, _faults, _swap,
)  # fmt: skip
