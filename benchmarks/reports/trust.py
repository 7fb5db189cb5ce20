"""What spoke against trusting a measurement: a paragraph for each kind of finding, however many arms it concerns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_squeeze.benchmarks.checks import FAIL, UNKNOWN, VALID, WARN, Check, percent
from edge_squeeze.benchmarks.reports.headline import label
from edge_squeeze.benchmarks.result import Result

# What each check measures, and the unit of its value: a share (%), seconds (s), bytes (B), a number or words ("").
MEANINGS = {
    "emulated": ("the processor", ""),
    "contention": ("time without a core", "%"),
    "waiting": ("time spent waiting for a core", "%"),
    "preemption": ("cores lost an inference", ""),
    "quota": ("stops by the CPU quota", ""),
    "steal": ("time that the hypervisor took", "%"),
    "frequency": ("fall of the clock", "%"),
    "probe": ("change of the machine's speed within launches", "%"),
    "steadiness": ("difference of the machine's speed between launches", "%"),
    "thermal": ("throttling", ""),
    "power": ("power supply", ""),
    "affinity": ("cores used", ""),
    "major_faults": ("pages read from the disk", ""),
    "swap": ("memory swapped out", "B"),
    "stationarity": ("change of latency within launches", "%"),
    "drift": ("change of latency from launch to launch", "%"),
    "bimodal": ("gap between two groups of launches", "%"),
    "precision": ("half the width of the interval", "%"),
    "pace": ("late frames", "%"),
    "agreement": ("distance between two typical values", "%"),
    "percentiles": ("percentiles known", ""),
    "oversubscription": ("threads", ""),
    "samples": ("samples of the shortest launch", ""),
    "timer": ("resolution of the clock in a latency", "%"),
    "inputs": ("what was fed in", ""),
    "outputs": ("numbers that are not finite", ""),
    "variety": ("different outputs", ""),
    "repeatability": ("launches that computed something else", ""),
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


def doubts(result: Result, *, every: bool) -> Iterator[str]:
    """A paragraph for each kind of finding, which names all its arms if `every`; without any, one that all is well."""
    kinds: dict[tuple[str, str], list[Finding]] = {}
    for one in result.arms:
        for check in one.checks:
            if check.status in STATUSES:
                kind = check.id, re.sub(r"[\d.]+", "", check.hint or "")  # hints that differ by their numbers are one
                kinds.setdefault(kind, []).append(Finding(label(one, result.arms), check))
    measured = sum(one.summary is not None for one in result.arms)
    yield from (_paragraph(found, measured, every=every) for found in kinds.values())
    if not kinds and measured:
        looked = [check.id for one in result.arms for check in one.checks if check.status == UNKNOWN]
        unknown = [name for name in dict.fromkeys(looked) if name not in NOT_FOR_ALL]
        besides = f" Not known here: {', '.join(unknown)}." if unknown else ""
        yield f"{VALID.capitalize()}: every check that could be made passed.{besides}"


def _paragraph(found: Sequence[Finding], arms: int, *, every: bool) -> str:
    name = found[0].check.id
    meaning, _ = MEANINGS[name]
    ordered = sorted(found, key=lambda one: (one.check.status != FAIL, -one.size))
    parts = []
    for status, word in STATUSES.items():
        if own := [one for one in ordered if one.check.status == status]:
            parts.append(f"{word}{_limit(own)}: {_whom(own, arms, every=every)}")
    return f"{name} ({meaning}) {'; '.join(parts)}. {ordered[0].check.hint or ''}".strip()


def _whom(found: Sequence[Finding], arms: int, *, every: bool) -> str:
    """The arms of `found`, the largest value first, and their values."""
    values = [_value(one.check.value, one.check.id) for one in found]
    distinct = [value for value in dict.fromkeys(values) if value]
    if every or len(found) <= MOST_NAMED:
        return ", ".join(f"{one.arm} {value}".strip() for one, value in zip(found, values, strict=True))
    who = f"all {arms} arms" if len(found) == arms else f"{len(found)} of {arms} arms"
    if len(distinct) <= 1:
        return " ".join((who, *distinct))
    if found[0].size:
        return f"{who} {distinct[-1]} to {distinct[0]}, most for {found[0].arm}"
    return f"{who} {' or '.join(distinct[:MOST_NAMED])}{' or others' if len(distinct) > MOST_NAMED else ''}"


def _limit(found: Sequence[Finding]) -> str:
    """The limit that was exceeded, where there is a single one and something to hold against it."""
    limits = {one.check.threshold for one in found if one.check.value is not None}
    limit = _value(limits.pop(), found[0].check.id) if len(limits) == 1 else ""
    return f", limit {limit}" if limit else ""


def _value(value: float | str | None, name: str) -> str:
    _, unit = MEANINGS[name]
    if value is None or isinstance(value, str):
        return value or ""
    if unit == "%":
        return percent(value)
    return f"{value:,.0f} bytes" if unit == "B" else f"{value:.0f} s" if unit == "s" else f"{value:.3g}"
