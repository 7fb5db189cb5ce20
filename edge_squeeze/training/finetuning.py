"""Fine-tuning: a pretrained network learns the user's classes, its head first, then its last blocks while that pays."""

from __future__ import annotations

import dataclasses
import glob
import itertools
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_squeeze.errors import InterruptedTrainingError, UsageError
from edge_squeeze.files import atomic
from edge_squeeze.models import original as originals
from edge_squeeze.pictures.listing import left_out
from edge_squeeze.pictures.presets import describe
from edge_squeeze.reporting import Reporter
from edge_squeeze.scores import LOGITS, PROBABILITIES, Scores, comparable
from edge_squeeze.training import collection, examples, features, learning, network, training
from edge_squeeze.training.collection import Collection, Rows, Split
from edge_squeeze.training.features import Maps, Views
from edge_squeeze.training.learning import Course, Epoch, Part, Plan
from edge_squeeze.training.network import Network
from edge_squeeze.training.options import AUTO, FinetuneOptions

PATIENCE = 5  # epochs
FINE_EPOCHS = 10  # of a round of stage 2, at most
FINE = 0.1  # of the head's learning rate, for the blocks: they are to change little
ROUNDS = (2, 4)  # blocks that stage 2 trains with --unfreeze auto, as long as each round pays
LOWER = 0.98  # of a loss, from where on it is clearly lower
STATE, STAGE = "state.json", "stage-"  # a file, and what the folders of stages are called, before the blocks
FREE_TO_CHANGE = ("epochs", "unfreeze", "command", "out", "resume", "compare", "reject")  # when a training resumes
BATCH = 16  # pictures at a time when they are only classified


@dataclass(frozen=True)
class Stage:
    """A part of the training: how many blocks beside the head learned, and whether that was kept."""

    blocks: int
    course: Course
    kept: bool


@dataclass(frozen=True)
class Task:
    """What is to be learned, with which network, and where an interrupted training leaves its state."""

    options: FinetuneOptions
    network: Network
    collection: Collection
    split: Split
    folder: Path  # that is to be written
    unfinished: Path  # the folder of the state

    @property
    def class_weights(self) -> dict[int, float]:
        """What a picture of each class counts, so that all classes count the same."""
        counts = np.bincount(self.collection.truth[self.split.train], minlength=len(self.collection.files.labels))
        return {number: len(self.split.train) / (len(counts) * count) for number, count in enumerate(counts.tolist())}


def prepare(options: FinetuneOptions, reporter: Reporter) -> Task:
    """The task of `options`, its pictures read and its network loaded; UsageError if it cannot be done."""
    originals.require_tensorflow()
    files = examples.files(options.example) if options.images is None else collection.find(options.images)
    loaded = network.load(options, files.labels, reporter)
    folder = options.out / loaded.name
    training.check_target(folder, options.images)
    with reporter.step("pictures"):
        pictures = collection.load(
            files, loaded.preprocessing, reporter, skip_unreadable=options.skip_unreadable, in_memory=False
        )
        parts = collection.split(pictures, options.seed)
        reporter.note(f"{counts(parts)}; {len(files.labels)} classes, from {files.source}")
        reporter.note(f"preprocessing: {describe(loaded.preprocessing)}")
        ignored = left_out(options.images) if options.images is not None and options.images.is_dir() else []
        for note in [*pictures.skipped, *ignored]:
            reporter.note(f"warning: {note}")
    return _placed(Task(options, loaded, pictures, parts, folder, _unfinished(folder, 1)), reporter)


def counts(parts: Split) -> str:
    """The sizes of the parts, in words."""
    train, validation, test = (len(rows) for rows in (parts.train, parts.validation, parts.test))
    return f"pictures: {train:,} for training, {validation:,} for validation, {test:,} for the test"


def fit(task: Task, reporter: Reporter) -> list[Stage]:
    """The stages of the training; the network of `task` has the best weights then.

    InterruptedTrainingError after Ctrl-C: the state stays in the folder of the task.
    """
    if not task.options.resume:
        shutil.rmtree(task.unfinished, ignore_errors=True)
        atomic.write_file(task.unfinished / STATE, _state(task).encode())
    try:
        return _fit(task, reporter)
    except learning.DivergedError:  # again if it went on
        finished(task)
        raise
    except (Exception, KeyboardInterrupt) as error:
        if not _came_of_interruption(error):
            raise
        raise InterruptedTrainingError(_how_to_go_on(task)) from error


def _came_of_interruption(error: BaseException | None) -> bool:
    """Whether `error` is Ctrl-C, or was raised on its way: an archive that is being written cannot be closed then."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _fit(task: Task, reporter: Reporter) -> list[Stage]:
    chosen = task.options.unfreeze
    most = len(task.network.cuts) - 1
    rounds = [min(most, blocks) for blocks in (ROUNDS if chosen == AUTO else (int(chosen),))]
    rounds = [blocks for blocks in dict.fromkeys(rounds) if blocks]
    deepest = max(rounds, default=0)
    maps = _features(task, deepest, reporter)
    head = maps if not deepest else _derived(task, maps, deepest, 0)
    stages = [Stage(0, _stage(task, head, 0, reporter), kept=True)]
    best = stages[0].course.best
    for blocks in rounds:
        assert best
        if chosen == AUTO and best.validation_accuracy == 1:
            reporter.note("every validation picture is right: training more blocks could not show that it pays")
            break
        before = task.network.model.get_weights()
        inputs = maps if blocks == deepest else _derived(task, maps, deepest, blocks)
        course = _stage(task, inputs, blocks, reporter)
        assert course.best
        stages.append(Stage(blocks, course, kept=_pays(best, course.best)))
        if not stages[-1].kept:
            task.network.model.set_weights(before)
            reporter.note(f"training the last {blocks} blocks did not pay on the validation pictures: not kept")
            break
        best = course.best
    return stages


def _pays(before: Epoch, after: Epoch) -> bool:
    """Whether `after` is better on the validation pictures: more of them right, or as many and a clearly lower loss."""
    if before.validation_accuracy != after.validation_accuracy:
        return after.validation_accuracy > before.validation_accuracy
    return after.validation_loss < LOWER * before.validation_loss


def _features(task: Task, blocks: int, reporter: Reporter) -> tuple[Maps, Maps]:
    """What the frozen part makes of the training views, and of the validation pictures."""
    options, start = task.options, time.perf_counter()
    frozen = task.network.frozen(blocks)
    views = (
        Views(task.split.train, options.views, options.augmentations, options.seed),
        Views(task.split.validation),
    )
    reporter.note(f"features of {len(views[0]):,} views of {len(task.split.train):,} training pictures")
    training, validation = (
        features.compute(
            frozen,
            each,
            task.collection,
            task.network.preprocessing,
            task.unfinished / f"{name}-{blocks}.npy",
            reporter,
        )
        for name, each in zip(("train", "validation"), views, strict=True)
    )
    reporter.note(f"features: {time.perf_counter() - start:.1f} s")
    return training, validation


def _derived(task: Task, maps: tuple[Maps, Maps], earlier: int, later: int) -> tuple[Maps, Maps]:
    between = task.network.between(earlier, later)
    training, validation = (
        features.derive(between, each, task.unfinished / f"{name}-{later}.npy")
        for name, each in zip(("train", "validation"), maps, strict=True)
    )
    return training, validation


def _stage(task: Task, maps: tuple[Maps, Maps], blocks: int, reporter: Reporter) -> Course:
    """Train the head, and the last `blocks` blocks with it, on the features in front of them."""
    options, start = task.options, time.perf_counter()
    truth = task.collection.truth
    training, validation = (
        Part(_inputs(each), np.arange(len(each)), np.repeat(truth[rows], len(each) // len(rows)))
        for each, rows in zip(maps, (task.split.train, task.split.validation), strict=True)
    )
    plan = Plan(
        min(options.epochs, FINE_EPOCHS) if blocks else options.epochs,
        options.batch_size,
        options.learning_rate * (FINE if blocks else 1),
        options.seed,
        len(task.collection.files.labels),
        probabilities=task.network.probabilities,
        smoothing=options.label_smoothing,
        class_weights=task.class_weights,
        patience=PATIENCE,
        backup=task.unfinished / f"{STAGE}{blocks}",
        title=f"{_what(blocks)}",
    )
    model = task.network.trainable(blocks)
    course = learning.learn(model, training, validation, plan, reporter)
    assert course.best
    shown = " ".join(f"{epoch.validation_accuracy * 100:.0f}" for epoch in course.epochs)
    reporter.note(
        f"{_what(blocks)}: validation accuracy by epoch, in %: {shown}; best: epoch {course.best.number}, "
        f"{course.best.validation_accuracy:.1%}; {time.perf_counter() - start:.1f} s"
    )
    return course


def _what(blocks: int) -> str:
    return f"head and last {blocks} block{'s' if blocks > 1 else ''}" if blocks else "head"


def _inputs(maps: Maps) -> learning.Inputs:
    return lambda rows: np.asarray(maps[rows], np.float32)


def scores(task: Task, rows: Rows) -> Scores:
    """The probabilities [N,classes] that the network gives the pictures `rows`, from their files on."""
    kind = PROBABILITIES if task.network.probabilities else LOGITS
    parts = []
    for start in range(0, len(rows), BATCH):
        views = Views(rows[start : start + BATCH])
        pixels = np.stack(list(views.pixels(task.collection, task.network.preprocessing)))
        parts.append(task.network.model.predict_on_batch(task.network.preprocessing.normalize(pixels)))
    return comparable(np.concatenate(parts), kind)


def _unfinished(folder: Path, number: int) -> Path:
    """Where an interrupted training of `folder` leaves its state; `number` is above 1 if others have left theirs."""
    return folder.with_name(f"{folder.name}.unfinished{f'-{number}' if number > 1 else ''}")


def _placed(task: Task, reporter: Reporter) -> Task:
    """`task` with the folder of its own state: the one to go on with, or one that holds no unfinished training.

    UsageError if there is none to resume, or one that would be lost.
    """
    usual, state = task.unfinished, _state(task)
    places = sorted(usual.parent.glob(f"{glob.escape(usual.name)}*"))
    own = next((path for path in places if (path / STATE).is_file() and (path / STATE).read_text() == state), None)
    if task.options.resume:
        if not any((path / STATE).exists() for path in places):
            raise UsageError(f"There is nothing to resume in {usual}. Leave out --resume.")
        if own is None:
            raise UsageError(
                f"The unfinished training in {', '.join(map(str, places))} is of other pictures or options. Pass those "
                "that it was begun with, or leave out --resume to begin anew."
            )
        return dataclasses.replace(task, unfinished=own)
    if own is not None and _holds_work(own):
        raise UsageError(
            f"An unfinished training of these pictures and options is in {own}. Pass --resume to go on with it, or "
            "remove that folder to begin anew."
        )
    for path in filter(_holds_work, places):
        reporter.note(
            f"an unfinished training of other pictures or options stays in {path}. Remove it if you do not need it"
        )
    free = (
        path for path in (_unfinished(task.folder, number) for number in itertools.count(1)) if not _holds_work(path)
    )
    return dataclasses.replace(task, unfinished=next(free))


def _holds_work(folder: Path) -> bool:
    """Whether `folder` has finished epochs or features, or is not the folder of a training."""
    if (folder / STATE).is_file():
        return any(folder.glob(f"{STAGE}*/{learning.EPOCHS}")) or any(folder.glob("*.npy"))
    return folder.is_file() or (folder.is_dir() and any(folder.iterdir()))


def _state(task: Task) -> str:
    """What must be the same for a training to go on."""
    fields = [field.name for field in dataclasses.fields(task.options) if field.name not in FREE_TO_CHANGE]
    state = {
        "options": {name: str(getattr(task.options, name)) for name in fields},
        "split": task.split.record(task.collection.digests),
    }
    return json.dumps(state, sort_keys=True)


def _how_to_go_on(task: Task) -> str:
    """What is there after an interruption, and the commands that go on with it or end it."""
    stages = sorted(path.parent for path in task.unfinished.glob(f"{STAGE}*/{learning.EPOCHS}"))
    command = task.options.command.replace(" --resume", "")
    if not stages:
        return f"Interrupted before the first epoch. To go on: {command} --resume"
    course, blocks = Course.load(stages[-1]), stages[-1].name.removeprefix(STAGE)
    assert course.best
    return (
        f"Interrupted. The best so far, with a validation accuracy of {course.best.validation_accuracy:.1%} after "
        f"epoch {course.best.number}, is kept in {task.unfinished}.\n"
        f"To go on: {command} --resume\n"
        f"To end with it: {command} --resume --epochs {len(course.epochs)} --unfreeze {blocks}"
    )


def finished(task: Task) -> None:
    """Remove the state of a training that needs it no more."""
    shutil.rmtree(task.unfinished, ignore_errors=True)
