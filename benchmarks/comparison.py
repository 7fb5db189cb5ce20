"""Which arms are compared with which, on what, and what comes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_squeeze.benchmarks.checks import INVALID, SUSPECT, VALID, is_emulated
from edge_squeeze.benchmarks.launches.records import MEMORY, SUSTAINED, Launch
from edge_squeeze.benchmarks.profiles import Profile
from edge_squeeze.benchmarks.result import ArmResult, Comparison, baseline
from edge_squeeze.benchmarks.statistics.verdicts import (
    EQUIVALENT,
    IMPROVEMENT,
    REGRESSION,
    Evidence,
    Judgment,
    Paired,
    Unpaired,
    judge,
    margin,
)
from edge_squeeze.benchmarks.summary import timed
from edge_squeeze.machine.device import Device

INCOMPARABLE = "incomparable"
P50, MEMORY_GATE, SIZE = "p50", "memory", "size"
DEVICE = "device"


@dataclass(frozen=True)
class Metric:
    """Something that must not get worse: a number above 0 of each launch, and the change that is let pass."""

    kind_is_memory: bool
    of: Callable[[Launch], float]
    delta: Callable[[float], float]


def _peak(launch: Launch) -> float:
    peak, before = launch.peak_rss_bytes, launch.baseline_rss_bytes
    return 0.0 if peak is None or before is None else float(peak - before)


# The margin of time is that of the device; the others are what users notice.
METRICS = {
    P50: Metric(False, lambda launch: float(np.median(launch.samples_ns)), lambda delta: delta),
    "p90": Metric(False, lambda launch: float(np.quantile(launch.samples_ns, 0.9)), lambda delta: max(0.05, delta)),
    "first": Metric(False, lambda launch: float(launch.first_ns), lambda _: 0.10),
    "load": Metric(False, lambda launch: float(launch.load_init_ns), lambda _: 0.10),
    MEMORY_GATE: Metric(True, _peak, lambda _: 0.05),
}
GATES = (*METRICS, SIZE)


@dataclass(frozen=True)
class Pair:
    """Two arms to compare; `differences` of their circumstances make them incomparable unless they are `forced`."""

    base: ArmResult
    cand: ArmResult
    differences: tuple[str, ...] = ()
    forced: bool = False


def compare(pairs: Sequence[Pair], gates: Sequence[str], floor: float | None, *, paired: bool) -> list[Comparison]:
    """The comparison of every pair by every gate, Holm-corrected over all of them together.

    `paired`: the arms ran in the same rounds. `floor` is the device's A/A floor.
    """
    delta = margin(floor, cross_session=not paired)
    asked = [(pair, gate) for pair in pairs for gate in gates]
    evidences = {at: one for at, (pair, gate) in enumerate(asked) if (one := _evidence(pair, gate, delta, paired))}
    judged = dict(zip(evidences, judge(list(evidences.values())), strict=True))
    return [_comparison(pair, gate, judged.get(at), delta, paired) for at, (pair, gate) in enumerate(asked)]


def within(arms: Sequence[ArmResult]) -> list[Pair]:
    """The first of `arms` of each network with each of the others of that network."""
    pairs = ((baseline(one, arms), one) for one in arms)
    return [Pair(base, one) for base, one in pairs if base is not one]


def _evidence(pair: Pair, gate: str, delta: float, paired: bool) -> Evidence | None:  # noqa: FBT001 - as compare's
    if gate == SIZE or _why_not(pair, gate):
        return None
    metric = METRICS[gate]
    base, cand = ({at: math.log(value) for at, value in _values(one, metric).items()} for one in (pair.base, pair.cand))
    if not paired:
        return Unpaired(tuple(base.values()), tuple(cand.values()), metric.delta(delta))
    both = sorted(base.keys() & cand.keys())
    return Paired(tuple(cand[at] - base[at] for at in both), metric.delta(delta))


def _values(arm: ArmResult, metric: Metric) -> dict[int, float]:
    """The metric of each launch by its round, where it is known."""
    launches = [one for one in arm.launches if one.kind == MEMORY] if metric.kind_is_memory else timed(arm.launches)
    return {launch.round: value for launch in launches if (value := metric.of(launch)) > 0}


def _why_not(pair: Pair, gate: str) -> str | None:
    for one in (pair.base, pair.cand):
        if one.failure is not None or one.summary is None:
            return f"{one.arm.id} could not be measured"
    if pair.differences and not pair.forced:
        return f"not the same: {'; '.join(pair.differences)}"
    if gate != SIZE and (is_emulated(pair.base.checks) or is_emulated(pair.cand.checks)):
        return "measured on an emulated processor"
    return None


def _comparison(pair: Pair, gate: str, found: Judgment | None, delta: float, paired: bool) -> Comparison:  # noqa: FBT001
    validity = _worse(pair.base.validity, pair.cand.validity)
    names = pair.base.arm.id, pair.cand.arm.id, gate
    if (reason := _why_not(pair, gate)) is not None:
        allowed = METRICS[gate].delta(delta) if gate in METRICS else 0.0
        return Comparison(
            *names, INCOMPARABLE, None, None, allowed, paired, None, None, validity, reason, list(pair.differences)
        )
    if found is None:
        return _sizes(pair, names, validity, paired=paired)
    ci95 = None if found.ci95 is None else list(found.ci95)
    margin_ = METRICS[gate].delta(delta)
    return Comparison(
        *names, found.verdict, found.ratio, ci95, margin_, paired, found.p_adj, found.launches_needed, validity,
        fingerprint_diff=list(pair.differences),
    )  # fmt: skip


def _sizes(pair: Pair, names: tuple[str, str, str], validity: str, *, paired: bool) -> Comparison:
    """Bytes are known exactly: any change is one."""
    base, cand = pair.base.arm.size_bytes, pair.cand.arm.size_bytes
    verdict = EQUIVALENT if base == cand else REGRESSION if cand > base else IMPROVEMENT
    ratio = cand / base
    return Comparison(*names, verdict, ratio, [ratio, ratio], 0.0, paired, None, None, validity)


def _worse(a: str, b: str) -> str:
    return next(one for one in (INVALID, SUSPECT, VALID) if one in (a, b))


def fingerprint(device: Device, arm: ArmResult, profile: Profile) -> dict[str, Any]:
    """What must be the same for arms of two sessions to be compared."""
    launch = timed(arm.launches)[0] if arm.summary else None
    served = launch.served if launch else None
    return {
        DEVICE: device.device.id_hash,
        "processor": device.cpu.name,
        "cores": arm.arm.cpus,
        "threads": arm.arm.threads,
        "governor": device.cpu.governor,
        "power": device.power.source,
        "profile": profile.name,
        "frames a second": profile.pace.rate,
        "seconds of a launch": profile.pace.seconds if profile.kind == SUSTAINED else None,
        "engine": arm.arm.engine_name,
        "engine version": served.version if served else None,
        "spinning": arm.arm.spin,
        "input": [(one["shape"], one["dtype"]) for one in served.inputs] if served else None,
        "inputs": launch.inputs.sha256 if launch else None,
    }


def differences(base: Mapping[str, Any], cand: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs between two fingerprints, as sentences' parts; devices that do not say who they are may differ."""
    unlike = [key for key in base if base[key] != cand[key] or (key == DEVICE and base[key] is None)]
    return tuple(f"{key} was {base[key]}, is {cand[key]}" for key in unlike)
