"""What a training is told, with the defaults of all of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_squeeze.errors import UsageError
from edge_squeeze.networks.architecture import ANY, Size, architecture
from edge_squeeze.networks.arithmetic import COLORS
from edge_squeeze.networks.design import AS_IS, Architecture, Design

if TYPE_CHECKING:
    from edge_squeeze.pictures.preprocessing import Preprocessing

EPOCHS, BATCHES = range(1, 10_001), range(1, 4097)
# Folds into any first convolution, also one that pads with zeros: no mean is taken away.
PRESET = "unit"


@dataclass(frozen=True)
class TrainOptions:
    """Everything that a user may say of a training; None: what follows from the rest."""

    variant: str
    images: Path | None = None  # None: the digits of scikit-learn
    out: Path = Path("trained")
    epochs: int = 15
    batch_size: int = 32
    learning_rate: float = 1e-3
    seed: int = 0
    input_size: Size | None = None
    design: Design = AS_IS
    preprocessing: str | Preprocessing | None = None
    resize: str | None = None
    command: str = "edge_squeeze.train"

    def __post_init__(self) -> None:
        _check_whole("epochs", self.epochs, EPOCHS)
        _check_whole("batch-size", self.batch_size, BATCHES)
        _check_whole("seed", self.seed, range(2**32))
        if not (math.isfinite(self.learning_rate) and 0 < self.learning_rate <= 1):
            raise UsageError(f"--learning-rate must be above 0 and at most 1, got {self.learning_rate}.")
        if self.input_size == ANY:
            raise UsageError("--input-size any cannot be trained at. Give a size; export takes any afterwards.")

    @property
    def folder(self) -> Path:
        """Where it all is left."""
        return self.out / self.variant

    def architecture(self, classes: int | None = None) -> Architecture:
        """The network, for the row's number of classes or another; UsageError for what cannot be built."""
        return architecture(self.variant, classes, self.input_size, design=self.design)

    def prepared(self) -> Preprocessing:
        """What pictures go through: cut to the network's shape, and not squeezed into it, as for any export."""
        from edge_squeeze.pictures.presets import choose  # Pillow's turn to be imported, not that of --help

        size, given = self.architecture().input_size, self.preprocessing or PRESET
        _check_resize(self.resize, size)
        found = choose(given, size, resize=self.resize) if isinstance(given, str) else given.at(size)
        if found.baked.channels != COLORS:
            raise UsageError(f"{self.variant} takes {COLORS} channels, the order {found.baked.order} gives others.")
        return found


def _check_resize(resize: str | None, size: tuple[int, int]) -> None:
    """Raise UsageError for a short side that the network's input cannot be cut from."""
    from edge_squeeze.pictures.preprocessing import LARGEST_SIDE

    if resize and resize.isdecimal() and int(resize) not in range(max(size), LARGEST_SIDE + 1):
        raise UsageError(
            f"--resize must be {max(size)} to {LARGEST_SIDE:,} pixels, got {resize}: an --input-size of "
            f"{size[0]}x{size[1]} is cut from it."
        )


def _check_whole(name: str, value: int, within: range) -> None:
    if value not in within:
        raise UsageError(f"--{name} must be a whole number from {within[0]:,} to {within[-1]:,}, got {value}.")
