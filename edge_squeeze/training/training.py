"""A training from its options to the folder it leaves: weights, class names, lists of pictures, and its record."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from edge_squeeze import packages
from edge_squeeze.artifact import folder as artifacts, labels, manifest as manifests
from edge_squeeze.errors import UsageError
from edge_squeeze.files import atomic, reading
from edge_squeeze.models import original as originals
from edge_squeeze.networks.design import Architecture
from edge_squeeze.pictures.labeled import LEARNED_LISTS, TEST_LIST, TRAINED
from edge_squeeze.pictures.listing import left_out
from edge_squeeze.pictures.presets import describe
from edge_squeeze.proof.parity import wilson
from edge_squeeze.reporting import Reporter
from edge_squeeze.training import collection, examples
from edge_squeeze.training.collection import Rows, Split
from edge_squeeze.training.fitting import Fitted, Task, fit
from edge_squeeze.training.options import TrainOptions
from edge_squeeze.weight_files import archives

SCHEMA_VERSION = 1
WEIGHTS, LABELS, RECORD, PICTURES = "weights.npz", "labels.txt", TRAINED, "pictures"
LISTS = dict(zip(("train", "validation", "test"), (*LEARNED_LISTS, TEST_LIST), strict=True))
# Option of `export` -> the file that it takes.
EXPORTED = {"weights": WEIGHTS, "labels": LABELS, "calibration": LISTS["train"], "images": LISTS["test"]}
OUT, PRECISIONS = "out", ("float32", "int8")  # of the export that is next; the former is its default
KIND = atomic.Kind(
    "a folder of `edge-squeeze train` or `finetune`",
    RECORD,
    frozenset({"schema_version", "variant", "split", "epochs", "test"}),
)
TOOLS = ("edge-squeeze", "tensorflow", "keras", "numpy", "pillow", "scikit-learn")
RECORDED_OPTIONS = ("epochs", "batch_size", "learning_rate", "seed")
LEARNING_RATE = f"--learning-rate (default: {TrainOptions.learning_rate:g})"


@dataclass(frozen=True)
class Trained:
    """The result of a training: its folder, and its accuracy on the pictures set aside for the test."""

    folder: Path
    accuracy: float
    interval: tuple[float, float]  # Wilson's, of 95 %
    tested: int
    chance: float  # accuracy of always predicting the most frequent class
    dead: bool  # every test picture gets the same scores
    next_command: str

    def __repr__(self) -> str:
        low, high = self.interval
        state = "dead" if self.dead else "learned" if self.learned else "not significantly better than chance"
        return (
            f"<Trained {self.folder}: accuracy {self.accuracy:.1%} ({low:.1%}-{high:.1%}) on {self.tested:,} test "
            f"pictures, {state}>"
        )

    @property
    def learned(self) -> bool:
        """Whether the accuracy is significantly better than `chance`."""
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
                "That is not significantly better than always predicting the most frequent class "
                f"({self.chance:.1%}). Train again with more pictures, more --epochs, or another {LEARNING_RATE}."
            )
        return None


def train(options: TrainOptions, reporter: Reporter) -> Trained:
    """Train the network and write its folder; nothing is left if that fails.

    Args:
        options: The variant, the pictures, and how to train on them.
        reporter: Receives the progress.

    Raises:
        UsageError: The pictures cannot be learned from, or the folder cannot be written.
        MissingDependencyError: TensorFlow, or scikit-learn for the digits, is not installed.
    """
    preprocessing = options.prepared()
    check_target(options.folder, options.images)
    originals.require_tensorflow()
    with reporter.step("pictures"):
        files = examples.digits() if options.images is None else collection.find(options.images)
        arch = options.architecture(len(files.labels))
        pictures = collection.load(files, preprocessing, reporter, skip_unreadable=options.skip_unreadable)
        parts = collection.split(pictures, options.seed)
        reporter.note(f"{_counts(parts)}; {len(files.labels)} classes, from {files.source}")
        reporter.note(f"preprocessing: {describe(preprocessing)}")
        if files.ignored:
            reporter.note(_ignored(files.ignored))
        for note in [*pictures.skipped, *(left_out(options.images) if options.images else [])]:
            reporter.note(f"warning: {note}")
    task = Task(arch, preprocessing, pictures, parts, options)
    with reporter.step("load TensorFlow"):
        originals.load_tensorflow()
    fitted = _fit(task, reporter)
    with reporter.step(f"write {options.folder}"):
        _write(task, fitted)
    truth = pictures.truth[parts.test]
    chance = float(np.bincount(truth).max() / len(truth))
    accuracy, interval = fitted.correct / len(truth), wilson(fitted.correct, len(truth))
    return Trained(options.folder, accuracy, interval, len(truth), chance, fitted.dead, _next_command(task))


def check_target(folder: Path, images: Path | None) -> None:
    """Raise UsageError now, before any work, if `folder` cannot be written, or would replace its own pictures."""
    atomic.check_target(folder, KIND)
    if images is None:
        return
    target, source = folder.resolve(), images.resolve()
    if source.is_relative_to(target):
        raise UsageError(f"{images} is inside {folder}, which would be replaced. Pass another --out DIR.")
    if target.is_relative_to(source):
        raise UsageError(f"{folder} is inside {images}, among the classes. Pass another --out DIR.")


def _fit(task: Task, reporter: Reporter) -> Fitted:
    """Fit the network of `task`. This is not a step of `reporter`, which shows the notes of a step when it is over."""
    start = time.perf_counter()
    reporter.note(
        f"training {task.arch.variant} on {len(task.split.train):,} pictures; epochs: {task.options.epochs:,}"
    )
    fitted = fit(task, reporter)
    reporter.note(f"{_course(fitted)}; {time.perf_counter() - start:.1f} s")
    return fitted


def _counts(parts: Split) -> str:
    train, validation, test = (len(rows) for rows in (parts.train, parts.validation, parts.test))
    return f"pictures: {train:,} for training, {validation:,} for validation, {test:,} for the test"


def _ignored(names: tuple[str, ...]) -> str:
    count, examples = ("1 picture", names[0]) if len(names) == 1 else (f"{len(names):,} pictures", f"{names[0]}, ...")
    return f"warning: ignored {count} outside the class folders: {examples}"


def _course(fitted: Fitted) -> str:
    course = " ".join(f"{epoch.validation_accuracy * 100:.0f}" for epoch in fitted.epochs)
    best = fitted.best
    return f"validation accuracy by epoch, in %: {course}; kept: epoch {best.number}, {best.validation_accuracy:.1%}"


def _write(task: Task, fitted: Fitted) -> None:
    """Write all files to the folder of `task`, whole or not at all; UsageError if it cannot be written."""
    texts = {
        LABELS: labels.to_text(task.collection.files.labels),
        RECORD: json.dumps(_record(task, fitted), indent=1, ensure_ascii=False) + "\n",
        **{name: _lines(_paths(task, vars(task.split)[part])) for part, name in LISTS.items()},
    }
    files = {name: text.encode() for name, text in texts.items()}
    files[WEIGHTS] = archives.write(fitted.layers, task.preprocessing, task.arch.network)
    pictures = task.collection.files.pictures
    files |= {f"{PICTURES}/{picture.name}": picture.content for picture in pictures if picture.content is not None}
    atomic.write(task.options.folder, files, KIND)


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _paths(task: Task, rows: Rows) -> list[str]:
    """The paths of the pictures `rows`, relative to the folder that their list is in."""
    files = task.collection.files
    base = base_of(files.folder, task.options.folder)
    return [(base / files.pictures[row].name).as_posix() for row in rows]


def base_of(pictures: Path | None, folder: Path) -> PurePosixPath:
    """The path to the folder `pictures` from the lists in `folder`; None: `folder` has its own."""
    if pictures is None:
        return PurePosixPath(PICTURES)
    return PurePosixPath(Path(os.path.relpath(pictures.resolve(), folder.resolve())).as_posix())


def _record(task: Task, fitted: Fitted) -> dict[str, Any]:
    """The content of training.json."""
    options, tested = task.options, len(task.split.test)
    return {
        "schema_version": SCHEMA_VERSION,
        "variant": task.arch.variant,
        "design": task.arch.design.record(),
        "classes": task.arch.classes,
        "input_size": task.arch.input_size,
        "preprocessing": asdict(task.preprocessing),
        "options": {name: getattr(options, name) for name in RECORDED_OPTIONS},
        "pictures": {"source": task.collection.files.source, "count": len(task.collection.truth)},
        "split": task.split.record(task.collection.digests),
        "epochs": [asdict(epoch) for epoch in fitted.epochs],
        "best_epoch": fitted.best.number,
        "test": {
            "accuracy": fitted.correct / tested,
            "interval": wilson(fitted.correct, tested),
            "right": fitted.correct,
            "count": tested,
        },
        "tools": packages.versions(TOOLS),
        "command": options.command,
    }


def _next_command(task: Task) -> str:
    """The command that exports the trained network, and proves it on the test pictures."""
    options, design = task.options, task.arch.design
    words = ["edge-squeeze", "export", options.variant]
    for name, value in design.record().items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    for option, name in EXPORTED.items():
        words += [f"--{option}", str(options.folder / name)]
    folders = exports(options.variant, f"{classes_suffix(task.arch)}{design.suffix}", options.folder / WEIGHTS)
    return shlex.join([*words, *precisions_and_out(folders)])


def classes_suffix(arch: Architecture) -> str:
    """What the name of an artifact of `arch` says of its classes."""
    return "" if arch.classes == arch.row.classes else f"-classes-{arch.classes}"


def exports(name: str, suffix: str, weights: Path) -> list[str]:
    """The folders that the next export writes: in `out`, or in `out-2` and so on where others have these names.

    Args:
        name: The name of the network.
        suffix: What follows the precision in the name of an artifact.
        weights: The file that is exported.
    """
    for number in itertools.count(1):
        out = OUT if number == 1 else f"{OUT}-{number}"
        folders = [os.path.join(out, f"{name}-tflite-{precision}{suffix}") for precision in PRECISIONS]  # noqa: PTH118
        if all(_is_free(Path(folder), weights) for folder in folders):
            break
    return folders


def _is_free(folder: Path, weights: Path) -> bool:
    """Whether `export` writes what `weights` give to `folder`: it is not there, or was made from them, or earlier ones.

    A folder that holds something else is one that it would refuse to replace.
    """
    if not os.path.lexists(folder):
        return True
    path = folder / artifacts.MANIFEST
    try:
        record = manifests.from_json(reading.read_text(path), str(path)).weights
    except UsageError:
        return False
    same_place = record.path is not None and Path(record.path).resolve() == weights.resolve()
    return same_place or record.sha256 == reading.sha256(weights)


def precisions_and_out(folders: Sequence[str]) -> list[str]:
    """The options of `export` that make it write `folders`."""
    out = os.path.dirname(folders[0])  # noqa: PTH120
    return ["--precision", ",".join(PRECISIONS), *([] if out == OUT else ["--out", out])]
