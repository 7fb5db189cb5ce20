"""Edits of a finished .tflite file: its tensors' names, its signature, and the ranges that a quantizer reads."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Set as AbstractSet
from typing import Any

import numpy as np

from edge_squeeze.converters.formats.tracing import layer_of
from edge_squeeze.converters.options import Ranges
from edge_squeeze.errors import UsageError
from edge_squeeze.inspection import tflite_file
from edge_squeeze.inspection.graph import FileGraph, Operator
from edge_squeeze.inspection.layers import LAYERS, MOVES, Arithmetic, factors

IDENTIFIER = b"TFL3"
SIGNATURE = b"serving_default"
SIGMOID, SOFTMAX = "LOGISTIC", "SOFTMAX"
# Operators whose integer kernels need one scale for inputs and outputs (TensorFlow Lite 8-bit quantization spec).
COPIES = {
    "AVERAGE_POOL_2D", "CONCATENATION", "EXPAND_DIMS", "GATHER", "MAX_POOL_2D", "PACK", "PAD", "PADV2", "RESHAPE",
    "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SLICE", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "SPLIT", "SPLIT_V",
    "SQUEEZE", "STRIDED_SLICE", "TILE", "TRANSPOSE", "UNPACK",
}  # fmt: skip


def unpack(data: bytes) -> Any:
    """The file as a tree of objects (`ModelT`), which can be changed."""
    from tensorflow.lite.python import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(data, 0)


def pack(model: Any) -> bytes:
    """The bytes of a tree that `unpack` gave."""
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def name_tensors(data: bytes, input_name: str, output_name: str, layers: Mapping[str, str]) -> bytes:
    """`data` with its only input and output named, also in a signature, and what a layer computes called like it.

    `layers` is what `tracing.scope_names` gives of the model, here and below.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    model = unpack(data)
    graph = model.subgraphs[0]
    for name, tensor in layer_tensors(model, layers).items():
        tensor.name = name.encode()
    maps = []
    for indices, name in ((graph.inputs, input_name), (graph.outputs, output_name)):
        end = schema.TensorMapT()
        end.name, end.tensorIndex = name.encode(), int(indices[0])
        graph.tensors[end.tensorIndex].name = end.name
        maps.append(end)
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
    signature.inputs, signature.outputs = maps[:1], maps[1:]
    model.signatureDefs = [signature]
    return pack(model)


def layer_tensors(model: Any, layers: Mapping[str, str]) -> dict[str, Any]:
    """The tensors of the first graph that operators compute, by the name of the layer; the ends: input and output.

    A layer of several operations has one entry for each, the later ones as layer/operation, with #2 where they repeat.
    """
    tensors = model.subgraphs[0].tensors
    return {name: tensors[index] for name, index in _layer_indices(model, layers).items()}


def _layer_indices(model: Any, layers: Mapping[str, str]) -> dict[str, int]:
    graph = model.subgraphs[0]
    indices = {"input": int(graph.inputs[0]), "output": int(graph.outputs[0])}
    produced = {int(index) for operator in graph.operators for index in operator.outputs}
    for index in sorted(produced - {indices["output"]}):
        layer, operation = layer_of(graph.tensors[index].name.decode("utf-8", "replace"), layers)
        candidates = itertools.chain(
            [layer, f"{layer}/{operation}"], (f"{layer}/{operation}#{n}" for n in itertools.count(2))
        )
        indices[next(name for name in candidates if name not in indices)] = index
    return indices


def float_tensors(data: bytes, layers: Mapping[str, str]) -> dict[str, int]:
    """The float tensors among those of `layer_tensors`, by their index in the file."""
    from tensorflow.lite.python import schema_py_generated as schema

    model = unpack(data)
    tensors = model.subgraphs[0].tensors
    indices = _layer_indices(model, layers).items()
    return {name: index for name, index in indices if tensors[index].type == schema.TensorType.FLOAT32}


def logits(data: bytes, layers: Mapping[str, str]) -> tuple[str | None, list[str]]:
    """The operator that makes probabilities of the logits of a convolution or dense layer, and what holds these.

    Returns:
        SIGMOID or SOFTMAX, with the names, as of `layer_tensors`, of the tensors that hold its logits; None if the file
        ends otherwise.
    """
    graph = tflite_file.read(data)
    made_by = {output: operator for operator in graph.operators for output in operator.outputs}
    names = {index: name for name, index in _layer_indices(unpack(data), layers).items()}

    def trace(index: int) -> tuple[Operator | None, list[str]]:
        passed, operator = [names[index]], made_by.get(index)
        while operator is not None and operator.kind in MOVES:
            passed.append(names[operator.inputs[0]])
            operator = made_by.get(operator.inputs[0])
        return operator, passed

    last, _ = trace(graph.outputs[0])
    if last is None or last.kind not in (SIGMOID, SOFTMAX):
        return None, []
    computing, holding = trace(last.inputs[0])
    return (last.kind, holding) if computing is not None and factors(graph, computing) is not None else (None, [])


def groups(data: bytes, names: Mapping[int, str]) -> list[tuple[list[str], list[str]]]:
    """The tensors in `names` (index -> name) that integers are copied between, and those of them that are computed.

    Operators that only copy or compare numbers have no integer kernel that changes their scale.
    """
    graph = tflite_file.read(data)
    copied = [operator for operator in graph.operators if operator.kind in COPIES]
    members: dict[int, set[int]] = {index: {index} for index in names}
    for operator in copied:
        ends = [index for index in (*operator.inputs, *operator.outputs) if index in members]
        union = set().union(*(members[index] for index in ends))
        members |= dict.fromkeys(union, union)
    copies = {index for operator in copied for index in operator.outputs}
    distinct = {min(group): group for group in members.values() if len(group) > 1}
    return [
        ([names[i] for i in sorted(group)], [names[i] for i in sorted(group - copies)]) for group in distinct.values()
    ]


def head(data: bytes) -> list[str]:
    """The tensors that a file's operators compute after its last convolution or dense layer."""
    graph = tflite_file.read(data)
    layers = [at for at, operator in enumerate(graph.operators) if factors(graph, operator) is not None]
    return list(_computed(graph, graph.operators[layers[-1] + 1 :])) if layers else []


def float_layers(calibrated: bytes, quantized: bytes, layers: Mapping[str, str]) -> list[str]:
    """The tensors of those layers of a float file that have operators which a quantizer left in float.

    Of such a layer every tensor, except for what convolutions and products compute.
    """
    arithmetic = Arithmetic(tflite_file.read(quantized))
    computing = [operator for operator in arithmetic.floats if operator.kind not in MOVES]
    partly = {layer_of(name, layers)[0] for name in _computed(arithmetic.graph, computing)}
    graph = tflite_file.read(calibrated)
    others = [operator for operator in graph.operators if operator.kind not in LAYERS]
    return [name for name in _computed(graph, others) if layer_of(name, layers)[0] in partly]


def loops(data: bytes, layers: Mapping[str, str]) -> list[str]:
    """The layers that run in a loop, as recurrent ones do: TensorFlow's calibrator crashes the process on them."""
    graph = tflite_file.read(data)
    looping = [operator for operator in graph.operators if operator.kind == "WHILE"]
    return list(dict.fromkeys(layer_of(name, layers)[0] for name in _computed(graph, looping)))


def hide(data: bytes, names: AbstractSet[str]) -> tuple[bytes, dict[int, Any]]:
    """`data` with the operators that compute the tensors `names` under a code that 16-bit quantization leaves in float.

    And their own codes by where the others stand, for `reveal`.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    model = unpack(data)
    neg = schema.OperatorCodeT()
    neg.builtinCode = neg.deprecatedBuiltinCode = schema.BuiltinOperator.NEG
    neg.version = 1
    kinds: list[tuple[int, bool]] = []  # only those that operators have: the quantizer knows no other
    for graph in model.subgraphs:
        for operator in graph.operators:
            outputs = [graph.tensors[index].name.decode("utf-8", "replace") for index in operator.outputs]
            kind = int(operator.opcodeIndex), graph is model.subgraphs[0] and not names.isdisjoint(outputs)
            if kind not in kinds:
                kinds.append(kind)
            operator.opcodeIndex = kinds.index(kind)
    own = [model.operatorCodes[index] for index, _ in kinds]
    model.operatorCodes = [neg if hidden else code for code, (_, hidden) in zip(own, kinds, strict=True)]
    return pack(model), {place: own[place] for place, (_, hidden) in enumerate(kinds) if hidden}


def reveal(data: bytes, codes: Mapping[int, Any]) -> bytes:
    """`data` with the operators that `hide` hid as they were."""
    model = unpack(data)
    for place, code in codes.items():
        model.operatorCodes[place] = code
    return pack(model)


def made_by(data: bytes, kinds: Collection[str]) -> list[str]:
    """The tensors that operators of these kinds compute."""
    graph = tflite_file.read(data)
    return _computed(graph, (operator for operator in graph.operators if operator.kind in kinds))


def made_in(data: bytes, floats: Collection[str], layers: Mapping[str, str]) -> list[str]:
    """The tensors that the operators of the layers `floats` compute."""
    graph = tflite_file.read(data)
    return [name for name in _computed(graph, graph.operators) if layer_of(name, layers)[0] in floats]


def _computed(graph: FileGraph, operators: Iterable[Operator]) -> list[str]:
    """The names of the tensors that `operators` compute."""
    return [graph.tensors[index].name for operator in operators for index in operator.outputs]


def write_ranges(data: bytes, ranges: Ranges, layers: Mapping[str, str]) -> bytes:
    """`data`, a float file, with `ranges` in it for a quantizer; UsageError names the layers that have none."""
    from tensorflow.lite.python import schema_py_generated as schema

    model = unpack(data)
    floats = (item for item in layer_tensors(model, layers).items() if item[1].type == schema.TensorType.FLOAT32)
    tensors = dict(floats)
    if missing := [name for name in tensors if name not in ranges]:
        raise UsageError(f"The calibration has no range for {', '.join(missing)}. Calibrate with pictures.")
    for name, tensor in tensors.items():
        quantization = schema.QuantizationParametersT()
        quantization.min, quantization.max = (np.array([value], np.float32) for value in ranges[name])
        tensor.quantization = quantization
    return pack(model)
