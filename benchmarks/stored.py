"""A saved result, read again so that its figures can be computed anew and compared with later ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_squeeze.benchmarks.arms import Arm
from edge_squeeze.benchmarks.correctness import Correctness
from edge_squeeze.benchmarks.launches.records import MEMORY, InputSet, Launch
from edge_squeeze.benchmarks.profiles import Profile
from edge_squeeze.benchmarks.result import SCHEMA, SEVERAL
from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import decode, read_json
from edge_squeeze.machine.device import Device, Power, Processor, System

LARGEST = 1 << 30


@dataclass(frozen=True)
class StoredModel:
    """The file of an arm."""

    name: str
    path: str
    sha256: str
    bytes: int
    format: str
    precision: str | None
    network: str | None
    pixels: list[int]
    shapes: list[list[int]]
    inspection: dict[str, Any] | None = None
    group: int = 0  # results from before there were any compare all arms with the first


@dataclass(frozen=True)
class StoredRuntime:
    """The engine of an arm."""

    name: str
    asked_kernels: str | None
    threads: int
    spin: bool
    affinity: list[int]
    usable_cores: int
    policy: str


@dataclass(frozen=True)
class StoredArm:
    """An arm, with what was measured of it."""

    id: str
    model: StoredModel
    runtime: StoredRuntime
    input: InputSet
    correctness: Correctness
    launches: list[Launch]
    failure: str | None = None
    denormals: float | None = None
    why: list[str] = field(default_factory=list)

    def arm(self) -> Arm:
        """The arm that was measured."""
        model, runtime, gate = self.model, self.runtime, self.correctness.gate
        return Arm(
            id=self.id, name=model.name, path=model.path, format=model.format, sha256=model.sha256,
            size_bytes=model.bytes, precision=model.precision, parity=None if gate == "unknown" else gate,
            engine=runtime.name, kernels=runtime.asked_kernels, threads=runtime.threads, spin=runtime.spin,
            policy=runtime.policy, cpus=runtime.affinity, usable_cores=runtime.usable_cores, inputs=self.input,
            shapes=model.shapes, network=model.network, pixels=model.pixels, group=model.group,
        )  # fmt: skip


@dataclass(frozen=True)
class Stored:
    """A whole session."""

    schema: str
    created_utc: str
    session_id: str
    profile: Profile
    argv: list[str]
    seed: int
    order: list[str]
    device: System
    cpu: Processor
    power: Power
    arms: list[StoredArm]
    waited_s: float
    resumed_after_s: float | None
    aa_floor: float | None

    @property
    def measured_on(self) -> Device:
        """The device it ran on."""
        return Device(self.device, self.cpu, self.power)


def load(path: Path) -> Stored:
    """The session saved in `path`; UsageError if it is none, or of another version of the format."""
    document = read_json(path, LARGEST)
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema == SEVERAL:
        raise UsageError(
            f"{path} holds the results of several devices. Required: that of one, as `--out` saves each in a file of "
            "its own."
        )
    if schema != SCHEMA:
        raise UsageError(
            f"{path} is no result of `edge-squeeze benchmark --out FILE.json`. "
            f"Required: schema {SCHEMA}. Got: {str(schema)[:60]}."
        )
    stored: Stored = decode(Stored, document, str(path))
    for arm in stored.arms:
        _check(arm.launches, f"{path}: {arm.id}")
    return stored


def _check(launches: list[Launch], where: str) -> None:
    for launch in launches:
        times = [*launch.samples_ns, launch.first_ns, launch.load_init_ns, launch.import_ns, *launch.probe_ns]
        if launch.kind != MEMORY and not (launch.samples_ns and launch.invoke_only_ns and launch.wall_ns > 0):
            raise UsageError(f"{where}: a launch without samples.")
        if min(times) <= 0:
            raise UsageError(f"{where}: times must be above 0, got {min(times)}.")
