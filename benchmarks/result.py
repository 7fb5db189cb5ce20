"""A session's result: every sample of every arm, and the figures and comparisons computed from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_squeeze.benchmarks.arms import Arm
from edge_squeeze.benchmarks.checks import INVALID, Check, rollup
from edge_squeeze.benchmarks.launch_records import Launch
from edge_squeeze.benchmarks.options import Profile
from edge_squeeze.benchmarks.preparation import Correctness
from edge_squeeze.benchmarks.summary import Summary
from edge_squeeze.machine.device import Device
from edge_squeeze.reporting import html_table


@dataclass(frozen=True)
class Comparison:
    """A candidate against the baseline. `ratio` is its time (or bytes) to the baseline's: 0.5 is twice as fast.

    `ci95` is None where there are too few launches for one, `reason` says why arms are incomparable. The hashes are
    those of the model files that were measured.
    """

    base: str
    cand: str
    metric: str
    verdict: str
    ratio: float | None
    ci95: list[float] | None
    delta: float
    paired: bool
    p_adj: float | None
    launches_needed: int | None
    validity: str
    reason: str | None = None
    fingerprint_diff: list[str] = field(default_factory=list)
    base_sha256: str | None = None
    cand_sha256: str | None = None

    def __repr__(self) -> str:
        pair = self.cand if self.cand == self.base else f"{self.cand} against {self.base}"
        interval = "" if self.ci95 is None else " ({:.3f}-{:.3f})".format(*self.ci95)
        ratio = f", {self.ratio:.3f} times{interval}" if self.ratio is not None else ""
        why = f": {self.reason}" if self.reason else ""
        return f"<Comparison of {pair} by {self.metric}: {self.verdict}{why}{ratio}>"


@dataclass(frozen=True)
class ArmResult:
    """What was measured of one arm; without a `summary` it failed, and `failure` says why."""

    arm: Arm
    launches: list[Launch]
    summary: Summary | None
    correctness: Correctness
    checks: list[Check]
    failure: str | None = None
    inspection: dict[str, Any] | None = None  # what the file holds, where it could be looked into
    denormals: float | None = None  # share of a float32 file's words
    why: list[str] = field(default_factory=list)  # why a quantized file is not faster

    def __repr__(self) -> str:
        _, _, _, p50, interval, validity = _cells(self)
        outcome = f"failed: {self.failure}" if self.summary is None else f"p50 {p50} ms ({interval}), {validity}"
        return f"<ArmResult {self.arm.id}: {outcome}>"

    @property
    def validity(self) -> str:
        """valid, suspect or invalid; what failed is the last."""
        return rollup(self.checks) if self.summary else INVALID


def baseline(result: ArmResult, arms: Sequence[ArmResult]) -> ArmResult:
    """The arm of `arms` that `result` is compared with: the first of its network, which may be itself."""
    return next(first for first in arms if first.arm.group == result.arm.group)


def of_networks(arms: Sequence[ArmResult]) -> list[list[ArmResult]]:
    """`arms` by network, in the order of their baselines."""
    networks: dict[int, list[ArmResult]] = {}
    for result in arms:
        networks.setdefault(result.arm.group, []).append(result)
    return list(networks.values())


@dataclass(frozen=True)
class Result:
    """A whole session."""

    created_utc: str
    session_id: str
    profile: Profile
    argv: list[str]
    seed: int
    order: list[str]
    device: Device
    arms: list[ArmResult]
    comparisons: list[Comparison]
    waited_s: float = 0.0
    resumed_after_s: float | None = None
    aa_floor: float | None = None  # that comparisons were judged by
    measured_floor: float | None = None  # that this session was to measure
    floor_file: str | None = None  # where that is kept
    floor_refused: bool = False  # it could not be trusted

    def __repr__(self) -> str:
        measured = [(result.summary.p50_ms, result.arm.id) for result in self.arms if result.summary]
        best = "none measured" if not measured else "lowest p50 {:.4g} ms, of {}".format(*min(measured))
        number = f"{len(self.arms)} arm{'' if len(self.arms) == 1 else 's'}"
        return f"<Result of {self.profile.name} on {self.device.name}, {number}: {best}>"

    def _repr_html_(self) -> str:
        verdicts: dict[str, list[str]] = {}
        for pair in self.comparisons:
            verdicts.setdefault(pair.cand, []).append(f"{pair.metric} {pair.verdict}")
        rows = [(*_cells(result), ", ".join(verdicts.get(result.arm.id, ["-"]))) for result in self.arms]
        return html_table(("arm", "engine", "threads", "p50 ms", "95 %", "trust", "verdict"), rows)


def _cells(result: ArmResult) -> tuple[str, str, str, str, str, str]:
    """An arm's name, engine, threads, p50 in milliseconds, its interval, and whether to trust it."""
    arm, summary = result.arm, result.summary
    p50 = "-" if summary is None else f"{summary.p50_ms:.4g}"
    interval = "-" if summary is None or summary.p50_ci95 is None else "{:.4g}-{:.4g}".format(*summary.p50_ci95)
    trust = f"failed: {result.failure}" if summary is None else result.validity
    return arm.name, arm.engine_name, str(arm.threads), p50, interval, trust
