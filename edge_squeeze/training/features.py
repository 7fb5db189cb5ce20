"""Features: what the frozen part of a network makes of each view of each picture, computed once and kept."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from edge_squeeze.pictures.preprocessing import Pixels, Preprocessing
from edge_squeeze.reporting import Reporter
from edge_squeeze.training.collection import Collection, Rows
from edge_squeeze.training.options import COLOR, CROP, FLIP

BATCH = 16  # views at a time
MOST_IN_MEMORY = 1 << 30  # bytes of one set of features; larger ones are kept on disk
LARGEST = float(np.finfo(np.float16).max)
SMALLEST_CROP = 0.75  # of the sides
COLOR_CHANGE = 0.25  # of brightness, contrast and saturation, up or down

Maps = NDArray[np.float16]  # [N*views,h,w,C] or [N*views,C]: all views of the first picture, then of the second


@dataclass(frozen=True)
class Views:
    """Which pictures are seen, and how often: each as it is, and then changed as `augmentations` says."""

    rows: Rows
    count: int = 1
    augmentations: frozenset[str] = frozenset()
    seed: int = 0

    def __len__(self) -> int:
        return len(self.rows) * self.count

    def pixels(self, collection: Collection, preprocessing: Preprocessing) -> Iterator[Pixels]:
        """The pixels [H,W,3] of every view."""
        for row in self.rows.tolist():
            picture = collection.files.open(collection.files.pictures[row])
            for number in range(self.count):
                rng = np.random.default_rng([self.seed, row, number])
                yield preprocessing.pixels(augmented(picture, self.augmentations, rng) if number else picture)


def augmented(picture: Image.Image, augmentations: frozenset[str], rng: np.random.Generator) -> Image.Image:
    """`picture` as another photograph of the same thing might show it."""
    if CROP in augmentations:
        width, height = (rng.uniform(SMALLEST_CROP, 1) * side for side in picture.size)
        left, top = rng.uniform(0, picture.width - width), rng.uniform(0, picture.height - height)
        size = max(1, round(width)), max(1, round(height))
        picture = picture.resize(size, Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))
    if FLIP in augmentations and rng.integers(2):
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if COLOR in augmentations:
        for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            picture = enhancer(picture).enhance(rng.uniform(1 - COLOR_CHANGE, 1 + COLOR_CHANGE))
    return picture


def compute(
    frozen: Any,
    views: Views,
    collection: Collection,
    preprocessing: Preprocessing,
    path: Path,
    reporter: Reporter,
) -> Maps:
    """The features of all `views`.

    Args:
        frozen: The Keras model that makes them of normalized pictures.
        views: The pictures, and how they are changed.
        collection: Where they are from.
        preprocessing: How they are brought to the network's size.
        path: Where features that are too large for the memory go. If they are there already, they are taken.
        reporter: Receives the progress.
    """
    if path.exists():
        return _opened(path)
    maps = _Growing(frozen.output_shape[1:], len(views), path)
    batch: list[Pixels] = []
    for pixels in reporter.track(_Sized(views.pixels(collection, preprocessing), len(views)), "features"):
        batch.append(pixels)
        if len(batch) == BATCH:
            maps.add(frozen.predict_on_batch(preprocessing.normalize(np.stack(batch))))
            batch.clear()
    if batch:
        maps.add(frozen.predict_on_batch(preprocessing.normalize(np.stack(batch))))
    return maps.finished()


def derive(between: Any, maps: Maps, path: Path) -> Maps:
    """The features that the Keras model `between` makes of others."""
    if path.exists():
        return _opened(path)
    derived = _Growing(between.output_shape[1:], len(maps), path)
    for start in range(0, len(maps), BATCH):
        derived.add(between.predict_on_batch(np.asarray(maps[start : start + BATCH], np.float32)))
    return derived.finished()


def _opened(path: Path) -> Maps:
    maps: Maps = np.load(path, mmap_mode="r")
    return maps


class _Growing:
    """Features that are computed batch by batch, in float16, in memory or in a file."""

    def __init__(self, shape: Sequence[int], count: int, path: Path) -> None:
        self._path, self._end = path, 0
        whole = (count, *shape)
        self._on_disk = math.prod(whole) * np.dtype(np.float16).itemsize > MOST_IN_MEMORY
        if self._on_disk:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._maps: Maps = np.lib.format.open_memmap(self._partial, mode="w+", dtype=np.float16, shape=whole)
        else:
            self._maps = np.empty(whole, np.float16)

    @property
    def _partial(self) -> Path:
        return self._path.with_suffix(".partial")

    def add(self, features: NDArray[np.float32]) -> None:
        """Take the next ones."""
        start, self._end = self._end, self._end + len(features)
        self._maps[start : self._end] = np.clip(features, -LARGEST, LARGEST)

    def finished(self) -> Maps:
        """All of them."""
        if not self._on_disk:
            return self._maps
        del self._maps  # which writes what is still in memory
        self._partial.replace(self._path)
        return _opened(self._path)


class _Sized:
    """An iterator that knows how much comes, for a progress bar."""

    def __init__(self, items: Iterator[Pixels], count: int) -> None:
        self._items, self._count = items, count

    def __iter__(self) -> Iterator[Pixels]:
        return self._items

    def __len__(self) -> int:
        return self._count
