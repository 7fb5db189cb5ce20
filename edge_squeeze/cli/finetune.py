"""`edge-squeeze finetune`: have a pretrained network learn other classes; print its accuracy and the next commands."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from edge_squeeze.cli import arguments as arg
from edge_squeeze.networks.variants import DEFAULT_VARIANT
from edge_squeeze.process import output
from edge_squeeze.training.options import FinetuneOptions

if TYPE_CHECKING:
    from edge_squeeze.training.finetuned import Finetuned

SHOWN_CLASSES = 12  # with more, the matrix and the table are in files only
NO_FIGURE = "-"


def finetune(
    model: arg.Model = DEFAULT_VARIANT,
    images: arg.FinetuneImages = None,
    example: arg.Example = None,
    skip_unreadable: arg.SkipUnreadable = False,
    out: arg.TrainOut = FinetuneOptions.out,
    epochs: arg.FinetuneEpochs = FinetuneOptions.epochs,
    unfreeze: arg.Unfreeze = FinetuneOptions.unfreeze,
    batch_size: arg.BatchSize = FinetuneOptions.batch_size,
    learning_rate: arg.HeadLearningRate = FinetuneOptions.learning_rate,
    views: arg.Views = FinetuneOptions.views,
    augment: arg.Augment = None,
    label_smoothing: arg.LabelSmoothing = FinetuneOptions.label_smoothing,
    seed: arg.TrainSeed = FinetuneOptions.seed,
    weights: arg.Weights = None,
    input_size: arg.TrainSize = None,
    preprocessing: arg.Preprocessing = None,
    resize: arg.Resize = None,
    filter: arg.Filter = None,  # noqa: A002
    custom_objects: arg.CustomObjects = None,
    trust_file: arg.TrustFile = False,
    compare: arg.CompareFinetuned = False,
    reject: arg.Reject = False,
    resume: arg.Resume = False,
    *,
    json_: arg.Json = False,
    verbose: arg.Verbose = False,
) -> None:
    """Have a pretrained network learn your classes, from a folder of pictures per class or a CSV file."""
    keywords = {**locals(), "input_size": arg.size(input_size), "command": arg.command_line()}
    from edge_squeeze.cli.console import ConsoleReporter
    from edge_squeeze.training import finetuned

    output.visible(verbose)
    result = finetuned.finetune(FinetuneOptions.of(keywords), ConsoleReporter(verbose=verbose))
    if json_:
        _print_json(result)
    else:
        _show(result, verbose=verbose)


def _print_json(result: Finetuned) -> None:
    from edge_squeeze.cli.console import print_json

    print_json({**dataclasses.asdict(result), "folder": str(result.folder), "learned": result.learned})


def _show(result: Finetuned, *, verbose: bool) -> None:
    from edge_squeeze.cli.console import print_next, print_prose

    low, high = result.interval
    print_prose(
        "",
        f"Test accuracy {result.accuracy:.1%} on {result.tested:,} pictures that had no part in the training "
        f"(95 % interval: {low:.1%} to {high:.1%}).",
    )
    if len(result.labels) <= SHOWN_CLASSES or verbose:
        _show_classes(result, verbose=verbose)
    for each in result.comparisons:
        low, high = each.interval
        ahead = " to ".join(f"{end * 100:+.1f}" for end in each.ahead_interval)
        print_prose(
            "",
            f"{each.name.capitalize()}: {each.accuracy:.1%} ({low:.1%} to {high:.1%}). Fine-tuning is "
            f"{each.ahead * 100:+.1f} points ahead (95 %: {ahead}).",
        )
    if (reject := result.reject) is not None:
        print_prose(
            "",
            f'"None of these" below a confidence of {reject.threshold:.1%}: {reject.kept:.0%} of the right answers for '
            f"{reject.pictures:,} validation pictures reach it. Expected calibration error: {reject.error:.1%}, "
            f"{reject.error_before:.1%} before scaling by a temperature of {reject.temperature:.2f}.",
        )
    for warning in result.warnings:
        print_prose("", f"Warning: {warning}")
    print_prose(
        "",
        f"In {result.folder}: the worst mistakes (mistakes.png), the confusion matrix (confusion.csv, .txt and .png), "
        "and the learning curve (learning.png).",
    )
    print_next(*result.next_commands)


def _show_classes(result: Finetuned, *, verbose: bool) -> None:
    """Print the figures of each class, and what its pictures are taken for."""
    from edge_squeeze.cli.console import print_prose
    from edge_squeeze.cli.tables import print_table
    from edge_squeeze.reporting import Column

    columns = (
        Column("class", text=True, cut=True),
        Column("tested", 1),
        Column("precision", 1),
        Column("recall (95 %)"),
        Column("taken for", 2, text=True, cut=True),
    )
    rows = []
    for number, figures in enumerate(result.classes):
        low, high = figures.recall_interval
        counts = sorted(enumerate(result.confusion[number]), key=lambda each: -each[1])
        wrong = [f"{result.labels[at]} ({count})" for at, count in counts if at != number and count]
        recall = NO_FIGURE if figures.recall is None else f"{figures.recall:.1%} ({low:.0%}-{high:.0%})"
        precision = NO_FIGURE if figures.precision is None else f"{figures.precision:.1%}"
        rows.append([figures.label, f"{figures.tested:,}", precision, recall, ", ".join(wrong)])
    print_prose("")
    print_table(columns, rows, every=verbose)
