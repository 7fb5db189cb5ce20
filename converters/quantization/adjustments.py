"""What makes the tuned integer network out of float weights, small enough to keep: no picture, no minute of work.

A layer's outputs are divided by smoothing factors, its weights rounded to the nearest step of their grid and moved by
whole steps, and a number added to its bias. Most weights move by no step or one: they compress to a few bits each.
"""

from __future__ import annotations

import base64
import hashlib
import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.converters.quantization import smoothing
from edge_squeeze.converters.quantization.network import Floats, Network, Step, Weights, with_weights
from edge_squeeze.converters.quantization.rounding import LARGEST, grid_steps, kernel_of, rows_of
from edge_squeeze.converters.quantization.smoothing import Factors
from edge_squeeze.errors import UsageError

FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 0, "lp": 1, "pb": 1}]  # of numbers in 16 bits
REMEDY = "Calibrate with pictures instead."


@dataclass(frozen=True)
class Adjustment:
    """That of one layer; each array is little-endian, compressed by LZMA2 (raw, FILTERS) and written in base 85."""

    factors: str  # float32 [outputs]: what its outputs are divided by
    steps: str  # float32 [outputs]: steps of the grid of its weights
    moves: str  # int16, as the kernel: steps from the nearest
    bias: str | None  # float32 [outputs]: what is added to its bias


@dataclass(frozen=True)
class Adjustments:
    """Those of a network, and the sha256 of the kernels that they make.

    Biases are not part of it: where preprocessing is baked in, they are long sums, whose last digit depends on the
    processor.
    """

    layers: dict[str, Adjustment]
    sha256: str


def of(network: Network, factors: Factors, weights: Weights) -> Adjustments:
    """What turns the weights of `network`, once smoothed by `factors`, into the rounded `weights`."""
    even = Network(smoothing.smooth(network, factors)).weighted
    layers, made = {}, {}
    for name, (kernel, *bias) in weights.items():
        step = even[name]
        steps = grid_steps(rows_of(step, kernel))
        moves = np.rint(rows_of(step, kernel) / steps) - _nearest(step, steps)
        made[name] = [_moved(step, steps, moves)]
        shift = [(each - np.asarray(step.layer.bias)).astype(np.float32) for each in bias]
        layers[name] = Adjustment(
            _pack(factors[name]),
            _pack(steps.astype(np.float32).ravel()),
            _pack(kernel_of(step, moves).astype(np.int16)),
            _pack(shift[0]) if shift else None,
        )
    return Adjustments(layers, _digest(made))


def smoothed(network: Network, adjustments: Adjustments) -> Network:
    """`network` smoothed as `adjustments` say, which computes the same; UsageError if they are of another network."""
    layers = adjustments.layers
    if strange := sorted({*layers} - {*network.weighted}):
        raise UsageError(f"The calibration has weights of {strange[0]}, which the network lacks. {REMEDY}")
    counts = {name: network.weighted[name].layer.output.shape[-1] for name in layers}
    factors = {name: _unpack(each.factors, np.dtype("<f4"), (counts[name],)) for name, each in layers.items()}
    return Network(smoothing.smooth(network, factors))


def apply(network: Network, adjustments: Adjustments) -> Any:
    """A copy of the model of `network` with the weights that `adjustments` make; UsageError if they are of others."""
    layers, even = adjustments.layers, smoothed(network, adjustments)
    weights: Weights = {}
    for name, each in layers.items():
        step = even.weighted[name]
        count = step.layer.output.shape[-1]
        rows = rows_of(step, np.asarray(step.layer.kernel))
        steps = _unpack(each.steps, np.dtype("<f4"), (count,)).astype(np.float64).reshape(*rows.shape[:2], 1)
        moves = rows_of(step, _unpack(each.moves, np.dtype("<i2"), tuple(step.layer.kernel.shape)))
        kernel = _moved(step, steps, moves)
        if (each.bias is not None) != step.layer.use_bias:
            raise UsageError(f"The calibration and the network disagree on whether {name} has a bias. {REMEDY}")
        shift = [] if each.bias is None else [_unpack(each.bias, np.dtype("<f4"), (count,))]
        weights[name] = [kernel, *(np.asarray(step.layer.bias) + added for added in shift)]
    if _digest(weights) != adjustments.sha256:
        raise UsageError(f"The weights that the calibration makes are not those it was written with. {REMEDY}")
    return with_weights(even.model, weights)


def _nearest(step: Step, steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The codes of nearest rounding of the kernel of `step`, as [groups,outputs,inputs]."""
    codes: NDArray[np.float64] = np.clip(
        np.rint(rows_of(step, np.asarray(step.layer.kernel)) / steps), -LARGEST, LARGEST
    )
    return codes


def _moved(step: Step, steps: NDArray[np.float64], moves: NDArray[np.float64]) -> Floats:
    """The kernel of `step`, each weight being so many steps from its nearest one."""
    return kernel_of(step, (_nearest(step, steps) + moves) * steps).astype(np.float32)


def _digest(weights: Mapping[str, list[Floats]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(weights[name][0].astype("<f4").tobytes())
    return digest.hexdigest()


def _pack(array: NDArray[Any]) -> str:
    data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    return base64.b85encode(lzma.compress(data, lzma.FORMAT_RAW, filters=FILTERS)).decode()


def _unpack(text: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The array in `text`, of just this size: no more is unpacked."""
    size = int(np.prod(shape)) * dtype.itemsize
    try:
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=FILTERS)
        data = unpacker.decompress(base64.b85decode(text), size + 1)
    except (ValueError, lzma.LZMAError, EOFError) as error:
        raise UsageError(f"The calibration's weights are damaged: {error}. {REMEDY}") from error
    if len(data) != size:
        raise UsageError(f"The calibration's weights are damaged: required {size:,} bytes, got others. {REMEDY}")
    return np.frombuffer(data, dtype).reshape(shape)
