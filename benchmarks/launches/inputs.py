"""The arrays that a launch feeds an engine: several distinct ones, real or drawn from a seed, never zeros."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_squeeze.benchmarks.launches.records import PIXELS, Inputs, InputSet
from edge_squeeze.engines.engine import Array, Tensor
from edge_squeeze.engines.runner import CHANNELS, has_channels_first, to_input
from edge_squeeze.errors import ConversionError

DRAWN = {f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)} | {"bool"}
FEW = 10  # indices of a lookup are drawn below this: most tables have so many entries


def make(tensors: Sequence[Tensor], wanted: InputSet) -> tuple[list[list[Array]], Inputs]:
    """`wanted.count` inputs, each one array per tensor, and what is to be recorded of them.

    ConversionError if a tensor leaves dimensions open or is of a kind that cannot be drawn.
    """
    for tensor in tensors:
        if None in tensor.shape:
            shape = ",".join("?" if side is None else str(side) for side in tensor.shape)
            raise ConversionError(f"Input {tensor.name} has open dimensions ({shape}). Give --input-shape.")
    if wanted.kind == PIXELS:
        base = _pixels(tensors[0], wanted)
        batch = tensors[0].shape[0] or 1
        sets = [[np.repeat(to_input(picture[None], tensors[0]), batch, axis=0)] for picture in base]
        return sets, _record([base])
    rng = np.random.default_rng(wanted.seed)
    drawn = [[_draw(rng, tensor) for tensor in tensors] for _ in range(wanted.count)]
    return drawn, _record([np.stack([one[at] for one in drawn]) for at in range(len(tensors))])


def _pixels(tensor: Tensor, wanted: InputSet) -> Array:
    if wanted.path is not None:
        pictures: Array = np.load(Path(wanted.path), allow_pickle=False)[: wanted.count]
        return pictures
    sides = tensor.shape[2:] if has_channels_first(tensor.shape) else tensor.shape[1:3]
    shape = (wanted.count, *[side for side in sides if side is not None], CHANNELS)
    return np.random.default_rng(wanted.seed).integers(0, 256, shape, dtype=np.uint8)


def _draw(rng: np.random.Generator, tensor: Tensor) -> Array:
    if tensor.dtype not in DRAWN:
        raise ConversionError(f"Input {tensor.name} is of dtype {tensor.dtype}, which no values can be drawn for.")
    dtype, shape = np.dtype(tensor.dtype), _sides(tensor)
    if dtype.kind == "f":
        return rng.random(shape, np.float32).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.itemsize > 1 and tensor.scale == 0:
        return rng.integers(0, FEW, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def _sides(tensor: Tensor) -> tuple[int, ...]:
    return tuple(side for side in tensor.shape if side is not None)


def _record(bases: Sequence[Array]) -> Inputs:
    """What is recorded of inputs [count,...], one array per tensor."""
    digest = hashlib.sha256()
    for base in bases:
        digest.update(np.ascontiguousarray(base).tobytes())
    each = {b"".join(base[at].tobytes() for base in bases) for at in range(len(bases[0]))}
    return Inputs(len(bases[0]), digest.hexdigest(), len(each), not any(base.any() for base in bases))
