"""Which arms are compared, under which conditions, and what comes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from synthetic import MS, STANDARD, a_device, a_launch, a_memory_launch, an_arm, launches

from edge_squeeze.benchmarks.benchmark import judge
from edge_squeeze.benchmarks.checks import FAIL, INVALID, PASS, SUSPECT, UNKNOWN, VALID, WARN, Check
from edge_squeeze.benchmarks.comparison import METRICS, Pair, compare, differences, fingerprint, within
from edge_squeeze.benchmarks.launch_records import Inputs, Launch, Served
from edge_squeeze.benchmarks.options import GATES, PROFILES, SIZE, BenchmarkOptions, Profile
from edge_squeeze.benchmarks.preparation import Correctness
from edge_squeeze.benchmarks.result import ArmResult, Comparison
from edge_squeeze.machine.device import Device, Power

SCATTER = np.exp(0.003 * np.array([3, -2, 0, 4, -1, 1, -4, 2, -3, 0]))
OTHER_SCATTER = SCATTER[[4, 1, 7, 3, 9, 0, 8, 2, 6, 5]]
BASE = 10 * SCATTER


def result(made: Sequence[Launch], name: str = "a", **arm: Any) -> ArmResult:
    bare = ArmResult(an_arm(name, **arm), list(made), None, Correctness("pass"), [])
    return judge(bare, STANDARD, a_device())


def timed(medians: Sequence[float] | np.ndarray, name: str = "a", **arm: Any) -> ArmResult:
    return result(launches(medians, f"{name} litert 1"), name, **arm)


def failed(name: str) -> ArmResult:
    return ArmResult(an_arm(name), [], None, Correctness("unknown"), [], "it broke")


def p50(base: ArmResult, cand: ArmResult, floor: float | None = None, *, paired: bool = True) -> Comparison:
    (comparison,) = compare([Pair(base, cand)], ["p50"], floor, paired=paired)
    return comparison


BASELINE = timed(BASE)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(
    ("times", "verdict"),
    [(1.10, "regression"), (1 / 1.10, "improvement"), (1.0, "equivalent"), (2.0, "regression"), (0.5, "improvement")],
)
def test_a_clear_change_is_called_by_its_name(times: float, verdict: str, paired: bool) -> None:
    comparison = p50(BASELINE, timed(10 * times * OTHER_SCATTER, "b"), paired=paired)
    assert (comparison.verdict, comparison.launches_needed, comparison.reason) == (verdict, None, None)
    assert (comparison.base, comparison.cand, comparison.metric, comparison.paired) == (
        "a litert 1",
        "b litert 1",
        "p50",
        paired,
    )
    assert comparison.ratio == pytest.approx(times, rel=0.002)
    assert comparison.ci95 is not None
    assert comparison.ci95[0] < comparison.ratio < comparison.ci95[1]
    assert comparison.p_adj is not None
    assert (comparison.p_adj < 0.05) == (verdict != "equivalent")


def test_the_ratio_is_that_of_the_printed_times() -> None:
    base, cand = BASELINE, timed(11 * OTHER_SCATTER, "b")
    assert base.summary is not None
    assert cand.summary is not None
    assert p50(base, cand).ratio == pytest.approx(cand.summary.p50_ms / base.summary.p50_ms)


def test_too_noisy_launches_are_inconclusive_and_say_how_many_would_do() -> None:
    noisy = 10 * np.exp(np.random.default_rng(3).normal(0, 0.05, 10))
    comparison = p50(BASELINE, timed(noisy, "b"))
    assert comparison.verdict == "inconclusive"
    assert comparison.launches_needed is not None
    assert 10 < comparison.launches_needed <= 1000


@pytest.mark.parametrize("number", [0, 1, 2])
def test_too_few_common_rounds_decide_nothing(number: int) -> None:
    later = [
        dataclasses.replace(launch, round=launch.round + 10 - number) for launch in launches(20 * SCATTER, "b litert 1")
    ]
    comparison = p50(BASELINE, result(later, "b"))
    assert (comparison.verdict, comparison.ci95, comparison.p_adj, comparison.launches_needed) == (
        "inconclusive",
        None,
        None,
        3,
    )
    assert comparison.ratio == (None if number == 0 else pytest.approx(2, rel=0.05))


def test_launches_are_paired_by_round_whatever_their_order() -> None:
    drifting = 10 * np.linspace(1, 1.5, 10)
    cand = launches(1.001 * drifting * SCATTER, "b litert 1")
    for made in (cand, cand[::-1], cand[5:] + cand[:5]):
        assert p50(timed(drifting), result(made, "b")).verdict == "equivalent"
    assert p50(timed(drifting), result(cand, "b"), paired=False).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("floor", "times", "paired", "verdict", "delta"),
    [
        (None, 1.025, True, "equivalent", 0.03),
        (None, 1.035, True, "regression", 0.03),
        (0.01, 1.035, True, "regression", 0.03),
        (0.04, 1.075, True, "equivalent", 0.08),
        (0.04, 1.085, True, "regression", 0.08),
        (0.04, 1 / 1.075, True, "equivalent", 0.08),
        (None, 1.045, False, "equivalent", 0.05),
        (None, 1.055, False, "regression", 0.05),
        (0.02, 1.055, False, "regression", 0.05),
        (0.04, 1.075, False, "equivalent", 0.08),
    ],
)
def test_a_change_within_the_margin_of_the_device_is_none(
    floor: float | None, times: float, paired: bool, verdict: str, delta: float
) -> None:
    base, cand = (
        result(launches(10 * factor * SCATTER**0.1, noise=0), name) for factor, name in ((1, "a"), (times, "b"))
    )
    comparison = p50(base, cand, floor, paired=paired)
    assert (comparison.verdict, comparison.delta) == (verdict, pytest.approx(delta))


def tail(times: float) -> dict[str, Any]:
    return {"samples_ns": [10 * MS] * 80 + [round(10 * MS * times)] * 20}


def load(times: float) -> dict[str, Any]:
    return {"load_init_ns": round(10 * MS * times)}


def first(times: float) -> dict[str, Any]:
    return {"first_ns": round(20 * MS * times)}


def arm_of(change: dict[str, Any], peak: float = 1.0, name: str = "a") -> ArmResult:
    made = [a_launch([10.0] * 100, at, **{**tail(1), **first(1), **load(1), **change}) for at in range(5)]
    memory = [a_memory_launch(50_000_000 + round(20_000_000 * peak), at) for at in range(3)]
    return result([*made, *memory], name)


@pytest.mark.parametrize(
    ("gate", "change", "peak", "verdict", "delta"),
    [
        ("p90", tail(1.045), 1, "equivalent", 0.05),
        ("p90", tail(1.055), 1, "regression", 0.05),
        ("p90", tail(0.9), 1, "equivalent", 0.05),  # a tenth faster changes no 90th percentile
        ("first", first(1.095), 1, "equivalent", 0.10),
        ("first", first(1.105), 1, "regression", 0.10),
        ("first", first(0.5), 1, "improvement", 0.10),
        ("load", load(1.095), 1, "equivalent", 0.10),
        ("load", load(1.105), 1, "regression", 0.10),
        ("memory", {}, 1.045, "equivalent", 0.05),
        ("memory", {}, 1.055, "regression", 0.05),
        ("memory", {}, 0.5, "improvement", 0.05),
    ],
)
def test_each_gate_looks_at_its_own_figure(
    gate: str, change: dict[str, Any], peak: float, verdict: str, delta: float
) -> None:
    pair = Pair(arm_of({}), arm_of(change, peak, "b"))
    by_metric = {comparison.metric: comparison for comparison in compare([pair], GATES, None, paired=True)}
    assert list(by_metric) == list(GATES)
    assert (by_metric[gate].verdict, by_metric[gate].delta) == (verdict, pytest.approx(delta))
    assert {comparison.verdict for comparison in by_metric.values() if comparison.metric != gate} == {"equivalent"}


@pytest.mark.parametrize(
    ("floor", "paired", "p50_delta", "p90_delta"),
    [(None, True, 0.03, 0.05), (0.04, True, 0.08, 0.08), (None, False, 0.05, 0.05)],
)
def test_only_times_follow_the_margin_of_the_device(
    floor: float | None, paired: bool, p50_delta: float, p90_delta: float
) -> None:
    comparisons = compare([Pair(arm_of({}), arm_of({}, name="b"))], GATES, floor, paired=paired)
    assert [comparison.delta for comparison in comparisons] == pytest.approx(
        [p50_delta, p90_delta, 0.10, 0.10, 0.05, 0]
    )


@pytest.mark.parametrize(
    ("size", "verdict"), [(1_000_000, "equivalent"), (1_000_001, "regression"), (999_999, "improvement")]
)
@pytest.mark.parametrize("paired", [True, False])
def test_any_change_of_size_is_one(size: int, verdict: str, paired: bool) -> None:
    (comparison,) = compare([Pair(BASELINE, timed(BASE, "b", size_bytes=size))], ["size"], 0.1, paired=paired)
    assert (comparison.verdict, comparison.ratio, comparison.ci95) == (verdict, size / 1e6, [size / 1e6] * 2)
    assert (comparison.p_adj, comparison.launches_needed, comparison.delta) == (None, None, 0)


def test_memory_that_no_launch_knows_decides_nothing() -> None:
    unknown = dataclasses.replace(a_memory_launch(), peak_rss_bytes=None)
    for memory in ([], [unknown] * 3, [a_memory_launch(50_000_000)] * 3):  # nothing beyond the baseline
        cand = result([*launches(BASE), *memory], "b")
        (comparison,) = compare([Pair(arm_of({}), cand)], ["memory"], None, paired=True)
        assert (comparison.verdict, comparison.ratio) == ("inconclusive", None)


def test_arms_and_gates_are_one_family() -> None:
    pairs = [Pair(BASELINE, timed(1.04 * BASE[::-1], "b")), Pair(BASELINE, timed(1.02 * BASE[::-1], "c"))]
    alone = [compare([pair], [gate], None, paired=True)[0] for pair in pairs for gate in ("p50", "p90")]
    together = compare(pairs, ["p50", "size", "p90"], None, paired=True)
    assert [comparison.cand for comparison in together] == ["b litert 1"] * 3 + ["c litert 1"] * 3
    tested = [comparison for comparison in together if comparison.metric != "size"]
    assert [comparison.ratio for comparison in tested] == [comparison.ratio for comparison in alone]
    chances, adjusted = ([comparison.p_adj or 0.0 for comparison in family] for family in (alone, tested))
    assert 0 < 4 * min(chances) < 1
    assert min(adjusted) == pytest.approx(4 * min(chances))
    assert (tested[0].ci95 or [9])[0] < (alone[0].ci95 or [0])[0]


def test_what_cannot_be_compared_costs_the_others_nothing() -> None:
    clear = Pair(BASELINE, timed(1.1 * BASE[::-1], "b"))
    others = [Pair(BASELINE, failed("c")), Pair(BASELINE, timed(BASE, "d"), ("power was mains, is battery",))]
    assert compare([others[0], clear, others[1]], ["p50"], None, paired=True)[1] == p50(clear.base, clear.cand)
    assert compare([], ["p50"], None, paired=True) == []


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize(
    ("pair", "reason", "differ"),
    [
        (Pair(BASELINE, failed("b")), "b litert 1 could not be measured", []),
        (Pair(failed("a"), BASELINE), "a litert 1 could not be measured", []),
        (Pair(BASELINE, dataclasses.replace(BASELINE, failure="it broke")), "a litert 1 could not be measured", []),
        (Pair(dataclasses.replace(BASELINE, summary=None), BASELINE), "a litert 1 could not be measured", []),
        (
            Pair(BASELINE, BASELINE, ("x was 1, is 2", "y was 3, is 4")),
            "different conditions: x was 1, is 2; y was 3, is 4",
            ["x was 1, is 2", "y was 3, is 4"],
        ),
    ],
)
def test_what_is_incomparable_says_why(gate: str, pair: Pair, reason: str, differ: list[str]) -> None:
    (comparison,) = compare([pair], [gate], None, paired=False)
    assert (comparison.verdict, comparison.reason, comparison.fingerprint_diff) == ("incomparable", reason, differ)
    assert (comparison.ratio, comparison.ci95, comparison.p_adj, comparison.launches_needed) == (None,) * 4


@pytest.mark.parametrize("gate", ["p50", "size"])
@pytest.mark.parametrize(
    ("base", "cand", "expected"),
    [
        (PASS, UNKNOWN, VALID),
        (PASS, WARN, SUSPECT),
        (WARN, PASS, SUSPECT),
        (FAIL, PASS, INVALID),
        (WARN, FAIL, INVALID),
        (FAIL, WARN, INVALID),
    ],
)
@pytest.mark.parametrize("differ", [(), ("x",)])
def test_a_verdict_is_as_valid_as_the_worse_of_both(
    gate: str, base: str, cand: str, expected: str, differ: tuple[str, ...]
) -> None:
    arms = [dataclasses.replace(BASELINE, checks=[Check("x", status, None, None)]) for status in (base, cand)]
    (comparison,) = compare([Pair(*arms, differ)], [gate], None, paired=True)
    exact = gate == "size" and not differ  # bytes are counted, not measured
    assert comparison.validity == (VALID if exact else expected)


def test_figures_of_another_file_are_not_merged() -> None:
    own, foreign = (
        dataclasses.replace(BASELINE, correctness=Correctness("pass", sha256=sha256))
        for sha256 in (BASELINE.arm.sha256, "sha of another")
    )
    known = p50(BASELINE, own)
    assert (known.verdict, known.base_sha256, known.cand_sha256) == ("equivalent", "sha of a", "sha of a")
    merged = p50(own, foreign)
    assert merged.verdict == "incomparable"
    assert merged.reason == (
        "the parity of a litert 1 is that of another file: its sha256 is sha of another, that of the measured file sha "
        "of a"
    )


def test_the_first_arm_is_compared_with_each_other() -> None:
    a, b, c = BASELINE, timed(BASE, "b"), failed("c")
    assert within([a, b, c]) == [Pair(a, b), Pair(a, c)]
    assert within([a]) == []


def test_every_gate_has_a_metric() -> None:
    assert set(GATES) == {*METRICS, SIZE}


DEVICE = a_device()


def system(**changes: Any) -> Device:
    return dataclasses.replace(DEVICE, device=dataclasses.replace(DEVICE.device, **changes))


def processor(**changes: Any) -> Device:
    return dataclasses.replace(DEVICE, cpu=dataclasses.replace(DEVICE.cpu, **changes))


def measured(launch: dict[str, Any] | None = None, **arm: Any) -> ArmResult:
    made = [dataclasses.replace(plain, **(launch or {})) for plain in launches([10, 10, 10])]
    return judge(ArmResult(an_arm(**arm), made, None, Correctness("pass"), []), STANDARD, DEVICE)


def served(version: str = "2.3.0", dtype: str = "uint8", side: int = 8) -> dict[str, Any]:
    image = {"name": "image", "shape": [1, side, side, 3], "dtype": dtype}
    return {"served": Served(version, "xnnpack", 39, 39, [image], [])}


BEFORE = fingerprint(DEVICE, measured(), STANDARD)


@pytest.mark.parametrize(
    ("device", "arm", "expected"),
    [
        (DEVICE, measured(), ()),
        (DEVICE, measured(sha256="another file", size_bytes=5, name="b", precision="int8"), ()),
        (system(kernel="6.2"), measured(), ()),
        (system(id_hash="ba9876543210"), measured(), ("device was 0123456789ab, is ba9876543210",)),
        (processor(name="Other"), measured(), ("processor was CPU, is Other",)),
        (processor(governor=["powersave"]), measured(), ("governor was ['performance'], is ['powersave']",)),
        (dataclasses.replace(DEVICE, power=Power("battery", 80)), measured(), ("power was mains, is battery",)),
        (DEVICE, measured(cpus=[1]), ("cores was [0, 1], is [1]",)),
        (DEVICE, measured(threads=2), ("threads was 1, is 2",)),
        (DEVICE, measured(engine="onnxruntime"), ("engine was litert, is onnxruntime",)),
        (DEVICE, measured(kernels="builtin"), ("engine was litert, is litert:builtin",)),
        (DEVICE, measured(spin=True), ("spinning was False, is True",)),
        (DEVICE, measured(served("2.4.0")), ("engine version was 2.3.0, is 2.4.0",)),
        (
            DEVICE,
            measured(served(dtype="int8")),
            ("input was [([1, 8, 8, 3], 'uint8')], is [([1, 8, 8, 3], 'int8')]",),
        ),
        (
            DEVICE,
            measured(served(side=9)),
            ("input was [([1, 8, 8, 3], 'uint8')], is [([1, 9, 9, 3], 'uint8')]",),
        ),
        (
            DEVICE,
            measured({"inputs": Inputs(8, "others", 8, zero=False)}),
            ("inputs was sha of inputs, is others",),
        ),
        (processor(name="Other"), measured(threads=2), ("processor was CPU, is Other", "threads was 1, is 2")),
    ],
)
def test_what_differs_between_two_sessions_is_named(device: Device, arm: ArmResult, expected: tuple[str, ...]) -> None:
    assert differences(BEFORE, fingerprint(device, arm, STANDARD)) == expected


@pytest.mark.parametrize(
    ("base", "cand", "expected"),
    [
        (STANDARD, PROFILES["quick"], ("profile was standard, is quick",)),
        (STANDARD, BenchmarkOptions(launches=5).resolve_profile(), ()),  # more launches measure the same
        (
            PROFILES["paced"],
            BenchmarkOptions(profile="paced", rate=10).resolve_profile(),
            ("frames per second was 30, is 10",),
        ),
    ],
)
def test_ways_to_measure_are_told_apart(base: Profile, cand: Profile, expected: tuple[str, ...]) -> None:
    assert differences(fingerprint(DEVICE, measured(), base), fingerprint(DEVICE, measured(), cand)) == expected


@pytest.mark.parametrize("made", [[], [a_memory_launch()], launches([10])])
def test_an_arm_that_failed_has_a_fingerprint_too(made: list[Any]) -> None:
    broken = ArmResult(an_arm(), made, None, Correctness("unknown"), [], "it broke")
    actual = fingerprint(DEVICE, broken, STANDARD)
    unknown = {"engine version": None, "input": None, "inputs": None}
    assert actual == BEFORE | unknown
