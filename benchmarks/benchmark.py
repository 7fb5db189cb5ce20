"""A whole benchmark, top-down: files and options in, a Result out; and a saved one computed anew."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge_squeeze.benchmarks import comparison, int8_advice, preparation, result_files, session as sessions
from edge_squeeze.benchmarks.arms import ALL, Arm, faults, left_out, resolve
from edge_squeeze.benchmarks.checks import INVALID, Case, check
from edge_squeeze.benchmarks.comparison import Pair, differences, fingerprint
from edge_squeeze.benchmarks.launch_records import MEMORY, Launch, as_json
from edge_squeeze.benchmarks.local_launches import Local, Measurer
from edge_squeeze.benchmarks.model_files import ModelFile
from edge_squeeze.benchmarks.options import BenchmarkOptions, Profile
from edge_squeeze.benchmarks.preparation import Correctness
from edge_squeeze.benchmarks.result import ArmResult, Comparison, Result
from edge_squeeze.benchmarks.result_files import Saved
from edge_squeeze.benchmarks.session import Journal, Session, level_of
from edge_squeeze.benchmarks.summary import summarize, timed
from edge_squeeze.errors import ConversionError, UsageError
from edge_squeeze.files.reading import decode, read_json
from edge_squeeze.inspection.inspector import Inspection
from edge_squeeze.machine.device import Device
from edge_squeeze.reporting import Reporter

NO_ID = "unknown"  # of a device that nothing identifies
ONLY_OLD, ONLY_NEW = "only the earlier result has it", "only the later result has it"


@dataclass(frozen=True)
class Floor:
    """`floor` is the largest relative difference between two identical arms that their measurement leaves possible."""

    device: str
    floor: float
    created_utc: str
    profile: str
    engine: str
    threads: int
    launches: int


def run(
    models: Sequence[ModelFile], options: BenchmarkOptions, reporter: Reporter, device: Measurer | None = None
) -> Result:
    """What measuring `models` gave; ConversionError if no arm could be measured, UsageError for unusable input.

    Interrupted, it leaves its finished launches in the cache, where the same call finds them.
    """
    device = device or Local()
    system = device.describe()
    arms = _arms(models, options, device, reporter)
    with tempfile.TemporaryDirectory(prefix="edge-squeeze-") as folder:
        ready = preparation.prepare(arms, options.inputs, Path(folder), skip_unreadable=options.skip_unreadable)
        for note in ready.notes:
            reporter.note(note)
        session = Session(
            ready.arms, options.resolve_profile(), options.seed, dict(ready.failures), outputs=ready.outputs
        )
        arms = [dataclasses.replace(arm, inputs=fed.inputs) for arm, fed in zip(arms, ready.arms, strict=True)]
        key = sessions.key(arms, session.profile, session.seed, system.device.id_hash or NO_ID)
        with Journal(sessions.folder() / f"{key}.jsonl", fresh=options.fresh) as journal:
            _measure(session, device, journal, reporter)
        correctness = preparation.judge_outputs(arms, ready.outputs)
    measured = _arm_results(arms, session, journal, system, correctness)
    floor = None if options.aa_floor else highest_floor(system.device.id_hash, arms)
    result = Result(
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        session_id=uuid.uuid4().hex[:12],
        profile=session.profile,
        argv=sys.argv[1:],
        seed=session.seed,
        order=session.order,
        device=system,
        arms=measured,
        comparisons=comparison.compare(comparison.within(measured), options.gate, floor, paired=True),
        waited_s=session.waited_s,
        resumed_after_s=journal.resumed_after_s,
        aa_floor=floor,
    )
    return _with_measured_floor(result) if options.aa_floor else result


def _arms(models: Sequence[ModelFile], options: BenchmarkOptions, device: Measurer, reporter: Reporter) -> list[Arm]:
    with reporter.step("import the engines") if ALL in options.runtime else nullcontext():
        broken = faults(options)
    for sentence in left_out(options, broken):
        reporter.note(sentence)
    arms = resolve(models, options, device.place(options.cores), broken)
    if options.aa_floor:
        if len(arms) != 1:
            raise UsageError(f"--aa-floor takes one file, one runtime and one number of threads, got {len(arms)} arms.")
        (arm,) = arms
        return [dataclasses.replace(arm, id=f"{arm.id} {copy}", name=f"{arm.name} {copy}") for copy in "AB"]
    if (number := len({arm.group for arm in arms})) > 1:
        reporter.note(f"The files are of {number} networks: each file is compared with the first of its network.")
    return arms


def _measure(session: Session, device: Measurer, journal: Journal, reporter: Reporter) -> None:
    """Leave all launches of `session` in `journal`.

    If no arm can be launched, UsageError where every file is damaged, and ConversionError otherwise.
    """
    if journal.launches:
        number = len(journal.launches)
        reporter.note(f"Resuming with {number} launches of an interrupted session (--fresh starts over).")
    able = len(session.arms) - len(session.failures)
    reporter.note(session.profile.announce(able, sum(launch.kind != MEMORY for launch in journal.launches)))
    try:
        launches = session.run(device, journal, reporter)
    except BaseException:
        if journal.launches:
            number = len(journal.launches)
            finished = f"{number} finished launch is" if number == 1 else f"{number} finished launches are"
            reporter.note(f"{finished} kept. The same command resumes from there.")
        raise
    journal.finish()
    failed = [arm for arm in session.arms if arm.id in session.failures]
    damaged = {arm.id: arm.model for arm in failed if arm.model is not None and arm.model.damaged}
    for arm, model in damaged.items():
        session.failures[arm] = model.refusal(session.failures[arm])
    if not launches:
        reasons = "\n".join(dict.fromkeys(session.failures.values()))
        raise UsageError(reasons) if len(damaged) == len(failed) else ConversionError(reasons)


def _arm_results(
    arms: Sequence[Arm], session: Session, journal: Journal, device: Device, correctness: Mapping[str, Correctness]
) -> list[ArmResult]:
    inspections = int8_advice.inspections(arms)
    launches: dict[str, list[Launch]] = {arm.id: [] for arm in arms}
    for launch in journal.launches:
        if launch.arm not in session.failures:
            launches[launch.arm].append(launch)
    results = []
    for arm in arms:
        result = _bare_result(arm, launches[arm.id], session, correctness[arm.id], inspections.get(arm.sha256))
        results.append(judge(result, session.profile, device, journal.resumed_after_s))
    reasons = int8_advice.explain(results, inspections, device)
    return [dataclasses.replace(result, why=reasons.get(result.arm.id, [])) for result in results]


def _bare_result(
    arm: Arm, launches: list[Launch], session: Session, correctness: Correctness, inspection: Inspection | None
) -> ArmResult:
    facts = None if inspection is None else int8_advice.facts(inspection)
    failure = session.failures.get(arm.id) or (None if timed(launches) else "it was not measured")
    denormals = int8_advice.denormals(arm) if facts and facts["float32_weights"] and not failure else None
    return ArmResult(arm, launches, None, correctness, [], failure, facts, denormals)


def judge(result: ArmResult, profile: Profile, device: Device, resumed_after_s: float | None = None) -> ArmResult:
    """`result` with the figures and checks that its launches give, if it has any."""
    if result.failure is not None or not timed(result.launches):
        return result
    summary = summarize(result.launches, level_of(profile))
    case = Case(result.arm, result.launches, summary, profile, device, resumed_after_s, result.denormals)
    return dataclasses.replace(result, summary=summary, checks=check(case))


def _with_measured_floor(result: Result) -> Result:
    """`result` of two identical arms with the A/A floor that it gives, kept for later sessions if it can be trusted."""
    (pair,), arm = result.comparisons, result.arms[0]
    if pair.validity == INVALID:
        return dataclasses.replace(result, floor_refused=True)
    if pair.ci95 is None:
        raise UsageError("An A/A floor needs at least 3 launches of each arm.")
    floor = Floor(
        device=result.device.device.id_hash or NO_ID,
        floor=math.expm1(max(abs(math.log(bound)) for bound in pair.ci95)),
        created_utc=result.created_utc,
        profile=result.profile.name,
        engine=arm.arm.engine_name,
        threads=arm.arm.threads,
        launches=len(timed(arm.launches)),
    )
    path = _floor_path(floor.device, floor.engine, floor.threads)
    result_files.save(path, json.dumps(as_json(floor), indent=1) + "\n")
    return dataclasses.replace(result, measured_floor=floor.floor, floor_file=str(path))


def highest_floor(device: str | None, arms: Sequence[Arm]) -> float | None:
    """The highest floor measured before on the device with the engines and threads of `arms`; None without any."""
    floors = [known_floor(device, arm.engine_name, arm.threads) for arm in arms if device is not None]
    return max((floor.floor for floor in floors if floor is not None), default=None)


def known_floor(device: str | None, engine: str, threads: int) -> Floor | None:
    """The floor measured before on the device with that engine and so many threads, if any."""
    path = _floor_path(device or "", engine, threads)
    floor: Floor | None = decode(Floor, read_json(path), str(path)) if path.is_file() else None
    return floor


def _floor_path(device: str, engine: str, threads: int) -> Path:
    """Where the floor of the device with the hash `device` is kept, for an engine on so many threads."""
    return sessions.folder() / f"aa-floor-{device}-{engine.replace(':', '-')}-{threads}.json"


def replay(source: Saved, gates: Sequence[str]) -> Result:
    """The result saved in a file, or in its document, with its figures, checks and verdicts computed anew."""
    saved = result_files.load(source)
    arms = _judge_all(saved)
    comparisons = comparison.compare(comparison.within(arms), gates, saved.aa_floor, paired=True)
    return dataclasses.replace(saved, arms=arms, comparisons=comparisons, measured_floor=None, floor_file=None)


def compare(old: Saved, new: Saved, gates: Sequence[str], *, force: bool) -> list[Comparison]:
    """The arms of the result `new` against those of `old`; with `force` even under different conditions."""
    before, after = result_files.load(old), result_files.load(new)
    olds, news = ({result.arm.id: result for result in _judge_all(saved)} for saved in (before, after))
    if not olds or not news:
        raise UsageError(f"The {'later' if olds else 'earlier'} result has no arms.")
    if len(olds) == len(news) == 1:  # a renamed file is still the successor of the other
        news = dict(zip(olds, news.values(), strict=True))
    pairs = [_pair(olds[arm], news[arm], before, after, force=force) for arm in olds if arm in news]
    pairs += [Pair(result, result, (ONLY_OLD,)) for arm, result in olds.items() if arm not in news]
    pairs += [Pair(result, result, (ONLY_NEW,)) for arm, result in news.items() if arm not in olds]
    floors = [saved.aa_floor for saved in (before, after) if saved.aa_floor is not None]
    return comparison.compare(pairs, gates, max(floors, default=None), paired=False)


def _judge_all(saved: Result) -> list[ArmResult]:
    return [judge(result, saved.profile, saved.device, saved.resumed_after_s) for result in saved.arms]


def _pair(old: ArmResult, new: ArmResult, before: Result, after: Result, *, force: bool) -> Pair:
    was, now = fingerprint(before.device, old, before.profile), fingerprint(after.device, new, after.profile)
    return Pair(old, new, differences(was, now), force)
