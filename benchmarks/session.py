"""A session: launches of every arm, in complete rounds of random order, until all are precise enough."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import mean

import numpy as np

from edge_squeeze.benchmarks.arms import Arm
from edge_squeeze.benchmarks.journal import Journal
from edge_squeeze.benchmarks.launches.local import Measurer
from edge_squeeze.benchmarks.launches.records import MEMORY, Launch, Task
from edge_squeeze.benchmarks.profiles import Profile, duration
from edge_squeeze.benchmarks.statistics import intervals
from edge_squeeze.errors import ConversionError
from edge_squeeze.reporting import Reporter

LOOK_EVERY_S = 1.0
WORTH_TELLING_S = 5.0


@dataclass
class Session:
    """What a session is made of, and what came of it."""

    arms: Sequence[Arm]
    profile: Profile
    seed: int
    failures: dict[str, str] = field(default_factory=dict)  # arm -> why it could not be measured
    order: list[str] = field(default_factory=list)
    waited_s: float = 0.0
    outputs: dict[str, str] = field(default_factory=dict)  # arm -> file that receives its outputs
    clock: Callable[[], float] = time.monotonic
    took_s: list[float] = field(default_factory=list)  # each launch of this process that measured

    def run(self, device: Measurer, journal: Journal, reporter: Reporter) -> list[Launch]:
        """The launches of all arms that could be measured, those of an earlier attempt in `journal` included."""
        rounds = range(self.profile.most_launches)
        title = f"{len(self.arms)} arm{'s' if len(self.arms) > 1 else ''}, round"
        for number in reporter.track(rounds, title):
            if number >= self.profile.launches and self._precise(journal.launches):
                break
            if number == self.profile.launches:
                reporter.note(f"Not every interval is within +-{self.profile.precision:.0%} yet: more rounds follow.")
            known = bool(self.took_s)
            self._round(number, self.profile.kind, device, journal, reporter)
            if self.took_s and (not known or number == self.profile.launches):
                self._tell_what_is_left(number + 1, reporter)
        for number in range(self.profile.memory_launches):
            self._round(number, MEMORY, device, journal, reporter)
        return [launch for launch in journal.launches if launch.arm not in self.failures]

    def _round(self, number: int, kind: str, device: Measurer, journal: Journal, reporter: Reporter) -> None:
        for arm in self.shuffled(number):
            self.order.append(arm.id)
            if arm.id in self.failures or journal.has(arm.id, number, kind):
                continue
            if kind != MEMORY:
                self._wait(arm, device, reporter)
            begun = self.clock()
            try:
                launch = device.launch(self._task(arm, kind))
            except ConversionError as error:
                self.failures[arm.id] = str(error)
            else:
                self.took_s += [self.clock() - begun] if kind != MEMORY else []
                journal.append(dataclasses.replace(launch, arm=arm.id, round=number))

    def shuffled(self, number: int) -> Iterator[Arm]:
        """The arms in the order of round `number`, the same whenever the session is gone on with."""
        rng = np.random.default_rng((self.seed, number))
        return (self.arms[int(at)] for at in rng.permutation(len(self.arms)))

    def _tell_what_is_left(self, rounds: int, reporter: Reporter) -> None:
        """How long the rest takes after so many rounds, as the launches so far let expect."""
        low, high = self.profile.left_s(len(self.arms) - len(self.failures), rounds, mean(self.took_s))
        if high >= WORTH_TELLING_S:
            reporter.note(f"A launch takes {mean(self.took_s):.1f} s: about {duration(low, high)} left.")

    def _task(self, arm: Arm, kind: str) -> Task:
        return Task(
            kind=kind, model=arm.path, engine=arm.engine, kernels=arm.kernels, threads=arm.threads, spin=arm.spin,
            cpus=arm.cpus, inputs=arm.inputs, pace=self.profile.pace, shapes=arm.shapes, parent=os.getpid(),
            outputs=self.outputs.get(arm.id),
        )  # fmt: skip

    def _precise(self, launches: Sequence[Launch]) -> bool:
        profile, level = self.profile, level_of(self.profile)
        measured = [arm.id for arm in self.arms if arm.id not in self.failures]
        times = {
            arm: [np.array(one.samples_ns) for one in launches if one.arm == arm and one.samples_ns] for arm in measured
        }
        return all(intervals.precise_enough(of_arm, profile.precision, level) for of_arm in times.values())

    def _wait(self, arm: Arm, device: Measurer, reporter: Reporter) -> None:
        """Let a throttled or busy device calm down, as long as the profile has patience left."""
        while self.waited_s < self.profile.wait_s and not device.calm(arm.cpus):
            if not self.waited_s:
                reporter.note(f"The machine is busy or hot. Waiting, at most {self.profile.wait_s:.0f} s in all.")
            time.sleep(LOOK_EVERY_S)
            self.waited_s += LOOK_EVERY_S


def level_of(profile: Profile) -> float:
    """The confidence level that intervals are made at, so that they cover 95 %."""
    if not profile.adaptive:
        return intervals.LEVEL
    return intervals.stop_level(profile.launches, profile.most_launches)
