"""A fine-tuning from its options to the folder it leaves: the network, the lists of pictures, and an honest result."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shlex
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze import packages
from edge_squeeze.artifact import labels
from edge_squeeze.files import atomic
from edge_squeeze.pictures.labeled import TABLE
from edge_squeeze.process.output import captured, retracing_expected
from edge_squeeze.reporting import Reporter
from edge_squeeze.training import charts, comparison, finetuning, rejection, training
from edge_squeeze.training.comparison import Comparison
from edge_squeeze.training.features import Views
from edge_squeeze.training.finetuning import Stage, Task
from edge_squeeze.training.fitting import layers_of
from edge_squeeze.training.options import FinetuneOptions
from edge_squeeze.training.rejection import Calibration
from edge_squeeze.training.scoring import ClassFigures, Report
from edge_squeeze.training.training import EXPORTED, KIND, LABELS, LISTS, RECORD, SCHEMA_VERSION, TOOLS, WEIGHTS
from edge_squeeze.weight_files import archives

CONFUSION, MISTAKES, CURVE = "confusion", "mistakes.png", "learning.png"
MOST_MISTAKES = 24
RECORDED_OPTIONS = (
    "epochs",
    "unfreeze",
    "batch_size",
    "learning_rate",
    "views",
    "augment",
    "label_smoothing",
    "seed",
)
PROJECT, COPY = Path("android_demo"), "my-app/models"  # where they bundle to


@dataclass(frozen=True)
class Finetuned:
    """The result of a fine-tuning: its folder, and how well it does on the pictures set aside for the test."""

    folder: Path
    accuracy: float
    interval: tuple[float, float]  # Wilson's, of 95 %
    tested: int
    chance: float  # accuracy of always giving the most frequent class
    labels: tuple[str, ...]
    classes: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]  # [true][predicted]
    unfrozen: int  # blocks that were trained beside the head
    warnings: tuple[str, ...]
    seconds: float
    next_commands: tuple[str, ...]
    comparisons: tuple[Comparison, ...] = ()  # with simpler classifiers, if they were wanted
    reject: Calibration | None = None  # when to answer "none of these", if that was wanted

    def __repr__(self) -> str:
        low, high = self.interval
        return (
            f"<Finetuned {self.folder}: accuracy {self.accuracy:.1%} ({low:.1%}-{high:.1%}) on {self.tested:,} test "
            f"pictures, {len(self.labels)} classes>"
        )

    @property
    def learned(self) -> bool:
        """Whether the accuracy is significantly better than `chance`."""
        return self.interval[0] > self.chance


@retracing_expected()
def finetune(options: FinetuneOptions, reporter: Reporter) -> Finetuned:
    """Fine-tune the network and write its folder.

    Args:
        options: The network, the pictures, and how to train on them.
        reporter: Receives the progress.

    Raises:
        UsageError: The pictures cannot be learned from, or the folder cannot be written.
        MissingDependencyError: TensorFlow, or the package of an example, is not installed.
        InterruptedTrainingError: Ctrl-C; the message says how to go on.
    """
    start = time.perf_counter()
    task = finetuning.prepare(options, reporter)
    folder = task.folder
    stages = finetuning.fit(task, reporter)
    with reporter.step("test"):
        test = task.split.test
        report = Report(task.collection.files.labels, task.collection.truth[test], finetuning.scores(task, test))
    calibrated = _calibrated(task) if options.reject else None
    compared = comparison.compare(task, report, reporter) if options.compare else ()
    with reporter.step(f"write {folder}"):
        _write(task, stages, report, compared, calibrated)
        finetuning.finished(task)
    totals = np.bincount(task.collection.truth, minlength=len(report.labels)).tolist()
    return Finetuned(
        folder,
        report.accuracy,
        report.interval,
        report.tested,
        report.chance,
        report.labels,
        report.classes(),
        tuple(map(tuple, report.matrix.tolist())),
        max(stage.blocks for stage in stages if stage.kept),
        report.warnings(totals) + (calibrated.warnings if calibrated is not None else ()),
        time.perf_counter() - start,
        tuple(_next_commands(task, folder)),
        compared,
        calibrated,
    )


def _calibrated(task: Task) -> Calibration:
    rows = task.split.validation
    return rejection.calibrate(finetuning.scores(task, rows), task.collection.truth[rows])


def _write(
    task: Task,
    stages: list[Stage],
    report: Report,
    compared: tuple[Comparison, ...],
    calibrated: Calibration | None,
) -> None:
    """Write all files to the folder, whole or not at all; UsageError if it cannot be written."""
    files, folder = task.collection.files, task.folder
    base = training.base_of(files.folder, folder)
    names = [(base / picture.name).as_posix() for picture in files.pictures]
    lists = {name: [names[row] for row in vars(task.split)[part]] for part, name in LISTS.items()}
    model = _model(task)
    record = {**_record(task, stages, report, compared), "weights_sha256": hashlib.sha256(model).hexdigest()}
    texts = {
        LABELS: labels.to_text(files.labels),
        RECORD: json.dumps(record, indent=1, ensure_ascii=False) + "\n",
        f"{CONFUSION}.csv": report.csv(),
        f"{CONFUSION}.txt": report.text(),
        **{name: "".join(f"{line}\n" for line in lines) for name, lines in lists.items()},
    }
    if calibrated is not None:
        texts[labels.REJECTION] = json.dumps(asdict(calibrated), indent=1) + "\n"
    if files.table is not None:
        texts[TABLE] = _table(names, [picture.label for picture in files.pictures])
    written = {name: text.encode() for name, text in texts.items()}
    written[_model_name(task)] = model
    written[f"{CONFUSION}.png"] = charts.confusion(report.matrix, report.labels)
    written[MISTAKES] = _contact_sheet(task, report)
    written[CURVE] = _curve(stages)
    written |= {f"{training.PICTURES}/{picture.name}": picture.content for picture in files.pictures if picture.content}
    atomic.write(folder, written, KIND)


def _table(names: list[str], classes: list[str]) -> str:
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows([("file", "label"), *zip(names, classes, strict=True)])
    return stream.getvalue()


def _model_name(task: Task) -> str:
    return f"{task.network.name}.keras" if task.network.arch is None else WEIGHTS


def _model(task: Task) -> bytes:
    """The file that `export` takes: weights of a variant, or a Keras model."""
    network = task.network
    if network.arch is not None:
        return archives.write(layers_of(network.model), network.preprocessing, network.arch.network)
    with tempfile.TemporaryDirectory(prefix="edge-squeeze-") as folder, captured():
        path = Path(folder) / _model_name(task)
        network.model.save(path)
        return path.read_bytes()


def _contact_sheet(task: Task, report: Report) -> bytes:
    """A PNG of the most confident mistakes, as the network saw them."""
    worst = report.worst(MOST_MISTAKES)
    rows = task.split.test[worst]
    pixels = list(Views(rows).pixels(task.collection, task.network.preprocessing))
    predicted = report.scores.argmax(axis=1)
    captions = [
        f"{report.labels[report.truth[at]]}\n-> {report.labels[predicted[at]]} {report.scores[at, predicted[at]]:.0%}"
        for at in worst
    ]
    return charts.mistakes(pixels, captions)


def _curve(stages: list[Stage]) -> bytes:
    epochs = [epoch for stage in stages for epoch in stage.course.epochs]
    starts, before = [], 0
    for stage in stages:
        starts.append((before, "head" if not stage.blocks else f"last {stage.blocks} blocks"))
        before += len(stage.course.epochs)
    return charts.learning_curve(
        [epoch.accuracy for epoch in epochs], [epoch.validation_accuracy for epoch in epochs], starts
    )


def _record(task: Task, stages: list[Stage], report: Report, compared: tuple[Comparison, ...]) -> dict[str, Any]:
    """The content of training.json."""
    options, network = task.options, task.network
    return {
        "schema_version": SCHEMA_VERSION,
        "variant": network.arch.variant if network.arch else None,
        "model": network.subject.name,
        "pretrained": asdict(network.subject.weights),
        "classes": len(report.labels),
        "input_size": network.preprocessing.size,
        "preprocessing": asdict(network.preprocessing),
        "options": {name: getattr(options, name) for name in RECORDED_OPTIONS},
        "pictures": {"source": task.collection.files.source, "count": len(task.collection.truth)},
        "split": task.split.record(task.collection.digests),
        "epochs": [{"blocks": stage.blocks, **asdict(epoch)} for stage in stages for epoch in stage.course.epochs],
        "stages": [{"blocks": stage.blocks, "kept": stage.kept} for stage in stages],
        "test": {
            "accuracy": report.accuracy,
            "interval": report.interval,
            "right": report.right,
            "count": report.tested,
            "classes": [asdict(figures) for figures in report.classes()],
        },
        "comparisons": [asdict(each) for each in compared],
        "tools": packages.versions(TOOLS),
        "command": options.command,
    }


def _next_commands(task: Task, folder: Path) -> list[str]:
    """The commands that export the network, evaluate the files on the test pictures, and copy them into an app."""
    network, options = task.network, task.options
    words = ["edge-squeeze", "export"]
    if network.arch is None:
        words += [str(folder / _model_name(task))]
        for option in ("preprocessing", "resize", "filter", "custom_objects"):
            if isinstance(value := getattr(options, option), str):
                words += [f"--{option.replace('_', '-')}", value]
        words += ["--trust-file"] if options.trust_file else []
    else:
        words += [network.arch.variant]
    for option, name in EXPORTED.items():
        if option != "weights" or network.arch is not None:
            words += [f"--{option}", str(folder / name)]
    suffix = "" if network.arch is None else training.classes_suffix(network.arch)
    artifacts = training.exports(network.name, suffix, folder / _model_name(task))
    evaluation = ["edge-squeeze", "evaluate", *artifacts, "--images", str(folder)]
    if task.collection.files.table is not None:
        evaluation += ["--labels", str(folder / TABLE)]
    kind, target = ("android", str(PROJECT)) if (PROJECT / "app").is_dir() else ("files", COPY)
    return [
        shlex.join([*words, *training.precisions_and_out(artifacts)]),
        shlex.join(evaluation),
        shlex.join(["edge-squeeze", "bundle", kind, artifacts[-1], target]),
    ]
