"""The pictures that files are proven on, and at which sizes where a network takes any."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_squeeze.models.source import Sides
from edge_squeeze.pictures.loading import Part, PictureSet, load_folder
from edge_squeeze.pictures.photographs import photograph_crops
from edge_squeeze.pictures.preprocessing import Preprocessing

CROPS_PER_PHOTOGRAPH = 8
SEED = 3  # calibration crops have another
PART = 4  # one picture in so many: three more sizes then take about as long as the usual one does alone
FEWEST = 8  # pictures, where there are as many


def load(images: Path | None, preprocessing: Preprocessing, other_sizes: Sequence[Sides] = ()) -> list[PictureSet]:
    """The user's pictures, or crops of the built-in photographs; then some of them at each of `other_sizes`."""
    usual = _load(images, preprocessing, range)
    return [usual, *(_load(images, preprocessing.at(size), part) for size in other_sizes)]


def _load(images: Path | None, preprocessing: Preprocessing, taken: Part) -> PictureSet:
    if images is not None:
        return load_folder(images, preprocessing, taken)
    return photograph_crops(CROPS_PER_PHOTOGRAPH, preprocessing.size, SEED, part=taken)


def part(count: int) -> Sequence[int]:
    """Which of `count` pictures are shown at the other sizes, spread over all of them."""
    shown = max(count // PART, min(count, FEWEST))
    return [i * count // shown for i in range(shown)]
