"""Launches that end oddly, fail, or do not tell: what they must not make of a result."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from synthetic import (
    STANDARD,
    FakeDevice,
    a_device,
    a_launch,
    a_memory_launch,
    a_reading,
    an_arm,
    launches,
    measure,
    three_files,
)
from validity_cases import QUIET, all_launches, checked, last_reading

from edge_squeeze.artifact.manifest import TensorSpec
from edge_squeeze.benchmarks import comparison, headline, preparation, report, result_files, telemetry
from edge_squeeze.benchmarks.benchmark import judge
from edge_squeeze.benchmarks.checks import INVALID, WARN, Check
from edge_squeeze.benchmarks.comparison import Pair, differences, fingerprint
from edge_squeeze.benchmarks.launch_records import PIXELS, SUSTAINED, InputSet, Launch, Served
from edge_squeeze.benchmarks.options import BenchmarkOptions
from edge_squeeze.benchmarks.preparation import Correctness
from edge_squeeze.benchmarks.result import ArmResult
from edge_squeeze.benchmarks.summary import Sustained, summarize


def check(checks: list[Check], name: str) -> Check:
    return next(candidate for candidate in checks if candidate.id == name)


def an_arm_result(made: list[Launch], name: str = "a") -> ArmResult:
    return judge(ArmResult(an_arm(name), made, None, Correctness("pass"), []), STANDARD, a_device())


def sustained(*samples: list[float]) -> Sustained:
    long_run = summarize([a_launch(sample, at, kind=SUSTAINED) for at, sample in enumerate(samples)], 0.95).sustained
    assert long_run is not None
    return long_run


@pytest.mark.parametrize(
    ("samples", "ratio", "t_throttle_s"),
    [
        ([10.0] * 60000 + [13.0], 1.0, None),
        ([10.0] * 60000 + [5.0], 1.0, None),
        ([50.0] * 6000 + [75.0] * 4000 + [50.0] * 3, 1.5, 300),
        ([15000.0] * 20 + [30000.0] * 20, 2.0, 300),  # longer than a window each
    ],
)
def test_the_last_samples_of_a_long_run_are_no_window_of_their_own(
    samples: list[float], ratio: float, t_throttle_s: float | None
) -> None:
    long_run = sustained(samples)
    assert long_run.ratio == pytest.approx(ratio)
    assert long_run.t_throttle_s == (None if t_throttle_s is None else pytest.approx(t_throttle_s, abs=15))


def test_the_worst_of_several_long_runs_is_told() -> None:
    steady, throttled = [50.0] * 11900, [50.0] * 6000 + [75.0] * 3900
    assert sustained(steady, throttled) == sustained(throttled, steady) == sustained(throttled)


def test_the_advice_is_always_more_launches_than_ran() -> None:
    scatter = np.random.default_rng(1).normal(0, 1, 20)
    scatter = (scatter - scatter.mean()) / scatter.std(ddof=1)
    finding = check(checked(launches(10 * np.exp(0.0415 * scatter))), "precision")
    assert finding.status == WARN
    assert int(str(finding.hint).split("About ")[1].split()[0]) > 20


@pytest.fixture
def outputs(tmp_path: Path) -> dict[str, str]:
    """Where the arms a and b have left what they computed."""
    return {f"{name} litert 1": str(tmp_path / f"{name}.npy") for name in "ab"}


def fed(name: str, precision: str) -> Any:
    manifest = SimpleNamespace(output=TensorSpec("s", (1, 3), "float32", "nc", ""))
    inputs = InputSet(PIXELS, source="folder")
    return an_arm(name, precision=precision, inputs=inputs, model=SimpleNamespace(manifest=manifest))


def test_outputs_that_are_not_finite_can_be_saved(outputs: dict[str, str]) -> None:
    for path, value in zip(outputs.values(), (0.5, math.nan), strict=True):
        np.save(path, np.full((2, 3), value, np.float32))
    judgment = preparation.judge_outputs([fed("a", "float32"), fed("b", "int8")], outputs)["b litert 1"]
    assert judgment.cosine is None
    assert result_files.dumps(dataclasses.asdict(judgment))


def test_another_float32_arm_serves_if_the_first_failed(outputs: dict[str, str]) -> None:
    for path in outputs.values():
        np.save(path, np.eye(3, dtype=np.float32))
    judgments = preparation.judge_outputs([fed("failed", "float32"), fed("a", "float32"), fed("b", "int8")], outputs)
    assert judgments["b litert 1"].reference == "a litert 1"


def test_a_verdict_on_memory_gets_as_many_launches_as_one_on_time() -> None:
    assert BenchmarkOptions(profile="quick", gate=("p50",)).resolve_profile().memory_launches == 1
    assert BenchmarkOptions(profile="quick", gate=("memory",)).resolve_profile().memory_launches == 3
    assert BenchmarkOptions(profile="quick", launches=7, gate=("memory",)).resolve_profile().memory_launches == 7


def test_memory_without_a_baseline_is_unknown() -> None:
    known = [a_memory_launch(round_=at) for at in range(3)]
    unknown = [dataclasses.replace(launch, baseline_rss_bytes=None) for launch in known]
    a, b = (an_arm_result([*launches([10] * 3), *memory], name) for name, memory in (("a", known), ("b", unknown)))
    (change,) = comparison.compare([Pair(a, b)], ["memory"], None, paired=True)
    assert (change.verdict, change.ratio) == ("inconclusive", None)


def test_launches_that_do_not_tell_do_not_dilute_what_others_tell() -> None:
    telling = [a_reading(0, run_delay_ns=0), a_reading(2, run_delay_ns=50_000_000)]
    silent = [a_reading(0, run_delay_ns=None), a_reading(2, run_delay_ns=None)]
    assert telemetry.waiting([telling, silent]) == telemetry.waiting([telling]) == pytest.approx(0.1)


def test_throttling_between_two_readings_is_known_by_its_mark() -> None:
    assert check(last_reading("throttled_since_boot")(["throttled"]), "thermal").status == "fail"


def test_speeds_of_an_emulated_processor_are_neither_told_nor_compared(tmp_path: Path) -> None:
    there = a_device()
    emulated = dataclasses.replace(there, device=dataclasses.replace(there.device, emulated=True))
    drawn = FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 11.0})
    drawn.describe = lambda: emulated  # type: ignore[method-assign]
    result = measure(three_files(tmp_path), drawn, BenchmarkOptions(gate=("p50", "size")))
    assert {arm.validity for arm in result.arms} == {INVALID}
    verdicts = {(change.metric, change.verdict, change.reason) for change in result.comparisons}
    assert verdicts == {("p50", "incomparable", "measured on an emulated processor"), ("size", "equivalent", None)}
    line = headline.headline(result)
    assert line.startswith("No arm is called fast or slow here. Trust: invalid (emulated). This processor is emulated")
    assert " ms" not in line
    assert {row[-1] for row in report.table(result)[1]} == {"emulated"}


def test_a_failed_arm_makes_a_comparison_invalid() -> None:
    failed = ArmResult(an_arm("b"), [], None, Correctness("unknown"), [], "it broke")
    (change,) = comparison.compare([Pair(an_arm_result(launches(QUIET)), failed)], ["p50"], None, paired=True)
    assert (change.verdict, change.validity) == ("incomparable", INVALID)


@pytest.mark.parametrize(
    ("name", "change"),
    [("affinity", {"affinity": [1]}), ("delegation", {"served": Served("2.3.0", "xnnpack", 40, 20, [], [])})],
)
def test_every_launch_is_looked_at(name: str, change: dict[str, Any]) -> None:
    made = all_launches()
    made[5] = dataclasses.replace(made[5], **change)
    assert check(checked(made), name).status == WARN


def test_a_long_run_of_another_length_is_another_measurement() -> None:
    arm = an_arm_result(launches(QUIET))
    sustained = [BenchmarkOptions(profile="sustained", duration=seconds) for seconds in (60.0, 600.0)]
    short, long = (fingerprint(a_device(), arm, options.resolve_profile()) for options in sustained)
    assert differences(short, long) == ("seconds per launch was 60.0, is 600.0",)


def test_devices_that_do_not_say_who_they_are_may_differ() -> None:
    device = a_device(device=dataclasses.replace(a_device().device, id_hash=None))
    conditions = fingerprint(device, an_arm_result(launches(QUIET)), STANDARD)
    assert differences(conditions, conditions) == ("device was None, is None",)


def test_a_value_that_warns_is_above_its_threshold_in_print_too() -> None:
    finding = check(checked(all_launches(timer_ns=10_100)), "timer")
    assert isinstance(finding.value, float)
    assert finding.value > float(str(finding.threshold))
