"""The networks: one table of rows, one builder that walks it top-down.

SqueezeNet 1.0 is Table 1 of arXiv 1602.07360; 1.1 is the authors' cheaper revision (github.com/forresti/SqueezeNet).
Layer names are those of the authors' Caffe files, with / written as _.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from edge_squeeze.errors import UsageError, unknown


class Conv(NamedTuple):
    """A convolution with ReLU that opens the network."""

    filters: int
    kernel: int
    stride: int


class Pool(NamedTuple):
    """Max pooling in Caffe's ceil mode: a last, partial window still counts."""

    size: int = 3
    stride: int = 2


class Fire(NamedTuple):
    """A fire module: 1x1 convolutions squeeze the channels, 1x1 and 3x3 ones expand them side by side."""

    squeeze: int
    expand1x1: int
    expand3x3: int


@dataclass(frozen=True)
class Variant:
    """One row of VARIANTS; the head (dropout, 1x1 convolution, global average, softmax) follows the stages."""

    stages: tuple[Conv | Pool | Fire, ...]
    parameters: int  # at 1,000 classes
    input_size: int = 227
    classes: int = 1000
    dropout: float = 0.5


VARIANTS = {
    "squeezenet1.0": Variant(
        stages=(
            Conv(96, 7, 2), Pool(),
            Fire(16, 64, 64), Fire(16, 64, 64), Fire(32, 128, 128), Pool(),
            Fire(32, 128, 128), Fire(48, 192, 192), Fire(48, 192, 192), Fire(64, 256, 256), Pool(),
            Fire(64, 256, 256),
        ),
        parameters=1_248_424,
    ),
    "squeezenet1.1": Variant(
        stages=(
            Conv(64, 3, 2), Pool(),
            Fire(16, 64, 64), Fire(16, 64, 64), Pool(),
            Fire(32, 128, 128), Fire(32, 128, 128), Pool(),
            Fire(48, 192, 192), Fire(48, 192, 192), Fire(64, 256, 256), Fire(64, 256, 256),
        ),
        parameters=1_235_496,
    ),
}  # fmt: skip
SMALLEST_INPUT = 32  # below this a pool of 1.0 has nothing left to pool
LARGEST_INPUT = 4096
CLASSES = range(2, 100_001)


@dataclass(frozen=True)
class Architecture:
    """What fixes a network's graph: a variant and its options, checked. Input size is (height, width)."""

    variant: str
    classes: int
    input_size: tuple[int, int]
    dropout: float

    @property
    def row(self) -> Variant:
        """The variant's row of the table."""
        return VARIANTS[self.variant]


def architecture(
    variant: str,
    classes: int | None = None,
    input_size: int | tuple[int, int] | None = None,
    dropout: float | None = None,
) -> Architecture:
    """The checked architecture, the row's own value where None is given; UsageError for what cannot be built."""
    if variant not in VARIANTS:
        raise unknown("variant", variant, VARIANTS)
    row = VARIANTS[variant]
    classes = row.classes if classes is None else classes
    dropout = row.dropout if dropout is None else dropout
    size = row.input_size if input_size is None else input_size
    height, width = (size, size) if isinstance(size, int) else size
    if type(classes) is not int or classes not in CLASSES:
        raise UsageError(f"classes must be a whole number from 2 to 100,000, got {classes!r}.")
    if not 0 <= dropout < 1:
        raise UsageError(f"dropout must be in [0, 1), got {dropout}.")
    if type(height) is not int or type(width) is not int:
        raise UsageError(f"input size must be a whole number of pixels, or two of them, got {size!r}.")
    if min(height, width) < SMALLEST_INPUT or max(height, width) > LARGEST_INPUT:
        raise UsageError(f"input size must be {SMALLEST_INPUT} to {LARGEST_INPUT} pixels, got {height} x {width}.")
    return Architecture(variant, classes, (height, width), dropout)


def head(variant: str) -> str:
    """The name of the layer that has an output for each class."""
    return f"conv{sum(not isinstance(stage, Pool) for stage in VARIANTS[variant].stages) + 1}"


def build(arch: Architecture) -> Any:
    """An uninitialised-by-us `keras.Model`: picture [N,H,W,3] float32, normalised -> probabilities [N,classes]."""
    import keras
    from keras import layers

    inputs = x = keras.Input((*arch.input_size, 3), name="image")
    number = 0
    for stage in arch.row.stages:
        if isinstance(stage, Pool):
            x = _pool(x, stage, f"pool{number}")
            continue
        number += 1
        x = _fire(x, stage, f"fire{number}") if isinstance(stage, Fire) else _stem(x, stage, f"conv{number}")
    x = layers.Dropout(arch.dropout, name=f"drop{number}")(x)
    x = layers.Conv2D(arch.classes, 1, activation="relu", name=f"conv{number + 1}")(x)
    x = layers.GlobalAveragePooling2D(name=f"pool{number + 1}")(x)
    return keras.Model(inputs, layers.Softmax(name="prob")(x), name=arch.variant.replace(".", "_"))


def _stem(x: Any, conv: Conv, name: str) -> Any:
    from keras import layers

    return layers.Conv2D(conv.filters, conv.kernel, conv.stride, activation="relu", name=name)(x)


def _fire(x: Any, fire: Fire, name: str) -> Any:
    from keras import layers

    squeezed = layers.Conv2D(fire.squeeze, 1, activation="relu", name=f"{name}_squeeze1x1")(x)
    left = layers.Conv2D(fire.expand1x1, 1, activation="relu", name=f"{name}_expand1x1")(squeezed)
    right = layers.Conv2D(fire.expand3x3, 3, padding="same", activation="relu", name=f"{name}_expand3x3")(squeezed)
    return layers.Concatenate(name=f"{name}_concat")([left, right])


def _pool(x: Any, pool: Pool, name: str) -> Any:
    """Ceil mode, exactly: where the last window is partial, pad by what it lacks on the right and at the bottom.

    Zero padding is exact after ReLU. Where both sides lack the one pixel that 'same' adds there too (window 3,
    stride 2, even sides), 'same' says it in one operator instead of two.
    """
    from keras import layers

    lacking = [(pool.size - side) % pool.stride for side in x.shape[1:3]]
    if lacking == [1, 1] and (pool.size, pool.stride) == (3, 2):
        return layers.MaxPooling2D(pool.size, pool.stride, padding="same", name=name)(x)
    if any(lacking):
        x = layers.ZeroPadding2D(((0, lacking[0]), (0, lacking[1])), name=f"{name}_pad")(x)
    return layers.MaxPooling2D(pool.size, pool.stride, name=name)(x)
