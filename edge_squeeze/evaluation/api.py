"""`edge_squeeze.evaluate`, the public function: what the command of that name does, from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_squeeze.models import keras_settings

if TYPE_CHECKING:
    from edge_squeeze.evaluation.result import Evaluation
    from edge_squeeze.reporting import Reporter


@keras_settings.preserved()
def evaluate(
    artifacts: str | Path | Sequence[str | Path],
    *,
    images: str | Path,
    labels: str | Path | None = None,
    skip_unreadable: bool = False,
    with_original: bool = True,
    original: str | Path | None = None,
    custom_objects: str | None = None,
    trust_file: bool = False,
    runtime: str | None = None,
    workers: int | None = None,
    samples: int | None = None,
    cluster: str | None = None,
    fresh: bool = False,
    against: str | Path | None = None,
    reporter: Reporter | None = None,
) -> Evaluation:
    """The accuracy of artifacts on labeled pictures, with intervals, and what became of each comparison.

    `.artifacts` has the figures of each, `.originals` those of what they were made from, `.comparisons` the first
    artifact with each of the others, and `.rows()` a dictionary for each picture, for a DataFrame. A failed verdict is
    not raised: `.verdict` of each artifact says pass, fail or unproven (docs/evaluation.md). An interrupted evaluation
    resumes when it is called again.

    Args:
        artifacts: One or several folders that `export` left, of the same class names.
        images: Pictures in a folder per class or with a labels.csv, a .txt list of them, or a folder of `train`, whose
            test pictures are taken.
        labels: Table of the right classes of the pictures; by default their folders say them, or labels.csv in there.
        skip_unreadable: Whether to go on without pictures that cannot be read, which are counted.
        with_original: Whether the original is evaluated as well, where TensorFlow and its file are there.
        original: Weights file or Keras model to use in place of the one that model.json records.
        custom_objects: Python module, or .py file, that defines layers of your model. It is run.
        trust_file: Whether Python code in Lambda layers of the model's file is run. Only for files of your own.
        runtime: "litert", "tflite-runtime", "tf.lite" or "onnxruntime"; by default the first that is installed.
        workers: Processes on this machine; by default one for each core. With 1, this process does the work.
        samples: How many pictures to draw, at random but always the same ones; by default all are taken.
        cluster: Address of a Dask scheduler whose workers do the work instead.
        fresh: Start over instead of resuming an interrupted evaluation.
        against: File with the output of an earlier `edge-squeeze evaluate --json`; `.against` has the comparisons.
        reporter: Hears of the progress; by default nobody does.

    Raises:
        UnreadablePicturesError: Some pictures could not be read; its `.evaluation` is that on the others.
        UsageError: An artifact, the original, the pictures or their labels cannot be used.
        ConversionError: An engine refuses a file, or crashed.
        DeviceError: The cluster cannot be reached, or is lost.
        MissingDependencyError: No engine for a file is installed, or Dask is not.
    """
    keywords = locals()
    from edge_squeeze.evaluation import evaluation
    from edge_squeeze.evaluation.options import EvaluateOptions
    from edge_squeeze.reporting import Silent

    several = [artifacts] if isinstance(artifacts, str | Path) else artifacts
    options = EvaluateOptions.of(keywords)
    return evaluation.evaluate([Path(folder) for folder in several], options, reporter or Silent())
