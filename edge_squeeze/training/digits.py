"""The embedded example: scikit-learn's handwritten digits, as picture files."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
from PIL import Image

from edge_squeeze.errors import MissingDependencyError
from edge_squeeze.packages import is_installed

SIDE = 32  # pixels, of 8: what squeezenet-lab takes
DARKEST = 16  # of the originals' values
SOURCE = "scikit-learn's digits"


def draw() -> dict[str, bytes]:
    """The 1,797 digits as grey PNG files, by path (CLASS/NUMBER.png); MissingDependencyError without scikit-learn."""
    if not is_installed("sklearn"):
        raise MissingDependencyError("scikit-learn", "train", "training on its digits (--images DIR needs none)")
    from sklearn.datasets import load_digits

    digits, numbers, files = load_digits(), Counter[int](), {}
    for values, label in zip(digits.images, digits.target.tolist(), strict=True):
        numbers[label] += 1
        files[f"{label}/{numbers[label]:04}.png"] = _png(np.rint(values * 255 / DARKEST).astype(np.uint8))
    return files


def _png(values: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(stream, "PNG")
    return stream.getvalue()
