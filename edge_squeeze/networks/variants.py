"""The SqueezeNets: one table of rows, and the metaparameters that generate their fire modules.

SqueezeNet 1.0 is Table 1 of arXiv 1602.07360; 1.1 is the authors' cheaper revision (github.com/forresti/SqueezeNet).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

VALID, SAME, CEIL = "valid", "same", "ceil"
HE_NORMAL, GLOROT_UNIFORM = "he_normal", "glorot_uniform"


def _slid(side: int, window: int, stride: int, padding: str) -> int:
    """The number of positions of a window along `side`."""
    if padding == SAME:
        return -(-side // stride)
    return -((window - side) // stride) + 1 if padding == CEIL else (side - window) // stride + 1


class Conv(NamedTuple):
    """A convolution with ReLU that opens the network; padding is valid or same."""

    filters: int
    kernel: int
    stride: int
    padding: str = VALID

    def side_after(self, side: int) -> int:
        """The output height or width for an input `side`; 0 or less if nothing is left."""
        return _slid(side, self.kernel, self.stride, self.padding)

    def channels_after(self, channels: int) -> int:
        """The output channels for that many input `channels`."""
        return self.filters


class Pool(NamedTuple):
    """Max pooling; ceil is Caffe's mode, in which a last, partial window still counts, else it is Keras' padding."""

    size: int = 3
    stride: int = 2
    padding: str = CEIL

    def side_after(self, side: int) -> int:
        """The output height or width for an input `side`; 0 or less if nothing is left."""
        return _slid(side, self.size, self.stride, self.padding)

    def channels_after(self, channels: int) -> int:
        """The output channels for that many input `channels`."""
        return channels


class Fire(NamedTuple):
    """A fire module: 1x1 convolutions squeeze the channels, 1x1 and 3x3 ones expand them side by side."""

    squeeze: int
    expand1x1: int
    expand3x3: int

    @property
    def channels(self) -> int:
        """The channels of its output."""
        return self.expand1x1 + self.expand3x3

    def side_after(self, side: int) -> int:
        """The output height or width for an input `side`."""
        return side

    def channels_after(self, channels: int) -> int:
        """The output channels for that many input `channels`."""
        return self.channels


Stage = Conv | Pool | Fire


@dataclass(frozen=True)
class Metaparameters:
    """Section 5.1 of the paper: the i-th fire module expands to base_e + incr_e * floor(i / freq) filters."""

    base_e: int = 128
    incr_e: int = 128
    pct_3x3: float = 0.5  # share of those that are 3x3
    freq: int = 2
    squeeze_ratio: float = 0.125  # squeeze filters per expand filter

    def expand(self, i: int) -> int:
        """The number of filters that the i-th fire module, counted from 0, expands to."""
        return self.base_e + self.incr_e * (i // self.freq)

    def fire(self, i: int) -> Fire:
        """The i-th fire module; halves are rounded up, for which the paper has no rule."""
        expand = self.expand(i)
        wide = int(self.pct_3x3 * expand + 0.5)
        return Fire(int(self.squeeze_ratio * expand + 0.5), expand - wide, wide)


@dataclass(frozen=True)
class Variant:
    """One row of VARIANTS; the head (dropout, 1x1 convolution, global average, softmax) follows the stages."""

    about: str
    stages: tuple[Stage, ...]
    parameters: int  # at its number of classes
    input_size: int = 227
    classes: int = 1000
    dropout: float = 0.5
    head_relu: bool = True  # on the last convolution
    softmax: bool = True  # otherwise it outputs logits
    initializer: str = HE_NORMAL  # of random kernels
    metaparameters: Metaparameters = Metaparameters()  # that generate its fire modules
    convention: str | None = "caffe"  # row of presets.CONVENTIONS, for weights that record none; None: unknown


def _table_1(conv: Conv, pool: Pool) -> tuple[Stage, ...]:
    """The stages of the paper's Table 1, opened by `conv`, with each pooling like `pool`."""
    return (
        conv, pool,
        Fire(16, 64, 64), Fire(16, 64, 64), Fire(32, 128, 128), pool,
        Fire(32, 128, 128), Fire(48, 192, 192), Fire(48, 192, 192), Fire(64, 256, 256), pool,
        Fire(64, 256, 256),
    )  # fmt: skip


VARIANTS = {
    "squeezenet1.0": Variant(
        "Table 1 of the paper",
        stages=_table_1(Conv(96, 7, 2), Pool()),
        parameters=1_248_424,
    ),
    "squeezenet1.1": Variant(
        "the authors' revision, as accurate with less than half the MACs",
        stages=(
            Conv(64, 3, 2), Pool(),
            Fire(16, 64, 64), Fire(16, 64, 64), Pool(),
            Fire(32, 128, 128), Fire(32, 128, 128), Pool(),
            Fire(48, 192, 192), Fire(48, 192, 192), Fire(64, 256, 256), Fire(64, 256, 256),
        ),
        parameters=1_235_496,
    ),
    "squeezenet-mlt": Variant(
        "1.0 with 'same' padding, for teaching; accepts pictures of any size",
        stages=_table_1(Conv(96, 7, 2, SAME), Pool(padding=SAME)),
        parameters=1_248_424, input_size=224, dropout=0, head_relu=False, convention=None,
    ),
    "squeezenet-composable": Variant(
        "separate stem, learner and classifier, to build other networks from",
        stages=_table_1(Conv(96, 7, 2, SAME), Pool(padding=VALID)),
        parameters=1_248_424, input_size=224, initializer=GLOROT_UNIFORM, convention=None,
    ),
    "squeezenet-lab": Variant(
        "small, for training from scratch",
        stages=(
            Conv(64, 3, 1, SAME), Pool(2, 2, VALID),
            Fire(32, 64, 64), Fire(32, 64, 64), Pool(2, 2, VALID),
            Fire(64, 128, 128), Fire(64, 128, 128),
        ),
        parameters=240_842, input_size=32, classes=10, softmax=False,
        metaparameters=Metaparameters(squeeze_ratio=0.25), convention=None,
    ),
}  # fmt: skip


def generate(stages: Iterable[Stage], numbers: Metaparameters) -> tuple[Stage, ...]:
    """`stages` with their fire modules replaced by those that `numbers` generate."""
    fires = (numbers.fire(i) for i in range(1_000))
    return tuple(next(fires) if isinstance(stage, Fire) else stage for stage in stages)


def named(stages: Iterable[Stage]) -> Iterator[tuple[str, Stage]]:
    """Each stage with its name, as in the authors' Caffe files: a pool has the number of the layer before it."""
    number = 0
    for stage in stages:
        number += not isinstance(stage, Pool)
        kind = "pool" if isinstance(stage, Pool) else "fire" if isinstance(stage, Fire) else "conv"
        yield f"{kind}{number}", stage


DEFAULT_VARIANT = "squeezenet1.1"
