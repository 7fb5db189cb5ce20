"""`edge_squeeze.train` and `edge_squeeze.finetune`, the public functions: what the commands of these names do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_squeeze.models import keras_settings
from edge_squeeze.networks import design as designs
from edge_squeeze.networks.variants import DEFAULT_VARIANT
from edge_squeeze.training.options import FinetuneOptions, TrainOptions

if TYPE_CHECKING:
    from edge_squeeze.networks.architecture import Size
    from edge_squeeze.networks.design import Design
    from edge_squeeze.pictures.preprocessing import Preprocessing
    from edge_squeeze.reporting import Reporter
    from edge_squeeze.training.finetuned import Finetuned
    from edge_squeeze.training.training import Trained


@keras_settings.preserved()
def train(
    variant: str,
    *,
    images: str | Path | None = None,
    skip_unreadable: bool = False,
    out: str | Path = TrainOptions.out,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int = TrainOptions.seed,
    input_size: Size | None = None,
    bypass: str = "none",
    base_e: int | None = None,
    incr_e: int | None = None,
    pct_3x3: float | None = None,
    freq: int | None = None,
    squeeze_ratio: float | None = None,
    preprocessing: str | Preprocessing | None = None,
    resize: str | None = None,
    filter: str | None = None,  # noqa: A002 - the command line's word
    reporter: Reporter | None = None,
    design: Design | None = None,
) -> Trained:
    """The variant, trained from scratch on pictures of your classes, or on scikit-learn's digits.

    `.folder` of the result holds weights.npz, for `export` and `build`, and lists of the pictures; `.accuracy` is the
    share of the test pictures, which had no part in the training, that are classified correctly; `.interval` is its
    95 % interval.

    Args:
        variant: As in `build`.
        images: Folder that holds one folder of pictures per class; by default scikit-learn's digits.
        skip_unreadable: As in `export`.
        out: Folder that receives a folder named like the variant.
        epochs: Passes over the training pictures; by default 15.
        batch_size: Pictures per step; by default 32.
        learning_rate: Peak learning rate of Adam; by default 0.001.
        seed: Seed of the split, of the initial weights and of the order of the pictures.
        input_size: Side in pixels, or (height, width); by default the variant's.
        bypass, base_e, incr_e, pct_3x3, freq, squeeze_ratio: As in `build`.
        preprocessing: How pixels are preprocessed: a preset, a JSON file, or the value itself; by default "unit".
        resize, filter: How pictures are resized, as in `export`.
        reporter: Hears of the progress; by default nobody does.
        design: Deprecated, as in `build`.

    Raises:
        UsageError: An argument is invalid, or the pictures cannot be learned from.
        MissingDependencyError: TensorFlow, or scikit-learn for the digits, is not installed.
    """
    keywords = {**locals(), "design": designs.of_keywords(locals())}
    from edge_squeeze.reporting import Silent
    from edge_squeeze.training import training

    return training.train(TrainOptions.of(keywords), reporter or Silent())


@keras_settings.preserved()
def finetune(
    model: Any = DEFAULT_VARIANT,
    *,
    images: str | Path | None = None,
    example: str | None = None,
    skip_unreadable: bool = False,
    out: str | Path = FinetuneOptions.out,
    epochs: int | None = None,
    unfreeze: int | str | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    views: int | None = None,
    augment: str | None = None,
    label_smoothing: float | None = None,
    seed: int = FinetuneOptions.seed,
    weights: str | Path | None = None,
    input_size: Size | None = None,
    preprocessing: str | Preprocessing | None = None,
    resize: str | None = None,
    filter: str | None = None,  # noqa: A002 - the command line's word
    custom_objects: str | None = None,
    trust_file: bool = False,
    compare: bool = False,
    reject: bool = False,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> Finetuned:
    """A pretrained network that has learned your classes (docs/finetune.md).

    `.folder` of the result is what `export` takes; `.accuracy` is the share of the test pictures, which had no part in
    the training, that are classified correctly; `.interval` is its 95 % interval, `.classes` has precision and recall.

    Args:
        model: A variant with published weights, or your own Keras model, as in `export`.
        images: Folder that holds one folder of pictures per class, or a CSV file of pictures and classes.
        example: Pictures that packages bring, without `images`: "surfaces" (the default) or "digits".
        skip_unreadable: As in `export`.
        out: Folder that receives a folder named like the network.
        epochs: Most passes over the training pictures in each stage; by default 30.
        unfreeze: Blocks (fire modules) that are trained after the head: a number, or "auto", as long as it pays.
        batch_size: Pictures per step; by default 32.
        learning_rate: Peak learning rate of Adam for the head; by default 0.001. Blocks get a tenth of it.
        views: Views of each training picture, itself and changed ones; by default 3.
        augment: How views are changed: "crop", "flip", "color", several with commas, or "none"; by default all three.
        label_smoothing: Share of each label that is spread over all classes; by default 0.1.
        seed: Seed of the split, the views, the head's first weights and the order of the pictures.
        weights: Pretrained weights of a variant: "imagenet", or a weights file; by default "imagenet".
        input_size: Side in pixels, or (height, width); by default that of the weights.
        preprocessing, resize, filter, custom_objects, trust_file: As in `export`.
        compare: Whether to train simpler classifiers on the same split as well, to see what fine-tuning gave.
        reject: Whether to find the confidence below which files answer "none of these".
        resume: Whether to go on with a training that was interrupted.
        reporter: Hears of the progress; by default nobody does.

    Raises:
        UsageError: An argument is invalid, or the pictures cannot be learned from.
        MissingDependencyError: TensorFlow, or the package of an example, is not installed.
    """
    options = FinetuneOptions.of(locals())
    from edge_squeeze.reporting import Silent
    from edge_squeeze.training import finetuned

    return finetuned.finetune(options, reporter or Silent())
