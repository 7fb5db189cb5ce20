"""The messages of an .onnx file and what they say about values: dtypes, shapes, and how many numbers are stored."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from edge_squeeze.errors import MissingDependencyError
from edge_squeeze.inspection.graph import BITS, UNKNOWN, Shape, check_stored, count_numbers, open_shape

# Message -> its fields as "number name type", a type with * being a list. Texts are declared as bytes, which is the
# same in the file, so that a damaged text can still be shown. The parser keeps fields that are not listed, unread.
MESSAGES = {
    "Model": (
        "1 ir_version int64", "2 producer_name bytes", "3 producer_version bytes", "4 domain bytes",
        "5 model_version int64", "6 doc_string bytes", "7 graph Graph", "8 opset_import *OperatorSet",
        "14 metadata_props *Entry", "25 functions *Function",
    ),
    "OperatorSet": ("1 domain bytes", "2 version int64"),
    "Entry": ("1 key bytes", "2 value bytes"),
    "Graph": (
        "1 node *Node", "2 name bytes", "5 initializer *Tensor", "10 doc_string bytes", "11 input *ValueInfo",
        "12 output *ValueInfo", "13 value_info *ValueInfo", "15 sparse_initializer *SparseTensor",
    ),
    "Function": ("1 name bytes", "4 input *bytes", "5 output *bytes", "7 node *Node", "10 domain bytes"),
    "Node": (
        "1 input *bytes", "2 output *bytes", "3 name bytes", "4 op_type bytes", "5 attribute *Attribute",
        "7 domain bytes",
    ),
    "Attribute": (
        "1 name bytes", "2 f float", "3 i int64", "4 s bytes", "5 t Tensor", "6 g Graph", "7 floats *float",
        "8 ints *int64", "9 strings *bytes", "11 graphs *Graph", "22 sparse_tensor SparseTensor",
    ),
    "Tensor": (
        "1 dims *int64", "2 data_type int32", "4 float_data *float", "5 int32_data *int32", "6 string_data *bytes",
        "7 int64_data *int64", "8 name bytes", "9 raw_data bytes", "10 double_data *double", "11 uint64_data *uint64",
        "13 external_data *Entry", "14 data_location int32",
    ),
    "SparseTensor": ("1 values Tensor", "3 dims *int64"),
    "ValueInfo": ("1 name bytes", "2 type Type"),
    "Type": (
        "1 tensor_type TensorType", "4 sequence_type ElementType", "5 map_type MapType",
        "8 sparse_tensor_type TensorType", "9 optional_type ElementType",
    ),
    "TensorType": ("1 elem_type int32", "2 shape TensorShape"),
    "ElementType": ("1 elem_type Type",),
    "MapType": ("1 key_type int32", "2 value_type Type"),
    "TensorShape": ("1 dim *Dimension",),
    "Dimension": ("1 dim_value int64", "2 dim_param bytes"),
}  # fmt: skip
PACKAGE = "edge_squeeze_onnx"
# Position: the number that a file writes for the dtype.
DTYPES = (
    UNKNOWN, "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "float64",
    "uint32", "uint64", "complex64", "complex128", "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2",
    "float8e5m2fnuz", "uint4", "int4", "float4e2m1", "float8e8m0", "uint2", "int2",
)  # fmt: skip
EXTERNAL = 1  # of data_location
TYPED_DATA = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")
READABLE = ("float64", "float32", "float16", "int32", "int64", "int8", "uint8", "int16", "uint16")
# The dtypes of an operator's outputs where the file leaves them out: these, or that of the input at a position.
# Any other operator is taken to give what it gets first.
FIXED: dict[str, Sequence[str]] = {
    **dict.fromkeys(("Shape", "Size", "ArgMax", "ArgMin", "NonZero"), ("int64",)),
    **dict.fromkeys(("ConvInteger", "MatMulInteger"), ("int32",)),
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "IsNaN", "IsInf"), ("bool",)),
    **dict.fromkeys(("If", "Loop", "Scan"), (UNKNOWN,)),
    "DynamicQuantizeLinear": ("uint8", "float32", "uint8"),
}
FROM_INPUT = {
    "DequantizeLinear": 1,
    "MatMulIntegerToFloat": 2,
    "QLinearConcat": 1,
    "QLinearConv": 7,
    "QLinearMatMul": 7,
    "QuantizeLinear": 2,
    "Where": 1,
}
RULED_DOMAINS = ("", "com.microsoft")
DTYPE_ATTRIBUTES = (b"to", b"dtype", b"output_dtype")


@functools.cache
def model_class() -> Any:
    """The message class of a whole .onnx file; MissingDependencyError without protobuf."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise MissingDependencyError("protobuf", "onnx", "inspecting an .onnx file") from error
    file = descriptor_pb2.FileDescriptorProto(name=f"{PACKAGE}.proto", package=PACKAGE)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields:
            _declare(message.field.add(), *field.split())
    pool = descriptor_pool.DescriptorPool()  # of our own: the `onnx` package declares its messages in the common one
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.Model"))


def _declare(field: Any, number: str, name: str, kind: str) -> None:
    scalar = kind.removeprefix("*")
    field.number, field.name = int(number), name
    field.label = field.LABEL_OPTIONAL if scalar == kind else field.LABEL_REPEATED
    if scalar in MESSAGES:
        field.type, field.type_name = field.TYPE_MESSAGE, f".{PACKAGE}.{scalar}"
    else:
        field.type = getattr(field, f"TYPE_{scalar.upper()}")


def text(content: bytes) -> str:
    """A text of the file, damaged or not."""
    return content.decode("utf-8", "replace")


def dtype(number: int) -> str:
    """The dtype that a file writes as `number`."""
    return DTYPES[number] if 0 <= number < len(DTYPES) else f"type {number}"


def declared(value: Any) -> tuple[str, Shape | None]:
    """The dtype and shape that the file declares for a value; ValueError for sides that no tensor can have."""
    return _dtype(value.type), _shape(value.type, text(value.name))


def _dtype(kind: Any) -> str:
    if kind.HasField("sequence_type"):
        return f"sequence({_dtype(kind.sequence_type.elem_type)})"
    if kind.HasField("optional_type"):
        return f"optional({_dtype(kind.optional_type.elem_type)})"
    if kind.HasField("map_type"):
        return f"map({dtype(kind.map_type.key_type)}, {_dtype(kind.map_type.value_type)})"
    if kind.HasField("sparse_tensor_type"):
        return f"sparse({dtype(kind.sparse_tensor_type.elem_type)})"
    return dtype(kind.tensor_type.elem_type)


def _shape(kind: Any, name: str) -> Shape | None:
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    return open_shape([d.dim_value if d.HasField("dim_value") else -1 for d in kind.tensor_type.shape.dim], name)


def elements(tensor: Any, name: str) -> int:
    """How many numbers a stored tensor has; ValueError if the file holds another number of them."""
    number, kind = count_numbers(tensor.dims, name), dtype(tensor.data_type)
    if location(tensor) is not None:
        return number
    if tensor.HasField("raw_data"):
        check_stored(name, number, kind, len(tensor.raw_data))
        return number
    held = sum(len(getattr(tensor, field)) for field in TYPED_DATA)
    if held != (required := _typed_entries(number, kind)):
        raise ValueError(f"tensor {name[:60]!r}: its shape requires {required:,} numbers, it has {held:,}")
    return number


def _typed_entries(number: int, kind: str) -> int:
    """How many entries that many numbers take where they are not stored as raw bytes."""
    if kind.startswith("complex"):
        return 2 * number
    return (number * BITS.get(kind, 8) + 7) // 8 if BITS.get(kind, 8) < 8 else number  # noqa: PLR2004 - bits of a byte


def location(tensor: Any) -> str | None:
    """The other file that holds a stored tensor; None if it is in this one."""
    if tensor.data_location != EXTERNAL:
        return None
    named = {text(entry.key): text(entry.value) for entry in tensor.external_data}
    return named.get("location", "a file that is not named")


def number(tensor: Any) -> float | int | None:
    """The only number of a stored tensor; None for any other tensor. ValueError if it is not finite."""
    kind = dtype(tensor.data_type)
    if math.prod(tensor.dims) != 1 or kind not in READABLE or location(tensor) is not None:
        return None
    typed = [value for field in TYPED_DATA[:-1] for value in getattr(tensor, field)]
    value = typed[0] if typed else np.frombuffer(tensor.raw_data, np.dtype(kind).newbyteorder("<"))[0].item()
    if not math.isfinite(value):
        raise ValueError(f"tensor {text(tensor.name)[:60]!r} is {value}")
    return float(value) if kind.startswith("float") else int(value)


def output_dtype(kind: str, inputs: Sequence[str], attributes: Iterable[Any], position: int) -> str:
    """The dtype of the output at `position` of an operator with inputs of these dtypes, as far as rules go."""
    domain, _, kind = kind.rpartition(".")
    if domain not in RULED_DOMAINS:
        return UNKNOWN
    for attribute in attributes:
        if attribute.name in DTYPE_ATTRIBUTES and attribute.i:
            return dtype(attribute.i)
    if kind in FIXED:
        return FIXED[kind][min(position, len(FIXED[kind]) - 1)]
    if kind == "ConstantOfShape":
        return next((dtype(a.t.data_type) for a in attributes if a.HasField("t")), "float32")
    chosen = FROM_INPUT.get(kind, 0)
    if chosen < len(inputs):
        return inputs[chosen]
    return "uint8" if kind == "QuantizeLinear" else UNKNOWN
