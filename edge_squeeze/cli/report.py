"""`edge-squeeze report`: one page about artifacts, with its data beside it."""

from __future__ import annotations

from pathlib import Path

from edge_squeeze.cli import arguments as arg
from edge_squeeze.process import output


def report(
    artifacts: arg.Artifacts,
    benchmark: arg.SavedBenchmarks = None,
    evaluation: arg.SavedEvaluations = None,
    debug_result: arg.DebugResults = None,
    images: arg.ReportImages = None,
    skip_unreadable: arg.SkipUnreadable = False,
    original: arg.Original = None,
    custom_objects: arg.CustomObjects = None,
    trust_file: arg.TrustFile = False,
    runtime: arg.Runtime = None,
    out: arg.ReportOut = Path("report.html"),
    history: arg.History = None,
    json_: arg.Json = False,
    verbose: arg.Verbose = False,
) -> None:
    """Write one page about artifacts: size, latency, agreement, accuracy, provenance, and which file to take."""
    words = {**locals(), "command": arg.command_line()}
    from edge_squeeze.cli.console import ConsoleReporter, print_json, print_prose, whole
    from edge_squeeze.reports import document, report as reports
    from edge_squeeze.reports.options import ReportOptions

    output.visible(verbose)
    options = ReportOptions.of(words)
    made = reports.report(artifacts, options, ConsoleReporter(verbose=verbose))
    if json_:
        print_json(document.to_json(made))
        return
    for choice in made.choices:
        print_prose("", f"{whole(choice.recommended or f'No recommendation for {choice.title}')}: {choice.reason}")
    print_prose("", f"{whole(str(options.out))} opens in any browser. Its data: {whole(str(options.data))}.")
