"""The graph of an .onnx file by the tensors that its nodes make and read."""

from __future__ import annotations

from typing import Any

from edge_squeeze.converters.formats.tracing import INPUT
from edge_squeeze.inspection.layers import CLAMPS, MOVES

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


class Graph:
    """A graph's nodes by the tensors that they make and read."""

    def __init__(self, graph: Any) -> None:
        self.proto = graph
        self.made_by = {name: node for node in graph.node for name in node.output}
        self.constants = {constant.name: constant for constant in graph.initializer}
        self.read_by: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self.read_by.setdefault(name, []).append(node)
        self.outputs = {value.name for value in graph.output}
        self._ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in graph.value_info}

    def is_layer(self, node: Any) -> bool:
        """Whether a node is a convolution or dense layer: it has constant weights."""
        return node.op_type in LAYERS and any(name in self.constants for name in node.input[:2])

    def reader(self, name: str) -> Any | None:
        """The only node that reads a tensor; None if there are several, or it is an output of the graph."""
        readers = self.read_by.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self.outputs else None

    def is_flat(self, name: str) -> bool:
        """Whether a tensor has a vector for each picture."""
        return self._ranks.get(name) == 2  # noqa: PLR2004 - pictures, numbers

    def after_layers(self) -> list[Any]:
        """The head: the nodes that lead to no layer, except for an activation that a layer's kernel does itself."""
        leads: set[int] = set()
        for node in reversed(self.proto.node):
            readers = [reader for name in node.output for reader in self.read_by.get(name, [])]
            if self.is_layer(node) or any(id(reader) in leads for reader in readers):
                leads.add(id(node))
        clamps = {id(node) for node in self.proto.node if self._is_clamp(node)}
        return [node for node in self.proto.node if id(node) not in leads | clamps]

    def _is_clamp(self, node: Any) -> bool:
        if node.op_type not in CLAMPS or node.input[0] not in self.made_by:
            return False
        return self.is_layer(self.made_by[node.input[0]]) and self.reader(node.input[0]) is not None

    def before_layers(self) -> set[str]:
        """The tensors that are computed of pixels alone, by no layer."""
        pixels = {INPUT}
        for node in self.proto.node:
            if not self.is_layer(node) and pixels & {*node.input}:
                pixels |= {*node.output}
        return pixels


def attributes(node: Any) -> dict[str, Any]:
    """Those that a node has, by their names."""
    import onnx

    return {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}


def moves_input(graph: Graph, node: Any) -> bool:
    """Whether a node only moves the pixels."""
    while node is not None and node.op_type in MOVES:
        if node.input[0] == INPUT:
            return True
        node = graph.made_by.get(node.input[0])
    return False
