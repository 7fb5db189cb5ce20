"""A whole benchmark, top-down: files and options in, a Result out."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge_squeeze.benchmarks import aa_floor as floors, comparison, correctness, int8_advice, journal, preparation
from edge_squeeze.benchmarks.arms import ALL, Arm, Ask, faults, left_out, resolve
from edge_squeeze.benchmarks.case import Case
from edge_squeeze.benchmarks.checks import INVALID
from edge_squeeze.benchmarks.correctness import Correctness
from edge_squeeze.benchmarks.journal import Journal
from edge_squeeze.benchmarks.launches.local import Local, Measurer
from edge_squeeze.benchmarks.launches.records import MEMORY, Launch
from edge_squeeze.benchmarks.profiles import Profile
from edge_squeeze.benchmarks.result import ArmResult, Result
from edge_squeeze.benchmarks.session import Session, level_of
from edge_squeeze.benchmarks.summary import summarize, timed
from edge_squeeze.benchmarks.validity import check
from edge_squeeze.errors import ConversionError, UsageError
from edge_squeeze.inspection.inspector import Inspection
from edge_squeeze.machine.device import Device
from edge_squeeze.reporting import Reporter

NOBODY = "unknown"  # a device that does not tell who it is


@dataclass(frozen=True)
class Settings:
    """How to measure and what to make of it; `aa` measures the first arm against itself."""

    profile: Profile
    gates: Sequence[str] = (comparison.P50,)
    fresh: bool = False
    aa: bool = False
    argv: Sequence[str] = ()


def run(ask: Ask, settings: Settings, reporter: Reporter, device: Measurer | None = None) -> Result:
    """What measuring `ask` gave; ConversionError if not one arm could be measured, UsageError for unusable input.

    Interrupted, it leaves its finished launches in the cache, where the same call finds them.
    """
    device = device or Local()
    described = device.describe()
    with reporter.step("import the engines") if ALL in (ask.runtimes or ()) else nullcontext():
        broken = faults(ask)
    for missing in left_out(ask, broken):
        reporter.note(missing)
    arms = resolve(ask, broken)
    if settings.aa:
        arms = _twice(arms)
    if (number := len({arm.group for arm in arms})) > 1:
        reporter.note(f"The files are of {number} networks: each is compared with the first file of its own.")
    with tempfile.TemporaryDirectory(prefix="edge-squeeze-") as folder:
        ready = preparation.prepare(arms, ask.inputs, Path(folder))
        session = Session(ready.arms, settings.profile, ask.seed, dict(ready.failures), outputs=ready.outputs)
        arms = [dataclasses.replace(a, inputs=b.inputs) for a, b in zip(arms, ready.arms, strict=True)]
        who = described.device.id_hash or NOBODY
        path = journal.folder() / f"{journal.key(arms, settings.profile, ask.seed, who)}.jsonl"
        with Journal(path, fresh=settings.fresh) as kept:
            launches, resumed = _measure(session, device, kept, reporter)
        correct = correctness.judge(arms, ready.outputs)
    result = _result(arms, session, launches, described, correct, settings, resumed)
    return _floor(result) if settings.aa else result


def _twice(arms: Sequence[Arm]) -> list[Arm]:
    if len(arms) != 1:
        raise UsageError(f"--aa-floor takes one file, one runtime and one number of threads, got {len(arms)} arms.")
    return [dataclasses.replace(arms[0], id=f"{arms[0].id} {copy}", name=f"{arms[0].name} {copy}") for copy in "AB"]


def _measure(
    session: Session, device: Measurer, kept: Journal, reporter: Reporter
) -> tuple[list[Launch], float | None]:
    if kept.launches:
        reporter.note(f"Resuming with {len(kept.launches)} launches of an interrupted session (--fresh starts over).")
    able = len(session.arms) - len(session.failures)
    reporter.note(session.profile.announce(able, sum(one.kind != MEMORY for one in kept.launches)))
    try:
        launches = session.run(device, kept, reporter)
    except BaseException:
        if kept.launches:
            number = len(kept.launches)
            what = f"{number} finished launch is" if number == 1 else f"{number} finished launches are"
            reporter.note(f"{what} kept. The same command resumes from there.")
        raise
    if not launches:
        kept.finish()
        raise ConversionError("\n".join(session.failures.values()))
    kept.finish()
    return launches, kept.resumed_after_s


def _result(
    arms: Sequence[Arm], session: Session, launches: Sequence[Launch], device: Device,
    correct: dict[str, Correctness], settings: Settings, resumed: float | None,
) -> Result:  # fmt: skip
    looked = preparation.inspections(arms)
    measured = [
        _arm_result(arm, launches, session, device, correct[arm.id], looked.get(arm.sha256), resumed) for arm in arms
    ]
    reasons = int8_advice.explain(measured, looked, device)
    measured = [dataclasses.replace(one, why=reasons.get(one.arm.id, [])) for one in measured]
    floor = None if settings.aa else floors.highest(device.device.id_hash, arms)
    return Result(
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"), session_id=uuid.uuid4().hex[:12],
        profile=settings.profile, argv=list(settings.argv or sys.argv[1:]), seed=session.seed, order=session.order,
        device=device, arms=measured, waited_s=session.waited_s, resumed_after_s=resumed, aa_floor=floor,
        comparisons=comparison.compare(comparison.within(measured), settings.gates, floor, paired=True),
    )  # fmt: skip


def _arm_result(
    arm: Arm, launches: Sequence[Launch], session: Session, device: Device, correct: Correctness,
    looked: Inspection | None, resumed: float | None,
) -> ArmResult:  # fmt: skip
    own = [one for one in launches if one.arm == arm.id]
    seen = None if looked is None else preparation.facts(looked)
    failure = session.failures.get(arm.id)
    if failure is not None or not timed(own):
        return ArmResult(arm, own, None, correct, [], failure or "it was not measured", seen)
    denormals = preparation.denormals(arm) if seen and seen["float32_weights"] else None
    return judged(ArmResult(arm, own, None, correct, [], None, seen), session.profile, device, resumed, denormals)


def judged(
    one: ArmResult, profile: Profile, device: Device, resumed: float | None, denormals: float | None
) -> ArmResult:
    """`one` with the figures and checks that its launches give."""
    summary = summarize(one.launches, level_of(profile))
    case = Case(one.arm, one.launches, summary, profile, device, resumed, denormals)
    return dataclasses.replace(one, summary=summary, checks=check(case), denormals=denormals)


def _floor(result: Result) -> Result:
    """`result` of two identical arms with the A/A floor that it gives, kept for later sessions if it can be trusted."""
    (found,), arm = result.comparisons, result.arms[0]
    if found.validity == INVALID:
        return dataclasses.replace(result, floor_refused=True)
    floor = floors.Floor(
        result.device.device.id_hash or NOBODY, floors.of(found), result.created_utc, result.profile.name,
        arm.arm.engine_name, arm.arm.threads, len(timed(arm.launches)),
    )  # fmt: skip
    return dataclasses.replace(result, measured_floor=floor.floor, floor_file=str(floors.store(floor)))
