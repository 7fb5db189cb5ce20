"""What a user asks of a benchmark, as words, turned into what the benchmark takes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from edge_squeeze.benchmarks import comparison, profiles
from edge_squeeze.benchmarks.arms import Ask
from edge_squeeze.benchmarks.benchmark import Settings
from edge_squeeze.errors import UsageError, unknown
from edge_squeeze.machine import cores

Words = str | Sequence[str] | Sequence[int]  # several: separated by commas, or one by one
LARGEST_SIDE, MOST_SIDES = 1 << 16, 8


def ask(
    files: Sequence[str | Path], threads: int | Words | None, runtime: Words | None, policy: str,
    inputs: str | Path | None, shapes: Sequence[str], seed: int, *, spin: bool, across_networks: bool = False,
) -> Ask:  # fmt: skip
    """What is to be measured; UsageError for what cannot be."""
    if not files:
        raise UsageError("Nothing to measure. Required: a .tflite or .onnx file, or a folder that `export` left.")
    if seed < 0:
        raise UsageError(f"seed must be 0 or more, got {seed}.")
    cpus = cores.select(policy, cores.clusters())
    if not hasattr(os, "sched_setaffinity") and set(cpus) != set(cores.allowed()):
        raise UsageError(
            f"--cores {policy} requires a system that binds processes to cores, as Linux does. This one does not. "
            "Leave --cores out to measure on whichever cores the system chooses."
        )
    counts = (
        [cores.default_threads(cpus)]
        if threads is None
        else _threads(str(threads) if isinstance(threads, int) else threads)
    )
    names = None if runtime is None else _words(runtime)
    return Ask(
        [Path(file) for file in files], names, counts, spin, policy, cpus, cores.usable(cpus),
        [_shape(text) for text in shapes], None if inputs is None else Path(inputs), seed, across_networks,
    )  # fmt: skip


def settings(
    profile: str,
    launches: int | None,
    duration: float | None,
    rate: float | None,
    gate: Words,
    *,
    aa: bool,
    fresh: bool,
) -> Settings:
    """How it is to be measured; UsageError for what cannot be."""
    chosen, asked = profiles.choose(profile, launches, duration, rate), gates(gate)
    if comparison.MEMORY_GATE in asked:  # a verdict on it takes as many launches as one on time
        chosen = dataclasses.replace(chosen, memory_launches=chosen.launches)
    return Settings(chosen, asked, fresh, aa)


def gates(text: Words) -> list[str]:
    """The metrics that `text` names; UsageError for one that is unknown."""
    names = _words(text)
    for name in names:
        if name not in comparison.GATES:
            raise unknown("gate", name, comparison.GATES)
    return names


def _words(text: Words) -> list[str]:
    parts = text.split(",") if isinstance(text, str) else [part for one in text for part in str(one).split(",")]
    words = [part.strip() for part in parts if part.strip()]
    if not words:
        raise UsageError(f"Required: names separated by commas, got {text!r}.")
    return list(dict.fromkeys(words))


def _threads(text: Words) -> list[int]:
    words = _words(text)
    if not all(word.isdecimal() for word in words):
        raise UsageError(f"--threads must be numbers from 1 separated by commas, got {text!r}.")
    return [int(word) for word in words]


def _shape(text: str) -> list[int]:
    sides = [side.strip() for side in text.split(",")]
    if not all(side.isdecimal() and 0 < int(side) <= LARGEST_SIDE for side in sides) or len(sides) > MOST_SIDES:
        raise UsageError(
            f"--input-shape must be 1 to {MOST_SIDES} numbers separated by commas, as in 1,224,224,3, got {text!r}."
        )
    return list(map(int, sides))
