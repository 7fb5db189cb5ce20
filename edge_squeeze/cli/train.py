"""`edge-squeeze train`: train a network, then print its accuracy and the next command."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from edge_squeeze.cli import arguments as arg
from edge_squeeze.networks.design import NONE, Design
from edge_squeeze.process import output
from edge_squeeze.training.options import TrainOptions

if TYPE_CHECKING:
    from edge_squeeze.training.training import Trained


def train(
    variant: arg.Variant,
    images: arg.TrainImages = None,
    skip_unreadable: arg.SkipUnreadable = False,
    out: arg.TrainOut = TrainOptions.out,
    epochs: arg.Epochs = TrainOptions.epochs,
    batch_size: arg.BatchSize = TrainOptions.batch_size,
    learning_rate: arg.LearningRate = TrainOptions.learning_rate,
    seed: arg.TrainSeed = TrainOptions.seed,
    input_size: arg.TrainSize = None,
    bypass: arg.Bypass = NONE,
    base_e: arg.BaseE = None,
    incr_e: arg.IncrE = None,
    pct_3x3: arg.Pct3x3 = None,
    freq: arg.Freq = None,
    squeeze_ratio: arg.SqueezeRatio = None,
    preprocessing: arg.TrainPreprocessing = None,
    resize: arg.Resize = None,
    filter: arg.Filter = None,  # noqa: A002
    *,
    json_: arg.Json = False,
    verbose: arg.Verbose = False,
) -> None:
    """Train a variant from scratch, on one folder of pictures per class or on scikit-learn's digits."""
    design = Design(bypass, base_e, incr_e, pct_3x3, freq, squeeze_ratio)
    keywords = {**locals(), "input_size": arg.size(input_size), "command": arg.command_line()}
    from edge_squeeze.cli.console import ConsoleReporter
    from edge_squeeze.training import training

    output.visible(verbose)
    _show(training.train(TrainOptions.of(keywords), ConsoleReporter(verbose=verbose)), as_json=json_)


def _show(trained: Trained, *, as_json: bool) -> None:
    from edge_squeeze.cli.console import print_json, print_next, print_prose

    if as_json:
        verdict = {"learnt": trained.learned, "warning": trained.warning}
        print_json({**dataclasses.asdict(trained), "folder": str(trained.folder), **verdict})
        return
    low, high = trained.interval
    print_prose(
        "",
        f"Test accuracy {trained.accuracy:.1%} on {trained.tested:,} pictures that had no part in the training "
        f"(95 % interval: {low:.1%} to {high:.1%}).",
    )
    if trained.warning:
        print_prose("", f"Warning: {trained.warning}")
    if not trained.dead:
        print_next(trained.next_command, title="Next:" if trained.learned else "To export it anyway:")
