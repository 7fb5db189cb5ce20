"""Labeled pictures as people have them: a folder per class, a table of labels, or what `train` leaves."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import read_text, sha256
from edge_squeeze.pictures import classes as readings, ground_truth, label_table
from edge_squeeze.pictures.classes import ClassNames
from edge_squeeze.pictures.listing import SKIPPED_FOLDERS, is_list, list_pictures, picture_name
from edge_squeeze.pictures.loading import Sample
from edge_squeeze.pictures.picture_index import PictureIndex

TRAINED, TEST_LIST, TABLE = "training.json", "test.txt", "labels.csv"
LEARNED_LISTS = ("train.txt", "validation.txt")  # of pictures that had a part in a training, beside TEST_LIST
SEED = 0  # of samples
REMEDY = "Rename the folders: class names and WordNet ids leave no doubt."
Classes = frozenset[int]
UNLABELED: Classes = frozenset()


@dataclass(frozen=True, slots=True)
class LabeledPicture:
    """A picture file and the classes that are right for it."""

    path: Path
    name: str  # relative to the folder or list that it was found by
    classes: Classes  # numbers of outputs; empty if it is not labeled


@dataclass(frozen=True)
class LabeledPictures:
    """The pictures of an evaluation, in the order of their folder or list."""

    pictures: tuple[LabeledPicture, ...]
    remarks: tuple[str, ...] = ()  # what to say of how the labels were read
    passed_over: int = 0  # pictures that a draw met and did not take
    count: int = 0  # of all that were there
    learned: int = 0  # of those that were left out, before any draw, since the model has learned from them


def is_training(folder: Path) -> bool:
    """Whether `folder` is one that `train` or `finetune` wrote."""
    return (folder / TRAINED).is_file() and (folder / TEST_LIST).is_file()


def find(
    images: Path,
    labels: Path | None,
    classes: Sequence[str],
    samples: int | None = None,
    not_drawn: Collection[str] = (),
    learned: Sequence[Path] = (),
) -> LabeledPictures:
    """The pictures at `images` with their right classes; nothing is decoded.

    Args:
        images: A folder of pictures, a folder that `train` wrote (its test pictures are taken), a list of pictures, or
            a single one.
        labels: A table of labels, ImageNet's ground truth file, or its development kit. By default, the folders that
            the pictures are in name their classes; where there are none, labels.csv in the folder is taken.
        classes: The names of the model's classes, in the order of its outputs.
        samples: How many pictures to draw if there are more, at random but always the same ones; by default all.
        not_drawn: The sha256 of files that a draw passes over, replacing each by another picture.
        learned: Pictures that the model has learned from: they, and copies of their files, are left out.

    Raises:
        UsageError: There are no pictures, or a label is not one of `classes`, or can be read in two ways.
    """
    remarks: tuple[str, ...] = ()
    if is_training(images):
        remarks = (f"{images} was written by `train` or `finetune`: evaluating its {TEST_LIST}",)
        images = images / TEST_LIST
    files = list_pictures(images)
    names = [picture_name(file, images) for file in files]
    known = ClassNames(classes)
    if labels is None and images.is_dir() and not class_folders(images) and (images / TABLE).is_file():
        labels = images / TABLE
        remarks = (*remarks, f"labels: {labels}")
    if labels is None:
        truth, notes = _by_folder(images, files, known)
    else:
        truth, notes = _by_table(labels, PictureIndex(files, names), known)
    pictures = _without(tuple(map(LabeledPicture, files, names, truth)), learned)
    left_out, passed_over = len(files) - len(pictures), 0
    if samples is not None and samples < len(pictures):
        count = len(pictures)
        pictures, passed_over = _draw(pictures, samples, not_drawn)
        without = f", passing over {passed_over:,} that int8 was calibrated on" if passed_over else ""
        notes = (*notes, f"drew {len(pictures):,} of the {count:,} pictures (seed {SEED}){without}")
    return LabeledPictures(pictures, (*remarks, *notes, *_unlabeled(pictures)), passed_over, len(files), left_out)


def _without(pictures: tuple[LabeledPicture, ...], learned: Sequence[Path]) -> tuple[LabeledPicture, ...]:
    """`pictures` but for those in `learned`, wherever they are: files of one size are compared by their sha256."""
    places = {path.resolve() for path in learned}
    others = tuple(picture for picture in pictures if not places or picture.path.resolve() not in places)
    sizes = {_size(path) for path in learned} - {None}
    alike = {picture for picture in others if sizes and _size(picture.path) in sizes}
    sizes = {_size(picture.path) for picture in alike}
    digests = {_digest(path) for path in learned if _size(path) in sizes}
    return tuple(picture for picture in others if picture not in alike or _digest(picture.path) not in digests)


def _size(path: Path) -> int | None:
    """The bytes of the file `path`; None if there is none, which is said when it is decoded."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return None


def _draw(
    pictures: Sequence[LabeledPicture], samples: int, not_drawn: Collection[str]
) -> tuple[tuple[LabeledPicture, ...], int]:
    """`samples` of `pictures`, or as many as are left without the files `not_drawn`; how many of those were met.

    Files are only read until enough are found: a folder may hold 50,000.
    """
    first = Sample(samples, SEED).part(len(pictures))  # the same whatever is passed over
    others = np.setdiff1d(np.arange(len(pictures)), first)
    order = itertools.chain(first, np.random.default_rng(SEED).permutation(others).tolist())
    drawn: list[int] = []
    passed_over = 0
    while len(drawn) < samples and (row := next(order, None)) is not None:
        if not_drawn and _digest(pictures[row].path) in not_drawn:
            passed_over += 1
        else:
            drawn.append(row)
    return tuple(pictures[row] for row in sorted(drawn)), passed_over


def _digest(path: Path) -> str | None:
    """The sha256 of the file `path`; None if it cannot be read, which is said when it is decoded."""
    try:
        return sha256(path)
    except (OSError, ValueError):
        return None


def _by_table(labels: Path, index: PictureIndex, known: ClassNames) -> tuple[list[Classes], tuple[str, ...]]:
    """The classes of the pictures by the file `labels`, and what to say of them."""
    if not labels.exists():
        raise UsageError(
            f"No such file: {labels}. Required: a table of labels, with the name and class of each picture."
        )
    labels = ground_truth.find_in(labels) if labels.is_dir() else labels
    text = read_text(labels)
    if ground_truth.is_one(text):
        return ground_truth.read(labels, text, index, known)
    return label_table.read(labels, text, index, known)


def class_folders(images: Path) -> list[Path]:
    """The folders in `images` that may be classes, sorted by name."""
    paths = (path for path in images.iterdir() if not path.name.startswith(".") and path.name not in SKIPPED_FOLDERS)
    return sorted(path for path in paths if path.is_dir())


def _by_folder(images: Path, files: Sequence[Path], known: ClassNames) -> tuple[list[Classes], tuple[str, ...]]:
    """The classes of `files` by the folders that they are in, and what to say of them."""
    folders = [_class_folder(file, base) for base in [_base(images, files)] for file in files]
    texts = {folder for folder in folders if folder is not None}
    if not texts or (is_list(images) and not any(map(known.find, texts))):
        return [UNLABELED] * len(files), ()
    reading = readings.read(texts, known, f"class folders of {images}", REMEDY)
    sets = {text: frozenset({number}) for text, number in reading.classes.items()}
    return [UNLABELED if folder is None else sets[folder] for folder in folders], reading.remarks


def _base(images: Path, files: Sequence[Path]) -> Path:
    """The folder that holds the class folders."""
    if images.is_dir():
        return images
    common = Path(os.path.commonpath([os.path.normpath(file.parent) for file in files]))
    alone = any(Path(os.path.normpath(file.parent)) == common for file in files)
    return common.parent if alone else common


def _class_folder(file: Path, base: Path) -> str | None:
    """The folder below `base` that `file` is in; None if it is in `base` itself."""
    parts = Path(os.path.relpath(file, base)).parts
    return parts[0] if len(parts) > 1 else None


def _unlabeled(pictures: Sequence[LabeledPicture]) -> list[str]:
    count = sum(not picture.classes for picture in pictures)
    if not count:
        return []
    if count == len(pictures):
        return [f"no labels for the {count:,} pictures: accuracy is not measured, only agreement with the original"]
    first = next(picture.name for picture in pictures if not picture.classes)
    return [f"{count:,} of {len(pictures):,} pictures have no label and count for agreement only: {first}, ..."]
