"""The Deep Compression authors' file of SqueezeNet 1.0 (arXiv 1510.00149).

Little endian: 26 uint32 entry counts; then per layer 256 float32 shared values, the bias, a uint8 code per entry and a
4-bit gap per entry (low nibble first), each gap counting the zeros before its entry.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.errors import UsageError
from edge_squeeze.weight_files.layers import Layers, shapes_1_0

LAYERS = 26
HEADER = 4 * LAYERS


def recognizes(data: bytes) -> bool:
    """Whether the header's 26 entry counts are possible ones: a truncated file is still recognized."""
    if len(data) < HEADER:
        return False
    counts = np.frombuffer(data, "<u4", LAYERS).tolist()
    return all(0 < n <= 2 * math.prod(shape) for n, (_, shape) in zip(counts, shapes_1_0(), strict=True))


def read(data: bytes, name: str) -> Layers:
    """The layers of such a file; UsageError if it is truncated or damaged."""
    counts = np.frombuffer(data, "<u4", LAYERS).tolist()
    cursor = _Cursor(data, HEADER, name)
    layers: Layers = {
        layer: _read_layer(cursor, n, shape) for n, (layer, shape) in zip(counts, shapes_1_0(), strict=True)
    }
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
    kernel = np.zeros(math.prod(shape), np.float32)
    if positions[-1] >= kernel.size:
        raise UsageError(f"{cursor.name} is damaged: an entry lies outside its layer of {kernel.size:,} weights.")
    kernel[positions] = values[codes]
    return np.ascontiguousarray(kernel.reshape(shape).transpose(2, 3, 1, 0)), bias.astype(np.float32)
