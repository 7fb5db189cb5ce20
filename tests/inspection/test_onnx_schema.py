from __future__ import annotations

import sys
from typing import Any

import onnx
import pytest
from google.protobuf import descriptor_pb2

from edge_squeeze.errors import MissingDependencyError
from edge_squeeze.inspection import onnx_schema

# Ours -> theirs, where the name is not theirs without Proto.
NAMES = {
    "OperatorSet": "OperatorSetIdProto",
    "Entry": "StringStringEntryProto",
    "TensorType": "TypeProto.Tensor",
    "ElementType": "TypeProto.Sequence",
    "MapType": "TypeProto.Map",
    "TensorShape": "TensorShapeProto",
    "Dimension": "TensorShapeProto.Dimension",
}
Field = descriptor_pb2.FieldDescriptorProto


def declared(message: Any) -> dict[int, tuple[str, int, bool]]:
    """Number -> name, type and whether it is a list, as the message's own package declares it."""
    file = descriptor_pb2.DescriptorProto()
    message.DESCRIPTOR.CopyToProto(file)
    return {f.number: (f.name, f.type, f.label == Field.LABEL_REPEATED) for f in file.field}


def theirs(name: str) -> Any:
    attribute: Any = onnx
    for part in NAMES.get(name, f"{name}Proto").split("."):
        attribute = getattr(attribute, part)
    return attribute


@pytest.mark.parametrize("name", onnx_schema.MESSAGES)
def test_the_table_says_what_the_onnx_package_says(name: str) -> None:
    real = declared(theirs(name))
    for entry in onnx_schema.MESSAGES[name]:
        number, field, kind = entry.split()
        real_name, real_type, real_list = real[int(number)]
        ours = getattr(Field, f"TYPE_{kind.lstrip('*').upper()}", Field.TYPE_MESSAGE)
        same = {Field.TYPE_STRING: Field.TYPE_BYTES, Field.TYPE_ENUM: Field.TYPE_INT32}.get(real_type, real_type)
        assert (field, ours, kind.startswith("*")) == (real_name, same, real_list)


def test_every_known_dtype_has_its_number() -> None:
    from edge_squeeze.inspection.onnx_schema import dtype

    named = {"float": "float32", "double": "float64", "undefined": "unknown"}
    for name, number in onnx.TensorProto.DataType.items():
        assert dtype(number) in (named.get(name.lower(), name.lower()), f"type {number}")
    assert dtype(-1) == "type -1"


def test_without_protobuf_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    onnx_schema.model_class.cache_clear()
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    with pytest.raises(MissingDependencyError, match=r"protobuf is not installed.*edge-squeeze\[onnx\]"):
        onnx_schema.model_class()
