"""Reads calibration pictures from an .npz file that says what its numbers mean."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_squeeze.errors import UsageError
from edge_squeeze.pictures.loading import PictureSet, Sample
from edge_squeeze.pictures.preprocessing import Pixels, Preprocessing
from edge_squeeze.weight_files.archives import HEADERS, LONGEST_HEADER, NPY, Archive

SUFFIX = ".npz"
LARGEST = 1 << 30  # bytes of the file
ORDERS = ("rgb", "bgr")
RANGES = {"0..255": (0.0, 255.0), "0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0)}
HOW = "Write it with numpy.savez(FILE, pixels=PIXELS, order='rgb', range='0..255'), PIXELS [N,H,W,3] uint8 or float."
LONGEST_WORD = 1 << 10  # bytes
ROUNDING = 1e-3  # of the range, that resizing in float may leave it by


def is_array_file(path: Path) -> bool:
    """Whether the file `path` holds pixels, by its name."""
    return path.suffix.lower() == SUFFIX


def read(path: Path) -> Pixels:
    """The pixels [N,H,W,3], raw RGB, in the .npz file `path`; UsageError if it does not say what they mean."""
    try:
        if not path.is_file():
            raise UsageError(f"No such file: {path}.")
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path} is too large. Required: at most {LARGEST:,} bytes.")
        archive = Archive(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error
    words = {member.removesuffix(NPY) for member in archive.sizes}
    arrays = sorted(words - {"order", "range"})
    if len(arrays) != 1 or not {"order", "range"} <= words:
        raise UsageError(f"{path} has {', '.join(sorted(words))[:100]}. Required: pixels, order and range. {HOW}")
    order, declared = _word(archive, "order", ORDERS), _word(archive, "range", tuple(RANGES))
    values = _array(archive, arrays[0])
    if values.ndim != 4 or values.shape[3] != 3 or 0 in values.shape:  # noqa: PLR2004 - N, H, W and three channels
        raise UsageError(f"{path}: required pixels [N,H,W,3], got {list(values.shape)}. {HOW}")
    if values.dtype != np.uint8 and values.dtype.kind != "f":
        raise UsageError(f"{path}: required pixels of uint8 or float, got {values.dtype}. {HOW}")
    _check_range(path, values, declared)
    low, high = RANGES[declared]
    pixels = values
    if values.dtype != np.uint8:  # picture by picture, to save memory
        scale = 255 / (high - low)
        pixels = np.array(
            [((v.astype(np.float64) - low) * scale).clip(0, 255).round().astype(np.uint8) for v in values]
        )
    return np.ascontiguousarray(pixels[..., ::-1] if order == "bgr" else pixels, np.uint8)


def load(path: Path, preprocessing: Preprocessing, sample: Sample) -> PictureSet:
    """The pictures in the .npz file `path`: those of the network's size as they are, others as from picture files.

    Args:
        path: The file.
        preprocessing: What pictures of another size go through.
        sample: How to draw from more pictures than it has.
    """
    pixels = read(path)
    count = len(pixels)
    drawn = count > sample.most
    rows = sample.part(count) if drawn else list(range(count))
    chosen = pixels[rows]
    if chosen.shape[1:3] != preprocessing.size:
        chosen = np.stack([preprocessing.pixels(Image.fromarray(picture)) for picture in chosen])
    description = f"{f'{len(rows):,} of the ' if drawn else ''}{count:,} picture{'s' if count > 1 else ''} of {path}"
    names = tuple(f"picture {row}" for row in rows)
    return PictureSet(names, chosen, description, photographs=False, seed=sample.seed if drawn else None)


def _check_range(path: Path, values: NDArray[np.generic], declared: str) -> None:
    low, high = float(values.min()), float(values.max())
    if values.dtype == np.uint8 and declared != "0..255":
        raise UsageError(f"{path} declares the range {declared}, but uint8 pixels are 0..255. {HOW}")
    least, most = RANGES[declared]
    slack = ROUNDING * (most - least)
    held = f"{path} declares the range {declared}, and its values are {low:g} to {high:g}"
    if not least - slack <= low <= high <= most + slack:  # NaN, too
        raise UsageError(f"{held}. Required: values within the range. {HOW}")
    if most > 1 >= high or low >= 0 > least:
        raise UsageError(f"{held}, as if the range were 0..1. Declare the range that the values have. {HOW}")


def _word(archive: Archive, name: str, choices: tuple[str, ...]) -> str:
    """The declaration `name`; UsageError if it is none of `choices`."""
    word = str(_array(archive, name, largest=LONGEST_WORD)).lower()
    if word not in choices:
        raise UsageError(f"{archive.name}: {name} must be one of {', '.join(choices)}, got {word[:40]!r}. {HOW}")
    return word


def _array(archive: Archive, name: str, largest: int | None = None) -> NDArray[np.generic]:
    """The array `name`, never unpickled, and its header compared with its size before anything is allocated for it."""
    where = f"{archive.name}: {name[:60]}"
    if largest is not None and archive.sizes[name + NPY] > largest:
        raise UsageError(f"{where} has {archive.sizes[name + NPY]:,} bytes. Required: a word. {HOW}")
    content = archive.read(name + NPY)
    file = io.BytesIO(content[:LONGEST_HEADER])
    try:
        shape, by_column, dtype = HEADERS[np.lib.format.read_magic(file)](file)
    except Exception as error:  # the header is Python source, which can be wrong in many ways
        raise UsageError(f"{where} is not a NumPy array of version 1.0 or 2.0: {str(error)[:100]}. {HOW}") from error
    size = len(content) - file.tell()
    if dtype.hasobject or any(side < 0 for side in shape) or math.prod(shape) * dtype.itemsize != size:
        raise UsageError(f"{where} is {dtype} {str(shape)[:100]} in {size:,} bytes, which cannot be read. {HOW}")
    array = np.frombuffer(content, dtype, count=math.prod(shape), offset=file.tell())
    return array.reshape(shape, order="F" if by_column else "C")
