"""PyTorch's zip files (torch 1.6 and later), read without torch: torchvision's SqueezeNets under our layer names.

Tested on files written by hand after torch's layout only, not on those that torchvision publishes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.errors import UsageError
from edge_squeeze.weight_files.archives import Archive
from edge_squeeze.weight_files.layers import LARGEST_UNPACKED, Allowance, Layers, Statements, add, float32
from edge_squeeze.weight_files.pickles import Function, StandIn, Unpickler, items_of

PICKLE = "/data.pkl"
LARGEST_PICKLE = 16 << 20  # the numbers lie beside it; a SqueezeNet's has 5 kB
LEGACY_MAGIC = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."  # torch's number as the first pickle has it
MOST_DIMENSIONS = 8
WRAPPERS = ("state_dict", "model")  # what training scripts put it under
PARALLEL = "module."  # what DataParallel puts before every name
COUNTER = "num_batches_tracked"  # BatchNorm's, an integer of no use here
FIRE = re.compile(r"features\.(?P<number>\d{1,6})\.(?P<part>squeeze|expand1x1|expand3x3)")
PARTS = {"squeeze": "squeeze1x1", "expand1x1": "expand1x1", "expand3x3": "expand3x3"}
ENDS = {"features.0": "conv1", "classifier.1": "conv10"}


@dataclass(frozen=True)
class _Kind(StandIn):
    """In place of one of torch's storage classes; `dtype` without byte order, None for what is not floats."""

    name: str
    dtype: str | None


BFLOAT16 = _Kind("BFloat16Storage", "u2")  # the upper half of a float
KINDS = (
    _Kind("FloatStorage", "f4"),
    _Kind("HalfStorage", "f2"),
    _Kind("DoubleStorage", "f8"),
    BFLOAT16,
    *(_Kind(f"{name}Storage", None) for name in ("Long", "Int", "Short", "Char", "Byte", "Bool")),
)


@dataclass(frozen=True)
class _Storage(StandIn):
    """A run of numbers in the archive's data/`key`."""

    kind: _Kind
    key: str
    count: int


@dataclass(frozen=True)
class _Tensor(StandIn):
    """In place of a tensor: a view of a storage, nothing of it checked yet."""

    storage: Any
    offset: Any
    shape: Any
    strides: Any


def is_legacy(data: bytes) -> bool:
    """Whether `data` is a file of the format before torch 1.6."""
    return LEGACY_MAGIC in data[:32]


def read_legacy(_: bytes, name: str) -> tuple[Layers, Statements]:
    """Nothing: always a UsageError that says how to make a file that can be read."""
    raise UsageError(
        f"{name} has PyTorch's format of before version 1.6, which is not read here. Save it again with a "
        'current torch: torch.save(torch.load("OLD.pth", map_location="cpu"), "NEW.pth").'
    )


def recognizes(archive: Archive) -> bool:
    """Whether the archive has torch's pickle in its one folder."""
    return any(member.endswith(PICKLE) and member.count("/") == 1 for member in archive.sizes)


def read(archive: Archive) -> tuple[Layers, Statements]:
    """The layers of a state dict, kernels turned to [h,w,in,out]; names that are not torchvision's are kept."""
    folder = next(member for member in archive.sizes if member.endswith(PICKLE)).removesuffix(PICKLE)
    tensors = _state_dict(archive, folder)
    reader, parts = _Reader(archive, folder), dict[str, dict[str, NDArray[np.float32]]]()
    for key, tensor in tensors.items():
        layer, _, part = key.rpartition(".")
        if part != COUNTER:
            parts.setdefault(layer or key, {})[part] = reader.array(tensor, f"{archive.name}: {key[:60]}")
    names, layers = _our_names(parts), Layers()
    for layer, arrays in parts.items():
        ordered = [arrays[part] for part in sorted(arrays, key=lambda part: (part != "weight", part != "bias"))]
        add(layers, names.get(layer, layer), map(_turned, ordered), archive.name)
    return layers, {}


class _Reader:
    """Makes arrays of the tensors of one archive."""

    def __init__(self, archive: Archive, folder: str) -> None:
        self._archive, self._folder = archive, folder
        order = archive.read(f"{folder}/byteorder") if f"{folder}/byteorder" in archive.sizes else b"little"
        self._order = ">" if order.strip() == b"big" else "<"
        self._allowance = Allowance(archive.name)
        self._contents: dict[str, bytearray] = {}  # by key: one storage serves many tensors

    def array(self, tensor: Any, where: str) -> NDArray[np.float32]:
        """The numbers that `tensor` views; UsageError if they are not floats or lie outside its storage."""
        if not isinstance(tensor, _Tensor) or not isinstance(tensor.storage, _Storage):
            raise UsageError(f"{where}: required a tensor, got {type(tensor).__name__}.")
        shape, strides, offset = tensor.shape, tensor.strides, tensor.offset
        if not (
            _are_lengths(shape) and _are_lengths(strides) and _are_lengths((offset,)) and len(shape) == len(strides)
        ):
            raise UsageError(f"{where} is damaged: required sizes, strides and an offset from 0 up.")
        last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
        if math.prod(shape) and last >= tensor.storage.count:
            raise UsageError(f"{where} is damaged: it reaches beyond its storage of {tensor.storage.count:,} numbers.")
        self._allowance.take(math.prod(shape), where)  # before the copy: a stride of 0 makes much out of one number
        storage = self._storage(tensor.storage, where)
        if not math.prod(shape):
            return np.zeros(shape, np.float32)
        in_bytes = [stride * storage.itemsize for stride in strides]
        view = np.lib.stride_tricks.as_strided(storage[offset:], shape, in_bytes, writeable=False)
        if tensor.storage.kind is BFLOAT16:
            view = (view.astype(np.uint32) << 16).view(np.float32)
        return float32(view, where)

    def _storage(self, storage: _Storage, where: str) -> NDArray[Any]:
        if storage.kind.dtype is None:
            raise UsageError(f"{where}: required floats, got a {storage.kind.name}.")
        dtype = np.dtype(self._order + storage.kind.dtype)
        member = f"{self._folder}/data/{storage.key}"
        size = self._archive.sizes.get(member, 0)
        if size != storage.count * dtype.itemsize:
            raise UsageError(f"{where} is damaged: required {storage.count:,} {dtype}, got {size:,} bytes.")
        if storage.key not in self._contents:
            self._contents[storage.key] = self._archive.read(member)
        return np.frombuffer(self._contents[storage.key], dtype)


def _are_lengths(numbers: Any) -> bool:
    """Whether these are a few plain whole numbers from 0 up."""
    return (
        isinstance(numbers, tuple)
        and len(numbers) <= MOST_DIMENSIONS
        and all(type(number) is int and 0 <= number < LARGEST_UNPACKED for number in numbers)
    )


def _turned(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """A kernel [out,in,h,w] as [h,w,in,out]; anything else as it is."""
    return np.ascontiguousarray(array.transpose(2, 3, 1, 0)) if array.ndim == 4 else array  # noqa: PLR2004


def _our_names(layers: Iterable[str]) -> dict[str, str]:
    """Torchvision's layer -> ours: the fire modules are numbered from 2 in the order of their place in `features`."""
    fires = {layer: match for layer in layers if (match := FIRE.fullmatch(layer))}
    places = sorted({int(match["number"]) for match in fires.values()})
    numbered = {
        layer: f"fire{places.index(int(match['number'])) + 2}_{PARTS[match['part']]}" for layer, match in fires.items()
    }
    return ENDS | numbered


def _state_dict(archive: Archive, folder: str) -> dict[str, Any]:
    """Tensor name -> _Tensor or whatever else is there, out of the dict that may wrap it."""
    content = _unpickled(archive, folder)
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    required = f"{archive.name}: required a state dict (name -> tensor)"
    items = items_of(content, required)
    if not items:
        raise UsageError(f"{required}, got an empty dict.")
    prefix = PARALLEL if all(key.startswith(PARALLEL) for key, _ in items) else ""
    return {key.removeprefix(prefix): value for key, value in items}


def _unpickled(archive: Archive, folder: str) -> Any:
    if archive.sizes[folder + PICKLE] > LARGEST_PICKLE:
        raise UsageError(f"{archive.name}: required a {PICKLE[1:]} of at most {LARGEST_PICKLE:,} bytes.")
    try:
        return _Unpickler(archive.read(folder + PICKLE), NAMES).load()
    except (MemoryError, UsageError):
        raise
    except Exception as error:  # what a damaged pickle makes the unpickler run into
        raise UsageError(
            f"{archive.name} is not a readable state dict: {str(error)[:200]}. Required: what "
            "torch.save(model.state_dict(), FILE) writes, not a whole model or a script."
        ) from error


class _Unpickler(Unpickler):
    def persistent_load(self, identity: Any) -> _Storage:
        """The storage that torch's pickler refers to."""
        word, kind, key, _, count = identity
        if word != "storage" or not isinstance(kind, _Kind) or not isinstance(key, str) or type(count) is not int:
            raise UnpicklingError("it refers to something that is not a storage of numbers")
        return _Storage(kind, key, count)


class _StateDict(dict[Any, Any]):
    """In place of an OrderedDict."""

    def __setstate__(self, state: Any) -> None:
        """Leave out what torch notes about versions."""


def _ordered_dict() -> _StateDict:
    """An empty one: torch sets the items later, so a call with items is not torch's."""
    return _StateDict()


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


NAMES: dict[str, StandIn] = {
    "collections.OrderedDict": Function(_ordered_dict),
    "torch._utils._rebuild_tensor_v2": Function(
        lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, shape, strides)
    ),
    "torch._utils._rebuild_parameter": Function(_parameter),
    **{f"torch.{kind.name}": kind for kind in KINDS},
}
