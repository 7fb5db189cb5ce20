"""How to measure: a benchmark's options, each under one name from the command line to the work, and the profiles."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from edge_squeeze.benchmarks.launch_records import PACED, SUSTAINED, TIMED, Pace
from edge_squeeze.errors import UsageError, unknown

P50, MEMORY_GATE, SIZE = "p50", "memory", "size"
GATES = (P50, "p90", "first", "load", MEMORY_GATE, SIZE)
Words = str | Sequence[str]  # several: separated by commas, or one by one
LARGEST_SIDE, MOST_SIDES = 1 << 16, 8
# What a launch takes besides warming up and measuring: Python, NumPy, the engine, inputs, checks, the engine alone.
# Measured on 2 x86 cores, 0.4 to 1.1 s; a board takes longer, which the first round shows.
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
        """What so many arms are about to go through, and about how long that takes if `done` launches exist already."""
        number = _range(self.launches, self.most_launches)
        launches = f"launch{'' if self.most_launches == 1 else 'es'}"
        each = "1 arm" if arms == 1 else f"each of {arms} arms"
        least, most = (max(0.0, bound - done * self.launch_s) for bound in self.left_s(arms, 0, self.launch_s))
        return (
            f"{self.name}: {number} {launches} of {each}, and {self.memory_launches} for memory; "
            f"about {duration_range(least, most)}."
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
        """How long a launch is expected to take before any has run."""
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

    def paced(self, **changes: Any) -> Profile:
        """The profile with `changes` to its pace."""
        return dataclasses.replace(self, pace=dataclasses.replace(self.pace, **changes))


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


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """Everything that a benchmark is asked for; `edge_squeeze.benchmark` says what each option means.

    No `threads` or no `runtime` stand for a default that depends on the machine or on each file. Raises UsageError for
    values that no machine can measure.
    """

    profile: str = "standard"
    threads: tuple[int, ...] = ()
    runtime: tuple[str, ...] = ()
    cores: str = "big"
    spin: bool = True
    inputs: Path | None = None
    skip_unreadable: bool = False
    input_shape: tuple[tuple[int, ...], ...] = ()
    seed: int = 0
    launches: int | None = None
    duration: float | None = None
    rate: float | None = None
    gate: tuple[str, ...] = (P50,)
    across_networks: bool = False
    aa_floor: bool = False
    fresh: bool = False

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UsageError(f"--seed must be 0 or more, got {self.seed}.")
        _check_gates(self.gate)
        self.resolve_profile()

    @classmethod
    def of(cls, keywords: Mapping[str, Any]) -> Self:
        """The options in `keywords` of `edge_squeeze.benchmark`, None being the default; other names are ignored."""
        read: dict[str, Callable[[Any], Any]] = {
            "threads": _numbers,
            "runtime": _words,
            "gate": _words,
            "input_shape": lambda shapes: tuple(map(_shape, shapes)),
            "inputs": Path,
        }
        names = [field.name for field in dataclasses.fields(cls) if keywords.get(field.name) is not None]
        return cls(**{name: read[name](keywords[name]) if name in read else keywords[name] for name in names})

    def resolve_profile(self) -> Profile:
        """The profile with the launches, the duration and the rate that were asked for."""
        if self.profile not in PROFILES:
            raise unknown("profile", self.profile, PROFILES)
        profile = PROFILES[self.profile]
        if self.launches is not None:
            _check_range("--launches", self.launches, 1, MOST_LAUNCHES)
            profile = dataclasses.replace(profile, launches=self.launches, most_launches=self.launches)
        if self.rate is not None:
            if profile.kind != PACED:
                raise UsageError(f"--rate requires --profile paced, got --profile {self.profile}.")
            _check_range("--rate", self.rate, 0.1, HIGHEST_RATE)
            profile = profile.paced(rate=self.rate)
        if self.duration is not None:
            profile = _lasting(profile, self.duration)
        if MEMORY_GATE in self.gate:  # a verdict on it takes as many launches as one on time
            profile = dataclasses.replace(profile, memory_launches=profile.launches)
        return profile


def gates(text: Words) -> tuple[str, ...]:
    """The metrics that `text` names; UsageError for one that is unknown."""
    names = _words(text)
    _check_gates(names)
    return names


def duration_range(low_s: float, high_s: float) -> str:
    """A time between two, as in "12 to 22 s" or "3.5 to 6 min", no more exact than it can be known."""
    unit, seconds = ("min", 60) if high_s >= MINUTES_FROM_S else ("s", 1)
    low, high = (float(f"{max(1.0, value / seconds):.2g}") for value in (low_s, high_s))
    return f"{_range(low, high)} {unit}"


def _lasting(profile: Profile, duration: float) -> Profile:
    if profile.kind == TIMED:
        raise UsageError(f"--duration requires --profile sustained or paced, got --profile {profile.name}.")
    _check_range("--duration", duration, 1, LONGEST_S)
    if profile.kind == SUSTAINED:
        return profile.paced(seconds=duration, cap_s=duration)
    frames = max(1, round(duration * (profile.pace.rate or 1)))
    _check_range("--duration times --rate, in frames,", frames, 1, MOST_FRAMES)
    return profile.paced(runs=frames)


def _check_gates(names: Sequence[str]) -> None:
    for name in names:
        if name not in GATES:
            raise unknown("gate", name, GATES)


def _check_range(option: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(f"{option} must be {low:g} to {high:g}, got {value:g}.")


def _words(text: str | Sequence[str] | Sequence[int]) -> tuple[str, ...]:
    """The words in `text`, each once: separated by commas, in a sequence, or both."""
    parts = ",".join([text] if isinstance(text, str) else map(str, text)).split(",")
    words = dict.fromkeys(part.strip() for part in parts if part.strip())
    if not words:
        raise UsageError(f"Required: names separated by commas, got {text!r}.")
    return tuple(words)


def _numbers(text: int | str | Sequence[str] | Sequence[int]) -> tuple[int, ...]:
    words = _words(str(text) if isinstance(text, int) else text)
    if not all(word.isdecimal() for word in words):
        raise UsageError(f"--threads must be numbers from 1 separated by commas, got {','.join(words)!r}.")
    return tuple(map(int, words))


def _shape(text: str) -> tuple[int, ...]:
    sides = [side.strip() for side in text.split(",")]
    if not all(side.isdecimal() and 0 < int(side) <= LARGEST_SIDE for side in sides) or len(sides) > MOST_SIDES:
        raise UsageError(
            f"--input-shape must be 1 to {MOST_SIDES} numbers separated by commas, as in 1,224,224,3, got {text!r}."
        )
    return tuple(map(int, sides))


def _in_blocks(seconds: float, block_s: float) -> float:
    """`seconds` as they are measured: in whole blocks, one at least."""
    return max(1, math.ceil(seconds / block_s)) * block_s


def _range(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
