"""A result in other formats: Markdown for people, CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

from edge_squeeze.benchmarks import result as results
from edge_squeeze.benchmarks.reports import report
from edge_squeeze.benchmarks.result import ArmResult, Result
from edge_squeeze.errors import UsageError

CSV_COLUMNS: dict[str, Callable[[ArmResult], object]] = {
    "arm": lambda one: one.arm.id,
    "model": lambda one: one.arm.name,
    "engine": lambda one: one.arm.engine_name,
    "threads": lambda one: one.arm.threads,
    "bytes": lambda one: one.arm.size_bytes,
    "parity": lambda one: one.correctness.gate,
    "validity": lambda one: one.validity if one.summary else "",
    "failure": lambda one: one.failure or "",
}
FIGURES = (
    "p50_ms", "p50_ci95", "p90_ms", "p95_ms", "p99_ms", "mean_ms", "floor_ms", "mad_ms", "n_launches", "n_samples",
    "invoke_only_ms", "cpu_ms", "import_ms", "load_init_ms", "cold_load_ms", "first_ms", "peak_rss_bytes",
)  # fmt: skip


def markdown(result: Result) -> str:
    """A table with the device and the date."""
    device, cpu = result.device.device, result.device.cpu
    where = ", ".join(filter(None, (device.model, cpu.name, device.os, device.kind)))
    versions = {f"{one.arm.engine} {one.launches[0].served.version}" for one in result.arms if one.launches}
    lines = [
        report.headline(result),
        "",
        f"Device: {where}. Engines: {', '.join(sorted(versions))}. Date: {result.created_utc[:10]}.",
        "",
        _line(report.COLUMNS),
        _line(["---"] * len(report.COLUMNS)),
        *map(_line, report.rows(result)),
        "",
        *(f"- {note}" for note in report.notes(result)),
    ]
    return "\n".join(lines) + "\n"


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def as_csv(result: Result) -> str:
    """A line per arm, with every figure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*CSV_COLUMNS, *FIGURES])
    for one in result.arms:
        figures = [getattr(one.summary, name) if one.summary else None for name in FIGURES]
        writer.writerow([read(one) for read in CSV_COLUMNS.values()] + [_cell(value) for value in figures])
    return text.getvalue()


def _cell(value: object) -> object:
    return "" if value is None else " ".join(map(str, value)) if isinstance(value, list) else value


WRITERS: dict[str, Callable[[Result, bool], str]] = {
    ".json": lambda result, raw: results.dumps(results.to_json(result, raw=raw)),
    ".csv": lambda result, _: as_csv(result),
    ".md": lambda result, _: markdown(result),
}


def check(paths: list[Path]) -> None:
    """Raise UsageError, before anything is measured, for an --out that cannot be written."""
    for path in paths:
        if path.suffix.lower() not in WRITERS:
            raise UsageError(f"--out must end in {', '.join(WRITERS)}, got {path}.")
        if path.is_dir():
            raise UsageError(f"--out {path} is a folder. Required: a file that ends in {', '.join(WRITERS)}.")


def write(result: Result, paths: list[Path], *, raw: bool) -> None:
    """Write `result` to each of `paths`, in the format that its name ends in."""
    for path in paths:
        results.save(path, WRITERS[path.suffix.lower()](result, raw))
