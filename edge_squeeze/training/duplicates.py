"""Near-duplicates: pictures so similar that one in the training part would give away one in the test part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_squeeze.pictures.preprocessing import Pixels

SIDE = 16  # of the thumbnails that are compared
# Copies that were saved as JPEG again, resized, or brightened correlate by more; of scikit-learn's 1,797 digits, which
# resemble each other as few pictures do, none do.
LEAST_CORRELATION = 0.997
LEAST_CONTRAST = 4.0  # gray levels of standard deviation: below it, noise decides what correlates
BLOCK = 512  # rows compared at a time, so that memory stays flat

Thumbnail = NDArray[np.float32]


def thumbnail(pixels: Pixels) -> Thumbnail:
    """A gray version [SIDE*SIDE] of the picture `pixels` [H,W,3]: of mean 0 and length 1, or all 0 if it is flat."""
    small = Image.fromarray(pixels).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    values = np.asarray(small, np.float32).ravel()
    values = values - values.mean()
    if values.std() < LEAST_CONTRAST:
        return np.zeros_like(values)
    normalized: Thumbnail = values / np.linalg.norm(values)
    return normalized


def groups(digests: Sequence[str], thumbnails: NDArray[np.float32]) -> NDArray[np.intp]:
    """For each picture the row of the first one of its group [N]: identical pixels, or thumbnails that correlate.

    Args:
        digests: What identical pictures share.
        thumbnails: Those of `thumbnail` [N,SIDE*SIDE].
    """
    parents = list(range(len(digests)))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    first: dict[str, int] = {}
    pairs = [(first.setdefault(digest, row), row) for row, digest in enumerate(digests)]
    for start in range(0, len(thumbnails), BLOCK):
        alike = thumbnails[start : start + BLOCK] @ thumbnails[: start + BLOCK].T >= LEAST_CORRELATION
        pairs += [(other, start + row) for row, other in np.argwhere(alike).tolist() if other < start + row]
    for one, two in pairs:
        a, b = sorted((root(one), root(two)))
        parents[b] = a
    return np.array([root(row) for row in range(len(digests))], np.intp)
