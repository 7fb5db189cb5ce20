"""Options of a benchmark: read once, checked once, and sent to boards as words of the command line."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import typer

from edge_squeeze.benchmarks import options
from edge_squeeze.benchmarks.options import PROFILES, BenchmarkOptions
from edge_squeeze.cli import app, benchmark_report
from edge_squeeze.devices.job import option_words
from edge_squeeze.errors import UsageError


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_taken_as_it_is_unless_something_is_asked(name: str) -> None:
    assert BenchmarkOptions(profile=name).resolve_profile() is PROFILES[name]


def test_profiles_are_those_of_the_documentation() -> None:
    rows = {name: (p.launches, p.most_launches, p.pace.runs, p.pace.seconds) for name, p in PROFILES.items()}
    assert rows == {
        "quick": (3, 6, 20, 0.5),
        "standard": (10, 20, 50, 2),
        "rigorous": (20, 40, 100, 5),
        "sustained": (1, 1, 0, 600),
        "paced": (3, 3, 300, 0),
    }


def test_a_number_of_launches_is_final() -> None:
    chosen = BenchmarkOptions(profile="standard", launches=7).resolve_profile()
    assert (chosen.launches, chosen.most_launches, chosen.adaptive) == (7, 7, False)


def test_a_duration_is_seconds_of_a_sustained_run_and_frames_of_a_paced_one() -> None:
    assert BenchmarkOptions(profile="sustained", duration=90.0).resolve_profile().pace.seconds == 90
    assert BenchmarkOptions(profile="paced", duration=4.0, rate=10.0).resolve_profile().pace.runs == 40


# Seconds that launches and memory launches took on 2 x86 cores: squeezenet-lab and SqueezeNet 1.1, LiteRT and ONNX
# Runtime, one thread, 2026-11-26.
TOOK = {
    "quick": ((1.42, 2.19), (0.36, 0.80)),
    "standard": ((3.46, 4.17), (0.45, 0.77)),
    "paced": ((11.35, 12.60), (0.34, 0.94)),
}


@pytest.mark.parametrize("name", TOOK)
def test_what_is_expected_lies_among_what_was_measured(name: str) -> None:
    profile, ((low, high), (memory_low, memory_high)) = PROFILES[name], TOOK[name]
    assert low <= profile.launch_s <= high
    assert memory_low <= profile.launch_s - profile.measuring_s <= memory_high


@pytest.mark.parametrize(
    ("name", "change", "arms", "done", "text"),
    [
        ("quick", {}, 2, 0, "quick: 3 to 6 launches of each of 2 arms, and 1 for memory; about 12 to 22 s."),
        ("quick", {"launches": 1}, 1, 0, "quick: 1 launch of 1 arm, and 1 for memory; about 2.4 s."),
        ("standard", {}, 1, 0, "standard: 10 to 20 launches of 1 arm, and 3 for memory; about 39 to 76 s."),
        ("standard", {}, 1, 10, "standard: 10 to 20 launches of 1 arm, and 3 for memory; about 2.1 to 39 s."),
        ("standard", {}, 1, 100, "standard: 10 to 20 launches of 1 arm, and 3 for memory; about 1 s."),
        (
            "standard",
            {},
            4,
            0,
            "standard: 10 to 20 launches of each of 4 arms, and 3 for memory; about 2.6 to 5.1 min.",
        ),
        ("rigorous", {}, 2, 0, "rigorous: 20 to 40 launches of each of 2 arms, and 3 for memory; about 5.2 to 10 min."),
        ("sustained", {}, 1, 0, "sustained: 1 launch of 1 arm, and 1 for memory; about 10 min."),
        ("paced", {"duration": 20.0}, 1, 0, "paced: 3 launches of 1 arm, and 1 for memory; about 66 s."),
    ],
)
def test_what_is_announced(name: str, change: dict[str, Any], arms: int, done: int, text: str) -> None:
    assert BenchmarkOptions(profile=name, **change).resolve_profile().announce(arms, done) == text


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("standrad", {}, "Did you mean standard"),
        ("quick", {"launches": 0}, "--launches must be 1 to 1000"),
        ("quick", {"rate": 30.0}, "--rate requires --profile paced"),
        ("quick", {"duration": 3.0}, "--duration requires --profile sustained or paced"),
        ("paced", {"rate": 0.0}, "--rate must be"),
        ("paced", {"rate": float("nan")}, "--rate must be"),
        ("sustained", {"duration": -1.0}, "--duration must be"),
        ("paced", {"duration": 86400.0, "rate": 1000.0}, "in frames, must be 1 to 1e"),
        ("sustained", {"duration": float("inf")}, "--duration must be"),
    ],
)
def test_what_a_profile_does_not_have_is_refused(name: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        BenchmarkOptions(profile=name, **change).resolve_profile()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"threads": "two"}, "--threads must be numbers"),
        ({"threads": ","}, "Required: names separated by commas"),
        ({"input_shape": ["1,x,3"]}, "--input-shape must be"),
        ({"input_shape": ["1,0,3"]}, "--input-shape must be"),
        ({"seed": -1}, "seed must be 0 or more"),
    ],
)
def test_words_that_mean_nothing_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        BenchmarkOptions.of(changes)


def test_unknown_gates_are_refused() -> None:
    assert options.gates("p50, size") == ("p50", "size")
    with pytest.raises(UsageError, match="Did you mean p50"):
        options.gates("p5")


CHANGED: dict[str, Any] = {
    "profile": "paced",
    "threads": (1, 2),
    "runtime": ("litert", "litert:builtin"),
    "cores": "0,2-3",
    "spin": False,
    "inputs": Path("my pictures"),
    "input_shape": ((1, 224, 224, 3), (1, 10)),
    "seed": 7,
    "launches": 5,
    "duration": 2.5,
    "rate": 12.5,
    "gate": ("p50", "size"),
    "across_networks": True,
    "aa_floor": True,
    "fresh": True,
    "skip_unreadable": True,
}
REQUIRED = {"rate": {"profile": "paced"}, "duration": {"profile": "sustained"}}  # by an option, of others


def parsed(options: BenchmarkOptions, monkeypatch: pytest.MonkeyPatch) -> BenchmarkOptions:
    """The options that the command `benchmark` makes of the words of `options`."""
    seen: list[BenchmarkOptions] = []

    def run(files: list[Path], options: BenchmarkOptions, *_: object, setup: bool) -> int:
        assert files == [Path("a.tflite")]
        seen.append(options)
        return 0

    monkeypatch.setattr(benchmark_report, "run", run)
    argv = [str(word) for word in option_words(options)]
    typer.main.get_command(app.app)(["benchmark", *argv, "--", "a.tflite"], standalone_mode=False)
    return seen[0]


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(BenchmarkOptions)])
def test_every_option_survives_the_command_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = BenchmarkOptions(**REQUIRED.get(name, {}) | {name: CHANGED[name]})
    assert alone != BenchmarkOptions(**REQUIRED.get(name, {}))
    assert parsed(alone, monkeypatch) == alone
    everything = BenchmarkOptions(**CHANGED)
    assert parsed(everything, monkeypatch) == everything


def test_defaults_are_no_words_and_paths_stay_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(option_words(BenchmarkOptions())) == []
    assert parsed(BenchmarkOptions(), monkeypatch) == BenchmarkOptions()
    words = list(option_words(BenchmarkOptions(inputs=Path("pictures"), spin=False, threads=(1, 2))))
    assert words == ["--threads", "1", "--threads", "2", "--no-spin", "--inputs", Path("pictures")]
