"""What `edge-squeeze benchmark` and `compare` show, save and end with."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_squeeze import api
from edge_squeeze.benchmarks import arms, on_devices, result as results
from edge_squeeze.benchmarks.checks import INVALID
from edge_squeeze.benchmarks.launches.records import as_json as to_dict
from edge_squeeze.benchmarks.on_devices import Measured
from edge_squeeze.benchmarks.reports import documents, report
from edge_squeeze.benchmarks.reports.headline import headline
from edge_squeeze.benchmarks.result import ArmResult, Comparison, Result
from edge_squeeze.cli import exits
from edge_squeeze.cli.console import ConsoleReporter, print_json, print_next, print_prose, print_text
from edge_squeeze.cli.tables import fits, print_table
from edge_squeeze.devices.address import Address
from edge_squeeze.errors import ExitCode, UsageError
from edge_squeeze.reporting import Column

SCHEMA = "edge_squeeze.compare/1"
NOTHING_TO_COMPARE = "--fail-on-regression compares with the first arm. Required: at least two. Got: one."
NOT_OF_ONE_NETWORK = (
    "--fail-on-regression compares files of one network, and each of these is of another. Required: at least two files "
    "of a network, or --across-networks, which compares all with the first."
)
METRIC = 1  # of COMPARED
LARGEST_OWN_MARGIN = 0.10  # of a gate, without a floor
COMPARED = (
    Column("arm", text=True), Column("metric", text=True), Column("ratio"), Column("95 %"), Column("allowed", 2),
    Column("trust"), Column("verdict", text=True),
)  # fmt: skip


ARM, ENGINE, THREADS = Column("arm", text=True), Column("engine", 2, text=True), Column("threads", 1)
Row = tuple[str, str, int]  # model, engine, and which of its numbers of threads


@dataclass(frozen=True)
class Wanted:
    """What the user wants of a result."""

    as_json: bool
    raw: bool
    saved: Sequence[Path]
    strict: bool
    fail_on_regression: bool
    verbose: bool = False


def run(
    files: Sequence[Path], options: Mapping[str, Any], replay: Path | None, addresses: Sequence[Address],
    wanted: Wanted, *, setup: bool,
) -> int:  # fmt: skip
    """What `benchmark` ends with, all said and saved; `options` are those of `api.benchmark`."""
    documents.check(list(wanted.saved))
    if wanted.fail_on_regression and replay is None:
        _check_comparable(files, options)
    if replay is not None:
        _check_replay(replay, files, addresses)
        return _show(api.replay(replay, gate=options["gate"]), wanted, replayed=True)
    if not addresses:
        reporter = ConsoleReporter(animated=False)
        return _show(api.benchmark(files, **options, reporter=reporter), wanted)
    found = on_devices.measure(files, addresses, options, exits.tell, setup=setup)
    if len(found) == 1:
        return _show(found[0].raised(), wanted)
    _show_several(found, as_json=wanted.as_json, raw=wanted.raw, saved=wanted.saved, verbose=wanted.verbose)
    codes = [_code(one.result, wanted) if one.result else 0 for one in found]
    return on_devices.failure(found) or next(filter(None, codes), 0)


def _show(result: Result, wanted: Wanted, *, replayed: bool = False) -> int:
    _show_one(
        result, as_json=wanted.as_json, raw=wanted.raw, saved=wanted.saved, verbose=wanted.verbose, replayed=replayed
    )
    return _code(result, wanted)


def _code(result: Result, wanted: Wanted) -> int:
    return exit_code(result, strict=wanted.strict, fail_on_regression=wanted.fail_on_regression)


def _check_comparable(files: Sequence[Path], options: Mapping[str, Any]) -> None:
    """Raise UsageError if no two arms will be compared, which can be told before they are measured for minutes."""
    several = options["runtime"] == "all" or any("," in str(options[name] or "") for name in ("threads", "runtime"))
    if several or options["aa_floor"] or not files:
        return
    if len(files) == 1:
        raise UsageError(NOTHING_TO_COMPARE)
    if not options["across_networks"] and len(set(arms.groups([arms.read(path) for path in files]))) == len(files):
        raise UsageError(NOT_OF_ONE_NETWORK)


def _check_replay(path: Path, files: Sequence[Path], addresses: Sequence[Address]) -> None:
    """Raise UsageError if something is to be measured along with a replay."""
    if files or addresses:
        what = files[0] if files else f"--device {addresses[0].text}"
        raise UsageError(f"--replay computes {path} anew and measures nothing. Leave {what} out.")


def _show_one(
    result: Result, *, as_json: bool, raw: bool, saved: Sequence[Path], verbose: bool = False, replayed: bool = False
) -> None:
    """Print `result`, all columns and arms if `verbose`, and save it to the files `saved`."""
    documents.write(result, list(saved), raw=raw)
    if as_json:
        print_json(results.to_json(result, raw=raw))
        return
    print_prose(*headline(result).splitlines(), "")
    print_table(*report.table(result), every=verbose)
    print_prose("", *report.notes(result, every=verbose), later="  ")
    print_text(*(f"Saved: {path}" for path in saved))
    if not saved and not replayed:
        again = f"edge-squeeze {shlex.join(result.argv)} --out FILE.json"
        print_next(
            again, "edge-squeeze compare OLD.json NEW.json", advice=["keep every sample, and compare two results:"]
        )


def exit_code(result: Result, *, strict: bool, fail_on_regression: bool) -> int:
    """What `benchmark` ends with."""
    invalid = any(one.summary and one.validity == INVALID for one in result.arms)
    if (strict and invalid) or result.floor_refused:
        return ExitCode.UNTRUSTWORTHY
    if fail_on_regression and not result.comparisons:
        raise UsageError(NOTHING_TO_COMPARE if len(result.arms) == 1 else NOT_OF_ONE_NETWORK)
    code = report.failed_ci(result.comparisons) if fail_on_regression else 0
    return code or (ExitCode.FAILED_CONVERSION if any(one.failure for one in result.arms) else 0)


def show_comparisons(found: Sequence[Comparison], *, as_json: bool, verbose: bool = False) -> None:
    """Print what two results come to, all columns if `verbose`."""
    if as_json:
        print_json({"schema": SCHEMA, "comparisons": [to_dict(one) for one in found]})
        return
    counts = Counter(one.verdict for one in found)
    print_prose(f"{', '.join(f'{number} {verdict}' for verdict, number in counts.items())}.", "")
    rows = [
        (
            _pair(one), one.metric, _ratio(one.ratio), "-" if one.ci95 is None else "-".join(map(_ratio, one.ci95)),
            f"+-{one.delta:.0%}", one.validity, one.verdict,
        )
        for one in found
    ]  # fmt: skip
    columns = list(COMPARED)
    if len({one.metric for one in found}) == 1:
        columns[METRIC] = dataclasses.replace(columns[METRIC], rank=1)
    print_table(columns, rows, every=verbose)
    print_prose("", *_remarks(found), later="  ")


def _remarks(found: Sequence[Comparison]) -> Iterator[str]:
    yield "ratio: the later time to the earlier one. Between sessions less than 5 % is never called a change."
    if any(one.delta > LARGEST_OWN_MARGIN for one in found):
        yield "What is allowed beyond comes from the device's A/A floor when it was measured."
    for one in found:
        if one.reason or report.said(one) != one.verdict:
            yield f"{_pair(one)}, {one.metric}: {report.said(one)}{f': {one.reason}' if one.reason else ''}"
    forced = dict.fromkeys(one for pair in found if pair.reason is None for one in pair.fingerprint_diff)
    yield from (f"Compared in spite of this: {one}." for one in forced)


def _pair(one: Comparison) -> str:
    return one.cand if one.cand == one.base else f"{one.base} -> {one.cand}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def comparison_code(found: Sequence[Comparison], *, strict: bool) -> int:
    """What `compare` ends with."""
    invalid = strict and any(one.validity == INVALID for one in found)
    return ExitCode.UNTRUSTWORTHY if invalid else report.failed_ci(found)


def _show_several(
    found: Sequence[Measured], *, as_json: bool, raw: bool, saved: Sequence[Path], verbose: bool = False
) -> None:
    """Print what the devices found, and save the result of each to files of its own."""
    written = [_save(one, saved, raw=raw) for one in found if one.result is not None]
    if as_json:
        print_json(several_as_json(found, raw=raw))
        return
    columns, rows = side_by_side(found)
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


def several_as_json(found: Sequence[Measured], *, raw: bool) -> dict[str, Any]:
    """The document of several devices; one that failed has an `error` in place of a result."""
    devices = [
        {"device": one.name, "result": results.to_json(one.result, raw=raw)}
        if one.result is not None
        else {"device": one.name, "result": None, "error": str(one.error)}
        for one in found
    ]
    return {"schema": results.SEVERAL, "devices": devices}


def side_by_side(found: Sequence[Measured]) -> tuple[list[Column], list[list[str]]]:
    """The columns, and a row for each arm: its p50 with the interval, and whether to trust it, by device."""
    arms = [_by_row(one) for one in found]
    figures = [Column(word) for one in found for word in (f"{one.slug} p50 ms", "95 %", "trust")]
    columns = [ARM, ENGINE, THREADS, *figures]
    return columns, [_row_of(row, arms) for row in dict.fromkeys(row for one in arms for row in one)]


def _by_row(one: Measured) -> dict[Row, ArmResult]:
    """The arms of a device. Where it chose the number of threads itself, the first is still that of the others."""
    rows: dict[Row, ArmResult] = {}
    for arm in one.result.arms if one.result else []:
        place = sum(row[:2] == (arm.arm.name, arm.arm.engine_name) for row in rows)
        rows[arm.arm.name, arm.arm.engine_name, place] = arm
    return rows


def _row_of(row: Row, arms: Sequence[dict[Row, ArmResult]]) -> list[str]:
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
