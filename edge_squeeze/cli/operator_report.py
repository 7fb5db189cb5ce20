"""What `benchmark --profile-ops` shows: how long each layer of a file takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_squeeze.benchmarks import model_files
from edge_squeeze.benchmarks.model_files import ModelFile
from edge_squeeze.benchmarks.options import BenchmarkOptions
from edge_squeeze.cli.console import ConsoleReporter, print_json, print_prose, print_text
from edge_squeeze.cli.tables import print_table
from edge_squeeze.engines.catalogue import choose
from edge_squeeze.errors import ConversionError, UsageError
from edge_squeeze.inspection import operator_times
from edge_squeeze.inspection.operator_times import OperatorTime, by_layer
from edge_squeeze.reporting import Column

SCHEMA = "edge_squeeze.operators/1"
MOST_KINDS = 2  # of the operators of a layer, in a cell


@dataclasses.dataclass(frozen=True)
class Profiled:
    """A file and the times of its operators."""

    file: ModelFile
    runtime: str
    times: list[OperatorTime]

    def to_dict(self) -> dict[str, Any]:
        """The entry of the JSON document."""
        return {
            "name": self.file.name,
            "file": self.file.shown,
            "sha256": self.file.sha256,
            "runtime": self.runtime,
            "total_us": sum(each.us for each in self.times),
            "layers": by_layer(self.times),
            "operators": [dataclasses.asdict(each) for each in self.times],
        }


def run(
    files: Sequence[Path], options: BenchmarkOptions, refused: Sequence[str], *, as_json: bool, verbose: bool
) -> None:
    """Profile `files` and print what each layer takes; UsageError for options in `refused`, which go unheeded.

    Args:
        files: Model files or artifacts.
        options: Of these, the first runtime and number of threads.
        refused: Other options that were given.
        as_json: Whether to print one JSON document instead.
        verbose: Whether to show every column.
    """
    if refused or len(options.runtime) > 1 or len(options.threads) > 1:
        wrong = refused[0] if refused else "--runtime and --threads with several values"
        raise UsageError(
            f"--profile-ops times the operators of files on this machine, with one runtime and one number of threads. "
            f"{wrong} does not apply. Leave it out."
        )
    models = model_files.read_all(files)
    runtime, threads = next(iter(options.runtime), None), next(iter(options.threads), 1)
    names = [choose(model.format, runtime) for model in models]
    reporter, profiled = ConsoleReporter(), []
    for model, name in zip(models, names, strict=True):
        with reporter.step(f"time of each operator of {model.name}"):
            times = _times(model, name, threads)
        profiled.append(Profiled(model, name, times))
    if as_json:
        print_json({"schema": SCHEMA, "threads": threads, "files": [each.to_dict() for each in profiled]})
        return
    _show(profiled, threads, verbose=verbose)


def _times(model: ModelFile, runtime: str, threads: int) -> list[OperatorTime]:
    """The times of the operators of `model`; UsageError if the file is damaged."""
    try:
        return operator_times.measure(model.path.read_bytes(), model.format, runtime, threads)
    except ConversionError as error:
        if model.damaged:
            raise UsageError(model.refusal(str(error))) from error
        raise


def _show(profiled: Sequence[Profiled], threads: int, *, verbose: bool) -> None:
    """Print a row for each layer, and a column for each file."""
    print_text("")
    letters = [chr(ord("A") + at % 26) for at in range(len(profiled))]
    several = len(profiled) > 1
    for letter, each in zip(letters, profiled, strict=True):
        total = sum(time.us for time in each.times)
        start = f"{letter}: " if several else ""
        plural = "" if threads == 1 else "s"
        print_prose(f"{start}{each.file.name}, {total:,.0f} us in all, with {each.runtime}, {threads} thread{plural}")
    sums = [by_layer(each.times) for each in profiled]
    layers = list(dict.fromkeys(layer for each in sums for layer in each))
    first = sums[0]
    total = sum(first.values()) or 1.0
    columns = [Column("layer", text=True, cut=True), Column("operators", 3, text=True)]
    columns += [Column(f"{letter} us" if several else "us") for letter in letters]
    columns += [Column(f"{letter} - A", 1) for letter in letters[1:]] or [Column("share", 1)]
    rows = []
    for layer in layers:
        us = [each.get(layer) for each in sums]
        more = [_difference(value, us[0]) for value in us[1:]] or [f"{(us[0] or 0.0) / total:.1%}"]
        rows.append(
            [layer, _kinds(profiled, layer), *("" if value is None else f"{value:,.0f}" for value in us), *more]
        )
    print_table(columns, rows, every=verbose)


def _difference(value: float | None, base: float | None) -> str:
    return "" if value is None or base is None else f"{value - base:+,.0f}"


def _kinds(profiled: Sequence[Profiled], layer: str) -> str:
    kinds = list(dict.fromkeys(time.kind for each in profiled for time in each.times if time.layer == layer))
    more = f" and {len(kinds) - MOST_KINDS} more" if len(kinds) > MOST_KINDS else ""
    return ", ".join(kinds[:MOST_KINDS]) + more
