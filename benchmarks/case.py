"""All that is known of an arm's measurement when it is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from edge_squeeze.benchmarks.arms import Arm
from edge_squeeze.benchmarks.launches.records import Launch
from edge_squeeze.benchmarks.machine.telemetry import Reading
from edge_squeeze.benchmarks.profiles import Profile
from edge_squeeze.benchmarks.summary import Summary, timed
from edge_squeeze.machine.device import Device


@dataclass(frozen=True)
class Case:
    """All that is known of an arm's measurement; `denormals` is a share of the file's words."""

    arm: Arm
    launches: Sequence[Launch]
    summary: Summary
    profile: Profile
    device: Device
    resumed_after_s: float | None = None
    denormals: float | None = None

    @cached_property
    def runs(self) -> list[Launch]:
        """The launches that took samples."""
        return timed(self.launches)

    @cached_property
    def readings(self) -> list[list[Reading]]:
        """The telemetry of each launch."""
        return [[Reading.from_json(one) for one in launch.readings] for launch in self.runs]
