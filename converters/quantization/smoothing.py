"""Smoothing: channels of unequal size are made more alike, so that one range for all of them wastes fewer steps.

A channel is divided by a factor, and the weights that read it are multiplied by it. That is exact where only operations
lie between that commute with positive factors: ReLU, pooling, padding, concatenation, addition. The idea is that of
Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, arXiv:1906.04721, and of Xiao et
al., SmoothQuant, arXiv:2211.10438; here the factors come from the activations alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.converters.quantization.network import BATCH, DEPTHWISE, Network, Step, Weights, with_weights
from edge_squeeze.pictures.preprocessing import Pixels

SIZE = 99.99  # percentile of a channel's absolute values that stands for its size
EXPONENT = 0.5  # of a channel's size to that of the largest: 0.75 and 0.8 gain nothing, 1 loses
SMALLEST = 0.01  # relative size of a channel; smaller ones are as good as unused
TRANSPARENT = (
    "AveragePooling2D",
    "Cropping2D",
    "Dropout",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "LeakyReLU",
    "MaxPooling2D",
    "ReLU",
    "SpatialDropout2D",
    "UpSampling2D",
    "ZeroPadding2D",
)
Factors = Mapping[str, NDArray[np.float32]]  # layer -> what each channel of its output is divided by
Channels = NDArray[np.intp]  # numbers of variables


class Union:
    """Disjoint sets of numbered variables."""

    def __init__(self) -> None:
        self._parents: list[int] = []

    def add(self, count: int) -> Channels:
        """The numbers of `count` new variables, each a set of its own."""
        first = len(self._parents)
        self._parents += range(first, first + count)
        return np.arange(first, first + count)

    def find(self, variable: int) -> int:
        """The variable that stands for the set of this one."""
        while self._parents[variable] != variable:
            self._parents[variable] = self._parents[self._parents[variable]]
            variable = self._parents[variable]
        return variable

    def join(self, left: Iterable[int], right: Iterable[int]) -> None:
        """Make one set of those of each pair."""
        for a, b in zip(left, right, strict=True):
            self._parents[self.find(a)] = self.find(b)


class Channelwise:
    """Which channels of a network must have one factor, and which layers make and read them."""

    def __init__(self, network: Network) -> None:
        self.factors, self._tensors = Union(), Union()  # equal sets: channels of one factor; channels of one tensor
        self.made: dict[str, Channels] = {}  # by a layer with a kernel
        self.read: dict[str, Channels] = {}
        self._fixed: set[int] = set()
        channels = {network.input: self._opaque(network.model.input_shape[-1])}
        for step in network.steps:
            channels[step.output] = self._step(network, step, [channels[name] for name in step.inputs])
        self._fixed |= {*channels[network.output]}
        self._fixed = {self.factors.find(variable) for variable in self._fixed}
        for together in channels.values():
            self._tensors.join(together[1:], together[:-1])

    def _new(self, count: int) -> Channels:
        self._tensors.add(count)
        return self.factors.add(count)

    def _opaque(self, count: int) -> Channels:
        """New channels that cannot be divided."""
        channels = self._new(count)
        self._fixed |= {*channels}
        return channels

    def _step(self, network: Network, step: Step, read: list[Channels]) -> Channels:
        layer, count = step.layer, step.layer.output.shape[-1]
        if step.name in network.weighted:
            self.read[step.name] = read[0]
            self.made[step.name] = made = self._new(count)
            if layer.activation.__name__ not in ("linear", "relu"):
                self._fixed |= {*made}
            return made
        if _is_transparent(step) and len(read[0]) == count:
            return read[0]
        if step.kind == "Concatenate" and sum(map(len, read)) == count:
            return np.concatenate(read)
        if step.kind == "Add" and {len(each) for each in read} == {count}:
            for other in read[1:]:
                self.factors.join(read[0], other)
            return read[0]
        for each in read:
            self._fixed |= {*each}
        return self._opaque(count)

    def choose(self, sizes: Mapping[str, NDArray[np.float64]]) -> Factors:
        """The factors of channels of these sizes, by layer; 1 for those that cannot be divided."""
        size: dict[int, float] = {}
        largest: dict[int, float] = {}
        for name, made in self.made.items():
            for variable, value in zip(made, sizes[name], strict=True):
                root = self.factors.find(variable)
                size[root] = max(size.get(root, 0.0), float(value))
        for made in self.made.values():
            for variable in made:
                tensor = self._tensors.find(variable)
                largest[tensor] = max(largest.get(tensor, 0.0), size[self.factors.find(variable)])

        def factor(variable: int) -> float:
            root, most = self.factors.find(variable), largest[self._tensors.find(variable)]
            if root in self._fixed or size[root] == 0:
                return 1.0
            return float(max(size[root] / most, SMALLEST) ** EXPONENT)

        return {name: np.array([factor(v) for v in made], np.float32) for name, made in self.made.items()}


def _is_transparent(step: Step) -> bool:
    layer = step.layer
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return False
    if step.kind == "ReLU":
        return layer.max_value is None and not layer.threshold
    if step.kind == "Activation":
        return bool(layer.activation.__name__ in ("linear", "relu"))
    return step.kind in TRANSPARENT


def sizes(network: Network, pixels: Pixels) -> dict[str, NDArray[np.float64]]:
    """How large the values of each channel get, by layer with a kernel: a high percentile over `pixels` [N,H,W,3]."""
    highest: dict[str, NDArray[np.float32]] = {}
    for start in range(0, len(pixels), BATCH):
        for step, values in network.values(pixels[start : start + BATCH]):
            if step.name not in network.weighted:
                continue
            rows = np.abs(np.asarray(values, np.float32)).reshape(-1, values.shape[-1])
            total = len(rows) // min(BATCH, len(pixels) - start) * len(pixels)
            kept = max(1, round(total * (1 - SIZE / 100)))
            rows = np.concatenate([highest[step.name], rows]) if step.name in highest else rows
            highest[step.name] = np.partition(rows, max(0, len(rows) - kept), axis=0)[-kept:]
    return {name: rows.min(axis=0).astype(np.float64) for name, rows in highest.items()}


def factors(network: Network, pixels: Pixels) -> Factors:
    """What to divide each channel by, judging by `pixels` [N,H,W,3]."""
    return Channelwise(network).choose(sizes(network, pixels))


def smooth(network: Network, chosen: Factors) -> Any:
    """A copy of the model that computes the same, with the channels of each layer divided by these factors."""
    channels = Channelwise(network)
    divisor: dict[int, float] = {}
    for name, values in chosen.items():
        divisor |= zip(map(int, channels.made[name]), map(float, values), strict=True)
    weights: Weights = {}
    for name, step in network.weighted.items():
        read = np.array([divisor.get(int(v), 1.0) for v in channels.read[name]])
        made = np.array([divisor.get(int(v), 1.0) for v in channels.made[name]])
        weights[name] = _scaled(step, read, made)
    return with_weights(network.model, weights)


def _scaled(step: Step, read: NDArray[np.float64], made: NDArray[np.float64]) -> list[NDArray[np.float32]]:
    layer = step.layer
    kernel = np.asarray(layer.kernel, np.float64)
    if step.kind == DEPTHWISE:
        kernel = kernel * read[:, None] / made.reshape(kernel.shape[2:])
    else:
        kernel = kernel * read[:, None] / made
    return [
        array.astype(np.float32) for array in (kernel, *([np.asarray(layer.bias) / made] if layer.use_bias else []))
    ]
