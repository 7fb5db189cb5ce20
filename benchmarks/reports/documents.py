"""A result in other formats: Markdown for people, CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Callable
from pathlib import Path

from edge_squeeze.benchmarks import result as results
from edge_squeeze.benchmarks.comparison import P50
from edge_squeeze.benchmarks.reports import report
from edge_squeeze.benchmarks.reports.headline import headline
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
    "interval_low_ms": lambda one: one.summary.p50_ci95[0] if one.summary and one.summary.p50_ci95 else "",
    "interval_high_ms": lambda one: one.summary.p50_ci95[1] if one.summary and one.summary.p50_ci95 else "",
}
SESSION_COLUMNS: dict[str, Callable[[Result], object]] = {
    "created_utc": lambda result: result.created_utc,
    "session": lambda result: result.session_id,
    "profile": lambda result: result.profile.name,
    "device": lambda result: result.device.device.id_hash,
    "processor": lambda result: result.device.cpu.name,
}
FIGURES = (
    "p50_ms", "p90_ms", "p95_ms", "p99_ms", "mean_ms", "floor_ms", "mad_ms", "n_launches", "n_samples",
    "invoke_only_ms", "cpu_ms", "import_ms", "load_init_ms", "cold_load_ms", "first_ms", "peak_rss_bytes",
)  # fmt: skip


def markdown(result: Result) -> str:
    """A table with the device and the date."""
    device, cpu = result.device.device, result.device.cpu
    columns, rows = report.table(result)
    where = ", ".join(filter(None, (device.model, cpu.name, device.os, device.kind)))
    versions = {f"{one.arm.engine} {one.launches[0].served.version}" for one in result.arms if one.launches}
    lines = [
        *(word for line in headline(result).splitlines() for word in (line, "")),
        f"Command: `edge-squeeze {shlex.join(result.argv)}`; seed {result.seed}.",
        "",
        f"Device: {where}. Engines: {', '.join(sorted(versions))}. Date: {result.created_utc[:10]}.",
        "",
        _line([column.title for column in columns]),
        _line(["---"] * len(columns)),
        *map(_line, rows),
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
    writer.writerow([*CSV_COLUMNS, *FIGURES, "verdict", *SESSION_COLUMNS])
    verdicts = {one.cand: one.verdict for one in result.comparisons if one.metric == P50}
    for one in result.arms:
        figures = [getattr(one.summary, name) if one.summary else None for name in FIGURES]
        session = [read(result) for read in SESSION_COLUMNS.values()]
        own = [read(one) for read in CSV_COLUMNS.values()]
        writer.writerow(
            [*own, *("" if one is None else one for one in figures), verdicts.get(one.arm.id, ""), *session]
        )
    return text.getvalue()


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
