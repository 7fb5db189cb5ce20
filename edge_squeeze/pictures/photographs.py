"""The photographs that come with scikit-image, whole or as seeded crops."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

from edge_squeeze.errors import MissingDependencyError
from edge_squeeze.pictures.loading import Part, PictureSet, _described, open_picture
from edge_squeeze.pictures.preprocessing import Pixels

PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
    "motorcycle": "motorcycle_left.png",
}


def photograph(name: str) -> Image.Image:
    """One of PHOTOGRAPHS, found as a data file of scikit-image without importing it."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError("scikit-image", "export", "the built-in photographs")
    return open_picture(Path(spec.submodule_search_locations[0]) / "data" / PHOTOGRAPHS[name])


def photograph_crops(
    per_photograph: int, size: tuple[int, int], seed: int, smallest: float = 0.5, part: Part = range
) -> PictureSet:
    """Seeded crops of PHOTOGRAPHS, half of them mirrored, resized to `size` (height, width); those that `part` takes.

    Each has `smallest` to 1 times the sides of the largest crop that fits.
    """
    rng = np.random.default_rng(seed)
    names, crops = [], []
    for name in PHOTOGRAPHS:
        picture = photograph(name)
        names += [f"{name} crop {i + 1}" for i in range(per_photograph)]
        crops += [_crop(picture, size, smallest, rng) for _ in range(per_photograph)]
    description = f"{len(crops)} crops of {len(PHOTOGRAPHS)} scikit-image photographs (seed {seed})"
    taken = part(len(crops))
    pixels = np.stack([crops[i] for i in taken])
    return PictureSet(
        tuple(names[i] for i in taken),
        pixels,
        _described(len(taken), len(crops), description),
        photographs=True,
        seed=seed,
    )


def _crop(picture: Image.Image, size: tuple[int, int], smallest: float, rng: np.random.Generator) -> Pixels:
    height, width = size
    scale = min(picture.width / width, picture.height / height) * rng.uniform(smallest, 1.0)
    left = rng.uniform(0, picture.width - width * scale)
    top = rng.uniform(0, picture.height - height * scale)
    box = (left, top, left + width * scale, top + height * scale)
    crop = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR, box=box), dtype=np.uint8)
    mirrored = rng.integers(2) == 1
    return crop[:, ::-1] if mirrored else crop
