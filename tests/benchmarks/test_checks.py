"""Every check, on launches that were drawn and disturbed."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
from synthetic import MS, STANDARD, a_launch, a_memory_launch, an_arm, launches, readings
from validity_cases import (
    QUIET,
    TABLE,
    Done,
    Make,
    all_launches,
    busy,
    checked,
    clocked,
    each,
    inputs,
    last_reading,
    medians,
    outputs,
    pressed,
    slowing,
    some_launches,
)

from edge_squeeze.benchmarks.checks import CHECKS, FAIL, INVALID, PASS, SUSPECT, UNKNOWN, VALID, WARN, Check, rollup
from edge_squeeze.benchmarks.launch_records import Launch, Served, as_json
from edge_squeeze.benchmarks.options import PROFILES
from edge_squeeze.benchmarks.telemetry import Reading
from edge_squeeze.machine.device import Device, Power, Processor, System

ROWS = [
    pytest.param(name, make, value, status, id=f"{name}-{status}")
    for name, make, cases in TABLE
    for value, status in cases
]
SPEAK_AGAINST = [row for row in ROWS if row.values[3] in (WARN, FAIL)]
ROLLED_UP = {FAIL: {INVALID}, WARN: {SUSPECT, INVALID}, PASS: {VALID, SUSPECT}, UNKNOWN: {VALID, SUSPECT}}
# What to do is an order, a command or a number of launches.
ORDER = re.compile(
    r"\b(End|Cool|Plug|Warm|Let|Bind|Ask|Give|Free|Raise|Measure|Set|See|Treat|Name|Start|Try|[Uu]se)\b"
    r"|About \d+ launches|`edge-squeeze inspect`"
)
NOBODY_TELLS = Device(
    System(None, "linux", None, None, None, None, None, None, None, None, None),
    Processor("x86_64", None, [], None, [], None, None, None),
    Power(None, None),
)
# What the launches themselves show, whatever the machine tells.
SHOWN = {
    "contention",
    "probe",
    "steadiness",
    "stationarity",
    "drift",
    "bimodal",
    "precision",
    "agreement",
    "percentiles",
    "oversubscription",
    "samples",
    "major_faults",
    "timer",
    "inputs",
    "outputs",
    "variety",
    "pace",
    "repeatability",
    "preemption",
    "resumed",
}


def idle_and_waiting(share: float, run_delay_ns: int | None) -> Done:
    """One thread that ran for this share of the time, and that the kernel says to have waited so long."""
    said = readings(run_delay_ns=run_delay_ns)
    told_nothing = [{**reading, "run_delay_ns": None} for reading in said]
    seen = told_nothing if run_delay_ns is None else said
    return checked(all_launches(cpu_ns=round(share * 1e9), wall_ns=10**9, readings=seen))


def statuses(checks: Done, *besides: str) -> dict[str, str]:
    """The status of each check that is none of `besides`."""
    return {check.id: check.status for check in checks if check.status not in besides}


def hint(checks: Done, name: str) -> str:
    (advice,) = (check.hint for check in checks if check.id == name)
    return advice or ""


@pytest.mark.parametrize(("name", "make", "value", "status"), ROWS)
def test_what_is_done_to_a_quiet_machine_is_told(name: str, make: Make, value: Any, status: str) -> None:
    checks = make(value)
    assert statuses(checks)[name] == status
    assert rollup(checks) in ROLLED_UP[status]


@pytest.mark.parametrize(("name", "make", "value", "status"), SPEAK_AGAINST)
def test_what_speaks_against_a_measurement_says_what_to_do(name: str, make: Make, value: Any, status: str) -> None:
    said = hint(make(value), name)
    assert re.fullmatch(r"[A-Z0-9].*[.)]", said)
    assert ORDER.search(said)


def test_every_check_is_in_the_table_with_what_it_can_come_to() -> None:
    quiet = [check.id for check in checked(launches(QUIET))]
    assert len(set(quiet)) == len(quiet) == len(CHECKS)
    tried = {name: {row.values[3] for row in ROWS if row.values[0] == name} for name in quiet}
    assert [name for name, outcomes in tried.items() if PASS not in outcomes] == []
    assert [name for name, outcomes in tried.items() if not outcomes & {WARN, FAIL}] == ["percentiles"]
    assert {row.values[0] for row in ROWS} == set(quiet)


@pytest.mark.parametrize("profile", ["quick", "standard", "rigorous"])
@pytest.mark.parametrize("number", [3, 6, 10])
def test_a_quiet_machine_passes_every_check(profile: str, number: int) -> None:
    checks = checked(launches(QUIET[:number]), PROFILES[profile])
    assert statuses(checks, PASS) == {}
    assert [check.hint for check in checks if check.hint] == []
    assert rollup(checks) == VALID


@pytest.mark.parametrize("readings", [[], [Reading(0, [])], [Reading(at, [None, None]) for at in range(3)]])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_machine_that_tells_nothing_is_valid_as_far_as_anybody_knows(threads: int, readings: list[Reading]) -> None:
    nobody = Served("", "", None, None, [], [])
    made = all_launches(readings=[as_json(reading) for reading in readings], affinity=None, served=nobody)
    checks = checked(made, device=NOBODY_TELLS, denormals=None, arm=an_arm(threads=threads))
    assert rollup(checks) == VALID
    assert statuses(checks, PASS, UNKNOWN) == {}
    assert set(statuses(checks, UNKNOWN)) == SHOWN - ({"contention"} if threads > 1 else set())


def test_one_launch_is_enough_for_every_check_but_precision() -> None:
    assert statuses(checked(launches([10])), PASS) == {"precision": WARN}


def test_launches_are_looked_at_in_the_order_of_their_rounds() -> None:
    drifting = launches(np.linspace(10, 11, 10))
    up_and_down = [*drifting[::2], *drifting[::-2]]
    assert checked(up_and_down) == checked(drifting)
    renamed = [dataclasses.replace(launch, round=at) for at, launch in enumerate(up_and_down)]
    assert statuses(checked(renamed))["drift"] == PASS


def test_memory_launches_are_not_looked_at() -> None:
    odd = dataclasses.replace(
        a_memory_launch(), majflt=9, affinity=[7], timer_ns=10**9, probe_ns=[1, 9], cpu_ns=0, wall_ns=10**12
    )
    assert checked([odd, *launches(QUIET), odd]) == checked(launches(QUIET))


def test_readings_of_a_later_version_can_be_read() -> None:
    made = [
        dataclasses.replace(launch, readings=[{**reading, "humidity": 3} for reading in launch.readings])
        for launch in launches(QUIET)
    ]
    assert statuses(checked(made), PASS) == {}


@pytest.mark.parametrize(
    ("checks", "name", "part"),
    [
        (last_reading("throttled")(["under-voltage", "throttled"]), "thermal", "Throttled: under-voltage, throttled. "),
        (
            busy(0.85),
            "contention",
            "only 85 % of the time. It waited for a core only 0 %, so other programs are not",
        ),
        (idle_and_waiting(0.85, 60 * MS), "contention", "ran only 85 % of the time. Other programs used its core."),
        (idle_and_waiting(0.85, None), "contention", "ran only 85 % of the time. Other programs used its core."),
        (pressed("standard", 2)(31), "contention", "waited for a core 31 % of the time. Other programs use"),
        (each("nivcsw")(2500), "preemption", "It lost its core 25 times per inference."),
        (clocked(1_000_000), "frequency", "The clock fell by 50 % (governor: performance). Cool the device."),
        (slowing("standard")(0.1), "stationarity", "Try --profile rigorous"),
        (slowing("rigorous")(0.1), "stationarity", "Let the device reach a steady temperature first."),
        (inputs((8, True, "sha")), "inputs", "Inputs: all zero. "),
        (inputs((7, False, "sha")), "inputs", "Inputs: 7 distinct of 8. "),
        (inputs((8, False, "another")), "inputs", "Inputs: not the same in all launches. "),
        (each("sanity")(outputs(constant=True)), "variety", "All scores of all inputs are the same number."),
        (each("sanity")(outputs(distinct=1)), "variety", "Outputs are the same for all inputs."),
        (each("sanity", 1)(outputs(sha256="another")), "repeatability", "Try another engine."),
        (checked(all_launches(), arm=an_arm(threads=3)), "oversubscription", "Only 2 cores are available"),
        (medians()([10, 11] * 5), "precision", "About 37 launches"),
        (medians()([10, 10]), "precision", "Fewer than 3 launches"),
        (each("served")(Served("", "xnnpack", 40, 30, [], [])), "delegation", "10 of 40 operators"),
    ],
)
def test_hints_tell_the_particulars(checks: Done, name: str, part: str) -> None:
    assert part in hint(checks, name)


@pytest.mark.parametrize(("threads", "part"), [(2, "Other programs use the cores."), (3, "Its own threads wait")])
def test_waiting_for_cores_is_blamed_on_who_takes_them(threads: int, part: str) -> None:
    made = [
        dataclasses.replace(
            launch, readings=[{**r, "cpu_pressure_total_us": r["at_ns"] // 2000} for r in launch.readings]
        )
        for launch in launches(QUIET)
    ]
    checks = checked(made, arm=an_arm(threads=threads))
    assert statuses(checks)["contention"] == FAIL
    assert part in hint(checks, "contention")


def test_the_clock_is_blamed_on_its_governor() -> None:
    slow = [as_json(Reading(at, [khz])) for at, khz in enumerate([2_000_000, 2_000_000, 1_000_000])]
    settled = hint(checked(all_launches(readings=slow)), "frequency")
    assert "governor: performance" in settled
    assert "cpupower" not in settled, "it is set to that already"
    assert "`cpupower frequency-set -g performance`" in hint(
        checked(all_launches(readings=slow), device=NOBODY_TELLS), "frequency"
    )
    assert "governor: unknown" in hint(checked(all_launches(readings=slow), device=NOBODY_TELLS), "frequency")


@pytest.mark.parametrize(
    ("checks", "name", "value", "threshold"),
    [
        (last_reading("run_delay_ns")(50_000_000), "waiting", 0.1, 0.03),
        (last_reading("run_delay_ns")(None), "waiting", None, 0.03),
        (last_reading("throttled")(["under-voltage", "throttled"]), "thermal", "under-voltage, throttled", None),
        (last_reading("throttled")([]), "thermal", None, None),
        (medians()([10] * 3), "percentiles", "p90, p95, p99", None),
        (checked(launches([10], samples=59)), "percentiles", "p90, p95", None),
        (checked(launches([10], samples=9)), "percentiles", None, None),
        (each("affinity")([1]), "affinity", "[1]", None),
        (checked(some_launches(10)[:9] + all_launches(affinity=[1])[9:]), "affinity", "[1]", None),
        (inputs((8, True, "sha")), "inputs", "all zero", None),
        (inputs((8, False, "another")), "inputs", "not the same in all launches", None),
        (each("sanity")(outputs(constant=True)), "variety", "one number", None),
        (each("served")(Served("", "xnnpack", 40, 30, [], [])), "delegation", "30 of 40 operators", None),
    ],
)
def test_a_check_tells_its_value_and_its_limit(checks: Done, name: str, value: object, threshold: object) -> None:
    (check,) = (candidate for candidate in checks if candidate.id == name)
    assert (check.value, check.threshold) == (value, threshold)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], VALID),
        ([PASS, UNKNOWN], VALID),
        ([UNKNOWN], VALID),
        ([PASS, WARN, UNKNOWN], SUSPECT),
        ([FAIL, WARN, PASS], INVALID),
        ([WARN, FAIL], INVALID),
    ],
)
def test_the_worst_check_decides(outcomes: list[str], expected: str) -> None:
    assert rollup([Check(status, status, None, None) for status in outcomes]) == expected


def a_quiet_session(rng: np.random.Generator) -> list[Launch]:
    """Ten launches whose medians, samples and probes scatter by 1 %, 1 % and 0.5 %, and that ran 99.5 % of the time."""
    made = []
    for at, median in enumerate(10 * np.exp(rng.normal(0, 0.01, 10))):
        launch = a_launch(median * np.exp(rng.normal(0, 0.01, 100)), at)
        probes = [round(500_000 * float(np.exp(rng.normal(0, 0.005)))) for _ in range(2)]
        made.append(
            dataclasses.replace(launch, probe_ns=probes, wall_ns=round(launch.cpu_ns / (1 - rng.uniform(0, 0.01))))
        )
    return made


def test_nearly_all_quiet_sessions_are_valid() -> None:
    rng = np.random.default_rng(5)
    validities = [rollup(checked(a_quiet_session(rng), STANDARD)) for _ in range(200)]
    assert validities.count(VALID) >= 190
    assert INVALID not in validities


@pytest.mark.parametrize(("run_delay_ms", "status", "limit"), [(14, PASS, 0.03), (16, WARN, 0.03), (51, FAIL, 0.1)])
def test_the_limit_that_is_told_is_the_one_that_was_passed(run_delay_ms: int, status: str, limit: float) -> None:
    (check,) = (candidate for candidate in last_reading("run_delay_ns")(run_delay_ms * MS) if candidate.id == "waiting")
    assert (check.status, check.threshold) == (status, limit)
