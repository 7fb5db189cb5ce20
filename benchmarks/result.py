"""A session's result: a versioned JSON document that keeps every sample, and the figures computed from them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from edge_squeeze.benchmarks.arms import Arm
from edge_squeeze.benchmarks.checks import INVALID, Check, rollup
from edge_squeeze.benchmarks.correctness import Correctness
from edge_squeeze.benchmarks.launches.records import Launch, as_json
from edge_squeeze.benchmarks.profiles import Profile
from edge_squeeze.benchmarks.summary import Summary, count
from edge_squeeze.errors import UsageError
from edge_squeeze.machine.device import Device
from edge_squeeze.reporting import html_table
from edge_squeeze.version import __version__

SCHEMA = "edge_squeeze.bench/1"
SEVERAL = "edge_squeeze.devices/1"  # documents of that schema, from several devices
CONTEXT = "python"  # where it ran; an app or a shell on a phone differs


@dataclass(frozen=True)
class Comparison:
    """A candidate against the baseline. `ratio` is its time (or bytes) to the baseline's: 0.5 is twice as fast.

    `ci95` is None where there are too few launches for one, `reason` says why arms are incomparable.
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
        told = f"failed: {self.failure}" if self.summary is None else f"p50 {p50} ms ({interval}), {validity}"
        return f"<ArmResult {self.arm.id}: {told}>"

    @property
    def validity(self) -> str:
        """valid, suspect or invalid; what failed is the last."""
        return rollup(self.checks) if self.summary else INVALID


def baseline(one: ArmResult, arms: Sequence[ArmResult]) -> ArmResult:
    """The arm of `arms` that `one` is compared with: the first of its network, which may be itself."""
    return next(other for other in arms if other.arm.group == one.arm.group)


def of_networks(arms: Sequence[ArmResult]) -> list[list[ArmResult]]:
    """`arms` by network, in the order of their baselines."""
    found: dict[int, list[ArmResult]] = {}
    for one in arms:
        found.setdefault(one.arm.group, []).append(one)
    return list(found.values())


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
        measured = [(one.summary.p50_ms, one.arm.id) for one in self.arms if one.summary]
        told = "none measured" if not measured else "lowest p50 {:.4g} ms, of {}".format(*min(measured))
        number = f"{len(self.arms)} arm{'' if len(self.arms) == 1 else 's'}"
        return f"<Result of {self.profile.name} on {self.device.name}, {number}: {told}>"

    def _repr_html_(self) -> str:
        verdicts: dict[str, list[str]] = {}
        for one in self.comparisons:
            verdicts.setdefault(one.cand, []).append(f"{one.metric} {one.verdict}")
        rows = [(*_cells(one), ", ".join(verdicts.get(one.arm.id, ["-"]))) for one in self.arms]
        return html_table(("arm", "engine", "threads", "p50 ms", "95 %", "trust", "verdict"), rows)


def _cells(one: ArmResult) -> tuple[str, str, str, str, str, str]:
    """An arm's name, engine, threads, p50 in milliseconds, its interval, and whether to trust it."""
    found = one.summary
    p50 = "-" if found is None else f"{found.p50_ms:.4g}"
    interval = "-" if found is None or found.p50_ci95 is None else "{:.4g}-{:.4g}".format(*found.p50_ci95)
    trust = f"failed: {one.failure}" if found is None else one.validity
    return one.arm.name, one.arm.engine_name, str(one.arm.threads), p50, interval, trust


def to_json(result: Result, *, raw: bool = True) -> dict[str, Any]:
    """The document of `result`; without `raw`, launches keep only their medians."""
    return {
        "schema": SCHEMA,
        "tool": {"name": "edge-squeeze", "version": __version__},
        "created_utc": result.created_utc,
        "session_id": result.session_id,
        "profile": as_json(result.profile),
        "argv": result.argv,
        "seed": result.seed,
        "order": result.order,
        "waited_s": result.waited_s,
        "resumed_after_s": result.resumed_after_s,
        "aa_floor": result.aa_floor,
        "measured_floor": result.measured_floor,
        "floor_file": result.floor_file,
        **as_json(result.device),
        "arms": [_arm(one, raw=raw) for one in result.arms],
        "comparisons": [as_json(one) for one in result.comparisons],
    }


def _arm(one: ArmResult, *, raw: bool) -> dict[str, Any]:
    arm, served = one.arm, one.launches[0].served if one.launches else None
    return {
        "id": arm.id,
        "model": {
            "name": arm.name, "path": arm.path, "sha256": arm.sha256, "bytes": arm.size_bytes, "format": arm.format,
            "precision": arm.precision, "network": arm.network, "group": arm.group, "inspection": one.inspection,
            "pixels": arm.pixels, "shapes": arm.shapes,
            "inputs": served.inputs if served else None, "outputs": served.outputs if served else None,
        },
        "runtime": {
            "name": arm.engine, "kernels": served.kernels if served else arm.kernels, "asked_kernels": arm.kernels,
            "version": served.version if served else None, "threads": arm.threads, "inter_op": 1, "spin": arm.spin,
            "ops_total": served.operators if served else None, "ops_delegated": served.delegated if served else None,
            "affinity": arm.cpus, "usable_cores": arm.usable_cores, "policy": arm.policy,
        },
        "input": as_json(arm.inputs) | ({"sha256": one.launches[0].inputs.sha256} if one.launches else {}),
        "context": CONTEXT,
        "launches": [as_json(launch) if raw else _without_raw(launch) for launch in one.launches],
        "summary": None if one.summary is None else as_json(one.summary),
        "correctness": as_json(one.correctness),
        "checks": [as_json(check) for check in one.checks],
        "validity": one.validity if one.summary else None,
        "failure": one.failure,
        "denormals": one.denormals,
        "why": one.why,
    }  # fmt: skip


def _without_raw(launch: Launch) -> dict[str, Any]:
    left_out = {"warmup_ns": [], "readings": [], "block_ends": [], "inferences": count(launch)}
    kept = as_json(launch) | left_out
    for name in ("samples_ns", "invoke_only_ns", "response_ns", "back_to_back_ns"):
        kept[name] = [int(median(kept[name]))] if kept[name] else []
    return kept


def save(path: Path, text: str) -> None:
    """Write `text` to `path` in one step; UsageError if that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with part.open("x", encoding="utf-8") as file:
                file.write(text)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error}. Give another --out FILE.") from error


def dumps(document: dict[str, Any]) -> str:
    """The text of a document, a line per entry of its first levels."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
