from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from synthetic import a_reading

from edge_squeeze.benchmarks import telemetry
from edge_squeeze.benchmarks.telemetry import Reading, Readings

COUNTERS = ("cgroup_throttled", "throttle_count", "steal_ticks", "total_ticks", "run_delay_ns", "cpu_pressure_total_us")
GHZ = 1_000_000


def of(name: str, *launches: Sequence[Any]) -> Readings:
    """Launches whose readings have these values of `name`, a quarter of a second apart."""
    return [[a_reading(at, **{name: value}) for at, value in enumerate(values)] for values in launches]


@pytest.mark.parametrize("name", COUNTERS)
@pytest.mark.parametrize(
    ("launches", "risen"),
    [
        ([[1, 2, 5]], 4),
        ([[5, 5, 5]], 0),
        ([[1, 5], [10, 12]], 6),  # what rose between launches is not theirs
        ([[5, 1]], 0),  # it began anew
        ([[5, 1], [1, 4]], 3),
        ([[None, 2, 5]], 3),
        ([[1, None, 4]], 3),
        ([[None, None], [1, 2]], 1),
        ([[7]], None),
        ([[None, 7, None]], None),
        ([[None, None]], None),
        ([[]], None),
        ([], None),
    ],
)
def test_a_counter_rises_within_launches(name: str, launches: list[list[int | None]], risen: int | None) -> None:
    assert telemetry.increase(of(name, *launches), name) == risen


@pytest.mark.parametrize(
    ("launches", "most"),
    [([[1, 3, 2], [2]], 3), ([[0, 0]], 0), ([[None, 1], [None]], 1), ([[None]], None), ([[]], None), ([], None)],
)
def test_the_most_is_that_of_any_reading(launches: list[list[int | None]], most: int | None) -> None:
    assert telemetry.most(of("swapped_bytes", *launches), "swapped_bytes") == most


@pytest.mark.parametrize(
    ("launches", "share"),
    [
        ([[0, 25, 50]], 0.1),  # milliseconds of the 500 that three readings span
        ([[100, 100, 150]], 0.1),
        ([[0, 50, 100], [300, 300, 300]], 0.1),
        ([[0, 50], [0, 0, 0, 0]], 0.05),
        ([[0, 0]], 0.0),
        ([[5]], None),
        ([[None, None]], None),
        ([[], []], None),
        ([[], [0, 0, 50]], 0.1),
        ([], None),
    ],
)
def test_waiting_is_a_share_of_the_launches_time(launches: list[list[int | None]], share: float | None) -> None:
    expected = None if share is None else pytest.approx(share)
    in_ns = [[None if value is None else value * 1_000_000 for value in values] for values in launches]
    assert telemetry.waiting(of("run_delay_ns", *in_ns)) == expected
    in_us = [[None if value is None else value * 1000 for value in values] for values in launches]
    assert telemetry.pressure(of("cpu_pressure_total_us", *in_us)) == expected


def test_no_time_between_readings_gives_no_share() -> None:
    at_once = [[a_reading(1, run_delay_ns=0), a_reading(1, run_delay_ns=5)]]
    assert telemetry.waiting(at_once) is None


@pytest.mark.parametrize(
    ("ticks", "share"),
    [
        ([[(0, 0), (10, 100)]], 0.1),
        ([[(50, 1000), (60, 1100)], [(90, 2000), (90, 2300)]], 0.025),
        ([[(0, 0), (0, 100)]], 0),
        ([[(3, 100), (3, 100)]], None),
        ([[(None, 0), (None, 100)]], None),
        ([[(0, None), (10, None)]], None),
        ([[(0, 100)]], None),
        ([], None),
    ],
)
def test_steal_is_a_share_of_the_ticks(ticks: list[list[tuple[int | None, int | None]]], share: float | None) -> None:
    readings = [
        [a_reading(at, steal_ticks=steal, total_ticks=total) for at, (steal, total) in enumerate(of_launch)]
        for of_launch in ticks
    ]
    assert telemetry.steal(readings) == (None if share is None else pytest.approx(share))


@pytest.mark.parametrize(
    ("launches", "drop"),
    [
        ([[[2.0], [2.0], [1.8]]], 0.1),
        ([[[0.4], [2.0], [2.0]]], 0),  # idle before its work
        ([[[0.4], [2.0]], [[0.4], [1.5]]], 0.25),  # a launch slower than another
        ([[[3.0], [2.0], [2.0]]], 0),
        ([[[2.0, 2.0], [2.0, 0.5], [0.5, 2.0]]], 0),  # one core is fast throughout
        ([[[2.0, 2.0], [2.0, 2.0], [1.0, 1.5]]], 0.25),
        ([[[2.0], [2.0], [None]]], 0),
        ([[[2.0], [2.0, None], [None, 1.0]]], 0.5),
        ([[[2.0], [0], [2.0]]], 0),  # no clock stands still: it is off, or does not tell
        ([[[2.0]]], None),
        ([[[None], [None], [0]]], None),
        ([[[2.0], [], []]], None),
        ([[]], None),
        ([], None),
    ],
)
def test_a_drop_of_the_clock_is_that_of_the_fastest_core(
    launches: list[list[list[float | None]]], drop: float | None
) -> None:
    in_khz = [
        [[None if clock is None else round(clock * GHZ) for clock in clocks] for clocks in of_launch]
        for of_launch in launches
    ]
    expected = None if drop is None else pytest.approx(drop)
    assert telemetry.frequency_drop(of("freq_khz", *in_khz)) == expected


OWN, COOLING = "the processor's own throttling", "slowed down to cool"


def untold(at: int, **changes: Any) -> Reading:
    """A reading of a machine that tells nothing but the `changes`."""
    return Reading(at_ns=at * 250_000_000, **{"freq_khz": [None, None], **changes})


@pytest.mark.parametrize("make", [a_reading, untold])
@pytest.mark.parametrize(
    ("launches", "expected"),
    [
        ([[{"throttled": []}, {"throttled": []}]], []),
        ([[{"throttled": []}, {"throttled": ["under-voltage"]}]], ["under-voltage"]),
        ([[{"throttled": ["throttled"]}, {"throttled": []}]], ["throttled"]),
        (
            [[{"throttled": ["throttled"]}], [{"throttled": ["under-voltage", "throttled"]}]],
            ["throttled", "under-voltage"],
        ),
        ([[{"throttled": [], "throttled_since_boot": ["throttled"]}] * 2], []),
        ([[{"throttle_count": 5}, {"throttle_count": 5}]], []),
        ([[{"throttle_count": 5}, {"throttle_count": 6}]], [OWN]),
        ([[{"throttle_count": 5}] * 2, [{"throttle_count": 9}] * 2], []),  # between launches
        ([[{"cooling": 0}, {"cooling": 0}]], []),
        ([[{"cooling": 0}, {"cooling": 2}, {"cooling": 0}]], [COOLING]),
        (
            [[{"throttled": [], "throttle_count": 0, "cooling": 1}, {"throttled": ["x"], "throttle_count": 1}]],
            ["x", OWN, COOLING],
        ),
    ],
)
def test_throttling_is_told_by_all_that_tell_of_it(
    make: Callable[..., Reading], launches: list[list[dict[str, Any]]], expected: list[str]
) -> None:
    readings = [[make(at, **values) for at, values in enumerate(of_launch)] for of_launch in launches]
    assert telemetry.throttling(readings) == expected


@pytest.mark.parametrize("readings", [[], [[]], [[untold(0)]], [[untold(0), untold(1), untold(2)], [untold(0)]]])
@pytest.mark.parametrize(
    "look",
    [telemetry.pressure, telemetry.waiting, telemetry.steal, telemetry.frequency_drop, telemetry.throttling],
)
def test_a_machine_that_tells_nothing_leaves_all_unknown(
    look: Callable[[Readings], object], readings: Readings
) -> None:
    assert look(readings) is None
