"""Fitting: a variant from random weights to the weights of its best epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_squeeze.models import weights as weight_store
from edge_squeeze.networks import builder
from edge_squeeze.networks.design import Architecture
from edge_squeeze.pictures.preprocessing import Preprocessing
from edge_squeeze.process.output import captured
from edge_squeeze.reporting import Reporter
from edge_squeeze.scores import LOGITS, PROBABILITIES, Scores, comparable
from edge_squeeze.training import learning
from edge_squeeze.training.collection import Collection, Rows, Split
from edge_squeeze.training.learning import Epoch, Part, Plan
from edge_squeeze.training.options import TrainOptions
from edge_squeeze.weight_files.layers import Layers

# A class whose scores the ReLU after the last convolution cuts to 0 on every picture has no gradient left: in 2 of 5
# trainings of a narrow network whose biases started at 0, one or two of three classes died so. Softmax ignores an
# offset that all classes share.
FIRST_BIAS = 5.0


@dataclass(frozen=True)
class Task:
    """What to learn, with which network, and how."""

    arch: Architecture
    preprocessing: Preprocessing
    collection: Collection
    split: Split
    options: TrainOptions


@dataclass(frozen=True)
class Fitted:
    """The weights of the best epoch, how well they classify the test pictures, and the course of all epochs."""

    layers: Layers
    epochs: tuple[Epoch, ...]
    best: Epoch
    correct: int  # of the test pictures
    dead: bool  # every test picture gets the same scores


def fit(task: Task, reporter: Reporter) -> Fitted:
    """The network of `task` after its best epoch; UsageError if it diverges."""
    options, pixels = task.options, task.collection.pixels
    with captured():
        model = untrained(task.arch, options.seed)
    training, validation = (
        Part(lambda rows: task.preprocessing.normalize(pixels[rows]), rows, task.collection.truth)
        for rows in (task.split.train, task.split.validation)
    )
    plan = Plan(
        options.epochs,
        options.batch_size,
        options.learning_rate,
        options.seed,
        task.arch.classes,
        probabilities=task.arch.row.softmax,
        title="epochs",
    )
    course = learning.learn(model, training, validation, plan, reporter)
    assert course.best
    scores = _scores(model, task, task.split.test)
    correct, dead = _correct(scores, task, task.split.test), _is_dead(model, task, scores)
    return Fitted(layers_of(model), tuple(course.epochs), course.best, correct, dead)


def untrained(arch: Architecture, seed: int) -> Any:
    """The Keras model of `arch` with random weights, drawn from the seed."""
    model = builder.build(arch)
    weight_store.assign(model, weight_store.resolve(arch, weight_store.RANDOM, seed))
    if arch.row.head_relu:
        head = model.get_layer(arch.head)
        head.bias.assign(np.full(head.bias.shape, FIRST_BIAS, np.float32))
    return model


def _scores(model: Any, task: Task, rows: Rows) -> Scores:
    """The probabilities [N,classes] that the model gives the pictures `rows`."""
    size = task.options.batch_size
    parts = [task.collection.pixels[rows[i : i + size]] for i in range(0, len(rows), size)]
    raw = np.concatenate([model.predict_on_batch(task.preprocessing.normalize(part)) for part in parts])
    return comparable(raw, PROBABILITIES if task.arch.row.softmax else LOGITS)


def _is_dead(model: Any, task: Task, scores: Scores) -> bool:
    """Whether the test pictures get the same `scores` as copies of the first of them.

    Scores of a dead network may still differ, by up to 4e-6 of them, by their place in a batch, which copies share;
    those of a live one have differed by as little as 5e-5.
    """
    copies = np.full_like(task.split.test, task.split.test[0])
    return bool(np.array_equal(scores, _scores(model, task, copies)))


def _correct(scores: Scores, task: Task, rows: Rows) -> int:
    return int((scores.argmax(axis=1) == task.collection.truth[rows]).sum())


def layers_of(model: Any) -> Layers:
    """The weights of every layer of the Keras `model` that has some, by its name."""
    return {layer.name: tuple(layer.get_weights()) for layer in model.layers if layer.weights}
