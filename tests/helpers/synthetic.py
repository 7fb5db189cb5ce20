"""Launches that no process ever made: what the benchmark's statistics, checks and verdicts are tested on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze.benchmarks import benchmark, model_files
from edge_squeeze.benchmarks.arms import Arm, Placement
from edge_squeeze.benchmarks.launch_records import (
    MEMORY,
    PIXELS,
    TIMED,
    Inputs,
    InputSet,
    Launch,
    Sanity,
    Served,
    Task,
    as_json,
)
from edge_squeeze.benchmarks.options import PROFILES, BenchmarkOptions, Profile
from edge_squeeze.benchmarks.result import Result
from edge_squeeze.benchmarks.telemetry import Reading
from edge_squeeze.errors import ConversionError
from edge_squeeze.machine.device import Cores, Device, Power, Processor, System
from edge_squeeze.reporting import Silent

MS = 1_000_000
STANDARD: Profile = PROFILES["standard"]
PLACEMENT = Placement(cpus=(0, 1), usable_cores=2)
DEFAULT = BenchmarkOptions()


def machine(root: Path, files: dict[str, str]) -> Path:
    """`root`, with the content of `files` of a machine below it."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def an_arm(name: str = "a", **changes: Any) -> Arm:
    arm = Arm(
        id=f"{name} litert 1",
        name=name,
        path=f"{name}.tflite",
        format="tflite",
        sha256=f"sha of {name}",
        size_bytes=1_000_000,
        precision="float32",
        parity="pass",
        engine="litert",
        kernels=None,
        threads=1,
        spin=False,
        policy="big",
        cpus=[0, 1],
        usable_cores=2,
        inputs=InputSet(PIXELS),
        network="1.1",
    )
    return dataclasses.replace(arm, **changes)


def a_device(**changes: Any) -> Device:
    """A machine that tells everything, and of which nothing bad is to be told."""
    system = System("0123456789ab", "linux", None, "Board", None, "Linux", "6.1", None, None, 1 << 33, emulated=False)
    cores = [Cores([0, 1], None, None, None, 2_000_000)]
    processor = Processor("x86_64", "CPU", cores, ["avx2", "avx512_vnni"], ["performance"], None, None, None)
    return dataclasses.replace(Device(system, processor, Power("mains", None)), **changes)


def a_reading(at: int, **changes: Any) -> Reading:
    """The reading `at` quarters of a second after the first of a launch on a quiet machine."""
    quiet = Reading(
        at_ns=at * 250 * MS,
        freq_khz=[2_000_000, 2_000_000],
        temp_c=50.0,
        cooling=0,
        throttled=[],
        throttled_since_boot=[],
        throttle_count=0,
        cgroup_throttled=0,
        cpu_pressure=0.0,
        cpu_pressure_total_us=0,
        steal_ticks=0,
        total_ticks=at * 50,
        load_1=1.0,
        swapped_bytes=0,
        run_delay_ns=0,
    )
    return dataclasses.replace(quiet, **changes)


def readings(**last: Any) -> list[dict[str, Any]]:
    """Three readings of a launch, of which the `last` differs."""
    return [as_json(a_reading(0)), as_json(a_reading(1)), as_json(a_reading(2, **last))]


def a_launch(
    samples_ms: Sequence[float] | np.ndarray, round_: int = 0, arm: str = "a litert 1", **changes: Any
) -> Launch:
    samples = [round(value * MS) for value in samples_ms]
    launch = Launch(
        arm=arm,
        round=round_,
        kind=TIMED,
        start_utc="2026-01-01T00:00:00+00:00",
        pid=1,
        import_ns=20 * MS,
        load_init_ns=10 * MS,
        first_ns=2 * samples[0],
        warmup_ns=samples[:5],
        samples_ns=samples,
        invoke_only_ns=samples[:10],
        cpu_ns=sum(samples),
        wall_ns=sum(samples),
        nvcsw=0,
        nivcsw=0,
        majflt=0,
        baseline_rss_bytes=50_000_000,
        peak_rss_bytes=70_000_000,
        timer_ns=60,
        probe_ns=[500_000, 500_000],
        affinity=[0, 1],
        readings=readings(),
        block_ends=[len(samples) // 2, len(samples)],
        served=Served("2.3.0", "xnnpack", 39, 39, [{"name": "image", "shape": [1, 8, 8, 3], "dtype": "uint8"}], []),
        inputs=Inputs(8, "sha of inputs", 8, zero=False),
        sanity=Sanity(True, False, 8, "sha of outputs"),
    )
    return dataclasses.replace(launch, **changes)


def a_memory_launch(peak_bytes: int = 70_000_000, round_: int = 0, arm: str = "a litert 1") -> Launch:
    nothing = {"samples_ns": [], "warmup_ns": [], "invoke_only_ns": [], "readings": [], "block_ends": []}
    return a_launch([1.0], round_, arm, kind=MEMORY, cold=True, peak_rss_bytes=peak_bytes, **nothing)


def launches(
    medians_ms: Sequence[float] | np.ndarray,
    arm: str = "a litert 1",
    samples: int = 100,
    noise: float = 0.01,
    seed: int = 0,
) -> list[Launch]:
    """A launch for each of `medians_ms`, its samples scattered by the relative `noise` about it."""
    rng = np.random.default_rng(seed)
    return [a_launch(m * np.exp(rng.normal(0, noise, samples)), at, arm) for at, m in enumerate(medians_ms)]


class FakeDevice:
    """A device whose launches are drawn: `latency_ms` by the name of the model, with noise between launches."""

    def __init__(self, latency_ms: dict[str, float], noise: float = 0.01, seed: int = 0, **changes: Any) -> None:
        self.latency_ms, self.noise, self.changes = latency_ms, noise, changes
        self.rng = np.random.default_rng(seed)
        self.tasks: list[Task] = []
        self.broken: set[str] = set()
        self.interrupt_after: int | None = None
        self.is_calm = True

    def describe(self) -> Device:
        return a_device()

    def place(self, policy: str) -> Placement:
        return PLACEMENT

    def calm(self, cpus: Sequence[int]) -> bool:
        return self.is_calm

    def launch(self, task: Task) -> Launch:
        if self.interrupt_after is not None and len(self.tasks) >= self.interrupt_after:
            raise KeyboardInterrupt
        self.tasks.append(task)
        name = next(name for name in self.latency_ms if name in task.model)
        if name in self.broken:
            raise ConversionError(f"{name} is broken")
        if task.kind == MEMORY:
            return a_memory_launch()
        typical = self.latency_ms[name] * float(np.exp(self.rng.normal(0, self.noise)))
        samples = typical * np.exp(self.rng.normal(0, 0.01, 50))
        return a_launch(samples, kind=task.kind, affinity=task.cpus, **self.changes)


def three_files(folder: Path) -> list[Path]:
    """Three files that look like models, which is all that is needed where nothing is run."""
    files = [folder / f"{name}.tflite" for name in "abc"]
    for file in files:
        file.write_bytes(b"\x1c\0\0\0TFL3 " + file.stem.encode())
    return files


def measure(files: Sequence[Path], device: FakeDevice, options: BenchmarkOptions = DEFAULT) -> Result:
    """What a whole benchmark on `device` finds."""
    result = benchmark.run(model_files.read_all(files), options, Silent(), device)
    return dataclasses.replace(result, argv=["benchmark"])
