"""Reads the graph out of a .tflite file's bytes, trusting none of the lengths in it."""

from __future__ import annotations

import math
from typing import Any

from edge_squeeze.formats import FORMATS
from edge_squeeze.inspection import tflite_metadata
from edge_squeeze.inspection.graph import (
    BITS,
    TABLE_COST,
    Allowance,
    FileGraph,
    Operator,
    Tensor,
    check_stored,
    count_numbers,
    open_shape,
)
from edge_squeeze.inspection.model_card import EMPTY, ModelCard

CUSTOM = "CUSTOM"
MIN_RUNTIME_VERSION = "min_runtime_version"  # metadata that is a short text
LONGEST_TEXT = 64


def recognizes(data: bytes, name: str = "") -> bool:
    """Whether `data` has the identifier of a .tflite file, whatever the file is called."""
    return FORMATS["tflite"].fits(data, name)


def read(data: bytes) -> FileGraph:
    """The graph in `data`; ValueError, or any error of the parser, for a damaged file."""
    if not recognizes(data):
        raise ValueError("bytes 4 to 8 are not TFL3")
    return _Reader(data).read()


def _names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


class _Reader:
    """Goes through one file; `tensors` and `operators` grow subgraph by subgraph."""

    def __init__(self, data: bytes) -> None:
        import tflite

        self.data, self.size, self.text_left = data, len(data), len(data)
        self.model = tflite.Model.GetRootAs(data, 0)
        self.dtypes = {code: name.lower() for code, name in _names(tflite.TensorType).items()}
        self.builtin = _names(tflite.BuiltinOperator)
        self.allowance = Allowance()
        self.buffers: list[int] = []  # size of each in bytes
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []

    def read(self) -> FileGraph:
        """All subgraphs as one graph."""
        model = self.model
        self.buffers = [self._stored(model.Buffers(i)) for i in self._tables(model.BuffersLength())]
        kinds = [self._kind(model.OperatorCodes(i)) for i in self._tables(model.OperatorCodesLength())]
        ends = [self._subgraph(model.Subgraphs(i), i, kinds) for i in self._tables(model.SubgraphsLength())]
        if not ends:
            raise ValueError("it has no graph")
        named = self._named_buffers()
        metadata, card = self._metadata(len(ends), named), self._card(named.get(tflite_metadata.ENTRY))
        return FileGraph(self.tensors, self.operators, *ends[0], metadata=metadata, card=card)

    def _tables(self, count: int) -> range:
        return self.allowance.spend(count, TABLE_COST)

    def _numbers(self, length: int, array: Any) -> list[int]:
        """A vector of integers; NumPy refuses one that would end outside the file."""
        self.allowance.spend(length)
        return [int(number) for number in array] if length else []

    def _text(self, text: bytes | None) -> str:
        """A string of the file; one that many tables share must not be copied forever."""
        self.text_left -= len(text or b"")
        if self.text_left < 0:
            raise ValueError("it has more text than bytes")
        return (text or b"").decode("utf-8", "replace")

    def _stored(self, buffer: Any) -> int:
        """How many bytes a buffer holds; files above 2 GB keep them behind the tables."""
        if not buffer.DataIsNone():
            return int(buffer.DataAsNumpy().size)
        offset, size = buffer.Offset(), buffer.Size()
        if offset > 1 and offset + size > self.size:
            raise ValueError(f"a buffer ends at byte {offset + size:,} of {self.size:,}")
        return int(size) if offset > 1 else 0

    def _kind(self, code: Any) -> tuple[str, bool]:
        """An operator's kind, and whether it is a custom one."""
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kind, custom = self.builtin.get(number, f"BUILTIN_{number}"), self._text(code.CustomCode())
        return (custom or CUSTOM, True) if kind == CUSTOM else (kind, False)

    def _subgraph(self, graph: Any, number: int, kinds: list[tuple[str, bool]]) -> tuple[list[int], list[int]]:
        """The inputs and outputs of a subgraph whose tensors and operators were added to ours."""
        first = len(self.tensors)
        self.tensors += [self._tensor(graph.Tensors(i)) for i in self._tables(graph.TensorsLength())]
        for i in self._tables(graph.OperatorsLength()):
            operator = graph.Operators(i)
            kind, custom = kinds[operator.OpcodeIndex()]
            inputs = self._indices(first, operator.InputsLength(), operator.InputsAsNumpy())
            outputs = self._indices(first, operator.OutputsLength(), operator.OutputsAsNumpy())
            self.operators.append(Operator(kind, inputs, outputs, custom, number))
        inputs = self._indices(first, graph.InputsLength(), graph.InputsAsNumpy())
        outputs = self._indices(first, graph.OutputsLength(), graph.OutputsAsNumpy())
        return [i for i in inputs if i >= 0], [i for i in outputs if i >= 0]

    def _indices(self, first: int, length: int, array: Any) -> tuple[int, ...]:
        """A list of tensors of the subgraph whose tensors are ours from `first` on."""
        indices, count = self._numbers(length, array), len(self.tensors) - first
        for index in indices:
            if not -1 <= index < count:
                raise ValueError(f"an operator refers to tensor {index:,} of {count:,}")
        return tuple(index if index < 0 else first + index for index in indices)

    def _tensor(self, tensor: Any) -> Tensor:
        name, dtype = self._text(tensor.Name()), self.dtypes.get(tensor.Type(), f"type {tensor.Type()}")
        sides = self._numbers(tensor.ShapeLength(), tensor.ShapeAsNumpy())
        signature = self._numbers(tensor.ShapeSignatureLength(), tensor.ShapeSignatureAsNumpy())
        stored, dense = self.buffers[tensor.Buffer()], tensor.Sparsity() is None
        elements = count_numbers(sides, name) if stored else None
        if elements is not None and dense:
            check_stored(name, elements, dtype, stored)
        return Tensor(
            name,
            dtype,
            open_shape(signature or sides, name),
            elements if elements is None or dense else stored * 8 // BITS.get(dtype, 8),
            *self._quantization(tensor.Quantization(), name),
        )

    def _quantization(self, quantization: Any, name: str) -> tuple[int, float | None, int | None]:
        """How many scales, and scale and zero point where there is one."""
        scales = 0 if quantization is None else quantization.ScaleLength()
        if scales > self.size:
            raise ValueError(f"tensor {name[:60]!r} has {scales:,} scales")
        if scales != 1:
            return scales, None, None
        scale = float(quantization.Scale(0))
        if not math.isfinite(scale):
            raise ValueError(f"tensor {name[:60]!r} has the scale {scale}")
        return scales, scale, int(quantization.ZeroPoint(0)) if quantization.ZeroPointLength() else 0

    def _named_buffers(self) -> dict[str, int]:
        """Metadata by name: which buffer holds it."""
        entries = [self.model.Metadata(i) for i in self._tables(self.model.MetadataLength())]
        return {self._text(entry.Name()): entry.Buffer() for entry in entries}

    def _metadata(self, subgraphs: int, named: dict[str, int]) -> dict[str, Any]:
        model = self.model
        signatures = [model.SignatureDefs(i) for i in self._tables(model.SignatureDefsLength())]
        return {
            "description": self._text(model.Description()),
            "schema_version": model.Version(),
            "min_runtime_version": self._short_text(named.get(MIN_RUNTIME_VERSION)),
            "subgraphs": subgraphs,
            "signatures": [self._text(signature.SignatureKey()) for signature in signatures],
            "metadata_bytes": {name: self.buffers[buffer] for name, buffer in named.items()},
        }

    def _card(self, buffer: int | None) -> ModelCard:
        """What the file says of itself, in that buffer and behind the model."""
        if buffer is None or self.model.Buffers(buffer).DataIsNone():
            return EMPTY
        return tflite_metadata.read(self.model.Buffers(buffer).DataAsNumpy().tobytes(), self.data)

    def _short_text(self, buffer: int | None) -> str | None:
        if buffer is None or not 0 < self.buffers[buffer] <= LONGEST_TEXT or self.model.Buffers(buffer).DataIsNone():
            return None
        text: bytes = self.model.Buffers(buffer).DataAsNumpy().tobytes()
        return text.rstrip(b"\0").decode("utf-8", "replace")
