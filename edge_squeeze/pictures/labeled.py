"""Labeled pictures as people have them: a folder per class, a table of labels, or what `train` leaves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import read_text
from edge_squeeze.pictures import classes as readings, ground_truth, label_table
from edge_squeeze.pictures.classes import ClassNames
from edge_squeeze.pictures.listing import SKIPPED_FOLDERS, is_list, list_pictures, picture_name
from edge_squeeze.pictures.loading import Sample
from edge_squeeze.pictures.picture_index import PictureIndex

TRAINED, TEST_LIST, TABLE = "training.json", "test.txt", "labels.csv"
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


def find(images: Path, labels: Path | None, classes: Sequence[str], samples: int | None = None) -> LabeledPictures:
    """The pictures at `images` with their right classes; nothing is decoded.

    Args:
        images: A folder of pictures, a folder that `train` wrote (its test pictures are taken), a list of pictures, or
            a single one.
        labels: A table of labels, ImageNet's ground truth file, or its development kit. By default, the folders that
            the pictures are in name their classes; where there are none, labels.csv in the folder is taken.
        classes: The names of the model's classes, in the order of its outputs.
        samples: How many pictures to draw if there are more, at random but always the same ones; by default all.

    Raises:
        UsageError: There are no pictures, or a label is not one of `classes`, or can be read in two ways.
    """
    remarks: tuple[str, ...] = ()
    if (images / TRAINED).is_file() and (images / TEST_LIST).is_file():
        remarks = (f"{images} was written by `train`: evaluating its {TEST_LIST}",)
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
    pictures = tuple(map(LabeledPicture, files, names, truth))
    if samples is not None and samples < len(pictures):
        notes = (*notes, f"drew {samples:,} of the {len(pictures):,} pictures (seed {SEED})")
        pictures = tuple(pictures[row] for row in Sample(samples, SEED).part(len(pictures)))
    return LabeledPictures(pictures, (*remarks, *notes, *_unlabeled(pictures)))


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
