"""What `edge-squeeze benchmark` and `compare` show, save and exit with."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_squeeze import api
from edge_squeeze.benchmarks import benchmark, boards, model_files, report, result_files
from edge_squeeze.benchmarks.arms import ALL
from edge_squeeze.benchmarks.boards import Measured
from edge_squeeze.benchmarks.checks import INVALID
from edge_squeeze.benchmarks.headline import headline
from edge_squeeze.benchmarks.launch_records import as_json as to_dict
from edge_squeeze.benchmarks.model_files import ModelFile
from edge_squeeze.benchmarks.options import BenchmarkOptions
from edge_squeeze.benchmarks.result import ArmResult, Comparison, Result
from edge_squeeze.cli import exits
from edge_squeeze.cli.console import ConsoleReporter, print_json, print_next, print_prose, print_text
from edge_squeeze.cli.tables import fits, print_table
from edge_squeeze.devices.address import Address
from edge_squeeze.errors import ExitCode, UsageError
from edge_squeeze.reporting import Column

SCHEMA = "edge_squeeze.compare/1"
NO_RAW = "--no-raw"  # which keeps no samples
NOTHING_TO_COMPARE = "--fail-on-regression compares arms with the first one. Required: at least two. Got: one."
DIFFERENT_NETWORKS = (
    "--fail-on-regression compares files of one network, and each of these is of another. Required: at least two files "
    "of a network, or --across-networks, which compares all files with the first."
)
METRIC = 1  # of COMPARED
LARGEST_OWN_MARGIN = 0.10  # of a gate, without a floor
COMPARED = (
    Column("arm", text=True),
    Column("metric", text=True),
    Column("ratio"),
    Column("95 %"),
    Column("allowed", 2),
    Column("trust"),
    Column("verdict", text=True),
)
ARM, ENGINE, THREADS = Column("arm", text=True), Column("engine", 2, text=True), Column("threads", 1)
Row = tuple[str, str, int]  # model, engine, and which of its numbers of threads


@dataclass(frozen=True)
class Output:
    """How a result is shown, saved to `files` and turned into an exit code."""

    as_json: bool = False
    raw: bool = True
    files: tuple[Path, ...] = ()
    strict: bool = False
    fail_on_regression: bool = False
    verbose: bool = False


def run(
    files: Sequence[Path],
    options: BenchmarkOptions,
    replay: Path | None,
    addresses: Sequence[Address],
    output: Output,
    *,
    setup: bool,
) -> int:
    """The exit code of `benchmark`, after everything was shown and saved."""
    result_files.check_names(output.files)
    if replay is not None:
        _check_replay(replay, files, addresses)
        result = api.replay(replay, gate=options.gate)
        show(result, output, replayed=True)
        return exit_code(result, output)
    models = model_files.read_all(files)
    if output.fail_on_regression:
        check_comparable(models, options)
    if not addresses:
        result = benchmark.run(models, options, ConsoleReporter(animated=False))
        show(result, output)
        return exit_code(result, output)
    measured = boards.measure(models, addresses, options, exits.tell, setup=setup)
    if len(measured) == 1:
        show(measured[0].raised(), output)
        return exit_code(measured[0].raised(), output)
    show_boards(measured, output)
    codes = [exit_code(board.result, output) for board in measured if board.result]
    return boards.failure(measured) or next(filter(None, codes), 0)


def check_comparable(models: Sequence[ModelFile], options: BenchmarkOptions) -> None:
    """Raise UsageError if no two arms will be compared, which is known before they are measured for minutes."""
    several = ALL in options.runtime or len(options.threads) > 1 or len(options.runtime) > 1
    if several or options.aa_floor:
        return
    if len(models) == 1:
        raise UsageError(NOTHING_TO_COMPARE)
    if not options.across_networks and len(set(model_files.groups(models))) == len(models):
        raise UsageError(DIFFERENT_NETWORKS)


def _check_replay(path: Path, files: Sequence[Path], addresses: Sequence[Address]) -> None:
    """Raise UsageError if something is to be measured along with a replay."""
    if files or addresses:
        extra = files[0] if files else f"--device {addresses[0].text}"
        raise UsageError(f"--replay recomputes {path} and measures nothing. Leave {extra} out.")


def show(result: Result, output: Output, *, replayed: bool = False) -> None:
    """Print `result` and save it."""
    result_files.write(result, output.files, raw=output.raw)
    if output.as_json:
        print_json(result_files.to_json(result, raw=output.raw))
        return
    print_prose(*headline(result).splitlines(), "")
    print_table(*report.table(result), every=output.verbose)
    print_prose("", *report.notes(result, every=output.verbose), later="  ")
    print_text(*(f"Saved: {path}" for path in output.files))
    if not output.files and not replayed:
        again = shlex.join(["edge-squeeze", *(word for word in result.argv if word != NO_RAW)]) + " --out FILE.json"
        print_next(
            again, "edge-squeeze compare OLD.json NEW.json", advice=["keep every sample, and compare two results:"]
        )


def exit_code(result: Result, output: Output) -> int:
    """The exit code of `benchmark` for `result`."""
    invalid = any(arm.summary and arm.validity == INVALID for arm in result.arms)
    if (output.strict and invalid) or result.floor_refused:
        return ExitCode.UNTRUSTWORTHY
    if output.fail_on_regression and not result.comparisons:
        raise UsageError(NOTHING_TO_COMPARE if len(result.arms) == 1 else DIFFERENT_NETWORKS)
    code = report.failed_ci(result.comparisons) if output.fail_on_regression else 0
    return code or (ExitCode.FAILED_CONVERSION if any(arm.failure for arm in result.arms) else 0)


def show_comparisons(comparisons: Sequence[Comparison], *, as_json: bool, verbose: bool = False) -> None:
    """Print what comparing two results gave, all columns if `verbose`."""
    if as_json:
        print_json({"schema": SCHEMA, "comparisons": list(map(to_dict, comparisons))})
        return
    counts = Counter(pair.verdict for pair in comparisons)
    print_prose(f"{', '.join(f'{number} {verdict}' for verdict, number in counts.items())}.", "")
    columns = list(COMPARED)
    if len({pair.metric for pair in comparisons}) == 1:
        columns[METRIC] = dataclasses.replace(columns[METRIC], rank=1)
    print_table(columns, list(map(_compared_row, comparisons)), every=verbose)
    print_prose("", *_remarks(comparisons), later="  ")


def _compared_row(pair: Comparison) -> tuple[str, ...]:
    interval = "-" if pair.ci95 is None else "-".join(map(_ratio, pair.ci95))
    return _arms(pair), pair.metric, _ratio(pair.ratio), interval, f"+-{pair.delta:.0%}", pair.validity, pair.verdict


def _remarks(comparisons: Sequence[Comparison]) -> Iterator[str]:
    yield "ratio: the later time divided by the earlier one. Between sessions, less than 5 % never counts as a change."
    if any(pair.delta > LARGEST_OWN_MARGIN for pair in comparisons):
        yield "Margins above that come from the device's A/A floor at the time of measuring."
    for pair in comparisons:
        verdict = report.verdict_text(pair)
        if pair.reason or verdict != pair.verdict:
            yield f"{_arms(pair)}, {pair.metric}: {verdict}{f': {pair.reason}' if pair.reason else ''}"
    forced = dict.fromkeys(diff for pair in comparisons if pair.reason is None for diff in pair.fingerprint_diff)
    yield from (f"Compared despite a difference: {difference}." for difference in forced)


def _arms(pair: Comparison) -> str:
    return pair.cand if pair.cand == pair.base else f"{pair.base} -> {pair.cand}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def comparison_code(comparisons: Sequence[Comparison], *, strict: bool) -> int:
    """The exit code of `compare`."""
    invalid = strict and any(pair.validity == INVALID for pair in comparisons)
    return ExitCode.UNTRUSTWORTHY if invalid else report.failed_ci(comparisons)


def show_boards(measured: Sequence[Measured], output: Output) -> None:
    """Print the results of several devices, and save each to files of its own."""
    saved = [path for board in measured if board.result is not None for path in _save(board, output)]
    if output.as_json:
        print_json(several_as_json(measured, raw=output.raw))
        return
    columns, rows = side_by_side(measured)
    together = output.verbose or fits(columns, rows)
    if together:
        print_table(columns, rows, every=output.verbose)
    for number, board in enumerate(measured):
        print_text(*([""] if number or together else []))
        lines = enumerate(_board_lines(board, every=output.verbose))
        print_prose(*(line if at else f"{board.name}: {line}" for at, line in lines), later="  ")
        if not together and board.result is not None:
            print_text("")
            print_table(*report.table(board.result))
    print_text(*(["", *(f"Saved: {path}" for path in saved)] if saved else []))


def several_as_json(measured: Sequence[Measured], *, raw: bool) -> dict[str, Any]:
    """The document of several devices; one that failed has an `error` in place of a result."""
    devices = [
        {"device": board.name, "result": result_files.to_json(board.result, raw=raw)}
        if board.result is not None
        else {"device": board.name, "result": None, "error": str(board.error)}
        for board in measured
    ]
    return {"schema": result_files.SEVERAL, "devices": devices}


def side_by_side(measured: Sequence[Measured]) -> tuple[list[Column], list[list[str]]]:
    """The columns, and a row for each arm: its p50 with the interval, and whether to trust it, by device."""
    by_board = [_by_row(board) for board in measured]
    figures = [Column(word) for board in measured for word in (f"{board.slug} p50 ms", "95 %", "trust")]
    rows = dict.fromkeys(row for arms in by_board for row in arms)
    return [ARM, ENGINE, THREADS, *figures], [_cells_of_row(row, by_board) for row in rows]


def _by_row(board: Measured) -> dict[Row, ArmResult]:
    """The arms of a device. If it chose the number of threads itself, arms are matched by their place instead."""
    rows: dict[Row, ArmResult] = {}
    for arm in board.result.arms if board.result else []:
        place = sum(row[:2] == (arm.arm.name, arm.arm.engine_name) for row in rows)
        rows[arm.arm.name, arm.arm.engine_name, place] = arm
    return rows


def _cells_of_row(row: Row, by_board: Sequence[dict[Row, ArmResult]]) -> list[str]:
    arms = [rows.get(row) for rows in by_board]
    threads = dict.fromkeys(str(arm.arm.threads) for arm in arms if arm is not None)
    return [row[0], row[1], " / ".join(threads), *(cell for arm in arms for cell in _cells(arm))]


def _cells(arm: ArmResult | None) -> tuple[str, str, str]:
    if arm is None or arm.summary is None:
        return report.NOTHING, report.NOTHING, "failed" if arm else report.NOTHING
    return report.ms(arm.summary.p50_ms), report.interval(arm.summary.p50_ci95), arm.validity


def _board_lines(board: Measured, *, every: bool) -> Iterator[str]:
    if board.result is None:
        yield from str(board.error).removeprefix(f"{board.name}: ").splitlines()
        return
    yield from headline(board.result).splitlines()
    yield from (f"  {note}" for note in report.notes(board.result, every=every))


def _save(board: Measured, output: Output) -> list[Path]:
    paths = [path.with_name(f"{path.stem}-{board.slug}{path.suffix}") for path in output.files]
    result_files.write(board.raised(), paths, raw=output.raw)
    return paths
