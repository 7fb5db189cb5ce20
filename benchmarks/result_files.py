"""A result on disk: JSON that is read again, CSV for spreadsheets, Markdown for people."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Self

from edge_squeeze.benchmarks import report
from edge_squeeze.benchmarks.arms import Arm
from edge_squeeze.benchmarks.headline import headline
from edge_squeeze.benchmarks.launch_records import MEMORY, InputSet, Launch, as_json
from edge_squeeze.benchmarks.options import P50, Profile
from edge_squeeze.benchmarks.preparation import UNKNOWN, Correctness
from edge_squeeze.benchmarks.result import ArmResult, Result
from edge_squeeze.benchmarks.summary import count
from edge_squeeze.errors import UsageError
from edge_squeeze.files import atomic
from edge_squeeze.files.reading import decode, read_json
from edge_squeeze.machine.device import Device, Power, Processor, System
from edge_squeeze.version import __version__

SCHEMA = "edge_squeeze.bench/1"
SEVERAL = "edge_squeeze.devices/1"  # documents of that schema, from several devices
EVALUATION = "edge_squeeze.evaluation/1"  # documents of the command of that name
LARGEST = 1 << 30
Saved = str | Path | Mapping[str, Any]  # the file of a result, or the document in it
TIMES = ("samples_ns", "invoke_only_ns", "response_ns", "back_to_back_ns")
CSV_COLUMNS: dict[str, Callable[[ArmResult], object]] = {
    "arm": lambda result: result.arm.id,
    "model": lambda result: result.arm.name,
    "engine": lambda result: result.arm.engine_name,
    "threads": lambda result: result.arm.threads,
    "bytes": lambda result: result.arm.size_bytes,
    "parity": lambda result: result.correctness.gate,
    "validity": lambda result: result.validity if result.summary else "",
    "failure": lambda result: result.failure or "",
    "sha256": lambda result: result.arm.sha256,
    "interval_low_ms": lambda result: result.summary.p50_ci95[0] if result.summary and result.summary.p50_ci95 else "",
    "interval_high_ms": lambda result: result.summary.p50_ci95[1] if result.summary and result.summary.p50_ci95 else "",
}
SESSION_COLUMNS: dict[str, Callable[[Result], object]] = {
    "created_utc": lambda result: result.created_utc,
    "session": lambda result: result.session_id,
    "profile": lambda result: result.profile.name,
    "device": lambda result: result.device.device.id_hash,
    "processor": lambda result: result.device.cpu.name,
}
FIGURES = (
    "p50_ms",
    "p90_ms",
    "p95_ms",
    "p99_ms",
    "mean_ms",
    "floor_ms",
    "mad_ms",
    "n_launches",
    "n_samples",
    "invoke_only_ms",
    "cpu_ms",
    "import_ms",
    "load_init_ms",
    "cold_load_ms",
    "first_ms",
    "peak_rss_bytes",
)


@dataclass(frozen=True, kw_only=True)
class SavedModel:
    """The file of an arm; `inputs` and `outputs` are as its engine described them."""

    name: str
    path: str
    sha256: str
    bytes: int
    format: str
    precision: str | None
    network: str | None
    group: int = 0  # results from before there were any compare all arms with the first
    inspection: dict[str, Any] | None = None
    pixels: list[int]
    shapes: list[list[int]]
    inputs: list[dict[str, Any]] | None = None
    outputs: list[dict[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class SavedRuntime:
    """The engine of an arm: the `kernels` that it used, and those that were asked for."""

    name: str
    kernels: str | None = None
    asked_kernels: str | None
    version: str | None = None
    threads: int
    inter_op: int = 1
    spin: bool
    ops_total: int | None = None
    ops_delegated: int | None = None
    affinity: list[int]
    usable_cores: int
    policy: str


@dataclass(frozen=True, kw_only=True)
class SavedArm:
    """An arm with what was measured of it; `summary`, `checks` and `validity` are for readers, and computed anew."""

    id: str
    model: SavedModel
    runtime: SavedRuntime
    input: InputSet
    context: str = "python"  # where it ran; an app or a shell on a phone differs
    launches: list[Launch]
    summary: dict[str, Any] | None = None
    correctness: Correctness
    checks: list[dict[str, Any]] = field(default_factory=list)
    validity: str | None = None
    failure: str | None = None
    denormals: float | None = None
    why: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, result: ArmResult, *, raw: bool) -> Self:
        """What is saved of `result`; without `raw`, launches keep only their medians."""
        arm, launches = result.arm, result.launches
        served = launches[0].served if launches else None
        model = SavedModel(
            name=arm.name,
            path=arm.path,
            sha256=arm.sha256,
            bytes=arm.size_bytes,
            format=arm.format,
            precision=arm.precision,
            network=arm.network,
            group=arm.group,
            inspection=result.inspection,
            pixels=arm.pixels,
            shapes=arm.shapes,
            inputs=served.inputs if served else None,
            outputs=served.outputs if served else None,
        )
        return cls(
            id=arm.id,
            model=model,
            runtime=_runtime(result),
            input=dataclasses.replace(arm.inputs, sha256=launches[0].inputs.sha256) if launches else arm.inputs,
            launches=launches if raw else list(map(_without_samples, launches)),
            summary=as_json(result.summary) if result.summary else None,
            correctness=result.correctness,
            checks=list(map(as_json, result.checks)),
            validity=result.validity if result.summary else None,
            failure=result.failure,
            denormals=result.denormals,
            why=result.why,
        )

    def result(self) -> ArmResult:
        """What was measured, without figures and checks."""
        model, runtime, gate = self.model, self.runtime, self.correctness.gate
        arm = Arm(
            id=self.id,
            name=model.name,
            path=model.path,
            format=model.format,
            sha256=model.sha256,
            size_bytes=model.bytes,
            precision=model.precision,
            parity=None if gate == UNKNOWN else gate,
            engine=runtime.name,
            kernels=runtime.asked_kernels,
            threads=runtime.threads,
            spin=runtime.spin,
            policy=runtime.policy,
            cpus=runtime.affinity,
            usable_cores=runtime.usable_cores,
            inputs=self.input,
            shapes=model.shapes,
            network=model.network,
            pixels=model.pixels,
            group=model.group,
        )
        return ArmResult(
            arm, self.launches, None, self.correctness, [], self.failure, model.inspection, self.denormals, self.why
        )


@dataclass(frozen=True, kw_only=True)
class SavedResult:
    """The document of a whole session, its keys in their order."""

    schema: str = SCHEMA
    tool: dict[str, str] = field(default_factory=dict)
    created_utc: str
    session_id: str
    profile: Profile
    argv: list[str]
    seed: int
    order: list[str]
    waited_s: float
    resumed_after_s: float | None
    aa_floor: float | None
    measured_floor: float | None = None
    floor_file: str | None = None
    device: System
    cpu: Processor
    power: Power
    arms: list[SavedArm]
    comparisons: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, result: Result, *, raw: bool) -> Self:
        """What is saved of `result`; without `raw`, launches keep only their medians."""
        return cls(
            **{name: getattr(result, name) for name in SAME_FIELDS},
            tool={"name": "edge-squeeze", "version": __version__},
            device=result.device.device,
            cpu=result.device.cpu,
            power=result.device.power,
            arms=[SavedArm.of(arm, raw=raw) for arm in result.arms],
            comparisons=list(map(as_json, result.comparisons)),
        )

    def result(self) -> Result:
        """What was measured, without figures, checks and comparisons."""
        device = Device(self.device, self.cpu, self.power)
        arms = [arm.result() for arm in self.arms]
        return Result(**{name: getattr(self, name) for name in SAME_FIELDS}, device=device, arms=arms, comparisons=[])


SAME_FIELDS = (  # of a result, in memory and on disk
    "created_utc",
    "session_id",
    "profile",
    "argv",
    "seed",
    "order",
    "waited_s",
    "resumed_after_s",
    "aa_floor",
    "measured_floor",
    "floor_file",
)


def _runtime(result: ArmResult) -> SavedRuntime:
    arm, served = result.arm, result.launches[0].served if result.launches else None
    return SavedRuntime(
        name=arm.engine,
        kernels=served.kernels if served else arm.kernels,
        asked_kernels=arm.kernels,
        version=served.version if served else None,
        threads=arm.threads,
        spin=arm.spin,
        ops_total=served.operators if served else None,
        ops_delegated=served.delegated if served else None,
        affinity=arm.cpus,
        usable_cores=arm.usable_cores,
        policy=arm.policy,
    )


def _without_samples(launch: Launch) -> Launch:
    times = {name: getattr(launch, name) for name in TIMES}
    medians: dict[str, Any] = {name: [int(median(values))] if values else [] for name, values in times.items()}
    return dataclasses.replace(launch, warmup_ns=[], readings=[], block_ends=[], inferences=count(launch), **medians)


def to_json(result: Result, *, raw: bool = True) -> dict[str, Any]:
    """The document of `result`; without `raw`, launches keep only their medians."""
    return as_json(SavedResult.of(result, raw=raw))


def load(source: Saved) -> Result:
    """The session saved in a file, or in its document, without what has to be computed from its launches.

    UsageError if it is not one, or of another version of the format.
    """
    name = "The document" if isinstance(source, Mapping) else str(source)
    document = source if isinstance(source, Mapping) else read_json(Path(source), LARGEST)
    schema = document.get("schema") if isinstance(document, Mapping) else None
    if schema == SEVERAL:
        raise UsageError(
            f"{name} holds the results of several devices. Required: the result of one device, which `--out` saves in "
            "a file of its own."
        )
    if schema == EVALUATION:
        raise UsageError(
            f"{name} is an evaluation. Required: a result of `edge-squeeze benchmark --out FILE.json`. Compare "
            "evaluations with `edge-squeeze evaluate ARTIFACT --images DIR --against FILE.json`."
        )
    if schema != SCHEMA:
        raise UsageError(
            f"{name} is not a result of `edge-squeeze benchmark --out FILE.json`. "
            f"Required: schema {SCHEMA}. Got: {str(schema)[:60]}."
        )
    saved: SavedResult = decode(SavedResult, document, name)
    for arm in saved.arms:
        _check_launches(arm.launches, f"{name}: {arm.id}")
    return saved.result()


def _check_launches(launches: Sequence[Launch], where: str) -> None:
    for launch in launches:
        times = [*launch.samples_ns, launch.first_ns, launch.load_init_ns, launch.import_ns, *launch.probe_ns]
        if launch.kind != MEMORY and not (launch.samples_ns and launch.invoke_only_ns and launch.wall_ns > 0):
            raise UsageError(f"{where}: a launch without samples.")
        if min(times) <= 0:
            raise UsageError(f"{where}: times must be above 0, got {min(times)}.")


def markdown(result: Result) -> str:
    """A table with the device and the date."""
    device, cpu = result.device.device, result.device.cpu
    columns, rows = report.table(result)
    where = ", ".join(filter(None, (device.model, cpu.name, device.os, device.kind)))
    versions = {f"{arm.arm.engine} {arm.launches[0].served.version}" for arm in result.arms if arm.launches}
    lines = [
        *(word for line in headline(result).splitlines() for word in (line, "")),
        f"Command: `edge-squeeze {shlex.join(result.argv)}`; seed {result.seed}.",
        "",
        f"Device: {where}. Engines: {', '.join(sorted(versions))}. Date: {result.created_utc[:10]}.",
        "",
        _markdown_row([column.title for column in columns]),
        _markdown_row(["---"] * len(columns)),
        *map(_markdown_row, rows),
        "",
        *(f"- {note}" for note in report.notes(result)),
    ]
    return "\n".join(lines) + "\n"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def as_csv(result: Result) -> str:
    """A line per arm, with every figure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*CSV_COLUMNS, *FIGURES, "verdict", *SESSION_COLUMNS])
    verdicts = {pair.cand: pair.verdict for pair in result.comparisons if pair.metric == P50}
    session = [read(result) for read in SESSION_COLUMNS.values()]
    for arm in result.arms:
        figures = [getattr(arm.summary, name) if arm.summary else None for name in FIGURES]
        cells = ["" if figure is None else figure for figure in figures]
        own = [read(arm) for read in CSV_COLUMNS.values()]
        writer.writerow([*own, *cells, verdicts.get(arm.arm.id, ""), *session])
    return text.getvalue()


WRITERS: dict[str, Callable[[Result, bool], str]] = {
    ".json": lambda result, raw: dumps(to_json(result, raw=raw)),
    ".csv": lambda result, _: as_csv(result),
    ".md": lambda result, _: markdown(result),
}


def dumps(document: dict[str, Any]) -> str:
    """The text of a document, a line per entry of its first levels."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def check_names(paths: Sequence[Path]) -> None:
    """Raise UsageError, before anything is measured, for an --out that cannot be written."""
    for path in paths:
        if path.suffix.lower() not in WRITERS:
            raise UsageError(f"--out must end in {', '.join(WRITERS)}, got {path}.")
        if path.is_dir():
            raise UsageError(f"--out {path} is a folder. Required: a file that ends in {', '.join(WRITERS)}.")
        atomic.check_file(path, "--out")


def write(result: Result, paths: Sequence[Path], *, raw: bool) -> None:
    """Write `result` to each of `paths`, in the format that its name ends in."""
    for path in paths:
        save(path, WRITERS[path.suffix.lower()](result, raw))


def save(path: Path, text: str) -> None:
    """Write `text` to `path` in one step; UsageError if that cannot be done."""
    try:
        atomic.write_file(path, text.encode())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error}. Give another --out FILE.") from error
