"""`edge-squeeze evaluate`: how many labeled pictures files classify correctly, and how sure that is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edge_squeeze.cli import arguments as arg, exits
from edge_squeeze.devices import address as addresses
from edge_squeeze.errors import ExitCode, UnreadablePicturesError, UsageError
from edge_squeeze.evaluation.options import EvaluateOptions
from edge_squeeze.process import output

if TYPE_CHECKING:
    from edge_squeeze.evaluation.result import Comparison, Evaluation, Figures, PictureFigure

SHOWN = 3  # classes and pictures in a line
WITHOUT_ORIGINAL = 3  # columns that need none
KEPT = Path("evaluation.jsonl")  # on a board, whose folder is removed
WIDE = 0.05  # intervals are shown without decimals if they are wider


def evaluate(
    artifacts: arg.Artifacts,
    images: arg.EvaluatedImages,
    labels: arg.PictureLabels = None,
    skip_unreadable: arg.SkipUnreadable = False,
    original: arg.Original = None,
    no_original: arg.NoOriginal = False,
    custom_objects: arg.CustomObjects = None,
    trust_file: arg.TrustFile = False,
    runtime: arg.Runtime = None,
    workers: arg.Workers = None,
    samples: arg.Samples = None,
    cluster: arg.ClusterAddress = None,
    device: arg.Device = None,
    setup: arg.Setup = False,
    fresh: arg.FreshEvaluation = False,
    csv: arg.Csv = None,
    against: arg.Against = None,
    rows: arg.Rows = False,
    json_: arg.Json = False,
    verbose: arg.Verbose = False,
) -> None:
    """Measure the accuracy of artifacts on labeled pictures, and compare it with their original's."""
    board = next(iter(addresses.elsewhere(device, setup=setup, most=1)), None)
    options = EvaluateOptions.of({**locals(), "with_original": not no_original, "board": board and board.text})
    from edge_squeeze.cli.console import ConsoleReporter
    from edge_squeeze.evaluation import against as earlier, document, evaluation as evaluations, figures
    from edge_squeeze.evaluation.board import Board, pack
    from edge_squeeze.pictures.loading import REMEDY

    output.visible(verbose)
    document.check_csv(csv)
    unreadable: UnreadablePicturesError | None = None
    reporter, journal = ConsoleReporter(verbose=verbose), KEPT if rows else None
    executor = None if board is None else Board(board, exits.tell, setup, runtime, workers)
    try:
        result = evaluations.evaluate(artifacts, options, reporter, executor, journal)
    except UnreadablePicturesError as error:
        unreadable, result = error, error.evaluation
    if rows:
        json.dump(pack(result), sys.stdout)
        return
    if csv is not None:
        document.write_csv(result, csv)
    if json_:
        _print_document(result)
    else:
        _show(result, verbose=verbose)
    _name_unreadable(result)
    if unreadable is not None:
        raise UsageError(f"Not every picture could be read. {REMEDY}") from unreadable
    if figures.failed(result.artifacts):
        raise typer.Exit(ExitCode.FAILED_PROOF)
    if code := earlier.exit_code(result.against or []):
        raise typer.Exit(code)


def _print_document(result: Evaluation) -> None:
    from edge_squeeze.evaluation import document

    escaped = (sys.stdout.encoding or "utf-8").lower() not in ("utf-8", "utf8")
    for text in document.lines(result, ascii_only=escaped, command=arg.command_line()):
        sys.stdout.write(text)


def _name_unreadable(result: Evaluation) -> None:
    for text in result.unreadable.values():
        sys.stderr.write(f"Skipped: {text}\n")
    if count := len(result.unreadable):
        sys.stderr.write(f"{count:,} of {len(result.table.pictures):,} pictures could not be read.\n")


def _show(result: Evaluation, *, verbose: bool) -> None:
    from edge_squeeze.cli.console import print_prose
    from edge_squeeze.cli.tables import print_table
    from edge_squeeze.proof.parity import FAIL
    from edge_squeeze.reporting import Column

    columns = (
        Column("artifact", text=True, cut=True),
        Column("top-1 (95 %)"),
        Column("top-5", 3),
        Column("agrees", 2),
        Column("KL", 5),
        Column("drift", 4),
        Column("ratio (95 %)", 1),
        Column("verdict", text=True),
    )
    kept = len(columns) if result.originals else WITHOUT_ORIGINAL
    rows = [_cells(figures)[:kept] for figures in (*result.artifacts, *result.originals)]
    first = result.artifacts[0]
    readable = result.count - len(result.unreadable)
    print_prose("", f"{first.labeled:,} labeled pictures of {readable:,} in {result.source}")
    print_table(columns[:kept], rows, every=verbose)
    for remark in result.remarks:
        print_prose(f"{remark[0].upper()}{remark[1:]}.")
    for figures in result.artifacts:
        if figures.verdict is not None and (verbose or figures.verdict == FAIL or len(result.artifacts) == 1):
            print_prose(f"{figures.name}: {figures.verdict.upper()}, {figures.reason}.")
        if figures.not_finite:
            print_prose(f"{figures.name} gives {figures.not_finite:,} pictures scores that are not finite numbers.")
    _show_comparisons(result.comparisons)
    _show_comparisons(result.against or [])
    for figures in result.artifacts if verbose else result.artifacts[:1]:
        _show_worst(figures)
    _show_rates(result)


def _show_comparisons(comparisons: list[Comparison]) -> None:
    """Print a sentence for each comparison."""
    from edge_squeeze.cli.console import print_prose

    if comparisons:
        print_prose("")
    for each in comparisons:
        if each.difference is None or each.interval is None or each.p_adjusted is None:
            print_prose(f"{each.cand} against {each.base}: {each.verdict}, {each.reason}.", later="  ")
            continue
        low, high = (100 * bound for bound in each.interval)
        pictures = "1 picture is" if each.cand_only == 1 else f"{each.cand_only:,} pictures are"
        alone = f"{pictures} right only with the first, {each.base_only:,} only with the second"
        print_prose(
            f"{each.cand} against {each.base}: {each.verdict}, {100 * each.difference:+.1f} points "
            f"(95 %: {low:+.1f} to {high:+.1f}; p = {each.p_adjusted:.2g}). "
            f"{alone if each.cand_only or each.base_only else 'Both are right on the same pictures'}.",
            later="  ",
        )


def _show_worst(figures: Figures) -> None:
    from edge_squeeze.cli.console import print_prose

    if figures.worst_classes:
        classes = [f"{each.label} ({each.correct} of {each.pictures} right)" for each in figures.worst_classes[:SHOWN]]
        print_prose("", f"Worst classes of {figures.name}: {', '.join(classes)}.", later="  ")
    if figures.worst_pictures:
        kind = "Most confident errors" if figures.labeled else "Pictures furthest from the original's answer"
        pictures = map(_picture, figures.worst_pictures[:SHOWN])
        print_prose(f"{kind}: {'; '.join(pictures)}.", later="  ")


def _picture(each: PictureFigure) -> str:
    right = f", right: {' or '.join(each.right)}" if each.right else ""
    return f"{each.picture} ({each.answer} with {each.confidence:.0%}{right})"


def _show_rates(result: Evaluation) -> None:
    from edge_squeeze.cli.console import print_prose
    from edge_squeeze.evaluation.cluster import Dask
    from edge_squeeze.evaluation.executor import Local

    if (rates := result.rates) is None:
        return
    place = {Local.kind: "", Dask.kind: " of the cluster"}.get(result.executor, f" on {result.executor}")
    workers = f"{result.workers} process{'es' if result.workers > 1 else ''}{place}"
    print_prose(
        "",
        f"{rates.per_s:.1f} pictures/s with {workers} (decoding alone {rates.decode_per_s:.0f}/s, running alone "
        f"{rates.run_per_s:.1f}/s).",
    )


def _cells(figures: Figures) -> tuple[str, ...]:
    return (
        figures.name,
        _share(figures.top1, figures.top1_interval),
        _share(figures.top5),
        _share(figures.agreement),
        "" if figures.kl is None else f"{figures.kl:.2g}",
        "" if figures.confidence_drift is None else f"{100 * figures.confidence_drift:+.1f}",
        _share(figures.ratio, figures.ratio_interval),
        (figures.verdict or "").upper(),
    )


def _share(value: float | None, interval: tuple[float, float] | None = None) -> str:
    if value is None:
        return "-"
    if interval is None:
        return f"{value:.1%}"
    low, high = interval
    digits = 0 if high - low > WIDE else 1
    return f"{value:.1%} ({100 * low:.{digits}f}-{100 * high:.{digits}f})"
