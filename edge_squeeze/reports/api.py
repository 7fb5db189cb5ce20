"""`edge_squeeze.report`, the public function: what the command of that name does, from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_squeeze.models import keras_settings

if TYPE_CHECKING:
    from edge_squeeze.reporting import Reporter
    from edge_squeeze.reports.document import Report


@keras_settings.preserved()
def report(
    artifacts: str | Path | Sequence[str | Path],
    *,
    benchmark: str | Path | Sequence[str | Path] | None = None,
    evaluation: str | Path | Sequence[str | Path] | None = None,
    debug_result: str | Path | Sequence[str | Path] | None = None,
    images: str | Path | None = None,
    skip_unreadable: bool = False,
    original: str | Path | None = None,
    custom_objects: str | None = None,
    trust_file: bool = False,
    runtime: str | None = None,
    out: str | Path = "report.html",
    history: str | Path | None = None,
    reporter: Reporter | None = None,
    command: str = "edge_squeeze.report",
) -> Report:
    """What is known of artifacts, written as one page that needs no network, with its data as JSON beside it.

    `.artifacts` has each with its proof, latencies and accuracies.

    Args:
        artifacts: One or several folders that `export` left.
        benchmark: One or several files that `edge-squeeze benchmark --out FILE.json` saved.
        evaluation: One or several files with the output of `edge-squeeze evaluate --json`.
        debug_result: One or several files with the output of `edge-squeeze debug --json`.
        images: Pictures, or a .txt list of them, to compute parity on again; by default the export's proof is shown.
        skip_unreadable, original, custom_objects, trust_file, runtime: As in `verify`, with `images` only.
        out: The page, which ends in .html; the data are saved under the same name with .json.
        history: Folder with data that earlier reports saved, to show how each file changed.
        reporter: Hears of the progress; by default nobody does.
        command: What the page names as the command that made it.

    Raises:
        UsageError: An artifact, a picture or a saved document cannot be used, or has figures of other files.
        ConversionError: An engine refuses a file.
        MissingDependencyError: jinja2 is not installed, or, with `images`, no engine for a file.
    """
    keywords = locals()
    from edge_squeeze.reporting import Silent
    from edge_squeeze.reports import report as reports
    from edge_squeeze.reports.options import ReportOptions

    several = [artifacts] if isinstance(artifacts, str | Path) else artifacts
    return reports.report([Path(folder) for folder in several], ReportOptions.of(keywords), reporter or Silent())
