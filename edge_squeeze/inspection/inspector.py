"""What a model file contains, read from its bytes without any engine and without TensorFlow."""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from edge_squeeze import formats
from edge_squeeze.errors import ConversionError, EdgeSqueezeError, UsageError, unknown
from edge_squeeze.formats import FORMATS
from edge_squeeze.inspection import layers as file_layers
from edge_squeeze.inspection.graph import FileGraph, Shape
from edge_squeeze.inspection.layers import Arithmetic, Kernel
from edge_squeeze.inspection.model_card import EMPTY, ModelCard

DEFLATE_LEVEL = 9
DEFLATE_STEP = 1 << 20  # bytes at a time: a second copy of the file in memory would be too much for a board
TRANSPOSES = ("TRANSPOSE", "Transpose")
LONGEST_REASON = 300


@dataclass(frozen=True)
class FileTensor:
    """An input or output as the file declares it; None in `shape` stands for an open dimension."""

    name: str
    shape: Shape | None  # None: the file gives none
    dtype: str
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The content of a model file."""

    format: str
    size_bytes: int
    deflated_bytes: int  # zlib's level 9, about what a download or an app package makes of it
    sha256: str
    inputs: list[FileTensor]
    outputs: list[FileTensor]
    operators: dict[str, int]  # kind -> how many, branches and loop bodies included
    custom_operators: list[str]  # Flex and custom ones, and those of non-standard ONNX domains
    tensor_types: dict[str, int]  # dtype -> how many tensors, constants included
    kernels: list[Kernel]  # convolutions and dense layers
    parameters: int  # numbers in weights: see layers.parameters
    macs: int | None  # multiply-accumulates of the kernels for one picture
    macs_unknown: str | None  # why `macs` is None
    has_integers: bool  # whether any operator computes in integers throughout
    float_fallbacks: dict[str, int]  # where it has: kind -> operators that compute in floats, the head's apart
    float_head: dict[str, int]  # likewise those after the last layer
    float_islands: int  # see layers.Arithmetic.islands
    opset: int | None
    elsewhere: list[str]  # other files that hold constants; they were not opened
    metadata: dict[str, Any] = field(default_factory=dict)
    card: ModelCard = EMPTY

    @property
    def transposes(self) -> int:
        """Transpose operators, each of which moves a whole tensor for nothing."""
        return sum(self.operators.get(kind, 0) for kind in TRANSPOSES)

    @property
    def weight_types(self) -> dict[str, int]:
        """The dtype that weights are stored as -> how many kernels of convolutions and dense layers."""
        return dict(Counter(kernel.dtype for kernel in self.kernels))

    @property
    def convolutions(self) -> dict[str, int]:
        """int8, hybrid, float32 ... -> how many convolutions and dense layers compute so."""
        return dict(Counter(kernel.arithmetic for kernel in self.kernels))


def recognize(data: bytes, name: str) -> str:
    """The format of a model file, by its content; UsageError if it is none of those in the table of formats.

    MissingDependencyError if only protobuf could tell.
    """
    for kind, row in FORMATS.items():
        if formats.module(row.reader).recognizes(data, name):
            return kind
    required = ", or ".join(row.description for row in FORMATS.values())
    raise UsageError(
        f"{name} is not a model file that can be inspected. Required: {required}. Got: {len(data):,} bytes starting "
        f"with {data[: formats.HEAD]!r}. A truncated .onnx file looks like this too."
    )


def inspect(model: bytes, format_name: str) -> Inspection:
    """What is in the bytes of a .tflite or .onnx file.

    ConversionError if they are not such a file, or a damaged one, MissingDependencyError without protobuf for .onnx.
    """
    if format_name not in FORMATS:
        raise unknown("format", format_name, FORMATS)
    try:
        return _inspection(model, format_name, formats.module(FORMATS[format_name].reader).read(model))
    except (EdgeSqueezeError, ModuleNotFoundError):
        raise
    except Exception as error:  # on a damaged file both parsers raise errors of any kind
        reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        raise ConversionError(f"This is not a readable {format_name} file: {reason[:LONGEST_REASON]}.") from error


def _inspection(model: bytes, format_name: str, graph: FileGraph) -> Inspection:
    arithmetic = Arithmetic(graph)
    kernels = file_layers.kernels(arithmetic)
    macs, macs_unknown = file_layers.total_macs(kernels)
    return Inspection(
        format=format_name,
        size_bytes=len(model),
        deflated_bytes=_deflated(model),
        sha256=hashlib.sha256(model).hexdigest(),
        inputs=[_end(graph, index) for index in graph.inputs],
        outputs=[_end(graph, index) for index in graph.outputs],
        operators=dict(Counter(operator.kind for operator in graph.operators)),
        custom_operators=sorted({operator.kind for operator in graph.operators if operator.custom}),
        tensor_types=dict(Counter(tensor.dtype for tensor in graph.tensors)),
        kernels=kernels,
        parameters=file_layers.parameters(graph),
        macs=macs,
        macs_unknown=macs_unknown,
        has_integers=arithmetic.has_integers,
        float_fallbacks=arithmetic.fallbacks(),
        float_head=arithmetic.head(),
        float_islands=arithmetic.islands(),
        opset=graph.opset,
        elsewhere=graph.elsewhere,
        metadata=graph.metadata,
        card=graph.card,
    )


def _end(graph: FileGraph, index: int) -> FileTensor:
    tensor = graph.tensors[index]
    return FileTensor(tensor.name, tensor.shape, tensor.dtype, tensor.scale, tensor.zero_point)


def _deflated(model: bytes) -> int:
    deflater, view = zlib.compressobj(DEFLATE_LEVEL), memoryview(model)
    parts = (deflater.compress(view[i : i + DEFLATE_STEP]) for i in range(0, len(model), DEFLATE_STEP))
    return sum(len(part) for part in parts) + len(deflater.flush())
