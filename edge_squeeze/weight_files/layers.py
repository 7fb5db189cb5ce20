"""What every reader of weights files shares: the layers it returns, and the limits it keeps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.errors import UsageError
from edge_squeeze.networks.variants import VARIANTS, Conv, Fire, named

Layers = dict[str, tuple[NDArray[np.float32], ...]]  # layer -> kernel [h,w,in,out], bias [out]; others as they are
Statements = dict[str, Any]  # what a file says beside its arrays: PREPROCESSING, NETWORK or CONFIG -> parsed JSON

PREPROCESSING = "preprocessing.json"  # how pictures were prepared in training, as in model.json
NETWORK = "network.json"  # which network it is for
CONFIG = "config.json"  # the configuration of a whole Keras model
LONGEST_CONFIG = 1 << 24

# The largest network that can be built (100,000 classes) has 52 million weights: 416 MB where they are doubles.
LARGEST_UNPACKED = 512 << 20
MOST_LAYERS = 10_000
LONGEST_NAME = 200
FLOAT_BYTES = (2, 4, 8)


class Allowance:
    """How much memory the arrays of a file may still take: many small entries can share, and multiply, its bytes."""

    def __init__(self, name: str) -> None:
        self._name, self._left = name, LARGEST_UNPACKED

    def take(self, elements: int, where: str) -> None:
        """Subtract an array of `elements` floats; UsageError naming `where` once all arrays together are too large."""
        self._left -= elements * np.dtype(np.float32).itemsize
        if self._left < 0:
            raise UsageError(
                f"{self._name}: required arrays of at most {LARGEST_UNPACKED:,} bytes together, which {where} exceeds."
            )


def require_floats(dtype: np.dtype[Any], where: str) -> None:
    """Raise UsageError naming `where` unless `dtype` is one of half, single or double floats."""
    if dtype.kind != "f" or dtype.itemsize not in FLOAT_BYTES:
        raise UsageError(f"{where}: required arrays of floats, got {str(dtype)[:LONGEST_NAME]}.")


def float32(array: NDArray[Any], where: str) -> NDArray[np.float32]:
    """`array` as contiguous float32; UsageError naming `where` if it is not of floats."""
    require_floats(array.dtype, where)
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinity, which the model refuses by layer
        return np.ascontiguousarray(array, dtype=np.float32)


def add(layers: Layers, layer: str, arrays: Iterable[NDArray[np.float32]], name: str) -> None:
    """Put a layer of file `name` into `layers`, with _ for / in its name; UsageError for an unusable or second name."""
    key = layer.replace("/", "_")
    if not 0 < len(key) <= LONGEST_NAME or not key.isprintable():
        raise UsageError(f"{name}: required layer names of 1 to {LONGEST_NAME} characters, got {key[:40]!r}.")
    if key in layers:
        raise UsageError(f"{name} has two layers {key}; required one. Save the network alone, without copies of it.")
    if len(layers) == MOST_LAYERS:
        raise UsageError(f"{name}: required at most {MOST_LAYERS:,} layers, got more.")
    layers[key] = tuple(arrays)


def shapes_1_0() -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    """SqueezeNet 1.0's layers in order (1.1 has the same names), each with its kernel shape [out,in,h,w]."""
    channels = 3
    for name, stage in named(VARIANTS["squeezenet1.0"].stages):
        if isinstance(stage, Conv):
            yield name, (stage.filters, channels, stage.kernel, stage.kernel)
            channels = stage.filters
        elif isinstance(stage, Fire):
            yield f"{name}_squeeze1x1", (stage.squeeze, channels, 1, 1)
            yield f"{name}_expand1x1", (stage.expand1x1, stage.squeeze, 1, 1)
            yield f"{name}_expand3x3", (stage.expand3x3, stage.squeeze, 3, 3)
            channels = stage.channels
    yield "conv10", (VARIANTS["squeezenet1.0"].classes, channels, 1, 1)
