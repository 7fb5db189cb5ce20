"""What passes between a session and its launches: a Task goes to a fresh process, a Launch comes back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

PIXELS, VALUES = "pixels", "values"
TIMED, MEMORY, PACED, SUSTAINED = "timed", "memory", "paced", "sustained"


@dataclass(frozen=True)
class Pace:
    """How long a launch warms up and measures: at least so many runs and seconds, at most the cap in seconds."""

    warm_up_runs: int
    warm_up_s: float
    warm_up_cap_s: float
    runs: int
    seconds: float
    cap_s: float
    block_s: float = 0.25  # telemetry is read between blocks, never inside one
    rate: float | None = None  # frames a second, where the launch is paced


@dataclass(frozen=True)
class InputSet:
    """The inputs that every launch of an arm rotates through.

    `kind` is "pixels", raw RGB pictures [count,H,W,3] uint8 that each model takes in its own dtype and layout, or
    "values", drawn for each input by its dtype. They are drawn from `seed`, or read from `path` (.npy).
    """

    kind: str
    count: int = 8
    seed: int = 0
    path: str | None = None
    source: str | None = None  # what the user called it
    sha256: str | None = None  # of the file's pixels


@dataclass(frozen=True)
class Task:
    """What one launch does; `parent` is the process whose end ends it, `outputs` where its outputs are to be left."""

    kind: str
    model: str
    engine: str
    kernels: str | None
    threads: int
    spin: bool
    cpus: list[int]
    inputs: InputSet
    pace: Pace
    shapes: list[list[int]] = field(default_factory=list)
    parent: int | None = None
    outputs: str | None = None


@dataclass(frozen=True)
class Served:
    """The engine as the launch found it."""

    version: str
    kernels: str
    operators: int | None
    delegated: int | None
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]


@dataclass(frozen=True)
class Sanity:
    """What the outputs looked like: `distinct` counts different ones among those of the distinct inputs."""

    finite: bool
    constant: bool
    distinct: int
    sha256: str


@dataclass(frozen=True)
class Inputs:
    """What the launch fed in."""

    count: int
    sha256: str  # of the inputs before a model's own dtype and layout
    distinct: int
    zero: bool


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What one fresh process measured: `_ns` are nanoseconds of time.perf_counter_ns, one per inference in lists."""

    arm: str = ""
    round: int = 0
    kind: str = TIMED
    start_utc: str = ""
    pid: int
    import_ns: int
    load_init_ns: int
    cold: bool = False  # whether the system was made to forget the file before
    first_ns: int
    warmup_ns: list[int]
    samples_ns: list[int]
    inferences: int = 0  # how many there were, where the samples were left out
    invoke_only_ns: list[int]
    rate: float | None = None  # paced: frames a second
    response_ns: list[int] = field(default_factory=list)  # paced: from when a frame was due
    back_to_back_ns: list[int] = field(default_factory=list)  # paced: the same launch without pauses
    cpu_ns: int  # of the process while the samples were taken, over `wall_ns`
    wall_ns: int
    # Voluntary and involuntary context switches, major page faults, meanwhile; None where the system does not count.
    nvcsw: int | None
    nivcsw: int | None
    majflt: int | None
    baseline_rss_bytes: int | None  # once the engine is imported
    peak_rss_bytes: int | None  # of the whole process, at its end
    timer_ns: int  # what reading the clock twice takes
    probe_ns: list[int]  # a fixed piece of work, before and after
    affinity: list[int] | None  # the cores this ran on; None where the system does not tell
    readings: list[dict[str, Any]]  # telemetry at the edges of blocks
    block_ends: list[int]  # how many samples there were at each reading but the first
    served: Served
    inputs: Inputs
    sanity: Sanity

    def __repr__(self) -> str:
        count = len(self.samples_ns)
        return f"<Launch of {self.arm or 'an arm'}, {self.kind}, round {self.round}: {count:,} samples>"


def as_json(value: Any) -> dict[str, Any]:
    """A record as what `json` writes."""
    return dataclasses.asdict(value)
