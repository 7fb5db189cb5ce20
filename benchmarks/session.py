"""A session: launches of every arm, in complete rounds of random order, until all are precise enough."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.benchmarks import intervals
from edge_squeeze.benchmarks.arms import Arm
from edge_squeeze.benchmarks.launch_records import MEMORY, Launch, Task, as_json
from edge_squeeze.benchmarks.local_launches import Measurer
from edge_squeeze.benchmarks.options import Profile, duration_range
from edge_squeeze.errors import ConversionError
from edge_squeeze.files import cache, journal as journals
from edge_squeeze.files.reading import decode
from edge_squeeze.reporting import Reporter
from edge_squeeze.version import __version__

FOLDER = "benchmarks"
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
            timed_before = bool(self.took_s)
            self._round(number, self.profile.kind, device, journal, reporter)
            if self.took_s and (not timed_before or number == self.profile.launches):
                self._note_time_left(number + 1, reporter)
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
        """The arms in the order of round `number`, the same when the session is resumed."""
        rng = np.random.default_rng((self.seed, number))
        return (self.arms[int(at)] for at in rng.permutation(len(self.arms)))

    def _note_time_left(self, rounds: int, reporter: Reporter) -> None:
        """Note how long the session will take after so many rounds, judging by its launches so far."""
        low, high = self.profile.left_s(len(self.arms) - len(self.failures), rounds, mean(self.took_s))
        if high >= WORTH_TELLING_S:
            reporter.note(f"A launch takes {mean(self.took_s):.1f} s: about {duration_range(low, high)} left.")

    def _task(self, arm: Arm, kind: str) -> Task:
        return Task(
            kind=kind,
            model=arm.path,
            engine=arm.engine,
            kernels=arm.kernels,
            threads=arm.threads,
            spin=arm.spin,
            cpus=arm.cpus,
            inputs=arm.inputs,
            pace=self.profile.pace,
            shapes=arm.shapes,
            parent=os.getpid(),
            outputs=self.outputs.get(arm.id),
        )

    def _precise(self, launches: Sequence[Launch]) -> bool:
        profile, level = self.profile, level_of(self.profile)
        measured = [arm.id for arm in self.arms if arm.id not in self.failures]
        samples: dict[str, list[NDArray[np.int64]]] = {arm: [] for arm in measured}
        for launch in launches:
            if launch.samples_ns and launch.arm in samples:
                samples[launch.arm].append(np.array(launch.samples_ns))
        return all(intervals.precise_enough(of_arm, profile.precision, level) for of_arm in samples.values())

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


def key(arms: Sequence[Arm], profile: Profile, seed: int, device_hash: str) -> str:
    """What the same measurement of the same files on the same device has in common."""
    files = [
        dataclasses.replace(arm, path="", inputs=dataclasses.replace(arm.inputs, path=None), model=None) for arm in arms
    ]
    plan = list(map(as_json, files)), as_json(profile), seed, device_hash, __version__
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:16]


def folder() -> Path:
    """Where journals and floors are kept."""
    return cache.cache_folder() / FOLDER


class Journal(journals.Journal):
    """The launches of one session so far, in its file while the session lasts.

    UsageError if the cache cannot be written, or if the same session is under way in another process.
    """

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        busy = (
            f"The same benchmark of the same files is running already, and holds {path}. Wait for it, end it, or set "
            "EDGE_SQUEEZE_CACHE to another folder."
        )
        super().__init__(path, busy, fresh=fresh)
        self.launches: list[Launch] = [decode(Launch, line, str(path)) for line in self.read()]

    def append(self, launch: Launch) -> None:
        """Keep `launch`, on disk once this returns."""
        self.launches.append(launch)
        super().append(as_json(launch))

    def has(self, arm: str, round_: int, kind: str) -> bool:
        """Whether that launch is done."""
        return any((done.arm, done.round, done.kind) == (arm, round_, kind) for done in self.launches)
