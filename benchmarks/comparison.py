"""Which arms are compared with which, on what, and what comes of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_squeeze.benchmarks.checks import INVALID, SUSPECT, VALID, is_emulated
from edge_squeeze.benchmarks.launch_records import MEMORY, SUSTAINED, Launch
from edge_squeeze.benchmarks.options import MEMORY_GATE, P50, SIZE, Profile
from edge_squeeze.benchmarks.result import ArmResult, Comparison, baseline
from edge_squeeze.benchmarks.summary import timed
from edge_squeeze.benchmarks.verdicts import (
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
from edge_squeeze.machine.device import Device

INCOMPARABLE = "incomparable"
DEVICE = "device"


@dataclass(frozen=True)
class Metric:
    """Something that must not get worse: a number above 0 of each launch, and the change that is tolerated."""

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


@dataclass(frozen=True)
class Pair:
    """Two arms to compare; `differences` of their conditions make them incomparable unless they are `forced`."""

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
    evidences = {
        at: evidence for at, (pair, gate) in enumerate(asked) if (evidence := _evidence(pair, gate, delta, paired))
    }
    judged = dict(zip(evidences, judge(list(evidences.values())), strict=True))
    return [
        dataclasses.replace(
            _comparison(pair, gate, judged.get(at), delta, paired),
            base_sha256=pair.base.arm.sha256,
            cand_sha256=pair.cand.arm.sha256,
        )
        for at, (pair, gate) in enumerate(asked)
    ]


def within(arms: Sequence[ArmResult]) -> list[Pair]:
    """The first of `arms` of each network with each of the others of that network."""
    return [Pair(base, arm) for arm in arms if (base := baseline(arm, arms)) is not arm]


def _evidence(pair: Pair, gate: str, delta: float, paired: bool) -> Evidence | None:  # noqa: FBT001 - as compare's
    if gate == SIZE or _obstacle(pair, gate):
        return None
    metric = METRICS[gate]
    base, cand = ({at: math.log(value) for at, value in _values(arm, metric).items()} for arm in (pair.base, pair.cand))
    if not paired:
        return Unpaired(tuple(base.values()), tuple(cand.values()), metric.delta(delta))
    both = sorted(base.keys() & cand.keys())
    return Paired(tuple(cand[at] - base[at] for at in both), metric.delta(delta))


def _values(arm: ArmResult, metric: Metric) -> dict[int, float]:
    """The metric of each launch by its round, where it is known."""
    in_memory = [launch for launch in arm.launches if launch.kind == MEMORY]
    launches = in_memory if metric.kind_is_memory else timed(arm.launches)
    return {launch.round: value for launch in launches if (value := metric.of(launch)) > 0}


def _obstacle(pair: Pair, gate: str) -> str | None:
    for arm in (pair.base, pair.cand):
        if arm.failure is not None or arm.summary is None:
            return f"{arm.arm.id} could not be measured"
        if arm.correctness.sha256 not in (None, arm.arm.sha256):
            return (
                f"the parity of {arm.arm.id} is that of another file: its sha256 is {arm.correctness.sha256}, that of "
                f"the measured file {arm.arm.sha256}"
            )
    if pair.differences and not pair.forced:
        return f"different conditions: {'; '.join(pair.differences)}"
    if gate != SIZE and (is_emulated(pair.base.checks) or is_emulated(pair.cand.checks)):
        return "measured on an emulated processor"
    return None


def _comparison(pair: Pair, gate: str, judgment: Judgment | None, delta: float, paired: bool) -> Comparison:  # noqa: FBT001
    validity = _worse(pair.base.validity, pair.cand.validity)
    names = pair.base.arm.id, pair.cand.arm.id, gate
    allowed = METRICS[gate].delta(delta) if gate in METRICS else 0.0
    differing = list(pair.differences)
    if (reason := _obstacle(pair, gate)) is not None:
        return Comparison(*names, INCOMPARABLE, None, None, allowed, paired, None, None, validity, reason, differing)
    if judgment is None:
        return _sizes(pair, names, paired=paired)
    return Comparison(
        *names,
        judgment.verdict,
        judgment.ratio,
        None if judgment.ci95 is None else list(judgment.ci95),
        allowed,
        paired,
        judgment.p_adj,
        judgment.launches_needed,
        validity,
        fingerprint_diff=differing,
    )


def _sizes(pair: Pair, names: tuple[str, str, str], *, paired: bool) -> Comparison:
    """Bytes are known exactly, so any difference counts, and nothing about the measurement casts doubt on them."""
    base, cand = pair.base.arm.size_bytes, pair.cand.arm.size_bytes
    verdict = EQUIVALENT if base == cand else REGRESSION if cand > base else IMPROVEMENT
    ratio = cand / base
    return Comparison(*names, verdict, ratio, [ratio, ratio], 0.0, paired, None, None, VALID)


def _worse(a: str, b: str) -> str:
    return next(validity for validity in (INVALID, SUSPECT, VALID) if validity in (a, b))


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
        "frames per second": profile.pace.rate,
        "seconds per launch": profile.pace.seconds if profile.kind == SUSTAINED else None,
        "engine": arm.arm.engine_name,
        "engine version": served.version if served else None,
        "spinning": arm.arm.spin,
        "input": [(tensor["shape"], tensor["dtype"]) for tensor in served.inputs] if served else None,
        "inputs": launch.inputs.sha256 if launch else None,
    }


def differences(base: Mapping[str, Any], cand: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs between two fingerprints, as parts of sentences; devices without an identity count as different."""
    unlike = [key for key in base if base[key] != cand[key] or (key == DEVICE and base[key] is None)]
    return tuple(f"{key} was {base[key]}, is {cand[key]}" for key in unlike)
