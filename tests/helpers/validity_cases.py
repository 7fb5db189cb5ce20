"""What can be done to a quiet machine's launches, by how much, and what the check that looks for it says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from synthetic import MS, STANDARD, a_device, a_reading, an_arm, launches, readings

from edge_squeeze.benchmarks.checks import FAIL, PASS, UNKNOWN, WARN, Case, Check, check
from edge_squeeze.benchmarks.launch_records import Inputs, Launch, Sanity, Served, as_json
from edge_squeeze.benchmarks.options import PROFILES, Profile
from edge_squeeze.benchmarks.session import level_of
from edge_squeeze.benchmarks.summary import summarize

QUIET = 10 * (1 + 0.001 * np.array([3, -2, 0, 4, -1, 1, -4, 2, -3, 0]))  # ten medians in ms, in no order
PACED = {"kind": "paced", "rate": 30.0, "response_ns": [MS], "back_to_back_ns": [10 * MS]}
Done = list[Check]
Make = Callable[[Any], Done]


def checked(made: Sequence[Launch], profile: Profile = STANDARD, **case: Any) -> Done:
    known = {"arm": an_arm(), "device": a_device(), "denormals": 0.0, **case}
    return check(Case(launches=made, summary=summarize(made, level_of(profile)), profile=profile, **known))


def all_launches(**changes: Any) -> list[Launch]:
    return [dataclasses.replace(launch, **changes) for launch in launches(QUIET)]


def some_launches(number: int, **changes: Any) -> list[Launch]:
    return [*all_launches(**changes)[:number], *launches(QUIET)[number:]]


def last_reading(name: str) -> Make:
    """The last reading of each launch says this; None: no reading says anything."""

    def done(value: Any) -> Done:
        untold = [as_json(a_reading(at, **{name: None})) for at in range(3)]
        return checked(all_launches(readings=untold if value is None else readings(**{name: value})))

    return done


def each(name: str, number: int = 10) -> Make:
    """This is so in the first `number` launches."""
    return lambda value: checked(some_launches(number, **{name: value}))


def arm(name: str) -> Make:
    return lambda value: checked(launches(QUIET), arm=an_arm(**{name: value}))


def system(part: str, name: str) -> Make:
    whole = a_device()
    return lambda value: checked(
        launches(QUIET),
        device=dataclasses.replace(whole, **{part: dataclasses.replace(getattr(whole, part), **{name: value})}),
    )


def known(name: str) -> Make:
    return lambda value: checked(launches(QUIET), **{name: value})


def medians(profile: str = "standard") -> Make:
    return lambda values: checked(launches(values), PROFILES[profile])


def samples(number: int) -> Done:
    return checked(launches(QUIET, samples=number))


def busy(share: float) -> Done:
    return checked(all_launches(cpu_ns=round(share * 1e9), wall_ns=1_000_000_000))


def pressed(profile: str, threads: int, **changes: Any) -> Make:
    """Something waited for a core in so many percent of the half second that readings span."""

    def done(percent: float | None) -> Done:
        totals = (None, None, None) if percent is None else (0, 0, round(percent * 5000))
        telemetry = [as_json(a_reading(at, cpu_pressure_total_us=total)) for at, total in enumerate(totals)]
        made = all_launches(readings=telemetry, cpu_ns=1, **changes)
        return checked(made, PROFILES[profile], arm=an_arm(threads=threads))

    return done


def clocked(khz: int | None) -> Done:
    """The clock falls to this from 2 GHz."""
    clocks = [None if khz is None else 2_000_000] * 2 + [khz]
    return checked(all_launches(readings=[as_json(a_reading(at, freq_khz=[clock])) for at, clock in enumerate(clocks)]))


def stolen(ticks: int) -> Done:
    """So many of 1000 ticks."""
    return checked(all_launches(readings=readings(steal_ticks=ticks, total_ticks=1000)))


def probed(number: int, *, before: bool = False) -> Make:
    """The probe takes so long after the first `number` launches, and before them, too."""
    return lambda ns: checked(some_launches(number, probe_ns=[ns if before else 500_000, ns]))


def slowing(profile: str, number: int = 10) -> Make:
    """The last third of the first `number` launches takes longer by this share than their first."""

    def done(change: float) -> Done:
        ramp = [round(10 * MS * (1 + change * at / 2)) for at in (0, 1, 2) for _ in range(33)]
        return checked(some_launches(number, samples_ns=ramp, kind=PROFILES[profile].kind), PROFILES[profile])

    return done


def late(percent: int) -> Done:
    """So many of a hundred frames of each paced launch were not done when the next was due."""
    response = [10 * MS] * (100 - percent) + [60 * MS] * percent
    return checked(all_launches(**PACED | {"response_ns": response}), PROFILES["paced"])


def inputs(seen: tuple[int, bool, str]) -> Done:
    """So many of 8 distinct, zero or not, and the hash of the last launch's."""
    distinct, zero, last = seen
    made = all_launches(inputs=Inputs(8, "sha", distinct, zero))
    return checked([*made[:-1], dataclasses.replace(made[-1], inputs=Inputs(8, last, distinct, zero))])


def outputs(finite: bool = True, constant: bool = False, distinct: int = 8, sha256: str = "sha of outputs") -> Sanity:
    return Sanity(finite, constant, distinct, sha256)


def served(operators: int | None, delegated: int | None, kernels: str = "xnnpack") -> Served:
    return Served("2.3.0", kernels, operators, delegated, [], [])


# What is done to a quiet machine by how much, and what the check says of that.
TABLE: list[tuple[str, Make, list[tuple[Any, str]]]] = [
    ("contention", busy, [(0.975, PASS), (0.965, WARN), (0.905, WARN), (0.895, FAIL), (0.85, FAIL)]),
    ("contention", pressed("standard", 2), [(4.9, PASS), (5.1, WARN), (24.9, WARN), (25.1, FAIL), (None, UNKNOWN)]),
    ("contention", pressed("paced", 1, **PACED), [(4.9, PASS), (5.1, WARN), (25.1, FAIL), (None, UNKNOWN)]),
    ("waiting", last_reading("run_delay_ns"), [(14 * MS, PASS), (16 * MS, WARN), (49 * MS, WARN), (51 * MS, FAIL)]),
    ("waiting", last_reading("run_delay_ns"), [(None, UNKNOWN)]),
    ("quota", each("readings", 1), [(readings(cgroup_throttled=0), PASS), (readings(cgroup_throttled=1), FAIL)]),
    ("quota", last_reading("cgroup_throttled"), [(None, UNKNOWN)]),
    ("steal", stolen, [(9, PASS), (11, WARN), (99, WARN), (101, FAIL)]),
    ("steal", last_reading("steal_ticks"), [(None, UNKNOWN)]),
    ("frequency", clocked, [(1_910_000, PASS), (1_890_000, WARN), (1_610_000, WARN), (1_590_000, FAIL)]),
    ("frequency", clocked, [(None, UNKNOWN)]),
    ("probe", probed(10), [(514_000, PASS), (486_000, PASS), (516_000, WARN), (484_000, WARN)]),
    ("probe", probed(4), [(900_000, PASS)]),
    ("steadiness", probed(5, before=True), [(514_000, PASS), (516_000, WARN), (484_000, WARN)]),
    ("steadiness", probed(5), [(900_000, PASS)]),
    ("thermal", last_reading("throttled"), [([], PASS), (["under-voltage"], FAIL), (["throttled"], FAIL)]),
    ("thermal", last_reading("throttle_count"), [(0, PASS), (1, FAIL)]),
    ("thermal", last_reading("cooling"), [(0, PASS), (1, FAIL)]),
    ("thermal", last_reading("throttled_since_boot"), [([], PASS), (["throttled"], FAIL)]),
    ("thermal", each("readings"), [([], UNKNOWN)]),
    ("power", system("power", "source"), [("mains", PASS), ("battery", WARN), (None, UNKNOWN)]),
    ("stationarity", slowing("standard"), [(0.029, PASS), (0.031, WARN), (-0.029, PASS), (-0.031, WARN)]),
    ("stationarity", slowing("standard", 4), [(0.5, PASS)]),
    ("stationarity", slowing("sustained"), [(0.5, PASS)]),
    ("drift", medians(), [(np.linspace(10, 10.25, 10), PASS), (np.linspace(10, 11, 4), PASS)]),
    ("drift", medians(), [(np.linspace(10, 11, 10), WARN), (np.linspace(11, 10, 10), WARN)]),
    ("bimodal", medians(), [([10, 11.5] * 5, WARN), ([10, 10.3] * 5, PASS), ([10] * 9 + [11.5], PASS)]),
    ("precision", medians(), [([10, 10.3] * 5, PASS), ([10, 11] * 5, WARN), ([10] * 2, WARN)]),
    ("precision", medians(), [([10, 10.3, 10.2], WARN)]),
    ("precision", medians("sustained"), [([10], UNKNOWN)]),
    ("precision", medians("quick"), [([10, 10.3, 10.2], PASS), ([10, 11, 10.5], WARN)]),
    ("agreement", medians(), [([10] * 8 + [10.9] * 2, PASS), ([10] * 8 + [11.5] * 2, WARN)]),
    ("agreement", medians(), [([10] * 8 + [8.8] * 2, WARN)]),
    ("percentiles", samples, [(2, UNKNOWN), (3, PASS), (100, PASS)]),
    ("samples", each("samples_ns", 1), [([10 * MS] * 50, PASS), ([10 * MS] * 49, WARN)]),
    ("oversubscription", arm("threads"), [(1, PASS), (2, PASS), (3, WARN)]),
    ("affinity", each("affinity"), [([0, 1], PASS), ([0, 1, 2], WARN), ([1], WARN), (None, UNKNOWN)]),
    ("major_faults", each("majflt", 1), [(0, PASS), (1, WARN), (None, UNKNOWN)]),
    ("swap", last_reading("swapped_bytes"), [(0, PASS), (4096, WARN), (None, UNKNOWN)]),
    ("timer", each("timer_ns", 1), [(9_900, PASS), (10_100, WARN)]),
    ("inputs", inputs, [((8, False, "sha"), PASS), ((8, True, "sha"), FAIL), ((7, False, "sha"), FAIL)]),
    ("inputs", inputs, [((8, False, "another"), FAIL)]),
    ("outputs", each("sanity", 1), [(outputs(), PASS), (outputs(finite=False), FAIL)]),
    ("variety", each("sanity"), [(outputs(distinct=2), PASS), (outputs(distinct=1), WARN)]),
    ("variety", each("sanity"), [(outputs(constant=True), WARN)]),
    ("denormals", known("denormals"), [(0.0049, PASS), (0.0051, WARN), (None, UNKNOWN)]),
    ("delegation", each("served"), [(served(40, 40), PASS), (served(40, 36), PASS), (served(40, 35), WARN)]),
    ("delegation", each("served"), [(served(None, None), UNKNOWN), (served(40, None), UNKNOWN)]),
    ("delegation", each("served"), [(served(40, 0), WARN), (served(40, 0, "builtin"), UNKNOWN)]),
    ("pace", late, [(0, PASS), (1, PASS), (2, WARN)]),
    ("preemption", each("nivcsw"), [(0, PASS), (100, PASS), (101, WARN), (1001, FAIL), (None, UNKNOWN)]),
    ("repeatability", each("sanity", 1), [(outputs(), PASS), (outputs(sha256="another"), WARN)]),
    ("emulated", system("device", "emulated"), [(False, PASS), (True, FAIL), (None, UNKNOWN)]),
    ("resumed", known("resumed_after_s"), [(None, PASS), (299.0, PASS), (301.0, WARN)]),
]
