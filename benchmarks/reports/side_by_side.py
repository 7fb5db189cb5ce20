"""Results of several devices: in one table, an arm a row, where that is not too wide, else a table for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edge_squeeze.benchmarks import result as results
from edge_squeeze.benchmarks.elsewhere import Measured
from edge_squeeze.benchmarks.reports import documents, report
from edge_squeeze.benchmarks.reports.headline import headline
from edge_squeeze.benchmarks.result import ArmResult
from edge_squeeze.console import print_json, print_prose, print_text
from edge_squeeze.tables import Column, fits, print_table

ARM, ENGINE, THREADS = Column("arm", text=True), Column("engine", 2, text=True), Column("threads", 1)
Row = tuple[str, str, int]  # model, engine, and which of its numbers of threads


def show(found: Sequence[Measured], *, as_json: bool, raw: bool, saved: Sequence[Path], verbose: bool = False) -> None:
    """Print what the devices found, and save the result of each to files of its own."""
    written = [_save(one, saved, raw=raw) for one in found if one.result is not None]
    if as_json:
        print_json(to_json(found, raw=raw))
        return
    columns, rows = table(found)
    together = verbose or fits(columns, rows)
    if together:
        print_table(columns, rows, every=verbose)
    for at, one in enumerate(found):
        print_text(*([""] if at or together else []))
        print_prose(
            *(f"{'' if at else f'{one.name}: '}{line}" for at, line in enumerate(_said(one, every=verbose))), later="  "
        )
        if not together and one.result is not None:
            print_text("")
            print_table(*report.table(one.result))
    paths = [path for group in written for path in group]
    print_text(*(["", *(f"Saved: {path}" for path in paths)] if paths else []))


def to_json(found: Sequence[Measured], *, raw: bool) -> dict[str, Any]:
    """The document of several devices; one that failed has an `error` in place of a result."""
    devices = [
        {"device": one.name, "result": results.to_json(one.result, raw=raw)}
        if one.result is not None
        else {"device": one.name, "result": None, "error": str(one.error)}
        for one in found
    ]
    return {"schema": results.SEVERAL, "devices": devices}


def table(found: Sequence[Measured]) -> tuple[list[Column], list[list[str]]]:
    """The columns, and a row for each arm: its p50 with the interval, and whether to trust it, by device."""
    arms = [_by_row(one) for one in found]
    figures = [Column(word) for one in found for word in (f"{one.slug} p50 ms", "95 %", "trust")]
    columns = [ARM, ENGINE, THREADS, *figures]
    return columns, [_row(row, arms) for row in dict.fromkeys(row for one in arms for row in one)]


def _by_row(one: Measured) -> dict[Row, ArmResult]:
    """The arms of a device. Where it chose the number of threads itself, the first is still that of the others."""
    rows: dict[Row, ArmResult] = {}
    for arm in one.result.arms if one.result else []:
        place = sum(row[:2] == (arm.arm.name, arm.arm.engine_name) for row in rows)
        rows[arm.arm.name, arm.arm.engine_name, place] = arm
    return rows


def _row(row: Row, arms: Sequence[dict[Row, ArmResult]]) -> list[str]:
    there = [one.get(row) for one in arms]
    threads = dict.fromkeys(str(arm.arm.threads) for arm in there if arm is not None)
    return [row[0], row[1], " / ".join(threads), *(cell for arm in there for cell in _cells(arm))]


def _cells(arm: ArmResult | None) -> tuple[str, str, str]:
    if arm is None or arm.summary is None:
        return report.NOTHING, report.NOTHING, "failed" if arm else report.NOTHING
    return report.ms(arm.summary.p50_ms), report.interval(arm.summary.p50_ci95), arm.validity


def _said(one: Measured, *, every: bool) -> Iterator[str]:
    if one.result is None:
        yield from str(one.error).removeprefix(f"{one.name}: ").splitlines()
        return
    yield from headline(one.result).splitlines()
    yield from (f"  {note}" for note in report.notes(one.result, every=every))


def _save(one: Measured, saved: Sequence[Path], *, raw: bool) -> list[Path]:
    paths = [path.with_name(f"{path.stem}-{one.slug}{path.suffix}") for path in saved]
    documents.write(one.raised(), paths, raw=raw)
    return paths
