"""An evaluation as a document: JSON that is read again, with a line for each picture, and CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge_squeeze.errors import UsageError
from edge_squeeze.evaluation.chunks import SIZE
from edge_squeeze.evaluation.result import SCHEMA, Evaluation
from edge_squeeze.files import atomic
from edge_squeeze.version import __version__


def head(evaluation: Evaluation, command: str | None = None) -> dict[str, Any]:
    """The document without its rows; `command` is what made it."""
    rates = evaluation.rates
    return {
        "schema": SCHEMA,
        "tool": {"name": "edge-squeeze", "version": __version__},
        "created_utc": evaluation.created_utc,
        "command": command,
        "source": evaluation.source,
        "artifacts": [asdict(figures) for figures in evaluation.artifacts],
        "originals": [asdict(figures) for figures in evaluation.originals],
        "comparisons": [asdict(comparison) for comparison in evaluation.comparisons],
        "against": evaluation.against and [asdict(comparison) for comparison in evaluation.against],
        "unreadable": [{"picture": name, "error": text} for name, text in evaluation.unreadable.items()],
        "calibrated": evaluation.calibrated,
        "learned": evaluation.learned,
        "notes": evaluation.notes,
        "executor": {"kind": evaluation.executor, "workers": evaluation.workers, "chunk": SIZE},
        "resumed": evaluation.resumed,
        "rates": None if rates is None else {**asdict(rates), "bound_per_s": rates.bound_per_s},
        "columns": evaluation.columns,
    }


def lines(evaluation: Evaluation, *, ascii_only: bool = False, command: str | None = None) -> Iterator[str]:
    """The text of the document in parts, so that many rows need little memory.

    Args:
        evaluation: What it is about.
        ascii_only: Whether other characters are escaped.
        command: What made it, as typed.
    """
    text = json.dumps(head(evaluation, command), indent=2, ensure_ascii=ascii_only, allow_nan=False)
    yield text.removesuffix("\n}") + ',\n  "rows": ['
    separator = "\n    "
    for row in evaluation.table.rows():
        yield separator + json.dumps(row, ensure_ascii=ascii_only, allow_nan=False)
        separator = ",\n    "
    yield "\n  ]\n}\n"


def write_csv(evaluation: Evaluation, path: Path) -> None:
    """Leave a row for each picture in the file `path`; UsageError if it cannot be written."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    hashes = [arm.sha256 for arm in evaluation.table.arms]
    writer.writerow([*evaluation.columns, *(f"{arm.name} sha256" for arm in evaluation.table.arms)])
    for row in evaluation.table.rows():
        writer.writerow(["" if value is None else value for value in (*row, *hashes)])
    try:
        atomic.write_file(path, text.getvalue().encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error}. Give another --csv FILE.") from error


def check_csv(path: Path | None) -> None:
    """Raise UsageError, before any work, if `path` cannot be the file of `write_csv`."""
    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"--csv {path} is a folder. Required: a file, such as {path / 'pictures.csv'}.")
    atomic.check_file(path, "--csv")
