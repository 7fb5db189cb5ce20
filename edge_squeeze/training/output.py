"""What a training leaves: weights, class names, lists of pictures, and the record of how it went."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from edge_squeeze import packages
from edge_squeeze.errors import UsageError
from edge_squeeze.files import atomic
from edge_squeeze.proof.parity import wilson
from edge_squeeze.training.collection import Labeled
from edge_squeeze.training.fitting import Fitted, Task
from edge_squeeze.training.options import TrainOptions
from edge_squeeze.training.splitting import Rows
from edge_squeeze.weight_files import npz_files

SCHEMA_VERSION = 1
WEIGHTS, LABELS, RECORD, PICTURES = "weights.npz", "labels.txt", "training.json", "pictures"
LISTS = {"train": "train.txt", "validation": "validation.txt", "test": "test.txt"}
NEXT = {"weights": WEIGHTS, "labels": LABELS, "calibration": LISTS["train"], "images": LISTS["test"]}
KIND = atomic.Kind(
    "folder of `edge-squeeze train`", RECORD, frozenset({"schema_version", "variant", "split", "epochs", "test"})
)
TOOLS = ("edge-squeeze", "tensorflow", "keras", "numpy", "pillow", "scikit-learn")
OPTIONS = ("epochs", "batch_size", "learning_rate", "seed")


def check_target(options: TrainOptions) -> None:
    """Raise UsageError now, before any work, if the result could not be left, or would replace its own pictures."""
    atomic.check_target(options.folder, KIND)
    if options.images is None:
        return
    folder, images = options.folder.resolve(), options.images.resolve()
    if images.is_relative_to(folder):
        raise UsageError(
            f"{options.images} is inside {options.folder}, which is to be replaced. Give another --out DIR."
        )
    if folder.is_relative_to(images):
        raise UsageError(f"{options.folder} is inside {options.images}, among the classes. Give another --out DIR.")


def keep(task: Task, fitted: Fitted) -> None:
    """Leave all of it in the folder that `task` names, whole or not at all; UsageError if it cannot be written."""
    folder = task.options.folder
    texts = {
        LABELS: _lines(task.collection.files.labels),
        RECORD: json.dumps(_record(task, fitted), indent=1, ensure_ascii=False) + "\n",
        **{name: _lines(_places(task, vars(task.split)[part])) for part, name in LISTS.items()},
    }
    files = {name: text.encode() for name, text in texts.items()}
    files[WEIGHTS] = npz_files.write(fitted.layers, task.preprocessing, task.arch.network)
    pictures = task.collection.files.pictures
    files |= {f"{PICTURES}/{one.name}": one.content for one in pictures if one.content is not None}
    atomic.write(folder, files, KIND)


def _lines(lines: Any) -> str:
    return "".join(f"{line}\n" for line in lines)


def _places(task: Task, rows: Rows) -> list[str]:
    """Where the pictures `rows` are, seen from the folder that their list is in."""
    files = task.collection.files
    above = None if files.folder is None else os.path.relpath(files.folder.resolve(), task.options.folder.resolve())
    return [_place(files.pictures[i], above) for i in rows]


def _place(picture: Labeled, above: str | None) -> str:
    return (PurePosixPath(PICTURES if above is None else Path(above).as_posix()) / picture.name).as_posix()


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
        "options": {name: getattr(options, name) for name in OPTIONS},
        "pictures": {"source": task.collection.files.source, "count": len(task.collection.truth)},
        "split": task.split.record(task.collection.digests),
        "epochs": [asdict(epoch) for epoch in fitted.epochs],
        "best_epoch": fitted.best.number,
        "test": {
            "accuracy": fitted.right / tested,
            "interval": wilson(fitted.right, tested),
            "right": fitted.right,
            "count": tested,
        },
        "tools": packages.versions(TOOLS),
        "command": options.command,
    }


def next_command(options: TrainOptions) -> str:
    """The command that exports what was left, and proves it on the pictures that nothing was learned from."""
    folder, words = options.folder, ["edge-squeeze", "export", options.variant]
    for name, value in options.design.record().items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    for option, name in NEXT.items():
        words += [f"--{option}", str(folder / name)]
    return shlex.join([*words, "--precision", "float32,int8"])
