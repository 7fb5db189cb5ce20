"""Labeled pictures divided into those to learn from, to choose by, and to judge by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.errors import UsageError

TEST, VALIDATION = 0.2, 0.1  # of each class; the others are learned from
FEWEST = 10  # different pictures of each class: 7, 1 and 2
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Split:
    """The numbers of the pictures of each part, in ascending order."""

    train: Rows
    validation: Rows
    test: Rows

    def record(self, digests: Sequence[str]) -> dict[str, dict[str, int | str]]:
        """The size of each part, and a sha256 of those of its pictures' pixels, in order."""
        return {
            name: {"count": len(rows), "sha256": hashlib.sha256("".join(digests[i] for i in rows).encode()).hexdigest()}
            for name, rows in vars(self).items()
        }


def split(truth: Rows, digests: Sequence[str], labels: Sequence[str], seed: int) -> Split:
    """The pictures of each class, drawn into parts of 70, 10 and 20 %, equal ones into the same.

    UsageError for a class of fewer than FEWEST different ones.
    """
    rng = np.random.default_rng(seed)
    parts: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for number, label in enumerate(labels):
        groups: dict[str, list[int]] = {}
        for i in np.flatnonzero(truth == number).tolist():
            groups.setdefault(digests[i], []).append(i)
        if len(groups) < FEWEST:
            raise UsageError(
                f"Required: at least {FEWEST} different pictures of each class, got {len(groups)} of {label}."
            )
        shuffled = [list(groups.values())[i] for i in rng.permutation(len(groups))]
        for name, chosen in _parts(shuffled).items():
            parts[name] += [i for group in chosen for i in group]
    return Split(**{name: np.sort(np.array(rows, np.intp)) for name, rows in parts.items()})


def _parts(shuffled: list[list[int]]) -> dict[str, list[list[int]]]:
    test, validation = (round(part * len(shuffled)) for part in (TEST, VALIDATION))
    return {
        "test": shuffled[:test],
        "validation": shuffled[test : test + validation],
        "train": shuffled[test + validation :],
    }
