"""The pictures that files are proven on, and at which sizes where a network takes any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_squeeze.parity import Gate, wilson
from edge_squeeze.pictures import Part, PictureSet, load_folder, photograph_crops
from edge_squeeze.preprocessing import Preprocessing

Sides = tuple[int, int]  # height, width
CROPS_PER_PHOTOGRAPH = 8
SEED = 3  # calibration crops have another
PART = 4  # one picture in so many: three more sizes then take about as long as the usual one does alone
FEWEST = 8  # pictures, where there are as many
COUNTED = "top1_agreement"  # the figure that is a count of pictures


def load(images: Path | None, preprocessing: Preprocessing, other_sizes: Sequence[Sides] = ()) -> list[PictureSet]:
    """The user's pictures, or crops of the built-in photographs; then some of them at each of `other_sizes`."""
    usual = _load(images, preprocessing, range)
    return [usual, *(_load(images, preprocessing.at(size), part) for size in other_sizes)]


def _load(images: Path | None, preprocessing: Preprocessing, taken: Part) -> PictureSet:
    if images is not None:
        return load_folder(images, preprocessing, taken)
    return photograph_crops(CROPS_PER_PHOTOGRAPH, preprocessing.size, SEED, part=taken)


def sizes(usual: Sides, smallest: int) -> tuple[Sides, ...]:
    """A smaller, a larger and a wider size than `usual`, no side below `smallest`.

    The smaller and the wider one have an odd side: padding to "same" size is another there than for even sides.
    """
    height, width = usual
    smaller = max(smallest, height * 3 // 4 | 1), max(smallest, width * 3 // 4 | 1)
    return smaller, (height * 5 // 4, width * 5 // 4), (height, width * 3 // 2 | 1)


def part(count: int) -> Sequence[int]:
    """Which of `count` pictures are shown at the other sizes, spread over all of them."""
    shown = max(count // PART, min(count, FEWEST))
    return [i * count // shown for i in range(shown)]


def gates_of_part(gates: Sequence[Gate], count: int) -> list[Gate]:
    """`gates` for a part of the pictures, `count` of them: agreement may be as low as chance makes it in so few."""
    return [_of_part(gate, count) if gate.metric == COUNTED else gate for gate in gates]


def _of_part(gate: Gate, count: int) -> Gate:
    fewest = next(k for k in range(count + 1) if k / count >= gate.limit or wilson(k, count)[1] >= gate.limit)
    chance = f"{fewest} of {count} pictures can come of {gate.limit:g} (Wilson's 95 % interval)"
    return replace(gate, limit=fewest / count, reason=f"{gate.reason}; {chance}")
