"""Whether a measurement can be trusted: one check for each thing that is known to spoil one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

import numpy as np

from edge_squeeze.benchmarks.arms import Arm
from edge_squeeze.benchmarks.checks import PASS, UNKNOWN, WARN, Check, demanded, graded
from edge_squeeze.benchmarks.launches.records import PACED, SUSTAINED, Launch
from edge_squeeze.benchmarks.machine import conditions
from edge_squeeze.benchmarks.machine.device import Device
from edge_squeeze.benchmarks.machine.telemetry import Reading
from edge_squeeze.benchmarks.profiles import Profile
from edge_squeeze.benchmarks.statistics import stats
from edge_squeeze.benchmarks.summary import Summary, samples_ms, timed

LATE_S = 300.0  # a session that was interrupted for longer met another machine
TIMES_OVER_CLOCK = 1000
MOST_LEFT = 0.1  # operators that a delegate leaves behind: the ends of a graph are always a few
DENORMAL_SHARE = 0.005  # of a float32 file's words; its few small integers look alike


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
        return [[Reading.from_json(one) for one in launch.readings] for launch in self.runs]


def check(case: Case) -> list[Check]:
    """Every check of `case`."""
    return [one(case) for one in CHECKS]


def _contention(case: Case) -> Check:
    if case.arm.threads > 1 or case.profile.kind == PACED:
        own = case.arm.threads > case.arm.usable_cores
        hint = "Its own threads wait for each other: use fewer." if own else "Other programs want the cores. End them."
        return graded("contention", conditions.pressure(case.readings), 5, 25, f"{hint} (Pressure in %.)")
    idle = 1 - sum(one.cpu_ns for one in case.runs) / sum(one.wall_ns for one in case.runs)
    return graded("contention", idle, 0.03, 0.10, "The thread ran less than 97 % of the time. End other programs.")


def _waiting(case: Case) -> Check:
    hint = "The thread waited for a core. End other programs, or give it cores of its own (--cores)."
    return graded("waiting", conditions.waiting(case.readings), 0.03, 0.10, hint)


def _quota(case: Case) -> Check:
    stops = conditions.increase(case.readings, "cgroup_throttled")
    return graded("quota", stops, 0, 0, "The container's CPU quota stopped it. Raise the quota, or use fewer threads.")


def _steal(case: Case) -> Check:
    hint = "The hypervisor gave the cores to others meanwhile. Measure on a machine of its own, or at another hour."
    return graded("steal", conditions.steal(case.readings), 0.01, 0.10, hint)


def _frequency(case: Case) -> Check:
    governor = ", ".join(case.device.cpu.governor) or "unknown"
    hint = f"The clock fell (governor: {governor}). Cool the device; as root: cpupower frequency-set -g performance."
    return graded("frequency", conditions.frequency_drop(case.readings), 0.05, 0.20, hint)


def _probe(case: Case) -> Check:
    change = median(abs(one.probe_ns[-1] / one.probe_ns[0] - 1) for one in case.runs)
    return graded("probe", change, 0.03, None, "The clock changed while launches ran. Let it cool, and warm up longer.")


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


def _stationarity(case: Case) -> Check:
    if case.profile.kind == SUSTAINED:
        return Check("stationarity", PASS, None, None)
    change = abs(median(stats.stationarity(samples) for samples in samples_ms(case.runs)))
    return graded("stationarity", change, 0.03, None, "Launches got slower or faster as they ran. Warm up longer.")


def _drift(case: Case) -> Check:
    medians = stats.medians(samples_ms(case.runs))
    found, value = stats.drifts(medians), round(stats.drift(medians), 4)
    hint = "Later launches were slower or faster than earlier ones. Let the device reach a steady temperature first."
    return Check("drift", WARN if found else PASS, value, stats.DRIFT, hint if found else None)


def _bimodal(case: Case) -> Check:
    samples = samples_ms(case.runs)
    found, value = stats.bimodal(samples), round(stats.largest_gap(samples), 4)
    hint = "Launches fall into two groups: memory layout, or cores of two speeds. Bind it to cores of one kind."
    return Check("bimodal", WARN if found else PASS, value, stats.GAP, hint if found else None)


def _precision(case: Case) -> Check:
    width, target = case.summary.rel_half_width, case.profile.precision
    if width is None:
        return Check("precision", WARN, None, target, "Fewer than 3 launches give no interval. Ask for more.")
    needed = case.summary.launches_for_2_percent
    return graded("precision", width, target, None, f"The interval is wide. About {needed} launches would give +-2 %.")


def _agreement(case: Case) -> Check:
    """Whether the two usual ways to a typical value say the same: they part where launches are skewed."""
    change = abs(case.summary.p50_ms / case.summary.median_of_medians_ms - 1)
    return graded("agreement", change, 0.02, None, "A few launches were far slower than the rest. See their medians.")


def _percentiles(case: Case) -> Check:
    known = [name for name in ("p90", "p95", "p99") if getattr(case.summary, f"{name}_ms") is not None]
    return Check("percentiles", PASS if known else UNKNOWN, ", ".join(known) or None, None)


def _oversubscription(case: Case) -> Check:
    hint = f"Only {case.arm.usable_cores} cores can be used. More threads wait for each other: use fewer."
    return graded("oversubscription", case.arm.threads, case.arm.usable_cores, None, hint)


def _affinity(case: Case) -> Check:
    bound = case.runs[0].affinity
    hint = "The process was not bound to the cores asked for. A container may forbid it."
    return demanded("affinity", None if bound is None else bound == case.arm.cpus, str(bound), hint, otherwise=WARN)


def _faults(case: Case) -> Check:
    faults = sum(one.majflt for one in case.runs)
    return graded("major_faults", faults, 0, None, "Pages were read from the disk meanwhile. Free memory first.")


def _swap(case: Case) -> Check:
    return graded("swap", conditions.most(case.readings, "swapped_bytes"), 0, None, "It was swapped out. Free memory.")


def _timer(case: Case) -> Check:
    share = max(one.timer_ns for one in case.runs) / 1e6 / case.summary.p50_ms
    return graded("timer", share, 1 / TIMES_OVER_CLOCK, None, "An inference is too short for this clock to time well.")


def _inputs(case: Case) -> Check:
    fed = case.runs[0].inputs
    holds = not fed.zero and fed.distinct == fed.count and len({one.inputs.sha256 for one in case.runs}) == 1
    return demanded("inputs", holds, f"{fed.distinct} distinct", "Inputs are zero, alike, or not the same everywhere.")


def _outputs(case: Case) -> Check:
    finite = all(one.sanity.finite for one in case.runs)
    return demanded("outputs", finite, None, "Outputs are not finite: what it computes is no result. Do not use it.")


def _variety(case: Case) -> Check:
    """A network that gives one answer to all is most often broken; seeded noise alone may look alike to a sound one."""
    sanity = case.runs[0].sanity
    holds = not sanity.constant and sanity.distinct > 1
    hint = "Outputs are alike for all inputs. Give real pictures (--inputs DIR); if it stays so, the file is broken."
    return demanded("variety", holds, f"{sanity.distinct} distinct", hint, otherwise=WARN)


def _denormals(case: Case) -> Check:
    hint = "Weights below float32's normal range are slow on many CPUs. Set them to zero before the export."
    return graded("denormals", case.denormals, DENORMAL_SHARE, None, hint)


def _delegation(case: Case) -> Check:
    served = case.runs[0].served
    if served.operators is None or served.delegated is None or case.arm.kernels is not None:
        return Check("delegation", UNKNOWN, None, None)
    left = served.operators - served.delegated if served.delegated else 0
    hint = f"{left} of {served.operators} operators run on slower built-in kernels. `edge-squeeze inspect` lists them."
    text = f"{served.delegated} of {served.operators} operators"
    return demanded("delegation", left <= MOST_LEFT * served.operators, text, hint, otherwise=WARN)


def _emulated(case: Case) -> Check:
    emulated = case.device.device.emulated
    hint = "This processor is emulated: its times say nothing about a real one."
    return demanded("emulated", None if emulated is None else not emulated, None, hint)


def _resumed(case: Case) -> Check:
    hint = "The session was interrupted for long; launches before and after met another machine. --fresh begins again."
    return graded("resumed", case.resumed_after_s or 0, LATE_S, None, hint)


CHECKS: Sequence[Callable[[Case], Check]] = (
    _contention, _waiting, _quota, _steal, _frequency, _probe, _steadiness, _thermal, _power, _stationarity, _drift,
    _bimodal, _precision, _agreement, _percentiles, _oversubscription, _affinity, _faults, _swap, _timer, _inputs,
    _outputs, _variety, _denormals, _delegation, _emulated, _resumed,
)  # fmt: skip
