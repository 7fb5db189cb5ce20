"""Labeled pictures that packages bring: scikit-learn's digits, and surfaces cut out of scikit-image's photographs."""

from __future__ import annotations

import importlib.util
import io
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from edge_squeeze.errors import MissingDependencyError
from edge_squeeze.packages import is_installed
from edge_squeeze.pictures.loading import open_picture
from edge_squeeze.pictures.preprocessing import Pixels
from edge_squeeze.training.collection import Files, LabeledPicture

DIGITS, SURFACES = "digits", "surfaces"
DIGIT_SIDE = 32  # pixels, of 8: the input of squeezenet-lab
DARKEST = 16  # of the original values

# Classes whose colors would give them away: all are cut from gray versions. Licenses: docs/licences.md.
PHOTOGRAPHS = {
    "brick": "brick.png",
    "cells": "cell.png",
    "coins": "coins.png",
    "fur": "chelsea.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "retina": "retina.jpg",
    "stars": "hubble_deep_field.jpg",
}
TILE_SIDE = 48  # pixels; the tiles of a photograph do not overlap
MOST_TILES = 60  # of each class: those with the most contrast, since black sky is only black


def files(name: str) -> Files:
    """The pictures of the example `name`; MissingDependencyError without the package that brings them."""
    return digits() if name == DIGITS else surfaces()


def digits() -> Files:
    """The 1,797 digits as gray PNG files called CLASS/NUMBER.png; MissingDependencyError without scikit-learn."""
    if not is_installed("sklearn"):
        raise MissingDependencyError("scikit-learn", "train", "training on its digits (--images DIR works without it)")
    from sklearn.datasets import load_digits

    data, numbers, pictures = load_digits(), Counter[str](), []
    for values, label in zip(data.images, map(str, data.target.tolist()), strict=True):
        numbers[label] += 1
        gray = Image.fromarray(np.rint(values * 255 / DARKEST).astype(np.uint8))
        content = _png(gray.resize((DIGIT_SIDE, DIGIT_SIDE), Image.Resampling.BICUBIC))
        pictures.append(LabeledPicture(f"{label}/{numbers[label]:04}.png", label, content))
    return Files(tuple(pictures), tuple(sorted(numbers)), "scikit-learn's digits", None)


def surfaces() -> Files:
    """Gray tiles of eight photographs, one class each; MissingDependencyError without scikit-image."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError("scikit-image", "export", "the surfaces (--images DIR works without it)")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    pictures = [
        LabeledPicture(f"{label}/{number:02}.png", label, _png(Image.fromarray(tile)))
        for label, file in PHOTOGRAPHS.items()
        for number, tile in enumerate(_tiles(np.asarray(open_picture(folder / file).convert("L"))), start=1)
    ]
    return Files(tuple(pictures), tuple(sorted(PHOTOGRAPHS)), "surfaces in scikit-image's photographs", None)


def _tiles(photograph: Pixels) -> list[Pixels]:
    """The squares of `photograph` [H,W] with the most contrast, in the order of their places; none overlap."""
    height, width = photograph.shape
    places = [
        (top, left)
        for top in range(0, height - TILE_SIDE + 1, TILE_SIDE)
        for left in range(0, width - TILE_SIDE + 1, TILE_SIDE)
    ]
    tiles = [photograph[top : top + TILE_SIDE, left : left + TILE_SIDE] for top, left in places]
    contrast = np.array([float(tile.std()) for tile in tiles])
    return [tiles[row] for row in np.sort(np.argsort(-contrast, kind="stable")[:MOST_TILES]).tolist()]


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()
