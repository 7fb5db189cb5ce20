"""`edge-squeeze doctor`: shows what this installation can do."""

from __future__ import annotations

import typer

from edge_squeeze.cli import arguments as arg
from edge_squeeze.errors import ExitCode


def doctor(json_: arg.Json = False) -> None:
    """Show what this installation can do on this machine, and the command that installs what is missing."""
    from edge_squeeze.cli import doctor_report
    from edge_squeeze.cli.console import ConsoleReporter
    from edge_squeeze.doctor import examination

    diagnosis = examination.examine(reporter=ConsoleReporter())
    doctor_report.show(diagnosis, as_json=json_)
    if not diagnosis.ready:
        raise typer.Exit(ExitCode.MISSING_DEPENDENCY)
