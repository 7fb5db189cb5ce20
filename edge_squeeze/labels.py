"""Class names, one a line, in the order of a network's outputs."""

from __future__ import annotations

from importlib import resources

import numpy as np
from numpy.typing import NDArray


def imagenet() -> list[str]:
    """The names of the 1,000 ImageNet classes, in WordNet order (class 0 is tench)."""
    return (resources.files("edge_squeeze") / "data" / "imagenet_labels.txt").read_text("utf-8").splitlines()


def default(classes: int) -> list[str]:
    """The ImageNet names for 1,000 classes, numbered names for any other count."""
    names = imagenet()
    return names if classes == len(names) else [f"class {i}" for i in range(classes)]


def top_k(scores: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Indices of the `k` highest of `scores` [classes], best first; equal scores keep their order.

    int8 scores have 256 steps, so ties are common: an unstable sort would rank them differently on each machine.
    """
    return np.argsort(-scores, kind="stable")[:k]
