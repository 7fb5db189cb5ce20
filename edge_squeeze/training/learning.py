"""Learning, for `train` and `finetune`: Keras' fit and its callbacks, to the weights of the best epoch."""

from __future__ import annotations

import contextlib
import io
import json
import math
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.errors import UsageError
from edge_squeeze.files import atomic
from edge_squeeze.models import original as originals
from edge_squeeze.process.output import captured
from edge_squeeze.reporting import Reporter
from edge_squeeze.training.collection import Rows

WARM_UP = 0.1  # of all steps, in which the learning rate rises; then it falls to 0 along a cosine
FIRST = 0.1  # of the learning rate, at the first step
LARGEST_STEP = 1.0  # norm of a step's gradient: without batch normalization, a rare one would throw the weights away
REPORTED = 10  # epochs besides the first: a log shows how a long training proceeds
CALLS = 1 << 16  # of a random layer in an epoch, at most: epochs must not draw the same numbers
EPOCHS, BEST = "epochs.json", "best.npz"  # of a backup

Inputs = Callable[[Rows], NDArray[np.float32]]  # row numbers -> what the network takes for these rows


class DivergedError(UsageError):
    """The loss of a training is no longer a finite number."""


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
class Part:
    """Rows of a data set with their classes, and what the network takes for them."""

    inputs: Inputs
    rows: Rows
    truth: Rows  # [number of all rows], not only of `rows`


@dataclass(frozen=True)
class Plan:
    """How to learn: the numbers that the user may choose, and where an interrupted training leaves its state."""

    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    classes: int
    probabilities: bool = True  # what the model gives; else logits
    smoothing: float = 0.0
    class_weights: dict[int, float] | None = None
    patience: int | None = None  # epochs without a better one after which it ends; None: it goes on to the last
    backup: Path | None = None  # folder; None: none is kept
    title: str = "training"
    option: str = "--learning-rate"  # what to lower if it diverges


@dataclass
class Course:
    """The epochs so far, and the best of them with its weights."""

    epochs: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None
    weights: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, epoch: Epoch, model: Any) -> bool:
        """Take another `epoch` of the `model`; whether it is the best so far."""
        self.epochs.append(epoch)
        is_best = self.best is None or epoch.rank > self.best.rank
        if is_best:
            self.best, self.weights = epoch, [np.array(array) for array in model.get_weights()]
        return is_best

    def is_over(self, patience: int | None) -> bool:
        """Whether the last `patience` epochs were no better."""
        return patience is not None and self.best is not None and len(self.epochs) - self.best.number >= patience

    def save(self, folder: Path, *, is_best: bool) -> None:
        """Leave all of it in `folder`; the weights only if they are new."""
        if is_best:
            archive = io.BytesIO()
            np.savez(archive, *self.weights)
            folder.mkdir(parents=True, exist_ok=True)
            atomic.write_file(folder / BEST, archive.getvalue())
        atomic.write_file(folder / EPOCHS, json.dumps([asdict(epoch) for epoch in self.epochs]).encode())

    @staticmethod
    def load(folder: Path) -> Course:
        """What `save` left in `folder`; an empty course if there is nothing whole."""
        try:
            epochs = [Epoch(**record) for record in json.loads((folder / EPOCHS).read_text())]
            with np.load(folder / BEST) as file:
                weights = [file[name] for name in file.files]
        except (OSError, ValueError, TypeError):
            return Course()
        return Course(epochs, max(epochs, key=lambda epoch: epoch.rank), weights)


def learn(model: Any, training: Part, validation: Part, plan: Plan, reporter: Reporter) -> Course:
    """The course of a training; `model` has the weights of its best epoch then. UsageError if it diverges.

    Args:
        model: A Keras model that gives scores [N,classes].
        training: What it learns from.
        validation: What decides which epoch is the best.
        plan: How.
        reporter: Receives the progress.
    """
    with captured():
        _compile(model, plan, len(training.rows))
    course = Course() if plan.backup is None else Course.load(plan.backup)
    if course.best and (len(course.epochs) >= plan.epochs or course.is_over(plan.patience)):
        model.set_weights(course.weights)  # it had ended before the command was interrupted
        return course
    batches, held_out = _batches(training, plan, shuffled=True), _batches(validation, plan, shuffled=False)
    ticks = iter(reporter.track(range(plan.epochs * len(batches)), plan.title))
    callbacks = [_recorder(course, batches, plan, ticks, reporter), *_backups(plan, len(batches))]
    try:
        model.fit(
            batches,
            epochs=plan.epochs,
            validation_data=held_out,
            class_weight=plan.class_weights,
            callbacks=callbacks,
            shuffle=False,  # the batches are drawn from the seed
            verbose=0,
        )
    finally:
        if hasattr(ticks, "close"):
            ticks.close()  # removes the bar
    model.set_weights(course.weights)
    return course


def _compile(model: Any, plan: Plan, rows: int) -> None:
    """Make `model` ready for its first step."""
    import keras

    steps = math.ceil(rows / plan.batch_size) * plan.epochs
    rising = round(WARM_UP * steps)
    rate = keras.optimizers.schedules.CosineDecay(
        FIRST * plan.learning_rate, max(1, steps - rising), warmup_target=plan.learning_rate, warmup_steps=rising
    )
    loss = keras.losses.CategoricalCrossentropy(from_logits=not plan.probabilities, label_smoothing=plan.smoothing)
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=LARGEST_STEP), loss, metrics=["accuracy"])


def _batches(part: Part, plan: Plan, *, shuffled: bool) -> Any:
    """A `keras.utils.PyDataset` of the rows of `part`, in an order that `shuffle` draws for each epoch."""
    import keras

    one_hot = np.eye(plan.classes, dtype=np.float32)

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        order = part.rows

        def __len__(self) -> int:
            return math.ceil(len(part.rows) / plan.batch_size)

        def __getitem__(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            rows = self.order[number * plan.batch_size : (number + 1) * plan.batch_size]
            return part.inputs(rows), one_hot[part.truth[rows]]

        def shuffle(self, epoch: int) -> None:
            if shuffled:
                self.order = np.random.default_rng([plan.seed, epoch]).permutation(part.rows)

    return Batches()


def _recorder(course: Course, batches: Any, plan: Plan, ticks: Iterator[int], reporter: Reporter) -> Any:
    """A `keras.callbacks.Callback` that keeps the course, moves the progress bar and ends a training that is over."""
    import keras

    class Recorder(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            del course.epochs[epoch:]  # of a process that was killed before it had saved the model's state
            batches.shuffle(epoch)
            for layer in originals.all_layers(self.model):
                if getattr(layer, "seed_generator", None) is not None:  # of dropout, whose state no backup holds
                    layer.seed_generator.state.assign([plan.seed, epoch * CALLS])

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            next(ticks, None)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            names = ("loss", "accuracy", "val_loss", "val_accuracy")
            latest = Epoch(epoch + 1, *(float(logs[name]) for name in names))
            if not math.isfinite(latest.loss + latest.validation_loss):
                raise DivergedError(
                    f"Training diverged in epoch {latest.number}. Pass a {plan.option} below {plan.learning_rate:g}."
                )
            is_best = course.add(latest, self.model)
            report(latest, plan.epochs, reporter)
            if plan.backup is not None:
                with interrupts_held():
                    course.save(plan.backup, is_best=is_best)
            self.model.stop_training = course.is_over(plan.patience)

    return Recorder()


def _backups(plan: Plan, steps: int) -> list[Any]:
    """Keras' own callback that lets an interrupted `fit` go on where it was, if a backup is wanted.

    Keras writes the weights, and then which epoch they are of: where Ctrl-C comes in between, it would repeat an epoch
    with the weights that this had left. So the epoch is that of the optimizer's steps, which are among the weights.

    Args:
        plan: How the training learns.
        steps: Of the optimizer in an epoch.
    """
    import keras

    if plan.backup is None:
        return []

    class Backup(keras.callbacks.BackupAndRestore):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            with interrupts_held():
                super().on_epoch_end(epoch, logs)

        def _load_model(self) -> None:
            try:
                super()._load_model()
            except (KeyError, ValueError) as error:  # Ctrl-C came while it was written: Keras then takes the one before
                raise OSError(str(error)) from error
            self.model._initial_epoch = int(self.model.optimizer.iterations) // steps  # noqa: SLF001 - as Keras does

    return [Backup(str(plan.backup / "latest"), double_checkpoint=True)]


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back to the end: Python swallows it where it falls into the end of an object, as of an archive."""
    if threading.current_thread() is not threading.main_thread():  # which alone gets it
        yield
        return
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
    if held:
        signal.raise_signal(signal.SIGINT)


def report(epoch: Epoch, epochs: int, reporter: Reporter) -> None:
    """Note the first epoch and ten more."""
    if epoch.number == 1 or epoch.number * REPORTED // epochs > (epoch.number - 1) * REPORTED // epochs:
        reporter.note(f"epoch {epoch.number} of {epochs}: validation accuracy {epoch.validation_accuracy:.1%}")
