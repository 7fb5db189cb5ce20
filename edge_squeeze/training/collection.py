"""Labeled pictures: a folder for each class, read, made ready for a network, and looked through for mistakes."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_squeeze.errors import UsageError
from edge_squeeze.networks.arithmetic import COLORS
from edge_squeeze.pictures.loading import SUFFIXES, as_rgb, list_pictures, open_picture
from edge_squeeze.pictures.preprocessing import Pixels, Preprocessing
from edge_squeeze.reporting import Reporter
from edge_squeeze.training import digits

FEWEST_CLASSES = 2
LARGEST_BYTES = 4 << 30  # of all pixels together, which are kept in memory
MOST_TOLD = 20  # more pictures that are refused: with them, the message fills a screen
REQUIRED = "Required: a folder with a folder of pictures for each class, called like the class"


@dataclass(frozen=True)
class Labeled:
    """A picture file on disk, or one that is to be written there, and what it shows."""

    name: str  # CLASS/FILE
    label: str
    content: bytes | None = None  # None: it is on disk


@dataclass(frozen=True)
class Files:
    """The picture files of a collection, whose labels are sorted by name."""

    pictures: tuple[Labeled, ...]
    labels: tuple[str, ...]
    source: str
    folder: Path | None  # None: they are not on disk yet
    beside: tuple[str, ...] = ()  # pictures that are in no class, and left out

    def path(self, picture: Labeled) -> Path:
        """Where the user finds `picture`."""
        return Path(picture.name) if self.folder is None else self.folder / picture.name


@dataclass(frozen=True)
class Collection:
    """Pictures made ready for a network, with their classes."""

    files: Files
    pixels: Pixels  # [N,H,W,3] raw RGB
    truth: NDArray[np.intp]  # [N] numbers of `files.labels`
    digests: tuple[str, ...]  # sha256 of the pixels of each


def find(images: Path | None) -> Files:
    """The labeled picture files below `images`, or the digits; UsageError if those are no classes of pictures."""
    if images is None:
        drawn = digits.draw()
        pictures = tuple(Labeled(name, PurePosixPath(name).parts[0], content) for name, content in drawn.items())
        return Files(pictures, tuple(sorted({picture.label for picture in pictures})), digits.SOURCE, None)
    if not images.is_dir():
        what = f"{images} is a file" if images.exists() else f"No such folder: {images}"
        raise UsageError(f"{what}. {REQUIRED}.")
    seen = sorted(path for path in images.iterdir() if not path.name.startswith("."))
    classes = [path for path in seen if path.is_dir()]
    beside = tuple(path.name for path in seen if path.suffix.lower() in SUFFIXES and path.is_file())
    if len(classes) < FEWEST_CLASSES:
        raise UsageError(f"{images} has {len(classes)} of the {FEWEST_CLASSES} classes that it takes. {REQUIRED}.")
    pictures = tuple(one for folder in classes for one in _pictures(folder))
    return Files(pictures, tuple(folder.name for folder in classes), str(images), images, beside)


def _pictures(folder: Path) -> list[Labeled]:
    """The pictures of the class `folder`; UsageError if there are none, or names that no list can hold."""
    found = [Labeled(path.relative_to(folder.parent).as_posix(), folder.name) for path in list_pictures(folder)]
    for name in [folder.name, *(one.name for one in found)]:
        if not name.isprintable() or name != name.strip():
            raise UsageError(f"{name!r} cannot stand in a list. Required: printable names without spaces at the ends.")
    return found


def load(files: Files, preprocessing: Preprocessing, reporter: Reporter) -> Collection:
    """The pixels and classes of `files`; UsageError names those that cannot be read, or are in two classes."""
    height, width = preprocessing.size
    if (size := len(files.pictures) * height * width * COLORS) > LARGEST_BYTES:
        raise UsageError(
            f"{len(files.pictures):,} pictures of {height} x {width} take {size:,} bytes. Required: at most "
            f"{LARGEST_BYTES:,}. Give fewer, or a smaller --input-size."
        )
    pixels = _read(files, preprocessing, reporter)
    numbers = {label: number for number, label in enumerate(files.labels)}
    truth = np.array([numbers[one.label] for one in files.pictures], np.intp)
    digests = tuple(hashlib.sha256(one.tobytes()).hexdigest() for one in pixels)
    _check_labels(files, digests)
    return Collection(files, pixels, truth, digests)


def _read(files: Files, preprocessing: Preprocessing, reporter: Reporter) -> Pixels:
    """The pixels [N,H,W,3] of all `files`; UsageError names those that have none."""
    pixels: list[Pixels] = []
    problems: dict[str, str] = {}
    for picture in reporter.track(files.pictures, "read"):
        try:
            pixels.append(_pixels(picture, files, preprocessing))
        except UsageError as error:
            problems[str(files.path(picture))] = str(error)
    _refuse(problems)
    return np.stack(pixels)


def _pixels(picture: Labeled, files: Files, preprocessing: Preprocessing) -> Pixels:
    opened = _open(picture, files)
    try:
        return preprocessing.pixels(opened)
    except UsageError as error:
        raise UsageError(f"{files.path(picture)}: {error}") from error


def _open(picture: Labeled, files: Files) -> Image.Image:
    if picture.content is not None:
        return as_rgb(Image.open(io.BytesIO(picture.content)))
    return open_picture(files.path(picture))


def _check_labels(files: Files, digests: Sequence[str]) -> None:
    """Raise UsageError where the network would see the same picture in two classes."""
    first: dict[str, Labeled] = {}
    pairs = [(first.setdefault(digest, one), one) for one, digest in zip(files.pictures, digests, strict=True)]
    both = [f"{files.path(other)} and {files.path(one)}" for other, one in pairs if other.label != one.label]
    why = "are the same picture at the network's size, in two classes. Remove one of them."
    _refuse({names: f"{names} {why}" for names in both})


def _refuse(problems: dict[str, str]) -> None:
    """Raise UsageError, if there are `problems` (where -> what), with the first of them and where the others are."""
    if not problems:
        return
    first, *others = problems
    lines = [problems[first], *(f"  {where}" for where in others[:MOST_TOLD])]
    if others:
        lines.insert(1, f"Refused as well, {len(others):,} in all:")
    if len(others) > MOST_TOLD:
        lines.append(f"  and {len(others) - MOST_TOLD:,} more")
    raise UsageError("\n".join(lines))
