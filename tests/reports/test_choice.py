"""Which file is recommended, and where the charts put things."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from edge_squeeze.reports import charts, choice, page, parity
from edge_squeeze.reports.document import Accuracy, Choice, Course, Latency, Mixed, Moment, Parity, Source, Subject


def subject(
    name: str, size: int = 1_000_000, ms: float | None = None, agreement: float | None = 1.0, **changes: Any
) -> Subject:
    sha256 = f"sha of {name}"
    interval = changes.pop("interval", None) or (ms and [0.98 * ms, 1.02 * ms])
    latency = Latency(
        sha256=sha256,
        source="s",
        session=changes.pop("session", "1"),
        created_utc="2026-01-01",
        device="Board",
        engine="litert",
        threads=changes.pop("threads", 1),
        p50_ms=ms,
        p50_interval=interval,
        validity=changes.pop("validity", "valid"),
    )
    proof = Parity(sha256=sha256, origin="export", verdict=changes.pop("verdict", "pass"), agreement=agreement)
    return Subject(
        name=name,
        folder=name,
        sha256=sha256,
        file=f"{name}.tflite",
        size_bytes=size,
        network=changes.pop("network", "net"),
        format="",
        precision="",
        parameters=1,
        classes=3,
        input="",
        preprocessing="",
        weights="",
        command="",
        parity=proof,
        latency=[latency] if ms else [],
        **changes,
    )


def choose(*subjects: Subject) -> Choice:
    (made,) = choice.choose(subjects, [])
    return made


def test_the_fastest_proven_file_is_recommended() -> None:
    made = choose(subject("a", 4_000_000, 8.0), subject("b", 1_000_000, 2.0, 0.9), subject("c", 900_000, 3.0, 0.9))
    assert (made.recommended, made.sha256) == ("b", "sha of b")
    assert made.reason == (
        "The fastest file that passed its proof. It gives the original's answer for 90.0 % of the pictures. "
        "It is 4 times as fast as a."
    )
    assert [each.on_front for each in made.candidates] == [True, True, True]
    assert made.latency_basis == "Board, 1 thread, session of 2026-01-01"


def test_a_file_that_another_beats_in_all_is_not_on_the_front() -> None:
    made = choose(subject("a", 2_000_000, 4.0, 0.9), subject("b", 1_000_000, 2.0, 0.9), subject("c", 500_000, 9.0, 0.5))
    assert [each.on_front for each in made.candidates] == [False, True, True]


@pytest.mark.parametrize(
    ("changes", "against"),
    [
        ({"verdict": "fail"}, "its parity is fail"),
        ({"verdict": "unproven"}, "its parity is unproven"),
        (
            {"accuracy": [Accuracy(name="b", source="s", verdict="fail")]},
            "its accuracy is below 98 % of the original's",
        ),
    ],
)
def test_what_is_not_proven_is_not_recommended_however_fast(changes: dict[str, Any], against: str) -> None:
    made = choose(subject("a", ms=8.0), subject("b", 10, 1.0, **changes))
    assert made.recommended == "a"
    assert (made.candidates[1].against, made.candidates[1].on_front) == (against, False)
    alone = choose(subject("b", 10, 1.0, **changes))
    assert (alone.recommended, alone.reason) == (None, f"b: {against}.")


def test_of_files_as_fast_the_smaller_is_recommended() -> None:
    made = choose(subject("a", 2_000_000, 2.0), subject("b", 1_000_000, 2.03), subject("c", 10, 3.0))
    assert made.recommended == "b"
    assert made.reason.startswith("Among the fastest files that passed their proofs.")
    assert "Its latency cannot be told from that of a, and it is the smallest of them." in made.reason


def test_invalid_latencies_count_only_where_there_are_no_others() -> None:
    slow, fast = subject("a", ms=8.0), subject("b", ms=1.0, validity="invalid")
    valid = choose(slow, fast, subject("c"))
    assert valid.recommended == "a"
    assert (
        "Not counted, since its measurement is invalid: b. Not counted, since it was not measured: c." in valid.reason
    )
    both = choose(subject("a", ms=8.0, validity="invalid"), fast)
    assert both.recommended == "b"
    assert both.reason.endswith("None of these latencies is valid: measure again before you rely on them.")


def test_without_latencies_the_smallest_is_recommended() -> None:
    made = choose(subject("a", 2_000_000), subject("b", 1_000_000))
    assert (made.recommended, made.latency_basis) == ("b", None)
    assert made.reason.startswith("The smallest file that passed its proof.")


def test_latencies_of_different_sessions_are_not_held_against_each_other() -> None:
    first, second = subject("a", ms=8.0), subject("b", ms=2.0)
    both = [
        dataclasses.replace(each, latency=[*each.latency, *subject(each.name, ms=5.0, session="2", threads=4).latency])
        for each in (first, second)
    ]
    third = subject("c", ms=1.0, session="3")
    assert {name: each.p50_ms for name, each in choice.latencies([*both, third]).items()} == {"a": 8.0, "b": 2.0}
    assert choice.latencies([subject("a")]) == {}


def test_each_network_has_the_session_that_most_of_its_files_are_in() -> None:
    files = [subject("a", ms=8.0), subject("b", ms=4.0), subject("c", ms=1.0, session="2", network="another")]
    assert {name: each.p50_ms for name, each in choice.latencies(files).items()} == {"a": 8.0, "b": 4.0, "c": 1.0}
    assert [each.recommended for each in choice.choose(files, [])] == ["b", "c"]


def test_agreement_is_that_of_an_evaluation_of_all() -> None:
    accuracy = Accuracy(name="", source="e", pictures=50_000, agreement=0.8)
    subjects = [subject(name, agreement=0.9, accuracy=[accuracy]) for name in "ab"]
    source = Source(kind="evaluation", file="e.json", sha256="e")
    values, basis = choice.agreements(subjects, [source])
    assert (values["a"][0], basis) == (0.8, "50,000 pictures of the evaluation e.json")
    values, _ = choice.agreements([*subjects, subject("c", agreement=0.9)], [source])
    assert {value for value, _ in values.values()} == {0.9}


def test_each_network_has_its_own_choice() -> None:
    made = choice.choose([subject("a", 2), subject("b", 1, network="other")], [])
    assert [(each.network, each.recommended) for each in made] == [("net", "a"), ("other", "b")]
    assert [each.title for each in made] == ["net", "other"]


def test_networks_of_one_name_are_told_apart_by_classes_and_then_by_weights() -> None:
    trained = [dataclasses.replace(subject(name), weights_sha256=name * 64) for name in "abc"]
    trained.append(dataclasses.replace(trained[0], name="d", weights_sha256="d" * 64, classes=1000))
    trained.append(subject("e", network="other"))
    assert [each.title for each in choice.choose(trained, [])] == [
        "net, 3 classes, weights aaaaaaaaaaaa",
        "net, 3 classes, weights bbbbbbbbbbbb",
        "net, 3 classes, weights cccccccccccc",
        "net, 1,000 classes",
        "other",
    ]


def test_only_figures_that_are_known_are_said_to_be_compared() -> None:
    unmeasured = choose(subject("a", 2_000_000), subject("b", 1_000_000)).candidates
    assert [each.on_front for each in unmeasured] == [False, True]
    assert page.known_figures(unmeasured) == "size and agreement"
    measured = choose(subject("a", 2_000_000, 4.0), subject("b", 1_000_000)).candidates
    assert page.known_figures(measured) == "size, latency and agreement"
    assert page.known_figures(measured[1:]) == "size and agreement"
    assert page.known_figures([dataclasses.replace(measured[1], agreement=None)]) == "size"


def test_no_axis_of_shares_goes_above_all_of_them() -> None:
    gain = {"gain_interval": [-0.02, 0.03], "size_bytes": 1}
    points = [Mixed(kept=["x"] * at, agreement=0.99, kl=0.01, latency_us=1e3 + at, **gain) for at in range(2)]
    agreement, _ = charts.frontier(points)
    assert agreement.y.high == 1
    moments = [
        Moment(created_utc=str(at), sha256="a", changed=False, size_bytes=1, top1=0.9 + at / 10) for at in (0, 1)
    ]
    (trend,) = [each for each in charts.trends(Course(name="a", moments=moments)) if each.title == "Top-1"]
    assert trend.points[1].y == pytest.approx(100 - charts.RIGHT)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (0, 1.3, [0, 0.5, 1.0]), (0.87, 1, [0.9, 0.95, 1.0]), (5, 5, [5])],
)
def test_axes_have_few_round_ticks(low: float, high: float, ticks: list[float]) -> None:
    assert charts.Axis(low, high).ticks == ticks


def test_positions_are_within_the_chart_and_in_order() -> None:
    axis = charts.from_zero([1.0, None, 4.0])
    assert [axis.at(value) for value in (-1, 0, 4.16, 99)] == [2, 2, 98, 98]
    assert axis.width(1, 3) == pytest.approx(2 / 4.16 * 96, abs=0.01)
    assert charts.from_zero([]).high > 0


def test_letters_of_points_close_to_each_other_stay_apart() -> None:
    assert charts.shifts([(10, 50), (12, 52), (50, 50), (11, 51)]) == [0, 15, 0, 30]


def test_the_histogram_counts_each_picture_once() -> None:
    counts = parity.histogram([0.0, 1e-12, 1.5e-8, 0.02, 0.02, 0.5, 99.0])
    assert sum(counts) == 7
    assert counts[0] == 3
    assert (counts[12], counts[15], counts[17]) == (2, 1, 1)  # 0.01 to 0.0316, 0.316 to 1, and above 3.16
    assert parity.histogram([]) == []


def test_names_are_shortened_by_what_they_share() -> None:
    names = ["squeezenet1.1-tflite-int8", "squeezenet1.1-onnx-int8"]
    assert page.short_names(names) == {names[0]: "tflite int8", names[1]: "onnx int8"}
    assert page.short_names(["a-b"]) == {"a-b": "a b"}
    assert page.short_names(["a", "a-b"]) == {"a": "a", "a-b": "a b"}


def test_numbers_that_are_not_known_are_a_dash() -> None:
    assert [page.ms(None), page.percent(float("nan")), page.number(None), page.short_sha(None)] == ["\u2013"] * 4
    assert [page.ms(0.12345), page.ms(1.239), page.ms(123.4)] == ["0.123", "1.24", "123"]
    assert (page.percent(0.975), page.percents([0.871, 0.986]), page.number(0.00012)) == (
        "97.5 %",
        "87\u201399",
        "1.2e-04",
    )
