"""The objects of a .tflite file, as `tflite_edits.unpack` gives them: what rewrites look up in them and add to them."""

from __future__ import annotations

from typing import Any

import numpy as np


def schema() -> Any:
    """The module of the classes of which such a tree is made."""
    from tensorflow.lite.python import schema_py_generated

    return schema_py_generated


def readers(graph: Any, index: int) -> list[Any]:
    """The operators that take the tensor `index`."""
    return [operator for operator in graph.operators if index in operator.inputs]


def kind(model: Any, operator: Any) -> int:
    """The number of the kind of operator, in the schema's `BuiltinOperator`."""
    code = model.operatorCodes[operator.opcodeIndex]
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def kind_index(model: Any, kind: int, version: int) -> int:
    """Where that kind of operator stands in the model's list, to which it is added if it is not there."""
    for i, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == kind and code.version == version:
            return i
    code = schema().OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = kind, min(kind, 127), version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def drop_unused_kinds(model: Any) -> None:
    """Take kinds that no operator has out of the list: a runtime must know all of them to load the file."""
    operators = [operator for graph in model.subgraphs for operator in graph.operators]
    used = sorted({operator.opcodeIndex for operator in operators})
    for operator in operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[i] for i in used]


def numbers(model: Any, tensor: Any, dtype: Any) -> Any:
    """The numbers of a constant."""
    return np.frombuffer(bytes(bytearray(model.buffers[tensor.buffer].data)), dtype)


def add_constant(model: Any, name: bytes, content: Any) -> int:
    """The index of a new tensor that holds `content`, an array of float32, int32 or int8."""
    tensor, buffer = schema().TensorT(), schema().BufferT()
    tensor.name, tensor.shape = name, np.array(content.shape, np.int32)
    tensor.type = getattr(schema().TensorType, content.dtype.name.upper())
    buffer.data, buffer.offset, buffer.size = np.frombuffer(content.tobytes(), np.uint8), 0, 0
    model.buffers.append(buffer)
    tensor.buffer = len(model.buffers) - 1
    return _append(model, tensor)


def add_like(model: Any, name: bytes, like: Any, shape: Any) -> int:
    """The index of a new tensor of `shape` that is computed and has the type and the scale of the tensor `like`."""
    tensor = schema().TensorT()
    tensor.name, tensor.buffer, tensor.shape = name, 0, np.array(shape, np.int32)
    tensor.type, tensor.quantization = like.type, like.quantization
    return _append(model, tensor)


def _append(model: Any, tensor: Any) -> int:
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def operator(model: Any, name: str, inputs: Any, output: int, options: Any = None, version: int = 1) -> Any:
    """A new operator of the kind called `name`, with `options` of the schema, which is not in the graph yet."""
    made = schema().OperatorT()
    made.opcodeIndex = kind_index(model, getattr(schema().BuiltinOperator, name), version)
    made.inputs, made.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
    if options is not None:
        made.builtinOptionsType = getattr(schema().BuiltinOptions, type(options).__name__.removesuffix("T"))
        made.builtinOptions = options
    return made


def reshape(model: Any, source: int, target: int, name: bytes) -> Any:
    """A new operator that brings the tensor `source` into the shape of the tensor `target`."""
    options = schema().ReshapeOptionsT()
    options.newShape = np.array(model.subgraphs[0].tensors[target].shape, np.int32)
    return operator(model, "RESHAPE", [source, add_constant(model, name, options.newShape)], target, options)


def slice_of(model: Any, source: int, target: int, begin: Any, name: bytes) -> Any:
    """A new operator that cuts the tensor `target` out of the tensor `source`, from `begin` on."""
    shape = np.array(model.subgraphs[0].tensors[target].shape, np.int32)
    places = [(b"/begin", np.array(begin, np.int32)), (b"/size", shape)]
    constants = [add_constant(model, name + end, content) for end, content in places]
    return operator(model, "SLICE", [source, *constants], target, schema().SliceOptionsT(), version=2)


def maker(graph: Any, index: int) -> Any | None:
    """The operator that computes the tensor `index`; None for constants and the input."""
    return next((operator for operator in graph.operators if index in operator.outputs), None)


def scope(graph: Any, operator: Any) -> bytes:
    """What the names of the tensors of the layer with `operator` begin with."""
    name: bytes = graph.tensors[operator.outputs[0]].name.partition(b";")[0]
    return name.rpartition(b"/")[0] or name


def is_static(tensor: Any) -> bool:
    """Whether no side of the tensor is open."""
    return tensor.shapeSignature is None or min(tensor.shapeSignature, default=0) >= 0
