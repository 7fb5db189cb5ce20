"""Reads the graph out of an .onnx file's bytes, without the `onnx` package and without opening other files."""

from __future__ import annotations

import dataclasses
from collections import ChainMap
from typing import Any

from edge_squeeze.errors import MissingDependencyError
from edge_squeeze.formats import FORMATS
from edge_squeeze.inspection import model_card, onnx_schema
from edge_squeeze.inspection.graph import TABLE_COST, UNKNOWN, Allowance, FileGraph, Operator, Tensor
from edge_squeeze.inspection.layers import MOVES
from edge_squeeze.inspection.onnx_schema import text
from edge_squeeze.packages import is_installed

STANDARD = ("", "ai.onnx", "ai.onnx.ml")  # domains
# Attribute of a Constant operator that holds bare numbers -> their dtype.
CONSTANTS = {b"value_float": "float32", b"value_floats": "float32", b"value_int": "int64", b"value_ints": "int64"}
FIRST_FIELD = b"\x08"  # ir_version, with which every writer begins
QUANTIZED = {"QuantizeLinear": "outputs", "DequantizeLinear": "inputs"}  # which of its tensors holds integers
LARGE = 4096  # bytes: no constant that shapes are inferred from is larger
Scope = ChainMap[str, int]  # name -> tensor


def parse(data: bytes) -> Any:
    """The message in `data`; MissingDependencyError without protobuf, ValueError if it has no graph with operators.

    Where `data` is no message at all, protobuf raises an error of its own.
    """
    model = onnx_schema.model_class()()
    model.MergeFromString(data)
    if not len(model.graph.node):
        raise ValueError("it has no graph with operators")
    return model


def recognizes(data: bytes, name: str) -> bool:
    """Whether `data`, of a file called `name`, is an .onnx file.

    MissingDependencyError if it may be one and protobuf, which could tell, is not installed.
    """
    try:
        parse(data)
    except MissingDependencyError:
        if data[:1] == FIRST_FIELD or FORMATS["onnx"].fits(data, name):
            raise
        return False
    except Exception:  # protobuf's own error, whose class is not known without it
        return False
    return True


def read(data: bytes) -> FileGraph:
    """The graph in `data`; ValueError, or any error of the parser, for a damaged file.

    The bodies of branches, loops and functions are read once each. Constants kept in other files are assumed
    to have the shapes that are declared. Shapes that the file does not declare for the results of its operators are
    inferred if the `onnx` package happens to be installed.
    """
    graph = _Reader().read(parse(data))
    lacking = {i for i in graph.made_by if graph.tensors[i].shape is None and not graph.made_by[i].graph}
    if not lacking or not is_installed("onnx"):
        return graph
    known = _infer(parse(data))
    tensors = [known.get(t.name, t) if i in lacking else t for i, t in enumerate(graph.tensors)]
    return dataclasses.replace(graph, tensors=tensors)


def _infer(model: Any) -> dict[str, Tensor]:
    """What the `onnx` package infers about the tensors of `model`, which is modified; nothing if it fails."""
    import onnx

    for tensor in model.graph.initializer:
        if tensor.ByteSize() > LARGE:
            tensor.ClearField("raw_data")
    try:
        inferred = onnx.shape_inference.infer_shapes(model.SerializeToString()).SerializeToString()
    except Exception:  # it raises errors of any kind, and its help is optional
        return {}
    values = parse(inferred).graph.value_info
    return {text(value.name): Tensor(text(value.name), *onnx_schema.declared(value)) for value in values}


class _Reader:
    """Goes through one file; `tensors` and `operators` grow graph by graph."""

    def __init__(self) -> None:
        self.allowance = Allowance()
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self.numbers: dict[int, float | int] = {}  # constants of one number
        self.elsewhere: set[str] = set()
        self.functions: set[tuple[str, str]] = set()
        self.graphs = 0

    def read(self, model: Any) -> FileGraph:
        """All graphs as one."""
        self.functions = {(text(function.domain), text(function.name)) for function in model.functions}
        inputs, outputs = self._graph(model.graph, ChainMap())
        for function in model.functions:
            scope: Scope = ChainMap()
            for name in self._each(function.input):
                self._add(scope, Tensor(text(name)))
            self._nodes(function.node, scope)
        for operator in reversed(self.operators):
            self._note_scale(operator)
        opsets = {text(entry.domain): entry.version for entry in self._each(model.opset_import)}
        opset, elsewhere = opsets.get("", opsets.get("ai.onnx")), sorted(self.elsewhere)
        metadata = self._metadata(model, opsets)
        card = model_card.from_properties(metadata["metadata_props"])
        return FileGraph(self.tensors, self.operators, inputs, outputs, opset, metadata, elsewhere, card)

    def _each(self, entries: Any) -> Any:
        self.allowance.spend(len(entries), TABLE_COST)
        return entries

    def _graph(self, graph: Any, outer: Scope) -> tuple[list[int], list[int]]:
        """The inputs and outputs of a graph whose tensors and operators were added to ours."""
        scope = outer.new_child()
        for tensor in self._each([*graph.initializer, *(sparse.values for sparse in graph.sparse_initializer)]):
            self._hold(self._add(scope, Tensor(text(tensor.name))), tensor)
        constants = set(scope.maps[0])
        for value in self._each([*graph.input, *graph.output, *graph.value_info]):
            if text(value.name) not in scope.maps[0]:
                self._add(scope, Tensor(text(value.name), *onnx_schema.declared(value)))
        self._nodes(graph.node, scope)
        # Old files list their constants among the inputs.
        inputs = [text(value.name) for value in graph.input if text(value.name) not in constants]
        return [scope[name] for name in inputs], [scope[text(value.name)] for value in graph.output]

    def _add(self, scope: Scope, tensor: Tensor) -> int:
        scope[tensor.name] = len(self.tensors)
        self.tensors.append(tensor)
        return scope[tensor.name]

    def _nodes(self, nodes: Any, scope: Scope) -> None:
        """Add the operators of a graph, and the graphs in their attributes."""
        number = self.graphs
        self.graphs += 1
        for node in self._each(nodes):
            self.operators.append(self._operator(node, scope, number))
            for attribute in self._each(node.attribute):
                for body in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                    self._graph(body, scope)

    def _operator(self, node: Any, scope: Scope, number: int) -> Operator:
        domain, name = text(node.domain), text(node.op_type)
        standard = domain in STANDARD
        operator = Operator(
            kind=name if standard else f"{domain}.{name}",
            inputs=self._named(node.input, scope, scope),
            outputs=self._named(node.output, scope, scope.maps[0]),
            custom=not standard and (domain, name) not in self.functions,
            graph=number,
        )
        if operator.kind == "Constant" and operator.outputs[0] >= 0:
            self._hold_constant(operator.outputs[0], node.attribute)
        self._guess_dtypes(operator, node.attribute)
        return operator

    def _named(self, names: Any, scope: Scope, known: Any) -> tuple[int, ...]:
        """The tensors of these names, new ones for names that are not `known`; -1 for an empty name."""
        self.allowance.spend(len(names))
        texts = (text(name) for name in names)
        return tuple(-1 if not n else known[n] if n in known else self._add(scope, Tensor(n)) for n in texts)

    def _change(self, index: int, **changes: Any) -> None:
        self.tensors[index] = dataclasses.replace(self.tensors[index], **changes)

    def _guess_dtypes(self, operator: Operator, attributes: Any) -> None:
        inputs = [UNKNOWN if index < 0 else self.tensors[index].dtype for index in operator.inputs]
        for position, index in enumerate(operator.outputs):
            if index >= 0 and self.tensors[index].dtype == UNKNOWN:
                self._change(index, dtype=onnx_schema.output_dtype(operator.kind, inputs, attributes, position))

    def _hold(self, index: int, stored: Any) -> None:
        """Note that tensor `index` is the constant `stored`."""
        kind, elements = onnx_schema.dtype(stored.data_type), onnx_schema.elements(stored, self.tensors[index].name)
        self._change(index, dtype=kind, shape=tuple(stored.dims), elements=elements)
        if (number := onnx_schema.number(stored)) is not None:
            self.numbers[index] = number
        if (location := onnx_schema.location(stored)) is not None:
            self.elsewhere.add(location)

    def _hold_constant(self, index: int, attributes: Any) -> None:
        for attribute in attributes:
            if attribute.HasField("t"):
                self._hold(index, attribute.t)
            elif attribute.HasField("sparse_tensor"):
                self._hold(index, attribute.sparse_tensor.values)
            elif attribute.name in CONSTANTS:
                several = len(attribute.floats) + len(attribute.ints)
                shape = (several,) if attribute.name.endswith(b"s") else ()
                self._change(index, dtype=CONSTANTS[attribute.name], shape=shape, elements=several or 1)

    def _note_scale(self, operator: Operator) -> None:
        """Give the integer side of a quantization its scale and zero point, and what is only moved to it its own."""
        first = (*operator.inputs[:1], *operator.outputs[:1])
        if operator.base in MOVES and len(first) == 2 and min(first) >= 0:  # noqa: PLR2004 - source, moved
            moved, source = self.tensors[operator.outputs[0]], operator.inputs[0]
            if moved.scales and not self.tensors[source].scales:
                self._change(source, scales=moved.scales, scale=moved.scale, zero_point=moved.zero_point)
            return
        side = QUANTIZED.get(operator.base)
        tensors = {"inputs": operator.inputs, "outputs": operator.outputs}.get(side or "", ())
        if not tensors or tensors[0] < 0 or len(operator.inputs) < 2 or operator.inputs[1] < 0:  # noqa: PLR2004 - x, scale
            return
        scale = self.tensors[operator.inputs[1]]
        number = self.numbers.get(operator.inputs[1])
        zero = self.numbers.get(operator.inputs[2], 0) if len(operator.inputs) > 2 else 0  # noqa: PLR2004 - zero point
        self._change(
            tensors[0],
            scales=scale.elements or 1,
            scale=None if number is None else float(number),
            zero_point=None if number is None else int(zero),
        )

    def _metadata(self, model: Any, opsets: dict[str, int]) -> dict[str, Any]:
        return {
            "producer": f"{text(model.producer_name)} {text(model.producer_version)}".strip(),
            "ir_version": model.ir_version,
            "opsets": opsets,
            "model_version": model.model_version,
            "domain": text(model.domain),
            "graph_name": text(model.graph.name),
            "doc_string": text(model.doc_string),
            "metadata_props": {text(e.key): text(e.value) for e in self._each(model.metadata_props)},
            "subgraphs": self.graphs,
            "functions": sorted(f"{domain}.{name}" for domain, name in self.functions),
        }
