"""Tables: a line for each row, in 80 columns, with what was left out named."""

from __future__ import annotations

import re

import pytest

from edge_squeeze.cli.tables import fits, print_table
from edge_squeeze.reporting import Column

COLUMNS = (
    Column("arm", text=True),
    Column("engine", 2, text=True),
    Column("p50 ms"),
    Column("load", 3),
    Column("p90", 1),
    Column("verdict", text=True),
)
ROWS = [("squeezenet1.1-tflite-int8", "litert", "2.50", "7.28", "2.57", "improvement"), ("b", "x", "1", "2", "3", "-")]
LONG = [("squeezenet1.1-tflite-float32-random-classes-10-input-size-64-and-more", *ROWS[0][1:]), ROWS[1]]


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("columns", "left_out"),
    [
        ("200", []),
        ("66", []),
        ("65", ["load"]),
        ("60", ["load"]),
        ("59", ["engine", "load"]),
        ("52", ["engine", "load"]),
        ("51", ["engine", "load", "p90"]),
    ],
)
def test_the_columns_of_the_highest_rank_go_first_and_are_named(
    columns: str, left_out: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    print_table(COLUMNS, ROWS)
    head, *rows = printed(capsys)
    assert [word for word in ("arm", "engine", "load", "p90", "verdict") if word not in head.split()] == left_out
    assert [row.split()[0] for row in rows[:2]] == ["squeezenet1.1-tflite-int8", "b"]
    assert max(map(len, [head, *rows])) <= int(columns)
    note = " ".join(rows[2:])
    assert note == (f"Not shown: {', '.join(left_out)}. See all columns with -v or --json." if left_out else "")


def test_all_columns_are_shown_on_demand_whatever_the_width(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_table(COLUMNS, LONG, every=True)
    lines = printed(capsys)
    assert len(lines) == 3
    assert lines[1].split() == list(LONG[0])


def test_no_table_is_wider_than_80_columns_however_wide_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    print_table(COLUMNS, [("squeezenet1.1-tflite-float32-input-size-64", *ROWS[0][1:])])
    assert max(map(len, printed(capsys))) <= 80


def test_names_that_leave_no_room_get_lines_of_their_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_table(COLUMNS, LONG)
    title, head, name, row, short, _ = printed(capsys)
    assert (title, name, short) == ("arm", LONG[0][0], "b")
    assert head.split() == ["engine", "p50", "ms", "load", "p90", "verdict"]
    assert row.split() == list(LONG[0][1:])
    assert row.index("2.50") + 4 == head.index("p50 ms") + 6, "figures stand below their titles"


def test_cells_that_nobody_copies_lose_their_middle(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_table([Column("name", text=True, cut=True), Column("dtype")], [("a" * 60 + "b" * 60, "int8"), ("c", "x")])
    _, row, short = printed(capsys)
    assert len(row) == 80
    assert re.fullmatch(r"a{36}…b{36}   int8", row)
    assert short.split() == ["c", "x"]


def test_whether_columns_fit_is_known_before_they_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert fits(COLUMNS, ROWS)
    assert not fits(COLUMNS, LONG)
    monkeypatch.setenv("COLUMNS", "40")
    assert not fits(COLUMNS, ROWS)


def test_wide_letters_count_as_what_they_take(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    print_table([Column("name", text=True), Column("a", 1), Column("b")], [("猫" * 10, "1", "2"), ("cat", "3", "4")])
    head, *_ = printed(capsys)
    assert head.split() == ["name", "a", "b"]
    monkeypatch.setenv("COLUMNS", "25")
    print_table([Column("name", text=True), Column("a", 1), Column("b")], [("猫" * 10, "1", "2"), ("cat", "3", "4")])
    assert printed(capsys)[0].split() == ["name", "b"]
