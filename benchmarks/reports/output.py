"""What the commands `benchmark` and `compare` print, and what they end with."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge_squeeze.benchmarks import result as results
from edge_squeeze.benchmarks.checks import INVALID
from edge_squeeze.benchmarks.launches.records import as_json as to_dict
from edge_squeeze.benchmarks.reports import documents, report
from edge_squeeze.benchmarks.reports.headline import headline
from edge_squeeze.benchmarks.result import Comparison, Result
from edge_squeeze.console import print_json, print_next, print_prose, print_text
from edge_squeeze.errors import UsageError
from edge_squeeze.tables import Column, print_table

SCHEMA = "edge_squeeze.compare/1"
UNTRUSTWORTHY, PARTLY = 7, 4
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


def show(
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
        return UNTRUSTWORTHY
    if fail_on_regression and not result.comparisons:
        raise UsageError(NOTHING_TO_COMPARE if len(result.arms) == 1 else NOT_OF_ONE_NETWORK)
    code = report.failed_ci(result.comparisons) if fail_on_regression else 0
    return code or (PARTLY if any(one.failure for one in result.arms) else 0)


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
    return UNTRUSTWORTHY if invalid else report.failed_ci(found)
