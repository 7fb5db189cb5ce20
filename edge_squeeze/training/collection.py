"""Labeled pictures: found in a folder per class, read at a network's size, checked, and split into parts."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_squeeze.errors import MissingDependencyError, UsageError
from edge_squeeze.networks.arithmetic import COLORS
from edge_squeeze.packages import is_installed
from edge_squeeze.pictures.labeled import class_folders
from edge_squeeze.pictures.listing import is_picture, list_pictures
from edge_squeeze.pictures.loading import as_rgb, open_picture, refuse, skipped
from edge_squeeze.pictures.preprocessing import Pixels, Preprocessing
from edge_squeeze.reporting import Reporter

FEWEST_CLASSES = 2
LARGEST_BYTES = 4 << 30  # of all pixels together, which are kept in memory
REQUIRED = "Required: a folder that holds one folder of pictures per class, named after the class"

DIGITS = "scikit-learn's digits"
DIGIT_SIDE = 32  # pixels, of 8: the input of squeezenet-lab
DARKEST = 16  # of the original values

TEST, VALIDATION = 0.2, 0.1  # of each class; the rest is for training
FEWEST_PICTURES = 10  # different ones of each class: 7, 1 and 2
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class LabeledPicture:
    """A picture and its class."""

    name: str  # CLASS/FILE
    label: str
    content: bytes | None = None  # of the file that the training is to write; None if the picture is on disk


@dataclass(frozen=True)
class Files:
    """The picture files of a collection, whose labels are sorted by name."""

    pictures: tuple[LabeledPicture, ...]
    labels: tuple[str, ...]
    source: str
    folder: Path | None  # None: they are not on disk yet
    ignored: tuple[str, ...] = ()  # pictures outside the class folders

    def path(self, picture: LabeledPicture) -> Path:
        """Where the user finds `picture`."""
        return Path(picture.name) if self.folder is None else self.folder / picture.name


@dataclass(frozen=True)
class Collection:
    """Pictures at the network's size, with their classes."""

    files: Files
    pixels: Pixels  # [N,H,W,3] raw RGB
    truth: Rows  # [N] indices into `files.labels`
    digests: tuple[str, ...]  # sha256 of the pixels of each
    skipped: tuple[str, ...] = ()  # what to say of pictures that could not be read


@dataclass(frozen=True)
class Split:
    """The row numbers of the pictures of each part, in ascending order."""

    train: Rows
    validation: Rows
    test: Rows

    def record(self, digests: Sequence[str]) -> dict[str, dict[str, int | str]]:
        """The size of each part, and a sha256 of its pictures' digests, in order."""
        return {
            name: {"count": len(rows), "sha256": hashlib.sha256("".join(digests[i] for i in rows).encode()).hexdigest()}
            for name, rows in vars(self).items()
        }


def find(images: Path | None) -> Files:
    """The labeled picture files below `images`, or the digits; UsageError unless there are classes of pictures."""
    if images is None:
        return _digits()
    if not images.is_dir():
        problem = f"{images} is a file" if images.exists() else f"No such folder: {images}"
        raise UsageError(f"{problem}. {REQUIRED}.")
    classes = class_folders(images)
    if len(classes) < FEWEST_CLASSES:
        raise UsageError(f"{images} has {len(classes)} of the at least {FEWEST_CLASSES} class folders. {REQUIRED}.")
    pictures = tuple(picture for folder in classes for picture in _pictures(folder))
    ignored = tuple(path.name for path in sorted(images.iterdir()) if is_picture(path) and path.is_file())
    return Files(pictures, tuple(folder.name for folder in classes), str(images), images, ignored)


def _pictures(folder: Path) -> list[LabeledPicture]:
    """The pictures of the class `folder`; UsageError if it has none, or a name that a list of pictures cannot hold."""
    pictures = [
        LabeledPicture(path.relative_to(folder.parent).as_posix(), folder.name) for path in list_pictures(folder)
    ]
    for name in [folder.name, *(picture.name for picture in pictures)]:
        if not name.isprintable() or name != name.strip():
            raise UsageError(
                f"{name!r} cannot be written to a list of pictures. Required: a printable name without leading or "
                "trailing spaces. Rename it."
            )
    return pictures


def _digits() -> Files:
    """The 1,797 digits as gray PNG files called CLASS/NUMBER.png; MissingDependencyError without scikit-learn."""
    if not is_installed("sklearn"):
        raise MissingDependencyError("scikit-learn", "train", "training on its digits (--images DIR works without it)")
    from sklearn.datasets import load_digits

    digits, numbers, pictures = load_digits(), Counter[str](), []
    for values, label in zip(digits.images, map(str, digits.target.tolist()), strict=True):
        numbers[label] += 1
        content = _png(np.rint(values * 255 / DARKEST).astype(np.uint8))
        pictures.append(LabeledPicture(f"{label}/{numbers[label]:04}.png", label, content))
    return Files(tuple(pictures), tuple(sorted(numbers)), DIGITS, None)


def _png(values: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).resize((DIGIT_SIDE, DIGIT_SIDE), Image.Resampling.BICUBIC).save(stream, "PNG")
    return stream.getvalue()


def load(
    files: Files, preprocessing: Preprocessing, reporter: Reporter, *, skip_unreadable: bool = False
) -> Collection:
    """The pixels and classes of `files`; UsageError names those that are in two classes, or cannot be read.

    With `skip_unreadable`, those that cannot be read are left out of the collection instead.
    """
    height, width = preprocessing.size
    if (size := len(files.pictures) * height * width * COLORS) > LARGEST_BYTES:
        raise UsageError(
            f"{len(files.pictures):,} pictures of {height} x {width} need {size:,} bytes of memory. Required: at most "
            f"{LARGEST_BYTES:,}. Use fewer pictures, or a smaller --input-size."
        )
    pixels, problems = _read(files, preprocessing, reporter)
    if not skip_unreadable:
        refuse(problems)
    notes = skipped(problems, [files.path(picture) for picture in files.pictures], files.folder or Path())
    files = replace(files, pictures=tuple(p for p in files.pictures if files.path(p) not in problems))
    numbers = {label: number for number, label in enumerate(files.labels)}
    truth = np.array([numbers[picture.label] for picture in files.pictures], np.intp)
    digests = tuple(hashlib.sha256(picture.tobytes()).hexdigest() for picture in pixels)
    _check_labels(files, digests)
    return Collection(files, pixels, truth, digests, tuple(notes))


def _read(files: Files, preprocessing: Preprocessing, reporter: Reporter) -> tuple[Pixels, dict[Path, str]]:
    """The pixels [N,H,W,3] of those of `files` that can be read, and the reason for each of the others."""
    pixels: list[Pixels] = []
    problems: dict[Path, str] = {}
    for picture in reporter.track(files.pictures, "read"):
        try:
            pixels.append(_pixels(picture, files, preprocessing))
        except UsageError as error:
            problems[files.path(picture)] = str(error)
    return np.stack(pixels) if pixels else np.empty((0, *preprocessing.size, COLORS), np.uint8), problems


def _pixels(picture: LabeledPicture, files: Files, preprocessing: Preprocessing) -> Pixels:
    path = files.path(picture)
    opened = open_picture(path) if picture.content is None else as_rgb(Image.open(io.BytesIO(picture.content)))
    try:
        return preprocessing.pixels(opened)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _check_labels(files: Files, digests: Sequence[str]) -> None:
    """Raise UsageError where the network would see the same picture in two classes."""
    first: dict[str, LabeledPicture] = {}
    problems = {}
    for picture, digest in zip(files.pictures, digests, strict=True):
        twin = first.setdefault(digest, picture)
        if twin.label != picture.label:
            pair = f"{files.path(twin)} and {files.path(picture)}"
            problems[pair] = (
                f"{pair} are the same picture at the network's input size, in two classes. Remove one of them."
            )
    refuse(problems, remedy=None)


def split(collection: Collection, seed: int) -> Split:
    """The pictures of each class, drawn into parts of 70, 10 and 20 %, identical ones into the same part.

    UsageError for a class of fewer than FEWEST_PICTURES different ones.
    """
    rng = np.random.default_rng(seed)
    parts: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for number, label in enumerate(collection.files.labels):
        groups: dict[str, list[int]] = {}
        for row in np.flatnonzero(collection.truth == number).tolist():
            groups.setdefault(collection.digests[row], []).append(row)
        if len(groups) < FEWEST_PICTURES:
            raise UsageError(
                f"Required: at least {FEWEST_PICTURES} different pictures of each class, got {len(groups)} of {label}."
            )
        shuffled = [list(groups.values())[i] for i in rng.permutation(len(groups))]
        for name, rows in _parts(shuffled):
            parts[name] += rows
    return Split(**{name: np.sort(np.array(rows, np.intp)) for name, rows in parts.items()})


def _parts(groups: list[list[int]]) -> Iterator[tuple[str, list[int]]]:
    """The rows of each part of one class, whose identical pictures are a group."""
    test, validation = (round(share * len(groups)) for share in (TEST, VALIDATION))
    ends = {"test": test, "validation": test + validation, "train": len(groups)}
    start = 0
    for name, end in ends.items():
        yield name, [row for group in groups[start:end] for row in group]
        start = end
