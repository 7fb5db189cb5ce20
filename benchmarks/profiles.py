"""How thoroughly to measure: a row per profile."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edge_squeeze.benchmarks.launches.records import PACED, SUSTAINED, TIMED, Pace
from edge_squeeze.errors import UsageError, unknown

STARTING_S = 1.2  # what a launch takes besides, about
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

    def announce(self, arms: int) -> str:
        """What is about to be done with so many arms, and about how long it takes."""
        pace = self.pace
        measured = pace.runs / pace.rate if pace.rate else pace.seconds
        least = arms * (self.launches * (pace.warm_up_s + measured + STARTING_S) + self.memory_launches * STARTING_S)
        most = f" to {self.most_launches}" if self.adaptive else ""
        return f"{self.name}: {self.launches}{most} launches of each arm, {arms} in all; at least {least:.0f} s."

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
