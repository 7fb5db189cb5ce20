"""How thoroughly to measure: a row per profile."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from edge_squeeze.benchmarks.launches.records import PACED, SUSTAINED, TIMED, Pace
from edge_squeeze.errors import UsageError, unknown

# What a launch takes besides warming up and measuring: Python, NumPy, the engine, inputs, checks, the engine alone.
# Measured on 2 x86 cores, 0.4 to 1.1 s; a board takes longer, which the first round tells.
STARTING_S = 0.7
MINUTES_FROM_S = 180
MOST_LAUNCHES, LONGEST_S, HIGHEST_RATE, MOST_FRAMES = 1000, 24 * 3600.0, 1000.0, 1_000_000


@dataclass(frozen=True)
class Profile:
    """A way to measure.

    `launches` fresh processes of each arm always run; more, up to `most_launches`, while the interval of any arm is
    wider than +-`precision`. `wait_s` is how long, in all, a session waits for a hot or busy machine.
    """

    name: str
    kind: str
    launches: int
    most_launches: int
    memory_launches: int
    precision: float
    wait_s: float
    pace: Pace

    def announce(self, arms: int, done: int = 0) -> str:
        """What is about to be done with so many arms, and about how long it takes if so many launches are `done`."""
        number, launches = (
            _number(self.launches, self.most_launches),
            f"launch{'' if self.most_launches == 1 else 'es'}",
        )
        whom = "1 arm" if arms == 1 else f"each of {arms} arms"
        low, high = self.left_s(arms, 0, self.launch_s)
        spared = done * self.launch_s
        return (
            f"{self.name}: {number} {launches} of {whom}, and {self.memory_launches} for memory; "
            f"about {duration(max(0.0, low - spared), max(0.0, high - spared))}."
        )

    @property
    def measuring_s(self) -> float:
        """How long a launch warms up and measures, unless the network is so slow that its runs take longer."""
        pace = self.pace
        warm_up = _in_blocks(pace.warm_up_s, pace.block_s) if pace.warm_up_cap_s else 0.0
        if pace.rate:
            return 2 * warm_up + pace.runs / pace.rate  # without pauses, and then with them
        return warm_up + _in_blocks(pace.seconds, pace.block_s)

    @property
    def launch_s(self) -> float:
        """How long a launch takes that nothing is known of."""
        return STARTING_S + self.measuring_s

    def left_s(self, arms: int, rounds: int, launch_s: float) -> tuple[float, float]:
        """At the least and at the most, what so many arms take after so many rounds if a launch takes `launch_s`."""
        memory = self.memory_launches * max(0.0, launch_s - self.measuring_s)
        least, most = (max(0, number - rounds) for number in (self.launches, self.most_launches))
        return arms * (least * launch_s + memory), arms * (most * launch_s + memory)

    @property
    def adaptive(self) -> bool:
        """Whether the measured spread decides how many launches run."""
        return self.most_launches > self.launches


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("quick", TIMED, 3, 6, 1, 0.05, 0, Pace(5, 0.3, 3, 20, 0.5, 5)),
        Profile("standard", TIMED, 10, 20, 3, 0.02, 60, Pace(10, 1, 10, 50, 2, 30)),
        Profile("rigorous", TIMED, 20, 40, 3, 0.02, 180, Pace(20, 2, 20, 100, 5, 60)),
        Profile("sustained", SUSTAINED, 1, 1, 1, 0.05, 0, Pace(0, 0, 0, 0, 600, 600, block_s=1)),
        Profile("paced", PACED, 3, 3, 1, 0.05, 0, Pace(10, 0.3, 10, 300, 0, 60, rate=30)),
    )
}


def _in_blocks(seconds: float, block_s: float) -> float:
    """`seconds` as they are measured: in whole blocks, one at least."""
    return max(1, math.ceil(seconds / block_s)) * block_s


def _number(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def duration(low_s: float, high_s: float) -> str:
    """A time between two, as in "12 to 22 s" or "3.5 to 6 min", no more exact than it can be known."""
    unit, one = ("min", 60) if high_s >= MINUTES_FROM_S else ("s", 1)
    low, high = (float(f"{max(1.0, value / one):.2g}") for value in (low_s, high_s))
    return f"{_number(low, high)} {unit}"


def choose(name: str, launches: int | None, duration: float | None, rate: float | None) -> Profile:
    """The profile called `name`, with a fixed number of `launches`, `duration` in seconds of each, frames a second.

    UsageError for an unknown name, and for what the profile does not have or is out of bounds.
    """
    if name not in PROFILES:
        raise unknown("profile", name, PROFILES)
    profile = PROFILES[name]
    if launches is not None:
        _within("--launches", launches, 1, MOST_LAUNCHES)
        profile = dataclasses.replace(profile, launches=launches, most_launches=launches)
    if rate is not None:
        if profile.kind != PACED:
            raise UsageError(f"--rate belongs to --profile paced, got --profile {name}.")
        _within("--rate", rate, 0.1, HIGHEST_RATE)
        profile = _paced(profile, rate=rate)
    return profile if duration is None else _lasting(profile, duration)


def _lasting(profile: Profile, duration: float) -> Profile:
    if profile.kind == TIMED:
        raise UsageError(f"--duration belongs to --profile sustained or paced, got --profile {profile.name}.")
    _within("--duration", duration, 1, LONGEST_S)
    if profile.kind == PACED:
        frames = max(1, round(duration * (profile.pace.rate or 1)))
        _within("--duration times --rate, in frames,", frames, 1, MOST_FRAMES)
        return _paced(profile, runs=frames)
    return _paced(profile, seconds=duration, cap_s=duration)


def _paced(profile: Profile, **changes: float) -> Profile:
    return dataclasses.replace(profile, pace=dataclasses.replace(profile.pace, **changes))  # type: ignore[arg-type]


def _within(option: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(f"{option} must be {low:g} to {high:g}, got {value:g}.")
