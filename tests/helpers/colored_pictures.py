"""Pictures of three classes that a small network learns within seconds, and only by their colors."""

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
