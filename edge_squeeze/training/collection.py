"""Labeled pictures: found in a folder per class, read at a network's size, checked, and split into parts."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import read_text
from edge_squeeze.networks.arithmetic import COLORS
from edge_squeeze.pictures.labeled import class_folders
from edge_squeeze.pictures.listing import is_picture, list_pictures
from edge_squeeze.pictures.loading import as_rgb, open_picture, refuse, skipped
from edge_squeeze.pictures.preprocessing import Pixels, Preprocessing
from edge_squeeze.reporting import Reporter
from edge_squeeze.training import duplicates

FEWEST_CLASSES = 2
LARGEST_BYTES = 4 << 30  # of all pixels together, which are kept in memory
REQUIRED = "Required: a folder that holds one folder of pictures per class, named after the class"

TABLE, DELIMITERS = ".csv", ",;\t"
TABLE_REQUIRED = "Required: a header, then a line per picture with its path, relative to the table, and its class"
MOST_NAMED = 10  # pictures in a warning
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
    table: Path | None = None  # that names the classes; None: the pictures' folders do

    def path(self, picture: LabeledPicture) -> Path:
        """Where the user finds `picture`."""
        return Path(picture.name) if self.folder is None else self.folder / picture.name

    def open(self, picture: LabeledPicture) -> Image.Image:
        """`picture` in RGB, as it should be displayed; UsageError if it cannot be read."""
        if picture.content is None:
            return open_picture(self.path(picture))
        return as_rgb(Image.open(io.BytesIO(picture.content)))


@dataclass(frozen=True)
class Collection:
    """Pictures at the network's size, with their classes."""

    files: Files
    pixels: Pixels  # [N,H,W,3] raw RGB, or [0,H,W,3] where they are not kept in memory
    truth: Rows  # [N] indices into `files.labels`
    digests: tuple[str, ...]  # sha256 of the pixels of each
    groups: Rows  # [N] the row of the first picture that each is a near-duplicate of, by default its own
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


def find(images: Path) -> Files:
    """The labeled picture files below the folder `images`, or in that table; UsageError unless there are classes."""
    if images.suffix.lower() == TABLE and images.is_file():
        return _of_table(images)
    if not images.is_dir():
        problem = f"{images} is a file" if images.exists() else f"No such folder: {images}"
        raise UsageError(f"{problem}. {REQUIRED}.")
    classes = class_folders(images)
    if len(classes) < FEWEST_CLASSES:
        raise UsageError(f"{images} has {_count('class folder', len(classes))}. {REQUIRED}, of at least two classes.")
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


def _of_table(table: Path) -> Files:
    """The pictures that the CSV file `table` names, in its first column, with their classes, in its second."""
    text = read_text(table)
    header = text.partition("\n")[0]
    if not any(delimiter in header for delimiter in DELIMITERS):
        problem = "its first line has no comma, semicolon or tab" if text.strip() else "it is empty"
        raise UsageError(f"{table} is not a table of pictures: {problem}. {TABLE_REQUIRED}.")
    try:
        dialect = csv.Sniffer().sniff(header, DELIMITERS)
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), dialect) if row][1:]
    except csv.Error as error:
        raise UsageError(f"{table} is not a table of pictures: {error}. {TABLE_REQUIRED}.") from error
    for number, row in enumerate(rows, start=2):
        if len(row) < FEWEST_CLASSES or not all(row[:2]):
            raise UsageError(f"{table}: line {number} has no class: {row}. {TABLE_REQUIRED}.")
    pictures = tuple(LabeledPicture(Path(row[0]).as_posix(), row[1].strip()) for row in rows)
    labels = tuple(sorted({picture.label for picture in pictures}))
    if len(labels) < FEWEST_CLASSES:
        raise UsageError(f"{table} names {_count('class', len(labels))}. {TABLE_REQUIRED}, of at least two classes.")
    odd = {name for p in pictures for name in (p.name, p.label) if not name.isprintable() or name != name.strip()}
    refuse(
        {name: f"{name!r} of {table} cannot be written to a list of pictures. Rename it." for name in sorted(odd)}, None
    )
    return Files(pictures, labels, str(table), table.parent, table=table)


def _count(what: str, number: int) -> str:
    """`number` of `what`, 0 or 1 of them, in words."""
    return f"only one {what}" if number else f"no {what}"


def load(
    files: Files,
    preprocessing: Preprocessing,
    reporter: Reporter,
    *,
    skip_unreadable: bool = False,
    in_memory: bool = True,
) -> Collection:
    """The pixels and classes of `files`; UsageError names those that cannot be read.

    Args:
        files: The pictures.
        preprocessing: How they are brought to the network's size.
        reporter: Receives the progress.
        skip_unreadable: Whether those that cannot be read are left out of the collection instead.
        in_memory: Whether pixels are kept. If so, pictures that are in two classes are refused, otherwise left out.
    """
    height, width = preprocessing.size
    if in_memory and (size := len(files.pictures) * height * width * COLORS) > LARGEST_BYTES:
        raise UsageError(
            f"{len(files.pictures):,} pictures of {height} x {width} need {size:,} bytes of memory. Required: at most "
            f"{LARGEST_BYTES:,}. Use fewer pictures, or a smaller --input-size."
        )
    seen, problems = _read(files, preprocessing, reporter, in_memory=in_memory)
    if not skip_unreadable:
        refuse(problems)
    notes = skipped(problems, [files.path(picture) for picture in files.pictures], files.folder or Path())
    pictures = [picture for picture in files.pictures if files.path(picture) not in problems]
    pairs = _in_two_classes(pictures, [each.digest for each in seen])
    if in_memory:
        _refuse_pairs(files, pairs)
    elif pairs:
        notes.append(_left_out_pairs(files, pairs))
        both = {picture.name for pair in pairs for picture in pair}
        seen = [each for each, picture in zip(seen, pictures, strict=True) if picture.name not in both]
        pictures = [picture for picture in pictures if picture.name not in both]
    numbers = {label: number for number, label in enumerate(files.labels)}
    truth = np.array([numbers[picture.label] for picture in pictures], np.intp)
    digests = tuple(each.digest for each in seen)
    pixels = [each.pixels for each in seen if each.pixels is not None]
    stacked = np.stack(pixels) if pixels else np.empty((0, *preprocessing.size, COLORS), np.uint8)
    thumbnails = np.stack([each.thumbnail for each in seen]) if seen else np.empty((0, 1), np.float32)
    groups = duplicates.groups(digests, thumbnails)
    return Collection(replace(files, pictures=tuple(pictures)), stacked, truth, digests, groups, tuple(notes))


@dataclass(frozen=True)
class _Seen:
    """What is kept of a picture that was read."""

    digest: str
    thumbnail: duplicates.Thumbnail
    pixels: Pixels | None


def _read(
    files: Files, preprocessing: Preprocessing, reporter: Reporter, *, in_memory: bool
) -> tuple[list[_Seen], dict[Path, str]]:
    """What is kept of those of `files` that can be read, and the reason for each of the others."""
    seen: list[_Seen] = []
    problems: dict[Path, str] = {}
    for picture in reporter.track(files.pictures, "read"):
        try:
            pixels = _pixels(picture, files, preprocessing)
        except UsageError as error:
            problems[files.path(picture)] = str(error)
            continue
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()
        seen.append(_Seen(digest, duplicates.thumbnail(pixels), pixels if in_memory else None))
    return seen, problems


def _pixels(picture: LabeledPicture, files: Files, preprocessing: Preprocessing) -> Pixels:
    opened, path = files.open(picture), files.path(picture)
    try:
        return preprocessing.pixels(opened)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


Pair = tuple[LabeledPicture, LabeledPicture]


def _in_two_classes(pictures: Sequence[LabeledPicture], digests: Sequence[str]) -> list[Pair]:
    """The pictures that the network would see in two classes, each with the first that equals it."""
    first: dict[str, LabeledPicture] = {}
    twins = [(first.setdefault(digest, picture), picture) for picture, digest in zip(pictures, digests, strict=True)]
    return [(one, two) for one, two in twins if one.label != two.label]


def _refuse_pairs(files: Files, pairs: Sequence[Pair]) -> None:
    names = [f"{files.path(one)} and {files.path(two)}" for one, two in pairs]
    text = "are the same picture at the network's input size, in two classes. Remove one of them."
    refuse({name: f"{name} {text}" for name in names}, remedy=None)


def _left_out_pairs(files: Files, pairs: Sequence[Pair]) -> str:
    names = ", ".join(f"{files.path(one)} and {files.path(two)}" for one, two in pairs[:MOST_NAMED])
    more = ", ..." if len(pairs) > MOST_NAMED else ""
    count = len({picture.name for pair in pairs for picture in pair})
    return f"left out {count:,} pictures that have duplicates with another label: {names}{more}"


def split(collection: Collection, seed: int) -> Split:
    """The pictures of each class, drawn into parts of 70, 10 and 20 %, near-duplicates into the same part.

    UsageError for a class of fewer than FEWEST_PICTURES different ones.
    """
    rng = np.random.default_rng(seed)
    parts: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    owners = collection.truth[collection.groups]  # near-duplicates in two classes go where the first one goes
    for number, label in enumerate(collection.files.labels):
        groups: dict[int, list[int]] = {}
        for row in np.flatnonzero(owners == number).tolist():
            groups.setdefault(int(collection.groups[row]), []).append(row)
        if len(groups) < FEWEST_PICTURES:
            raise UsageError(
                f"Required: at least {FEWEST_PICTURES} different pictures of each class, got {len(groups)} of {label}."
            )
        shuffled = [list(groups.values())[i] for i in rng.permutation(len(groups))]
        for name, rows in _parts(shuffled):
            parts[name] += rows
    return Split(**{name: np.sort(np.array(rows, np.intp)) for name, rows in parts.items()})


def _parts(groups: list[list[int]]) -> Iterator[tuple[str, list[int]]]:
    """The rows of each part of one class, whose near-duplicates are a group."""
    test, validation = (round(share * len(groups)) for share in (TEST, VALIDATION))
    ends = {"test": test, "validation": test + validation, "train": len(groups)}
    start = 0
    for name, end in ends.items():
        yield name, [row for group in groups[start:end] for row in group]
        start = end
