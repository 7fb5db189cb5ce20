"""What an integer file holds of each layer, as its bytes say: the grid of what it gives, and its weights as floats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.converters.quantization.network import (
    ACTIVATIONS,
    DENSE,
    DEPTHWISE,
    Floats,
    Grid,
    Network,
    Step,
    Weights,
)

MATRIX = 2  # dimensions of the weights of a dense layer


@dataclass(frozen=True)
class Integers:
    """Those of one layer; None where the file has none.

    A kernel is [outputs,height,width,inputs], of a depthwise convolution [1,height,width,outputs], of a dense layer
    [outputs,inputs].
    """

    grid: Grid | None = None
    is_linear: bool = False  # whether the grid is that of what the layer gives before its activation, such as a softmax
    kernel: Floats | None = None
    bias: Floats | None = None


def dequantize(codes: NDArray[np.generic], scales: Floats, zeros: NDArray[np.generic], axis: int) -> Floats:
    """The numbers that `codes` stand for: one scale for all, or one for each place along `axis`."""
    shape = [1] * codes.ndim
    shape[axis] = -1
    wide = codes.astype(np.float64) - np.asarray(zeros, np.float64).reshape(shape if np.size(zeros) > 1 else [])
    return (wide * scales.astype(np.float64).reshape(shape if scales.size > 1 else [])).astype(np.float32)


def weights_of(network: Network, integers: Mapping[str, Integers]) -> Weights:
    """The kernels and biases of a file in the shapes of its Keras layers; without those that do not fit."""
    weights: Weights = {}
    for name, step in network.weighted.items():
        own = integers.get(name, Integers())
        behind = next((integers.get(each.name, own) for each in network.readers(name) if each.kind in ACTIVATIONS), own)
        own = own if own.kernel is not None else behind
        kernel = None if own.kernel is None else _of_keras(step, own.kernel)
        if kernel is None:
            continue
        layer = step.layer
        bias = [own.bias if own.bias is not None else np.asarray(layer.bias)] if layer.use_bias else []
        if all(each.shape == tuple(layer.bias.shape) for each in bias):
            weights[name] = [kernel, *bias]
    return weights


def _of_keras(step: Step, kernel: Floats) -> Floats | None:
    """`kernel` with the dimensions of the layer's; None if it is of another size."""
    shape = tuple(map(int, step.layer.kernel.shape))
    if step.kind == DENSE:
        flat = kernel.reshape(kernel.shape[0], -1)
        return flat.T if flat.T.shape == shape else None
    if kernel.ndim == MATRIX:
        return None
    if step.kind == DEPTHWISE:
        return kernel.reshape(shape) if kernel.size == np.prod(shape) else None
    rows, columns, channels, filters = shape
    if kernel.shape[:2] != (filters, rows) or kernel[0, 0].size % channels:
        return None
    # Pixels that are taken in pairs have a column of zeros at the end of an odd kernel.
    pixels = kernel.reshape(filters, rows, -1, channels)
    if pixels.shape[2] < columns or pixels[:, :, columns:].any():
        return None
    return np.ascontiguousarray(pixels[:, :, :columns].transpose(1, 2, 3, 0))
