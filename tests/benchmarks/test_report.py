"""What `benchmark` and `compare` print of results that were drawn: tables that fit, and trust in few words."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic import FakeDevice, measure, three_files
from validity_cases import TABLE

from edge_squeeze.benchmarks import report
from edge_squeeze.benchmarks.boards import Measured
from edge_squeeze.benchmarks.checks import FAIL, PASS, UNKNOWN, WARN, Check, graded
from edge_squeeze.benchmarks.options import GATES, BenchmarkOptions
from edge_squeeze.benchmarks.report import MEANINGS, doubts
from edge_squeeze.benchmarks.result import ArmResult, Result
from edge_squeeze.benchmarks.summary import Sustained
from edge_squeeze.cli import benchmark_report
from edge_squeeze.cli.benchmark_report import Output
from edge_squeeze.errors import DeviceError

pytestmark = pytest.mark.usefixtures("own_cache")
Show = Callable[[Result], list[str]]
NAMES = ("squeezenet1.1-tflite-float32", "squeezenet1.1-tflite-int8", "squeezenet1.1-onnx-float32")


@pytest.fixture
def drawn(tmp_path: Path) -> Result:
    """Three arms with the names of README's artifacts: a baseline, a faster arm and an undecided one."""
    result = measure(three_files(tmp_path), FakeDevice({"a.": 8.23, "b.": 2.5, "c.": 8.5}, noise=0.2))
    named = dict(zip((arm.arm.name for arm in result.arms), NAMES, strict=True))
    arms = [dataclasses.replace(arm, arm=dataclasses.replace(arm.arm, name=named[arm.arm.name])) for arm in result.arms]
    return dataclasses.replace(result, arms=arms)


def renamed(result: Result, names: tuple[str, ...], **changes: object) -> Result:
    arms = [
        dataclasses.replace(arm, arm=dataclasses.replace(arm.arm, name=name, **changes))
        for arm, name in zip(result.arms, names, strict=True)
    ]
    return dataclasses.replace(result, arms=arms)


def many(result: Result, status: Callable[[int], Check], number: int = 15) -> Result:
    """`number` arms, the check of each being what `status` makes of its place."""
    first = result.arms[0]
    arms: list[ArmResult] = [
        dataclasses.replace(first, arm=dataclasses.replace(first.arm, name=f"arm{at}"), checks=[status(at)])
        for at in range(number)
    ]
    return dataclasses.replace(result, arms=arms, comparisons=[])


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_the_table_has_a_line_for_each_arm_and_fits(
    drawn: Result, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    benchmark_report.show(drawn, Output())
    text = capsys.readouterr().out
    head, table, *_ = text.split("\n\n")
    lines = table.splitlines()
    assert lines[0].split() == ["arm", "p50", "ms", "95", "%", "x", "faster", "trust", "verdict"]
    assert [line.split()[0] for line in lines[1:4]] == list(NAMES)
    assert max(map(len, lines)) <= 80
    hidden = "engine, threads, p90, p95, first, load, peak MB, file MB"
    assert " ".join(lines[4:]) == f"Not shown: {hidden}. See all columns with -v or --json."
    assert max(map(len, head.splitlines())) <= columns
    prose = [line for line in text.splitlines() if "edge-squeeze " not in line]
    assert max(map(len, prose)) <= min(columns, 100)


def test_why_a_verdict_is_open_stands_below_the_table(drawn: Result, capsys: pytest.CaptureFixture[str]) -> None:
    benchmark_report.show(drawn, Output())
    text = capsys.readouterr().out
    assert re.search(r"(?m)^squeezenet1\.1-onnx-float32 .* inconclusive$", text)
    assert re.search(r"(?m)^squeezenet1\.1-onnx-float32: inconclusive \(needs (about \d+|over 1000) launches\)$", text)


def test_verbose_shows_all_columns(drawn: Result, capsys: pytest.CaptureFixture[str]) -> None:
    benchmark_report.show(drawn, Output(verbose=True))
    text = capsys.readouterr().out
    assert "Not shown" not in text
    head = text.split("\n\n")[1].splitlines()[0]
    assert all(column.title in head for column in report.COLUMNS if column.title != "parity")


def test_what_tells_arms_apart_is_never_left_out(drawn: Result, capsys: pytest.CaptureFixture[str]) -> None:
    several = renamed(drawn, (NAMES[0],) * 3)
    arms = [
        dataclasses.replace(arm, arm=dataclasses.replace(arm.arm, threads=at))
        for at, arm in enumerate(several.arms, start=1)
    ]
    benchmark_report.show(dataclasses.replace(several, arms=arms), Output())
    lines = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert "threads" in lines[0] + lines[1]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("saved", [True, False])
def test_what_is_next_can_be_copied(
    drawn: Result, saved: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    files = (tmp_path / "a result.json", tmp_path / "table.md") if saved else ()
    asked_for = dataclasses.replace(drawn, argv=["benchmark", "my model.tflite", "--no-raw", "--profile", "quick"])
    benchmark_report.show(asked_for, Output(files=files))
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("Saved: ")] == [f"Saved: {file}" for file in files]
    again = "  edge-squeeze benchmark 'my model.tflite' --profile quick --out FILE.json"
    assert (again in lines) is not saved
    assert lines.count("Next:") == (0 if saved else 1)


@pytest.mark.parametrize("columns", [80, 120])
def test_a_comparison_fits_and_says_below_why_it_is_open(
    drawn: Result, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for comparison in drawn.comparisons:
        name = f"{NAMES[0]} litert 1"
        comparisons = [
            dataclasses.replace(comparison, base=name, cand=name, reason="different conditions: processor was A, is B")
        ]
        benchmark_report.show_comparisons(comparisons, as_json=False)
        lines = capsys.readouterr().out.splitlines()
        assert lines[2].split()[0] == "arm"
        assert lines[3].startswith(f"{name}  ")
        assert lines[3].endswith(comparison.verdict)
        assert max(map(len, lines)) <= min(columns, 100)
        assert len(lines[3]) <= 80
        assert f"{name}, p50: " in "\n".join(lines[4:])
        assert "processor was A, is B" in " ".join(line.strip() for line in lines)


def test_devices_stand_side_by_side_where_they_fit(
    drawn: Result, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    boards = [
        Measured("ssh:pi4", "pi4", renamed(drawn, ("a", "b", "c"))),
        Measured("ssh:gone", "gone", None, DeviceError("ssh:gone: it does not answer.\nIs it on?")),
    ]
    benchmark_report.show_boards(boards, Output())
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert re.fullmatch(r"arm +engine +threads +pi4 p50 ms +95 % +trust +gone p50 ms +95 % +trust", lines[0])
    assert [line.split()[0] for line in lines[1:4]] == ["a", "b", "c"]
    assert all(line.endswith("-") for line in lines[1:4])
    assert "\nssh:gone: it does not answer.\nIs it on?\n" in text


def test_devices_have_tables_of_their_own_where_they_do_not_fit(
    drawn: Result, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    boards = [Measured(f"ssh:{name}", name, drawn) for name in ("pi4", "pi5")]
    benchmark_report.show_boards(boards, Output())
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for block in re.split(r"(?m)^(?=ssh:)", text)[1:]:
        table = block[block.index("\n\narm") :].splitlines()[2:]
        assert [line.split()[0] for line in table[1:4]] == list(NAMES)
    benchmark_report.show_boards(boards, Output(verbose=True))
    first = capsys.readouterr().out.splitlines()[0]
    assert first.index("pi4 p50 ms") < first.index("pi5 p50 ms")


@pytest.mark.parametrize(("status", "blamed"), [(FAIL, True), (WARN, True), (PASS, False), (UNKNOWN, False)])
def test_other_programs_are_blamed_for_a_slow_end_only_where_they_were_seen(
    drawn: Result, status: str, blamed: bool
) -> None:
    throttled = Sustained(5.0, 8.0, 1.6, 30.0, [])
    summary = drawn.arms[0].summary
    assert summary is not None
    arm = dataclasses.replace(
        drawn.arms[0],
        summary=dataclasses.replace(summary, sustained=throttled),
        checks=[Check("waiting", status, None, 0.03)],
    )
    said = " ".join(report.notes(dataclasses.replace(drawn, arms=[arm], comparisons=[])))
    assert "slower from 30 s on" in said
    assert ("possibly because other programs were running" in said) is blamed


def test_every_check_has_a_meaning() -> None:
    assert {name for name, *_ in TABLE} == set(MEANINGS)


def test_a_finding_names_its_arms_once_with_their_values_and_one_hint(drawn: Result) -> None:
    result = many(drawn, lambda at: graded("steal", 0.02 + at / 10, 0.01, 0.10, "Measure at another hour."), 3)
    (finding,) = doubts(result, every=False)
    assert finding == (
        "steal (time taken by the hypervisor) fails, limit 10 %: arm2 22 %, arm1 12 %; "
        "is doubtful, limit 1 %: arm0 2 %. Measure at another hour."
    )


def test_findings_of_many_arms_are_told_as_a_range(drawn: Result) -> None:
    hint = "About {} launches (--launches) would give +-2%."
    result = many(drawn, lambda at: graded("precision", 0.03 + at / 100, 0.02, None, hint.format(10 + at)))
    (finding,) = doubts(result, every=False)
    assert "limit 2 %: all 15 arms 3 % to 17 %, most for arm14. About 24 launches" in finding
    (named,) = doubts(result, every=True)
    assert all(re.search(rf"\barm{at} {at + 3} %", named) for at in range(15))
    some = many(drawn, lambda at: graded("quota", at % 2, 0, 0, "Raise the quota."))
    (finding,) = doubts(some, every=False)
    assert finding == "quota (stops by the CPU quota) fails, limit 0: 7 of 15 arms 1. Raise the quota."
    words = many(drawn, lambda at: Check("thermal", FAIL, "throttled" if at else "under-voltage", None, "Cool it."))
    (finding,) = doubts(words, every=False)
    assert finding == "thermal (throttling) fails: all 15 arms under-voltage or throttled. Cool it."


def test_fifteen_arms_with_every_fault_are_told_in_few_lines(
    drawn: Result, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    faults: dict[str, list[Check]] = {}
    for name, make, cases in TABLE:
        made = [make(value) for value, status in cases if status in (WARN, FAIL)]
        faults.setdefault(name, []).extend(check for checks in made for check in checks if check.id == name)
    faults = {name: variants for name, variants in faults.items() if variants}
    spoilt = many(drawn, lambda at: faults["steal"][0])
    arms = [
        dataclasses.replace(
            arm,
            arm=dataclasses.replace(arm.arm, name=f"squeezenet1.1-tflite-float32-{at}"),
            checks=[variants[at % len(variants)] for variants in faults.values()],
        )
        for at, arm in enumerate(spoilt.arms)
    ]
    findings = list(doubts(dataclasses.replace(spoilt, arms=arms), every=False))
    assert {finding.partition(" (")[0] for finding in findings} == faults.keys()
    assert len(findings) <= len(faults) + 8, "few checks know several causes"
    assert all(len(textwrap.wrap(finding, 80)) <= 5 for finding in findings)
    busy = [
        dataclasses.replace(arm, checks=[c for c in arm.checks if c.id in ("waiting", "preemption", "steal")])
        for arm in arms
    ]
    benchmark_report.show(dataclasses.replace(spoilt, arms=busy), Output())
    notes = capsys.readouterr().out.split("\n\n")[2].splitlines()
    assert len(notes) <= 3 * 5 + 2, "five lines for each of three kinds, and two about how it was measured"


def test_all_gates_print_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = measure(three_files(tmp_path), FakeDevice({"a.": 8.0, "b.": 4.0, "c.": 8.0}), BenchmarkOptions(gate=GATES))
    benchmark_report.show(result, Output())
    text = capsys.readouterr().out
    assert re.search(r"(?m)^p90 of b\.tflite: improvement, 0\.5\d times the baseline's$", text)
