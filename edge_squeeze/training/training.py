"""A training from its options to the folder that it leaves."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_squeeze.models import original as originals
from edge_squeeze.pictures.presets import describe
from edge_squeeze.proof.parity import wilson
from edge_squeeze.reporting import Reporter
from edge_squeeze.training import collection, output
from edge_squeeze.training.fitting import Fitted, Task, fit
from edge_squeeze.training.options import TrainOptions
from edge_squeeze.training.splitting import Split, split

LEARNING_RATE = f"--learning-rate (default: {TrainOptions.learning_rate:g})"


@dataclass(frozen=True)
class Trained:
    """What a training came to: its folder, and how many of the pictures set aside for the end it tells right."""

    folder: Path
    accuracy: float
    interval: tuple[float, float]  # Wilson's, of 95 %
    tested: int
    chance: float  # accuracy of always naming the most frequent class
    dead: bool  # every test picture gets the same scores
    next_command: str

    def __repr__(self) -> str:
        low, high = self.interval
        state = "dead" if self.dead else "learned" if self.learned else "not surely better than chance"
        return (
            f"<Trained {self.folder}: accuracy {self.accuracy:.1%} ({low:.1%}-{high:.1%}) on {self.tested:,} test "
            f"pictures, {state}>"
        )

    @property
    def learned(self) -> bool:
        """Whether the accuracy is surely better than `chance`."""
        return self.interval[0] > self.chance

    @property
    def warning(self) -> str | None:
        """What is wrong with it, and what to change; None if it has learned."""
        if self.dead:
            return (
                "Every test picture gets the same scores: the network is dead. "
                f"Train again with a lower {LEARNING_RATE}, or another --seed."
            )
        if not self.learned:
            return (
                f"That is not surely better than always naming the most frequent class ({self.chance:.1%}). Train "
                f"again with more pictures, more --epochs, or another {LEARNING_RATE}."
            )
        return None


def train(options: TrainOptions, reporter: Reporter) -> Trained:
    """The network trained, and left in its folder; nothing is left if that fails.

    Raises UsageError for what cannot be learned from or written, MissingDependencyError.
    """
    preprocessing = options.prepared()
    output.check_target(options)
    originals.require_tensorflow()
    with reporter.step("pictures"):
        files = collection.find(options.images)
        arch = options.architecture(len(files.labels))
        pictures = collection.load(files, preprocessing, reporter)
        parts = split(pictures.truth, pictures.digests, files.labels, options.seed)
        reporter.note(f"{_counts(parts)} of {len(files.labels)} classes, from {files.source}")
        reporter.note(f"prepared as: {describe(preprocessing)}")
        if files.beside:
            reporter.note(_left_out(files.beside))
    task = Task(arch, preprocessing, pictures, parts, options)
    with reporter.step("load TensorFlow"):
        originals.load_tensorflow()
    fitted = _fit(task, reporter)
    with reporter.step(f"write {options.folder}"):
        output.keep(task, fitted)
    truth = pictures.truth[parts.test]
    chance = float(np.bincount(truth).max() / len(truth))
    accuracy, interval = fitted.right / len(truth), wilson(fitted.right, len(truth))
    return Trained(options.folder, accuracy, interval, len(truth), chance, fitted.dead, output.next_command(options))


def _fit(task: Task, reporter: Reporter) -> Fitted:
    """What `fit` makes of `task`. It is no step, since the notes of one are shown when it is over."""
    start = time.perf_counter()
    reporter.note(f"trains {task.arch.variant} on {len(task.split.train):,} pictures; epochs: {task.options.epochs:,}")
    fitted = fit(task, reporter)
    reporter.note(f"{_course(fitted)}; {time.perf_counter() - start:.1f} s")
    return fitted


def _counts(parts: Split) -> str:
    train, validation, test = (len(rows) for rows in (parts.train, parts.validation, parts.test))
    return f"{train:,} pictures to learn from, {validation:,} to choose by, {test:,} to judge by,"


def _left_out(beside: tuple[str, ...]) -> str:
    count, which = ("1 picture", beside[0]) if len(beside) == 1 else (f"{len(beside):,} pictures", f"{beside[0]}, ...")
    return f"warning: left out {count} beside the folders of the classes: {which}"


def _course(fitted: Fitted) -> str:
    course = " ".join(f"{epoch.validation_accuracy * 100:.0f}" for epoch in fitted.epochs)
    best = fitted.best
    return f"validation accuracy by epoch, in %: {course}; kept: epoch {best.number}, {best.validation_accuracy:.1%}"
