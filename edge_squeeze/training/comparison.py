"""What fine-tuning gave: simpler classifiers, trained and tested on the same split of the pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_squeeze.process.output import captured
from edge_squeeze.proof.accuracy import Interval, Pairs
from edge_squeeze.proof.parity import wilson
from edge_squeeze.reporting import Reporter
from edge_squeeze.training import learning
from edge_squeeze.training.collection import Collection, Rows
from edge_squeeze.training.features import Views
from edge_squeeze.training.finetuning import Task
from edge_squeeze.training.fitting import untrained
from edge_squeeze.training.learning import Part, Plan
from edge_squeeze.training.scoring import Report

LINEAR, SCRATCH = "linear head on raw pixels", "training from scratch"
LINEAR_SIDE = 32  # pixels, to which pictures are shrunk for the linear head
LINEAR_EPOCHS, SCRATCH_EPOCHS = 50, 15
PATIENCE = 10  # epochs, of the linear head
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Comparison:
    """Another classifier, and how far the fine-tuned network is ahead of it on the same test pictures."""

    name: str
    accuracy: float
    interval: Interval  # Wilson's, of 95 %
    ahead: float  # accuracy of the fine-tuned network, less this
    ahead_interval: Interval  # of 95 %, for paired answers


def compare(task: Task, report: Report, reporter: Reporter) -> tuple[Comparison, ...]:
    """A linear head on raw pixels, and the same network from random weights, on the split of `task`.

    Args:
        task: The fine-tuning.
        report: Its answers for the test pictures.
        reporter: Receives the progress.
    """
    right = report.scores.argmax(axis=1) == report.truth
    compared = []
    for name, answers in ((LINEAR, _linear(task, reporter)), (SCRATCH, _scratch(task, reporter))):
        correct = answers == report.truth
        pairs, count = Pairs.of(right, correct), int(correct.sum())
        compared.append(
            Comparison(
                name, count / len(correct), wilson(count, len(correct)), pairs.difference, pairs.difference_interval
            )
        )
        reporter.note(f"{name}: test accuracy {count / len(correct):.1%}")
    return tuple(compared)


def _linear(task: Task, reporter: Reporter) -> Rows:
    """The answers of a dense layer on small pictures for the test pictures."""
    import keras

    classes = len(task.collection.files.labels)
    pixels = _shrunk(task.collection)
    model = keras.Sequential([keras.Input(pixels.shape[1:]), keras.layers.Dense(classes, kernel_initializer="zeros")])

    def inputs(rows: Rows) -> NDArray[np.float32]:
        return pixels[rows].astype(np.float32) / np.float32(255) - np.float32(0.5)

    plan = Plan(
        LINEAR_EPOCHS,
        task.options.batch_size,
        LEARNING_RATE,
        task.options.seed,
        classes,
        probabilities=False,
        class_weights=task.class_weights,
        patience=PATIENCE,
        title=LINEAR,
    )
    return _answers(model, task, inputs, plan, reporter)


def _shrunk(collection: Collection) -> NDArray[np.uint8]:
    """Every picture as a row of LINEAR_SIDE x LINEAR_SIDE x 3 values: 3 kB each."""
    size = (LINEAR_SIDE, LINEAR_SIDE)
    opened = map(collection.files.open, collection.files.pictures)
    return np.stack([np.asarray(each.resize(size, Image.Resampling.BILINEAR), np.uint8).ravel() for each in opened])


def _scratch(task: Task, reporter: Reporter) -> Rows:
    """The answers of the same network, trained from random weights, for the test pictures."""
    network = task.network

    def inputs(rows: Rows) -> NDArray[np.float32]:
        pixels = Views(rows).pixels(task.collection, network.preprocessing)
        return network.preprocessing.normalize(np.stack(list(pixels)))

    plan = Plan(
        SCRATCH_EPOCHS,
        task.options.batch_size,
        LEARNING_RATE,
        task.options.seed,
        len(task.collection.files.labels),
        probabilities=network.probabilities,
        class_weights=task.class_weights,
        title=SCRATCH,
    )
    with captured():
        model = _untrained(task)
    return _answers(model, task, inputs, plan, reporter)


def _untrained(task: Task) -> Any:
    """The network of `task` with random weights."""
    import keras

    if task.network.arch is not None:
        return untrained(task.network.arch, task.options.seed)
    keras.utils.set_random_seed(task.options.seed)
    return keras.models.clone_model(task.network.model)


def _answers(model: Any, task: Task, inputs: learning.Inputs, plan: Plan, reporter: Reporter) -> Rows:
    truth, split = task.collection.truth, task.split
    learning.learn(model, Part(inputs, split.train, truth), Part(inputs, split.validation, truth), plan, reporter)
    size = plan.batch_size
    batches = [split.test[start : start + size] for start in range(0, len(split.test), size)]
    answers: Rows = np.concatenate([model.predict_on_batch(inputs(rows)) for rows in batches]).argmax(axis=1)
    return answers
