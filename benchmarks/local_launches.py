"""The machine that this runs on as a device to measure on: starts each launch as a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Protocol

from edge_squeeze.benchmarks import telemetry
from edge_squeeze.benchmarks.arms import Placement
from edge_squeeze.benchmarks.launch import ERROR
from edge_squeeze.benchmarks.launch_records import Launch, Task, as_json
from edge_squeeze.errors import ConversionError, UsageError
from edge_squeeze.files.reading import decode
from edge_squeeze.machine import cores, device as devices
from edge_squeeze.machine.device import Device
from edge_squeeze.process.supervision import ended_by

LAUNCH = "edge_squeeze.benchmarks.launch"
GRACE_S = 300  # beyond what a launch may measure: to load a large model and run it once
LAST_LINES = 3
CALM_PRESSURE = 5.0  # percent of the last 10 s that some task waited for a core


class Measurer(Protocol):
    """A device that can measure: this machine, and later boards and phones."""

    def describe(self) -> Device:
        """What the device is."""
        ...

    def place(self, policy: str) -> Placement:
        """The cores of the device that `--cores` asks for; UsageError if it lacks them."""
        ...

    def calm(self, cpus: Sequence[int]) -> bool:
        """Whether nothing speaks against measuring there now."""
        ...

    def launch(self, task: Task) -> Launch:
        """What a fresh process there measured; ConversionError if the model cannot be run there."""
        ...


class Local:
    """The machine that this runs on."""

    def describe(self) -> Device:
        """What this machine is."""
        return devices.describe()

    def place(self, policy: str) -> Placement:
        """The cores of this machine that `--cores` asks for; UsageError if it lacks them or cannot bind to them."""
        cpus = cores.select(policy, cores.clusters())
        if not hasattr(os, "sched_setaffinity") and set(cpus) != set(cores.allowed()):
            raise UsageError(
                f"--cores {policy} requires a system that binds processes to cores, as Linux does. This one does not. "
                "Leave --cores out to measure on whichever cores the system chooses."
            )
        return Placement(cpus, cores.usable(cpus), cores.default_threads(cpus))

    def calm(self, cpus: Sequence[int]) -> bool:
        """Whether the machine neither throttles nor has tasks that wait for a core, as far as it tells."""
        reading = telemetry.read(cpus)
        return not reading.throttled and (reading.cpu_pressure or 0) < CALM_PRESSURE

    def launch(self, task: Task) -> Launch:
        """What a fresh process measured; ConversionError if the engine refused the model, crashed or hung."""
        pace = task.pace
        frames_s = pace.runs / pace.rate if pace.rate else 0.0
        limit = pace.warm_up_cap_s * 2 + pace.cap_s + frames_s + GRACE_S
        try:
            done = subprocess.run(  # noqa: S603 - ourselves
                [sys.executable, "-P", "-m", LAUNCH],
                input=json.dumps(as_json(task)).encode(),
                capture_output=True,
                timeout=limit,
                check=False,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )
        except subprocess.TimeoutExpired as error:
            raise ConversionError(f"{task.engine} did not end within {limit:.0f} s.") from error
        if done.returncode:
            raise ConversionError(f"{task.engine} {_ended(done.returncode, done.stderr)}")
        answer = json.loads(done.stdout)
        if ERROR in answer:
            raise ConversionError(answer[ERROR])
        launch: Launch = decode(Launch, answer, "a launch")
        return launch


def _ended(code: int, stderr: bytes) -> str:
    if name := ended_by(code):
        return f"crashed ({name}): the file may be damaged, or the memory too small."
    return "failed: " + " ".join(stderr.decode("utf-8", "replace").strip().splitlines()[-LAST_LINES:])
