"""The part of onnx.proto that looking into a file needs, as message classes that no `onnx` package has to bring."""

from __future__ import annotations

import functools
from typing import Any

from edge_squeeze.errors import MissingDependencyError

# Message -> its fields as "number name type", a type with * being a list. Texts are declared as bytes, which is the
# same in the file, so that a damaged text can still be shown. What is not listed is skipped by the parser, but kept.
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


@functools.cache
def model_class() -> Any:
    """The message class of a whole .onnx file; MissingDependencyError without protobuf."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise MissingDependencyError("protobuf", "onnx", "looking into an .onnx file") from error
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
