"""The graph in a model file as plain values, the same for every format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from edge_squeeze.inspection.model_card import EMPTY, ModelCard

Shape = tuple[int | None, ...]  # None: an open dimension

UNKNOWN = "unknown"  # dtype of a tensor whose type the file does not declare
# Bits of one number as files store it.
BITS = {
    "float64": 64, "float32": 32, "float16": 16, "bfloat16": 16,
    "int64": 64, "int32": 32, "int16": 16, "int8": 8, "int4": 4, "int2": 2,
    "uint64": 64, "uint32": 32, "uint16": 16, "uint8": 8, "uint4": 4, "uint2": 2,
    "bool": 8, "complex64": 64, "complex128": 128,
    "float8e4m3fn": 8, "float8e4m3fnuz": 8, "float8e5m2": 8, "float8e5m2fnuz": 8, "float8e8m0": 8, "float4e2m1": 4,
}  # fmt: skip
FLOATS = ("float64", "float32", "float16", "bfloat16")
HIGHEST_RANK = 64
MOST_NUMBERS = 1 << 62  # in one tensor
MOST_ENTRIES = 2_000_000
TABLE_COST = 20  # an operator or tensor takes about as long to read as that many numbers
# What stands between a layer and its weights without making other weights of them.
REPACKING = {
    "DEQUANTIZE", "QUANTIZE", "CAST", "TRANSPOSE", "RESHAPE", "DENSIFY",
    "DequantizeLinear", "QuantizeLinear", "Cast", "Transpose", "Reshape", "Identity", "Squeeze", "Unsqueeze",
}  # fmt: skip
LONGEST_CHAIN = 8  # of REPACKING operators


@dataclass(frozen=True)
class Tensor:
    """A tensor as the file declares it; its shape is None where the file gives none."""

    name: str
    dtype: str = UNKNOWN
    shape: Shape | None = None
    elements: int | None = None  # how many numbers a constant has; None: not a constant
    scales: int = 0  # 1: quantized as a whole, more: per channel
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class Operator:
    """An operator; tensors by their index, -1 for an optional one that is left out."""

    kind: str  # outside the standard, with its domain: com.microsoft.FusedConv
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    custom: bool = False
    graph: int = 0  # 0: the main graph; above: branches, loop bodies, functions and other signatures

    @property
    def base(self) -> str:
        """The kind without its domain."""
        return self.kind.rpartition(".")[2]


@dataclass(frozen=True)
class FileGraph:
    """All graphs of a file in one list of operators; its inputs and outputs are those of the first graph."""

    tensors: list[Tensor]
    operators: list[Operator]
    inputs: list[int]
    outputs: list[int]
    opset: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)  # what JSON can hold
    elsewhere: list[str] = field(default_factory=list)  # other files that hold some of the constants
    card: ModelCard = EMPTY

    @cached_property
    def made_by(self) -> dict[int, Operator]:
        """Tensor -> the operator that computes it; ValueError if two do."""
        makers: dict[int, Operator] = {}
        for operator in self.operators:
            for index in operator.outputs:
                if makers.setdefault(index, operator) is not operator and index >= 0:
                    raise ValueError(f"tensor {self.tensors[index].name[:60]!r} is computed twice")
        makers.pop(-1, None)
        return makers

    @cached_property
    def leaving(self) -> frozenset[int]:
        """The outputs as a set, for fast lookup."""
        return frozenset(self.outputs)

    @cached_property
    def read_by(self) -> dict[int, list[Operator]]:
        """Tensor -> the operators that take it."""
        readers: dict[int, list[Operator]] = {}
        for operator in self.operators:
            for index in dict.fromkeys(operator.inputs):
                readers.setdefault(index, []).append(operator)
        readers.pop(-1, None)
        return readers

    def source(self, index: int) -> int | None:
        """The constant that tensor `index` is, or is only repacked from (see REPACKING); None if it is computed."""
        for _ in range(LONGEST_CHAIN):
            if self.tensors[index].elements is not None:
                return index
            maker = self.made_by.get(index)
            if maker is None or maker.kind not in REPACKING or not maker.inputs or maker.inputs[0] < 0:
                return None
            index = maker.inputs[0]
        return None

    def input_of(self, operator: Operator, position: int) -> int | None:
        """The tensor at `position` of an operator's inputs; None if it is left out."""
        index = operator.inputs[position] if position < len(operator.inputs) else -1
        return None if index < 0 else index


class Allowance:
    """A budget of list entries to read: lists that overlap or repeat must not keep a reader busy for hours."""

    def __init__(self, entries: int = MOST_ENTRIES) -> None:
        self._left = entries

    def spend(self, count: int, each: int = 1) -> range:
        """The positions in a list of `count` entries; ValueError if the budget is spent."""
        self._left -= count * each
        if self._left < 0:
            raise ValueError(f"a list of {count:,} entries is too much for this file")
        return range(count)


def count_numbers(sides: Sequence[int], name: str) -> int:
    """How many numbers a tensor with these dimensions has; ValueError for dimensions that no tensor can have."""
    if len(sides) > HIGHEST_RANK:
        raise ValueError(f"tensor {name[:60]!r} has {len(sides):,} dimensions")
    number = 1
    for side in sides:
        if side < 0:
            raise ValueError(f"tensor {name[:60]!r} has a dimension of {side}")
        number *= side
    if number > MOST_NUMBERS:
        raise ValueError(f"tensor {name[:60]!r} has {number:.1e} numbers")
    return number


def check_stored(name: str, elements: int, dtype: str, stored: int) -> None:
    """Raise ValueError unless `stored` bytes hold `elements` numbers of `dtype`; a dtype of unknown size fits any."""
    if dtype in BITS and stored != (required := (elements * BITS[dtype] + 7) // 8):
        raise ValueError(f"tensor {name[:60]!r}: its shape requires {required:,} bytes, it has {stored:,}")


def open_shape(sides: Sequence[int], name: str) -> Shape:
    """A declared shape, in which -1 stands for an open dimension; ValueError for what cannot be one."""
    count_numbers([max(side, 1) if side >= -1 else side for side in sides], name)
    return tuple(None if side < 0 else side for side in sides)
