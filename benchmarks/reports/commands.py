"""The command `benchmark`: what is measured, here or elsewhere, is shown, saved, and told by an exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edge_squeeze
from edge_squeeze.benchmarks import arms, elsewhere
from edge_squeeze.benchmarks.reports import documents, output, side_by_side
from edge_squeeze.benchmarks.result import Result
from edge_squeeze.console import ConsoleReporter
from edge_squeeze.devices.address import Address
from edge_squeeze.errors import UsageError


@dataclass(frozen=True)
class Wanted:
    """What the user wants of a result."""

    as_json: bool
    raw: bool
    saved: Sequence[Path]
    strict: bool
    fail_on_regression: bool
    verbose: bool = False


def benchmark(
    files: Sequence[Path], options: Mapping[str, Any], replay: Path | None, addresses: Sequence[Address],
    wanted: Wanted, *, setup: bool,
) -> int:  # fmt: skip
    """What `benchmark` ends with, all said and saved; `options` are those of `edge_squeeze.benchmark`."""
    documents.check(list(wanted.saved))
    if wanted.fail_on_regression and replay is None:
        _check_comparable(files, options)
    if replay is not None:
        _check_replay(replay, files, addresses)
        return _show(edge_squeeze.replay(replay, gate=options["gate"]), wanted, replayed=True)
    if not addresses:
        reporter = ConsoleReporter(animated=False)
        return _show(edge_squeeze.benchmark(files, **options, reporter=reporter), wanted)
    found = elsewhere.measure(files, addresses, options, setup=setup)
    if len(found) == 1:
        return _show(found[0].raised(), wanted)
    side_by_side.show(found, as_json=wanted.as_json, raw=wanted.raw, saved=wanted.saved, verbose=wanted.verbose)
    codes = [_code(one.result, wanted) if one.result else 0 for one in found]
    return elsewhere.failure(found) or next(filter(None, codes), 0)


def _show(result: Result, wanted: Wanted, *, replayed: bool = False) -> int:
    output.show(
        result, as_json=wanted.as_json, raw=wanted.raw, saved=wanted.saved, verbose=wanted.verbose, replayed=replayed
    )
    return _code(result, wanted)


def _code(result: Result, wanted: Wanted) -> int:
    return output.exit_code(result, strict=wanted.strict, fail_on_regression=wanted.fail_on_regression)


def _check_comparable(files: Sequence[Path], options: Mapping[str, Any]) -> None:
    """Raise UsageError if no two arms will be compared, which can be told before they are measured for minutes."""
    several = options["runtime"] == "all" or any("," in str(options[name] or "") for name in ("threads", "runtime"))
    if several or options["aa_floor"] or not files:
        return
    if len(files) == 1:
        raise UsageError(output.NOTHING_TO_COMPARE)
    if not options["across_networks"] and len(set(arms.groups([arms.read(path) for path in files]))) == len(files):
        raise UsageError(output.NOT_OF_ONE_NETWORK)


def _check_replay(path: Path, files: Sequence[Path], addresses: Sequence[Address]) -> None:
    """Raise UsageError if something is to be measured along with a replay."""
    if files or addresses:
        what = files[0] if files else f"--device {addresses[0].text}"
        raise UsageError(f"--replay computes {path} anew and measures nothing. Leave {what} out.")
