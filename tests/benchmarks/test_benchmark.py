"""A whole benchmark on a device whose launches are drawn: what it finds, keeps and says."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from synthetic import DEFAULT, FakeDevice, a_device, a_reading, measure, three_files

from edge_squeeze.benchmarks import arms, benchmark, headline, report, result_files
from edge_squeeze.benchmarks.launch_records import as_json
from edge_squeeze.benchmarks.model_files import ModelFile
from edge_squeeze.benchmarks.options import BenchmarkOptions
from edge_squeeze.benchmarks.verdicts import EQUIVALENT, IMPROVEMENT, REGRESSION
from edge_squeeze.cli import benchmark_report
from edge_squeeze.cli.benchmark_report import Output
from edge_squeeze.engines import catalogue
from edge_squeeze.errors import ConversionError, UsageError

pytestmark = pytest.mark.usefixtures("own_cache")
AA_FLOOR = BenchmarkOptions(aa_floor=True)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return three_files(tmp_path)


def test_verdicts_are_right_about_what_was_drawn(files: list[Path]) -> None:
    result = measure(files, FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 11.0}))
    assert [comparison.verdict for comparison in result.comparisons] == [IMPROVEMENT, REGRESSION]
    assert [comparison.base for comparison in result.comparisons] == ["a.tflite litert 1"] * 2
    latencies = [arm.summary.p50_ms for arm in result.arms if arm.summary]
    assert latencies == pytest.approx([10, 5, 11], rel=0.02)
    assert {arm.validity for arm in result.arms} == {"valid"}


def test_the_first_line_tells_how_fast_how_sure_and_whether_to_trust_it(files: list[Path]) -> None:
    line = headline.headline(measure(files, FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 11.0})))
    assert line.startswith("Fastest is b.tflite: ")
    for words in (" ms per inference (95 %: ", " times as fast as a.tflite (improvement)", "Trust: valid."):
        assert words in line


def test_the_first_line_tells_what_to_change(files: list[Path]) -> None:
    busy = FakeDevice(
        {"a.": 10.0, "b.": 5.0, "c.": 11.0},
        noise=0.0,
        readings=[as_json(a_reading(at, run_delay_ns=at * 100_000_000)) for at in range(3)],
    )
    line = headline.headline(measure(files, busy))
    assert "Trust: invalid (waiting)" in line
    assert "End other programs" in line


def test_an_artifact_that_failed_its_proof_is_marked_and_never_the_best(files: list[Path]) -> None:
    result = measure(files, FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 11.0}))
    wrong = dataclasses.replace(
        result.arms[1], correctness=dataclasses.replace(result.arms[1].correctness, gate="fail")
    )
    marked = dataclasses.replace(result, arms=[result.arms[0], wrong, result.arms[2]])
    assert headline.headline(marked).startswith("Fastest is a.tflite")
    columns, rows = report.table(marked)
    assert [column.title for column in columns[-2:]] == ["parity", "verdict"]
    assert [row[-2:] for row in rows[:2]] == [["UNKNOWN", "baseline"], ["FAIL", "improvement"]]
    assert "parity" not in [column.title for column in report.table(result)[0]], "nothing to be marked"
    alone = dataclasses.replace(result, arms=[wrong], comparisons=[])
    assert headline.headline(alone) == "No arm can be called fastest: b.tflite failed its proof."


def test_what_looks_fast_on_an_overloaded_machine_is_not_the_best(files: list[Path]) -> None:
    result = measure(files, FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 11.0}))
    bad = [dataclasses.replace(result.arms[1].checks[0], status="fail")]
    unsound = dataclasses.replace(result.arms[1], checks=bad)
    assert headline.fastest([result.arms[0], unsound]) is result.arms[0]
    doubted = dataclasses.replace(result, arms=[unsound, result.arms[0]], comparisons=[])
    assert headline.headline(doubted).startswith("Fastest of those that can be trusted is")
    assert headline.fastest([unsound]) is unsound


@pytest.fixture
def readable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of a drawn device, which nothing could read, are as good as whole ones."""
    monkeypatch.setattr(ModelFile, "damaged", False)


@pytest.mark.usefixtures("readable")
def test_an_arm_that_fails_is_a_row_with_its_reason(files: list[Path]) -> None:
    device = FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 11.0})
    device.broken = {"b."}
    result = measure(files, device)
    assert report.table(result)[1][1][-1] == "failed"
    assert "b.tflite failed: b. is broken" in report.notes(result)
    assert [comparison.verdict for comparison in result.comparisons] == ["incomparable", REGRESSION]
    assert benchmark_report.exit_code(result, Output()) == 4
    assert benchmark_report.exit_code(result, Output(fail_on_regression=True)) == 8


@pytest.mark.usefixtures("readable")
def test_nothing_measured_is_an_error_and_leaves_no_journal(files: list[Path], tmp_path: Path) -> None:
    device = FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 11.0})
    device.broken = {"a.", "b.", "c."}
    with pytest.raises(ConversionError, match=r"a\. is broken\nb\. is broken"):
        measure(files, device)
    assert not list((tmp_path / "cache").rglob("*.jsonl"))


def test_a_damaged_file_is_the_fault_of_the_user_unless_another_cannot_run(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 11.0})
    device.broken = {"a.", "b.", "c."}
    with pytest.raises(
        UsageError, match=r"a\.tflite is truncated, damaged .* a \.tflite file .*Export.* a\. is broken"
    ):
        measure(files, device)
    monkeypatch.setattr(ModelFile, "damaged", property(lambda model: model.path == files[0]))
    with pytest.raises(ConversionError, match=r"a\.tflite is truncated.*a\. is broken") as raised:
        measure(files, device)
    assert {"b. is broken", "c. is broken"} < set(str(raised.value).splitlines())


def test_an_interrupted_benchmark_goes_on_where_it_was(files: list[Path], tmp_path: Path) -> None:
    first = FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 11.0})
    first.interrupt_after = 8
    with pytest.raises(KeyboardInterrupt):
        measure(files, first)
    assert len(list((tmp_path / "cache").rglob("*.jsonl"))) == 1
    second = FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 11.0}, seed=1)
    result = measure(files, second)
    assert len(second.tasks) == 3 * 10 + 3 * 3 - 8
    assert result.resumed_after_s is not None
    assert not list((tmp_path / "cache").rglob("*.jsonl"))


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from keys(child)


def test_the_json_has_the_figures_where_they_are_promised_and_every_sample(files: list[Path]) -> None:
    result = measure(files, FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 11.0}))
    document = json.loads(result_files.dumps(result_files.to_json(result)))
    assert document["schema"] == "edge_squeeze.bench/1"
    assert [arm["summary"]["p50_ms"] for arm in document["arms"]] == pytest.approx([10, 5, 11], rel=0.02)
    assert document["comparisons"][0]["verdict"] == IMPROVEMENT
    assert list(keys(document)).count("p50_ms") == 3
    assert len(document["order"]) == 3 * (document["arms"][0]["summary"]["n_launches"] + 3)
    assert all(launch["samples_ns"] for launch in document["arms"][0]["launches"] if launch["kind"] == "timed")
    assert document["device"]["id_hash"] == a_device().device.id_hash
    lean = result_files.to_json(result, raw=False)
    assert max(len(launch["samples_ns"]) for launch in lean["arms"][0]["launches"]) == 1


def test_csv_and_markdown_hold_the_same_figures(files: list[Path], tmp_path: Path) -> None:
    result = measure(files, FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 11.0}))
    result_files.write(result, [tmp_path / "table.csv", tmp_path / "table.md"], raw=True)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text())))
    assert [float(row["p50_ms"]) for row in rows] == [arm.summary.p50_ms for arm in result.arms if arm.summary]
    text = (tmp_path / "table.md").read_text()
    assert headline.headline(result) in text
    assert "Device: Board, CPU, Linux, linux." in text
    assert text.count("\n| ") == 2 + 3


def test_the_floor_of_a_device_is_measured_kept_and_judged_by(files: list[Path]) -> None:
    alone = files[:1]
    noisy = FakeDevice({"a.": 10.0, "b.": 10.4}, noise=0.05)
    result = measure(alone, noisy, AA_FLOOR)
    assert [arm.arm.name for arm in result.arms] == ["a.tflite A", "a.tflite B"]
    assert result.measured_floor is not None
    assert 0.02 < result.measured_floor < 0.10
    kept = benchmark.known_floor(a_device().device.id_hash, "litert", 1)
    assert kept is not None
    assert kept.floor == result.measured_floor
    later = measure(files[:2], FakeDevice({"a.": 10.0, "b.": 10.4}, noise=0.001))
    assert later.comparisons[0].delta == pytest.approx(2 * kept.floor)
    assert later.comparisons[0].verdict == EQUIVALENT, "4 % slower is nothing where the floor is higher"
    assert any("A/A floor" in note for note in report.notes(later))


def test_an_invalid_measurement_leaves_no_floor(files: list[Path]) -> None:
    alone = files[:1]
    busy = FakeDevice({"a.": 10.0}, noise=0.3, cpu_ns=1)
    result = measure(alone, busy, AA_FLOOR)
    assert result.measured_floor is None
    assert benchmark.known_floor(a_device().device.id_hash, "litert", 1) is None
    assert benchmark_report.exit_code(result, Output()) == 7
    assert any("floor was not kept" in note for note in report.notes(result))


def test_a_floor_holds_for_its_engine_and_threads_alone(files: list[Path]) -> None:
    alone = files[:1]
    measure(alone, FakeDevice({"a.": 10.0}, noise=0.05), AA_FLOOR)
    both = files[:2]
    device = FakeDevice({"a.": 10.0, "b.": 10.0})
    assert measure(both, device).aa_floor is not None
    assert measure(both, device, BenchmarkOptions(threads=(2,))).aa_floor is None


def test_the_first_line_tells_of_a_regression_and_of_what_is_not_told_apart(files: list[Path]) -> None:
    slower = headline.headline(measure(files, FakeDevice({"a.": 10.0, "b.": 15.0, "c.": 11.5})))
    assert slower.startswith("Fastest is a.tflite")
    assert "Regression: b.tflite (p50, 1.5" in slower
    alike = headline.headline(measure(files, FakeDevice({"a.": 10.0, "b.": 10.0, "c.": 11.5}, seed=5)))
    assert alike.startswith("Nominally fastest is")
    rivals = headline.headline(measure(files, FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 5.0}, seed=6)))
    assert rivals.startswith("Nominally fastest is")


def test_a_lone_arm_is_no_passed_comparison(files: list[Path]) -> None:
    result = measure(files[:1], FakeDevice({"a.": 10.0}))
    with pytest.raises(UsageError, match="at least two"):
        benchmark_report.exit_code(result, Output(fail_on_regression=True))


def test_what_all_leaves_out_is_named(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arms, "is_installed", lambda name: False)
    monkeypatch.setattr(catalogue, "is_installed", lambda name: name == "ai_edge_litert")
    reasons = list(arms.left_out(BenchmarkOptions(runtime=("all",))))
    assert "Left out: ncnn, which is not installed (pip install ncnn pnnx)." in reasons
    assert not any("litert," in reason for reason in reasons)
    assert not list(arms.left_out(DEFAULT))


def test_a_floor_is_of_one_file(files: list[Path]) -> None:
    with pytest.raises(UsageError, match="--aa-floor takes one file"):
        measure(files, FakeDevice({"a.": 1.0}), AA_FLOOR)


@pytest.mark.parametrize("name", ["result.txt", "result", "folder.json"])
def test_an_out_that_cannot_be_is_refused_before_anything_is_measured(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(UsageError, match="--out"):
        result_files.check_names([tmp_path / name])


def test_saved_results_are_as_readable_as_other_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        result_files.save(tmp_path / "r.json", "{}")
    finally:
        os.umask(before)
    assert (tmp_path / "r.json").stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [tmp_path / "r.json"]
