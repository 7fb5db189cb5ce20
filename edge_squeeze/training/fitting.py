"""Fitting: from a network with random weights to the weights of its best epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_squeeze.errors import UsageError
from edge_squeeze.models import weights as weight_store
from edge_squeeze.networks import builder
from edge_squeeze.networks.design import Architecture
from edge_squeeze.pictures.preprocessing import Preprocessing
from edge_squeeze.process.output import captured
from edge_squeeze.reporting import Reporter
from edge_squeeze.scores import LOGITS, PROBABILITIES, Scores, comparable
from edge_squeeze.training.collection import Collection, Rows, Split
from edge_squeeze.training.options import TrainOptions
from edge_squeeze.weight_files.layers import Layers

WARM_UP = 0.1  # of all steps, in which the learning rate rises; then it falls to 0 along a cosine
FIRST = 0.1  # of the learning rate, at the first step
LARGEST_STEP = 1.0  # norm of a step's gradient: without batch normalization, a rare one would throw the weights away
# A class whose scores the ReLU after the last convolution cuts to 0 on every picture has no gradient left: in 2 of 5
# trainings of a narrow network whose biases started at 0, one or two of three classes died so. Softmax ignores an
# offset that all classes share.
FIRST_BIAS = 5.0
SMALLEST = 1e-12  # probability, for a finite loss
REPORTED = 10  # epochs besides the first: a log shows how a long training proceeds


@dataclass(frozen=True)
class Task:
    """What to learn, with which network, and how."""

    arch: Architecture
    preprocessing: Preprocessing
    collection: Collection
    split: Split
    options: TrainOptions


@dataclass(frozen=True)
class Epoch:
    """The network after another pass over the training pictures; `loss` and `accuracy` are measured with dropout."""

    number: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float

    @property
    def rank(self) -> tuple[float, float]:
        """What the best epoch maximizes: accuracies on few validation pictures often tie, so the loss breaks ties."""
        return self.validation_accuracy, -self.validation_loss


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
    with captured():
        model = _compiled(task)
    rng, epochs, best, layers = np.random.default_rng(task.options.seed), [], None, Layers()
    for number in reporter.track(range(1, task.options.epochs + 1), "epoch"):
        epoch = Epoch(number, *_train_epoch(model, task, rng), *_evaluate(model, task, task.split.validation))
        if not math.isfinite(epoch.loss + epoch.validation_loss):
            raise UsageError(
                f"Training diverged in epoch {number}. Pass a --learning-rate below {task.options.learning_rate:g}."
            )
        epochs.append(epoch)
        _report(epoch, task.options.epochs, reporter)
        if best is None or epoch.rank > best.rank:
            best, layers = epoch, _layers(model)
    assert best
    for name, arrays in layers.items():
        model.get_layer(name).set_weights(list(arrays))
    scores = _scores(model, task, task.split.test)
    correct, dead = _correct(scores, task, task.split.test), _is_dead(model, task, scores)
    return Fitted(layers, tuple(epochs), best, correct, dead)


def _report(epoch: Epoch, epochs: int, reporter: Reporter) -> None:
    if epoch.number == 1 or epoch.number * REPORTED // epochs > (epoch.number - 1) * REPORTED // epochs:
        reporter.note(f"epoch {epoch.number} of {epochs}: validation accuracy {epoch.validation_accuracy:.1%}")


def _compiled(task: Task) -> Any:
    """The model, ready for its first step."""
    import keras

    options, model = task.options, builder.build(task.arch)
    _initialize(model, task)
    steps = math.ceil(len(task.split.train) / options.batch_size) * options.epochs
    rising = round(WARM_UP * steps)
    rate = keras.optimizers.schedules.CosineDecay(
        FIRST * options.learning_rate, max(1, steps - rising), warmup_target=options.learning_rate, warmup_steps=rising
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not task.arch.row.softmax)
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=LARGEST_STEP), loss, metrics=["accuracy"])
    return model


def _initialize(model: Any, task: Task) -> None:
    """Draw the random weights of the model, and the state of its dropout, from the seed."""
    import keras

    weight_store.assign(model, weight_store.resolve(task.arch, weight_store.RANDOM, task.options.seed))
    if task.arch.row.head_relu:
        head = model.get_layer(task.arch.head)
        head.bias.assign(np.full(head.bias.shape, FIRST_BIAS, np.float32))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.seed_generator.state.assign([task.options.seed, 0])


def _train_epoch(model: Any, task: Task, rng: np.random.Generator) -> tuple[float, float]:
    """Train on every training picture once, in an order drawn from `rng`; the mean loss and accuracy meanwhile."""
    order, size, sums = rng.permutation(task.split.train), task.options.batch_size, np.zeros(2)
    for rows in (order[i : i + size] for i in range(0, len(order), size)):
        inputs = task.preprocessing.normalize(task.collection.pixels[rows])
        metrics = model.train_on_batch(inputs, task.collection.truth[rows], return_dict=True)
        sums += len(rows) * np.array([metrics["loss"], metrics["accuracy"]], np.float64)
        model.reset_metrics()
    loss, accuracy = (sums / len(order)).tolist()
    return loss, accuracy


def _scores(model: Any, task: Task, rows: Rows) -> Scores:
    """The probabilities [N,classes] that the model gives the pictures `rows`."""
    size = task.options.batch_size
    parts = [task.collection.pixels[rows[i : i + size]] for i in range(0, len(rows), size)]
    raw = np.concatenate([model.predict_on_batch(task.preprocessing.normalize(part)) for part in parts])
    return comparable(raw, PROBABILITIES if task.arch.row.softmax else LOGITS)


def _evaluate(model: Any, task: Task, rows: Rows) -> tuple[float, float]:
    """Mean cross-entropy in nats, and accuracy, on the pictures `rows`."""
    scores, truth = _scores(model, task, rows), task.collection.truth[rows]
    chosen = np.maximum(scores[np.arange(len(rows)), truth], SMALLEST)  # NaN stays NaN
    return float(-np.log(chosen).mean()), _correct(scores, task, rows) / len(rows)


def _is_dead(model: Any, task: Task, scores: Scores) -> bool:
    """Whether the test pictures get the same `scores` as copies of the first of them.

    Scores of a dead network may still differ, by up to 4e-6 of them, by their place in a batch, which copies share;
    those of a live one have differed by as little as 5e-5.
    """
    copies = np.full_like(task.split.test, task.split.test[0])
    return bool(np.array_equal(scores, _scores(model, task, copies)))


def _correct(scores: Scores, task: Task, rows: Rows) -> int:
    return int((scores.argmax(axis=1) == task.collection.truth[rows]).sum())


def _layers(model: Any) -> Layers:
    return {layer.name: tuple(layer.get_weights()) for layer in model.layers if layer.weights}
