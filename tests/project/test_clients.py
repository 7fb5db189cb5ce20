"""The table of `make clients`, on made-up results; the command itself takes an hour's packages and minutes."""

from __future__ import annotations

import importlib
import inspect
import math

import client_feed
import client_table
import pytest
from client_list import CLIENTS
from client_table import Outcome
from places import ROOT

MODELS = ("1.1", "own")


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([Outcome("1.1", "float32", 3e-6), Outcome("own", "float32", 2e-7)], "3e-6"),
        ([Outcome("1.1", "float32", 0.0), Outcome("own", "float32", 0.0)], "0"),
        ([Outcome("1.1", "int8", 0.1), Outcome("own", "int8", 0.0041)], "1e-1"),
        ([Outcome("1.1", "float32", 3e-6, names=True), Outcome("own", "float32", 2e-7, names=True)], "3e-6, names"),
        (
            [Outcome("1.1", "float32", 3e-6, names=True), Outcome("own", "float32", 2e-7, names=False)],
            "1.1: 3e-6, names; own: 2e-7, no names",
        ),
        (
            [Outcome("1.1", "float32", 3e-6), Outcome("own", "float32", error="no such kernel")],
            "1.1: 3e-6; own: refused",
        ),
        ([Outcome("1.1", "float32", 0.5), Outcome("own", "float32", math.nan)], "**wrong**"),
        ([Outcome("1.1", "int8", 0.05), Outcome("own", "float16", 0.05)], "1.1: 5e-2; own: **wrong**"),
        ([Outcome("1.1", "int8", error="signal 6: abort")], "crashed"),
        ([], "-"),
    ],
)
def test_a_cell_says_what_happened_to_each_model(outcomes: list[Outcome], expected: str) -> None:
    text = client_table.cell(outcomes)
    assert text == expected
    if outcomes:
        said = client_table.holds(text, [outcome.model for outcome in outcomes])
        right = {o.model: not o.error and o.difference <= client_table.LIMITS[o.precision] for o in outcomes}
        assert said == {o.model: (right[o.model], right[o.model] and o.names is True) for o in outcomes}


def table(**cells: str) -> str:
    return client_table.markdown(["float32", "int8"], {name: [cell, "5e-2"] for name, cell in cells.items()})


def test_the_table_is_markdown_that_can_be_read_again() -> None:
    text = table(Reader="3e-6, names", Other="1.1: 3e-6; own: refused")
    assert text.splitlines() == [
        "| client | float32 | int8 |",
        "| --- | --- | --- |",
        "| Reader | 3e-6, names | 5e-2 |",
        "| Other | 1.1: 3e-6; own: refused | 5e-2 |",
    ]
    assert client_table.read(f"Words.\n\n{text}\n\n- more")["Other", "float32"] == "1.1: 3e-6; own: refused"


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("4e-6, names", []),
        ("refused", ["1.1 was read right", "own was read right"]),
        ("1.1: 3e-6, names; own: crashed", ["own was read right"]),
        ("3e-6, no names", ["1.1 had names", "own had names"]),
        ("-", []),
    ],
)
def test_what_a_client_no_longer_reads_is_named(now: str, expected: list[str]) -> None:
    problems = client_table.lost(table(Reader="3e-6, names"), table(Reader=now), MODELS)
    assert [problem.removeprefix("Reader, float32: ").partition(", now")[0] for problem in problems] == expected


def test_a_client_that_is_not_there_or_could_not_read_before_is_no_loss() -> None:
    assert not client_table.lost(table(Reader="refused"), table(Reader="1.1: 3e-6; own: refused"), MODELS)
    assert not client_table.lost(table(Reader="3e-6"), table(Other="refused"), MODELS)
    assert not client_table.lost("", table(Reader="refused"), MODELS)


def test_every_client_has_a_feeder_and_its_versions_pinned() -> None:
    browser = (ROOT / "tests" / "clients" / "browser.mjs").read_text()
    for client in CLIENTS:
        if client.packages:
            assert inspect.isfunction(getattr(client_feed, client.feed))
            assert all("==" in package for package in client.packages)
        else:
            assert f"async {client.feed}(" in browser
    rows = [(client.kind, client.name, client.version) for client in CLIENTS]
    assert len(set(rows)) == len(rows)


def test_the_document_holds_a_table_between_the_marks() -> None:
    run = importlib.import_module("run_clients")
    head, begin, rest = run.DOCUMENT.read_text().partition(run.BEGIN)
    recorded, end, _ = rest.partition(run.END)
    assert all((head, begin, end))
    cells = client_table.read(recorded)
    tried = {client.kind for client in CLIENTS if any(name.startswith(client.name) for name, _ in cells)}
    assert tried == {client.kind for client in CLIENTS}
