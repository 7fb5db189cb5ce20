"""Small pictures: of three classes that a network learns within seconds by their colors, and of nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

COLORS = {"blue": (40, 60, 220), "green": (50, 190, 70), "red": (220, 50, 40)}
EACH = 40


def draw(folder: Path, each: int = EACH, seed: int = 0) -> Path:
    """A folder for each of COLORS with pictures of a blot of that color, of several sizes, on grey noise."""
    rng = np.random.default_rng(seed)
    for label, color in COLORS.items():
        (folder / label).mkdir(parents=True)
        for number in range(each):
            height, width = rng.integers(24, 40, 2)
            picture = np.repeat(rng.integers(90, 160, (height, width, 1), dtype=np.uint8), 3, axis=2)
            top, left = rng.integers(2, 8, 2)
            picture[top : top + 14, left : left + 14] = color
            Image.fromarray(picture).save(folder / label / f"{number}.png")
    return folder


def blotches(seed: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """A picture of a few colors that run into each other, different for each seed."""
    colors = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(colors).resize(size, Image.Resampling.BICUBIC)


def save_blotches(folder: Path, count: int, seed: int = 100) -> Path:
    """`folder`, with `count` of them added."""
    folder.mkdir(exist_ok=True)
    for i in range(count):
        blotches(seed + i).save(folder / f"blotches {i:02}.png")
    return folder
