"""The filters that resize pictures, each the same to the byte here and in the app (android_demo, Resampling.kt)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_squeeze.errors import UsageError

Size = tuple[int, int]  # width, height, as Pillow has it
MAX_RESIZED_PIXELS = 50_000_000  # a 1 x 100,000 picture would otherwise grow to gigabytes
WEIGHT_BITS = 22  # of the weights between two neighbors: more than float32 has


def _pillow(picture: Image.Image, size: Size, resampling: Image.Resampling) -> Image.Image:
    """Pillow's own, antialiased when it shrinks: along the rows, rounded to 8 bits, then along the columns.

    In two calls, because the order differs between versions of Pillow, and with it the last bit.
    """
    if size[0] * picture.height > MAX_RESIZED_PIXELS:
        raise UsageError(
            f"A picture of {picture.width} x {picture.height} pixels is too narrow to be resized. Crop it first."
        )
    return picture.resize((size[0], picture.height), resampling).resize(size, resampling)


def _nearest(picture: Image.Image, size: Size, positions: Callable[[int, int], NDArray[np.int64]]) -> Image.Image:
    columns, rows = map(positions, picture.size, size)
    return Image.fromarray(np.asarray(picture, dtype=np.uint8)[rows[:, None], columns])


def _pillow_positions(side: int, size: int) -> NDArray[np.int64]:
    """The pixel at (i + 0.5) * scale for each resized one; the scale is added up, as Pillow does."""
    steps = np.full(size, side / size)
    steps[0] /= 2
    return np.cumsum(steps).astype(np.int64)


def _tf_positions(side: int, size: int) -> NDArray[np.int64]:
    """The same, multiplied in float32, as TensorFlow does: another pixel where (i + 0.5) * scale is whole."""
    at = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * (np.float32(side) / np.float32(size))
    return at.astype(np.int64).clip(0, side - 1)


def _tf_bilinear(picture: Image.Image, size: Size) -> Image.Image:
    """tf.image.resize's bilinear, rounded: the four pixels around (i + 0.5) * scale - 0.5, whatever the scale."""
    pixels = np.asarray(picture, dtype=np.uint8)
    (left, right, across), (above, below, down) = map(_neighbors, picture.size, size)
    across, whole = across[:, None], 1 << WEIGHT_BITS
    resized = np.empty((size[1], size[0], 3), np.uint8)
    for y, weight in enumerate(down):
        top, bottom = (row[left] * (whole - across) + row[right] * across for row in pixels[[above[y], below[y]]])
        total = top * (whole - weight) + bottom * weight
        resized[y] = total + (1 << 2 * WEIGHT_BITS - 1) >> 2 * WEIGHT_BITS
    return Image.fromarray(resized)


def _neighbors(side: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The pixel before each resized one, that behind it, and the latter's weight; from float32, as in TensorFlow."""
    half = np.float32(0.5)
    at = (np.arange(size, dtype=np.float32) + half) * (np.float32(side) / np.float32(size)) - half
    first = np.floor(at)
    weights = np.floor((at - first).astype(np.float64) * (1 << WEIGHT_BITS) + 0.5).astype(np.int64)
    before, behind = first.astype(np.int64), np.ceil(at).astype(np.int64)
    return before.clip(0, side - 1), behind.clip(0, side - 1), weights


def _area(picture: Image.Image, size: Size) -> Image.Image:
    """The mean of what each resized pixel covers, parts of pixels by their share; in integers, and rounded once."""
    pixels = np.asarray(picture, dtype=np.uint8)
    (width, height), count = size, picture.width * picture.height
    resized = np.empty((height, width, 3), np.uint8)
    for y in range(height):
        rows, weights = _covered(y, picture.height, height)
        line = np.tensordot(weights, pixels[rows].astype(np.int64), 1)
        total = np.diff(_integral(line, width), axis=0)
        resized[y] = (2 * total + count) // (2 * count)
    return Image.fromarray(resized)


def _covered(i: int, side: int, size: int) -> tuple[slice, NDArray[np.int64]]:
    """The pixels that the resized pixel `i` covers, and how much of each in parts of 1 / size."""
    first, last = i * side // size, -(-(i + 1) * side // size)
    edges = np.clip(np.arange(first, last + 1) * size, i * side, (i + 1) * side)
    return slice(first, last), np.diff(edges)


def _integral(line: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """What lies before the edge of each resized pixel of a `line` [W,3], in parts of 1 / size."""
    edges = np.arange(size + 1) * len(line)
    whole, part = edges // size, edges % size
    sums = np.vstack([np.zeros((1, 3), np.int64), line.cumsum(axis=0)])
    behind = np.vstack([line, line[-1:]])[whole]
    return sums[whole] * size + behind * part[:, None]


BILINEAR = "bilinear"
FILTERS: dict[str, Callable[[Image.Image, Size], Image.Image]] = {
    BILINEAR: partial(_pillow, resampling=Image.Resampling.BILINEAR),
    "tf-bilinear": _tf_bilinear,
    "nearest": partial(_nearest, positions=_pillow_positions),
    "tf-nearest": partial(_nearest, positions=_tf_positions),
    "bicubic": partial(_pillow, resampling=Image.Resampling.BICUBIC),
    "area": _area,
}
