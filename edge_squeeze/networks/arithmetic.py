"""Sizes, parameters and multiply-accumulates (MACs) of a network, from its rows alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_squeeze.networks.design import COMPLEX, Architecture
from edge_squeeze.networks.variants import Conv, Pool, Stage, named

Sides = tuple[int, int]  # height, width
COLORS = 3


def conv_parameters(kernel: int, channels: int, filters: int) -> int:
    """Weights and biases of a `kernel` x `kernel` convolution from `channels` to `filters`."""
    return (kernel * kernel * channels + 1) * filters


def conv_macs(kernel: int, channels: int, filters: int, sides: Sides) -> int:
    """Multiply-accumulates of such a convolution whose output has these `sides`; biases do not count."""
    return kernel * kernel * channels * filters * sides[0] * sides[1]


def smallest_input(stages: Sequence[Stage]) -> int:
    """The smallest side of a picture, in pixels, that leaves an output of the last stage."""
    side = 1
    while not _fits(stages, side):
        side += 1
    return side


def _fits(stages: Sequence[Stage], side: int) -> bool:
    for stage in stages:
        side = stage.side_after(side)
        if side < 1:
            return False
    return True


@dataclass(frozen=True)
class Layer:
    """A row of the paper's Table 1. `output` is (height, width, channels), `filter` (size, stride)."""

    name: str
    output: tuple[int, int, int]
    filter: tuple[int, int] | None = None
    squeeze: int | None = None
    expand1x1: int | None = None
    expand3x3: int | None = None
    bypass: str | None = None
    parameters: int = 0
    macs: int = 0


def layers(arch: Architecture) -> Iterator[Layer]:
    """The rows of `arch`, from its first convolution to the average pooling."""
    sides, channels = arch.input_size, COLORS
    for name, stage in named(arch.stages):
        sides = stage.side_after(sides[0]), stage.side_after(sides[1])
        yield _layer(name, stage, sides, channels, arch.bypasses.get(name))
        channels = stage.channels_after(channels)
    yield _conv(arch.head, Conv(arch.classes, 1, 1), sides, channels)
    yield Layer(arch.head.replace("conv", "pool"), (1, 1, arch.classes))


def _layer(name: str, stage: Stage, sides: Sides, channels: int, bypass: str | None) -> Layer:
    if isinstance(stage, Conv):
        return _conv(name, stage, sides, channels)
    if isinstance(stage, Pool):
        return Layer(name, (*sides, channels), (stage.size, stage.stride))
    parts = [(1, channels, stage.squeeze), (1, stage.squeeze, stage.expand1x1), (3, stage.squeeze, stage.expand3x3)]
    if bypass == COMPLEX:
        parts.append((1, channels, stage.channels))
    parameters = sum(conv_parameters(*part) for part in parts)
    macs = sum(conv_macs(*part, sides) for part in parts)
    return Layer(name, (*sides, stage.channels), None, *stage, bypass, parameters, macs)


def _conv(name: str, conv: Conv, sides: Sides, channels: int) -> Layer:
    parameters = conv_parameters(conv.kernel, channels, conv.filters)
    macs = conv_macs(conv.kernel, channels, conv.filters, sides)
    return Layer(name, (*sides, conv.filters), (conv.kernel, conv.stride), parameters=parameters, macs=macs)


def parameters(arch: Architecture) -> int:
    """All weights and biases of `arch`."""
    return sum(layer.parameters for layer in layers(arch))


def macs(arch: Architecture) -> int:
    """The multiply-accumulates of one inference of `arch` at its input size."""
    return sum(layer.macs for layer in layers(arch))
