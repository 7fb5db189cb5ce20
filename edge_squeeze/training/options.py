"""The options of a training, and of a fine-tuning, with their defaults."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from edge_squeeze.errors import UsageError, unknown
from edge_squeeze.networks.architecture import ANY, Size, architecture
from edge_squeeze.networks.arithmetic import COLORS
from edge_squeeze.networks.design import AS_IS, Architecture, Design
from edge_squeeze.networks.variants import DEFAULT_VARIANT

if TYPE_CHECKING:
    from edge_squeeze.pictures.preprocessing import Preprocessing

EPOCHS, BATCHES, VIEWS, BLOCKS = range(1, 10_001), range(1, 4097), range(1, 65), range(5)
# Folds into any first convolution, even one that pads with zeros, since it subtracts no mean.
PRESET = "unit"
AUTO, NOTHING = "auto", "none"
CROP, FLIP, COLOR = AUGMENTATIONS = ("crop", "flip", "color")
EXAMPLES: dict[str, dict[str, Any]] = {  # name -> what suits its pictures, where the user does not say
    "surfaces": {"input_size": 115},
    "digits": {"input_size": 99, "augment": CROP},
}


@dataclass(frozen=True)
class TrainOptions:
    """Everything that a user may choose about a training, checked."""

    variant: str
    images: Path | None = None  # None: scikit-learn's digits
    skip_unreadable: bool = False
    out: Path = Path("trained")
    epochs: int = 15
    batch_size: int = 32
    learning_rate: float = 1e-3
    seed: int = 0
    input_size: Size | None = None  # None: that of the variant
    design: Design = AS_IS
    preprocessing: str | Preprocessing | None = None  # None: PRESET
    resize: str | None = None  # None: that of the preprocessing
    filter: str | None = None  # None: likewise
    command: str = "edge_squeeze.train"

    def __post_init__(self) -> None:
        _check_whole("epochs", self.epochs, EPOCHS)
        _check_whole("batch-size", self.batch_size, BATCHES)
        _check_whole("seed", self.seed, range(2**32))
        if not (math.isfinite(self.learning_rate) and 0 < self.learning_rate <= 1):
            raise UsageError(f"--learning-rate must be above 0 and at most 1, got {self.learning_rate}.")
        if self.input_size == ANY:
            raise UsageError(
                "--input-size any cannot be used to train. Pass a size; `export` accepts any for the trained network."
            )

    @classmethod
    def of(cls, keywords: Mapping[str, Any]) -> Self:
        """The options that `keywords` of `edge_squeeze.train` give, None being the default; other names are ignored."""
        names = [field.name for field in dataclasses.fields(cls)]
        chosen = {name: keywords[name] for name in names if keywords.get(name) is not None}
        chosen |= {name: Path(chosen[name]) for name in ("images", "out") if name in chosen}
        return cls(**chosen)

    @property
    def folder(self) -> Path:
        """The folder that the training writes."""
        return self.out / self.variant

    def architecture(self, classes: int | None = None) -> Architecture:
        """The network for `classes`, by default the variant's; UsageError for one that cannot be built."""
        return architecture(self.variant, classes, self.input_size, design=self.design)

    def prepared(self) -> Preprocessing:
        """The preprocessing at the network's input size; UsageError if it does not yield RGB pictures of that size."""
        from edge_squeeze.pictures.presets import choose  # imports Pillow, which --help must not

        size, choice = self.architecture().input_size, self.preprocessing or PRESET
        _check_resize(self.resize, size)
        if isinstance(choice, str):
            chosen = choose(choice, size, resize=self.resize, filter=self.filter)
        elif self.resize or self.filter:
            raise UsageError("resize and filter do not apply to a Preprocessing, which specifies them itself.")
        else:
            chosen = choice.at(size)
        if chosen.baked.channels != COLORS:
            raise UsageError(
                f"{self.variant} takes {COLORS} channels, but the channel order {chosen.baked.order} has "
                f"{chosen.baked.channels}. Pass a --preprocessing with the order rgb or bgr."
            )
        return chosen


def _check_resize(resize: str | None, size: tuple[int, int]) -> None:
    """Raise UsageError for a short side that the network's input cannot be cut from."""
    from edge_squeeze.pictures.preprocessing import LARGEST_SIDE

    if resize and resize.isdecimal() and int(resize) not in range(max(size), LARGEST_SIDE + 1):
        raise UsageError(
            f"--resize must be {max(size)} to {LARGEST_SIDE:,} pixels, got {resize}: the input of "
            f"{size[0]}x{size[1]} is cut from it."
        )


def _check_whole(name: str, value: int, within: range) -> None:
    if value not in within:
        raise UsageError(f"--{name} must be a whole number from {within[0]:,} to {within[-1]:,}, got {value}.")


@dataclass(frozen=True)
class FinetuneOptions:
    """Everything that a user may choose about a fine-tuning, checked."""

    model: Any = DEFAULT_VARIANT  # a variant, a Keras model's file, or the model itself
    images: Path | None = None  # None: those of `example`
    example: str = "surfaces"
    skip_unreadable: bool = False
    out: Path = Path("trained")
    epochs: int = 30  # of each stage, at most
    unfreeze: str = AUTO  # how many of the last blocks are trained in stage 2
    batch_size: int = 32
    learning_rate: float = 1e-3  # of the head; stage 2 takes FINE of it
    views: int = 3  # of each training picture: itself, and augmented ones
    augment: str = ",".join(AUGMENTATIONS)
    label_smoothing: float = 0.1
    seed: int = 0
    weights: str | None = None
    input_size: Size | None = None
    preprocessing: str | Preprocessing | None = None
    resize: str | None = None
    filter: str | None = None
    custom_objects: str | None = None
    trust_file: bool = False
    compare: bool = False
    reject: bool = False
    resume: bool = False
    command: str = "edge_squeeze.finetune"

    def __post_init__(self) -> None:
        _check_whole("epochs", self.epochs, EPOCHS)
        _check_whole("batch-size", self.batch_size, BATCHES)
        _check_whole("seed", self.seed, range(2**32))
        _check_whole("views", self.views, VIEWS)
        if not (math.isfinite(self.learning_rate) and 0 < self.learning_rate <= 1):
            raise UsageError(f"--learning-rate must be above 0 and at most 1, got {self.learning_rate}.")
        if not 0 <= self.label_smoothing < 1:
            raise UsageError(f"--label-smoothing must be from 0 to below 1, got {self.label_smoothing}.")
        if self.unfreeze != AUTO and self.unfreeze not in map(str, BLOCKS):
            raise UsageError(f"--unfreeze must be auto or a number from 0 to {BLOCKS[-1]}, got {self.unfreeze!r}.")
        if self.example not in EXAMPLES:
            raise unknown("example", self.example, EXAMPLES)
        if self.input_size == ANY:
            raise UsageError(
                "--input-size any cannot be used to train. Pass a size; `export` accepts any for the result."
            )
        _ = self.augmentations

    @classmethod
    def of(cls, keywords: Mapping[str, Any]) -> Self:
        """The options that `keywords` of `edge_squeeze.finetune` give, None being the default or the example's."""
        names = [field.name for field in dataclasses.fields(cls)]
        chosen = {name: keywords[name] for name in names if keywords.get(name) is not None}
        chosen |= {name: Path(chosen[name]) for name in ("images", "out") if name in chosen}
        if "unfreeze" in chosen:
            chosen["unfreeze"] = str(chosen["unfreeze"])
        if "images" not in chosen:
            chosen = {**EXAMPLES.get(chosen.get("example", cls.example), {}), **chosen}
        elif "example" in chosen:
            raise UsageError("--images and --example exclude each other. Pass one of them.")
        return cls(**chosen)

    @property
    def augmentations(self) -> frozenset[str]:
        """What is done to the further views of a picture; UsageError for an unknown word."""
        words = [word.strip() for word in self.augment.split(",") if word.strip() not in ("", NOTHING)]
        for word in words:
            if word not in AUGMENTATIONS:
                raise unknown("augmentation", word, (*AUGMENTATIONS, NOTHING))
        return frozenset(words)
