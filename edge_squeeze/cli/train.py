"""`edge-squeeze train`: trains a network, tells how good it is, and how to go on."""

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
    out: arg.TrainOut = TrainOptions.out,
    epochs: arg.Epochs = TrainOptions.epochs,
    batch_size: arg.BatchSize = TrainOptions.batch_size,
    learning_rate: arg.LearningRate = TrainOptions.learning_rate,
    seed: arg.TrainSeed = TrainOptions.seed,
    input_size: arg.TrainSize = None,
    bypass: arg.Bypass = NONE, base_e: arg.BaseE = None, incr_e: arg.IncrE = None, pct_3x3: arg.Pct3x3 = None,
    freq: arg.Freq = None, squeeze_ratio: arg.SqueezeRatio = None,
    preprocessing: arg.TrainPreprocessing = None,
    resize: arg.Resize = None,
    *,
    json_: arg.Json = False, verbose: arg.Verbose = False,
) -> None:  # fmt: skip
    """Train a variant from scratch, on a folder of pictures for each class or on scikit-learn's digits."""
    from edge_squeeze.cli.console import ConsoleReporter
    from edge_squeeze.training import training

    output.visible(verbose)
    design = Design(bypass, base_e, incr_e, pct_3x3, freq, squeeze_ratio)
    options = TrainOptions(
        variant, images, out, epochs, batch_size, learning_rate, seed, arg.size(input_size), design, preprocessing,
        resize, arg.command_line(),
    )  # fmt: skip
    _show(training.train(options, ConsoleReporter(verbose=verbose)), as_json=json_)


def _show(trained: Trained, *, as_json: bool) -> None:
    from edge_squeeze.cli.console import print_json, print_next, print_prose

    if as_json:
        judged = {"learnt": trained.learned, "warning": trained.warning}
        print_json({**dataclasses.asdict(trained), "folder": str(trained.folder), **judged})
        return
    low, high = trained.interval
    print_prose(
        "",
        f"{trained.accuracy:.1%} of the {trained.tested:,} test pictures are classified correctly "
        f"(95 % interval: {low:.1%} to {high:.1%}). They were used once, at the end.",
    )
    if trained.warning:
        print_prose("", f"Warning: {trained.warning}")
    if not trained.dead:
        print_next(trained.next_command, title="Next:" if trained.learned else "To export it all the same:")
