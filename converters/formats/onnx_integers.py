"""Reads what an .onnx file holds of each layer in integers, written as float operators between quantizations (QDQ)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from edge_squeeze.converters.formats.onnx_graph import DEQUANTIZE, LAYERS, QUANTIZE, Graph
from edge_squeeze.converters.formats.tracing import layer_of
from edge_squeeze.converters.quantization.integers import Integers, dequantize
from edge_squeeze.converters.quantization.network import Floats, Grid

PICTURE_RANK = 4


def read(data: bytes, layers: Mapping[str, str]) -> dict[str, Integers]:
    """Layer -> what the file in `data` holds of it; `layers` is what `tracing.scope_names` gives of the model."""
    import onnx

    graph = Graph(onnx.load_from_string(data).graph)
    found: dict[str, Integers] = {}
    for node in graph.proto.node:
        if node.op_type == QUANTIZE:
            name = layer_of(node.input[0].partition(":")[0], layers)[0]
            found.setdefault(name, Integers(_grid(graph, node)))
    for node in graph.proto.node:
        if node.op_type in LAYERS and len(node.input) > 1:
            names = [layer_of(name.partition(":")[0], layers)[0] for name in (node.input[1], node.output[0])]
            # A layer of its own for the activation gives its name to what the convolution computes.
            name = next((each for each in names if each in layers.values()), names[-1])
            floats = [_floats(graph, index) for index in node.input[1:3]]
            kernel = None if floats[0] is None else _turned(node, floats[0])
            bias = floats[1] if len(floats) > 1 else None
            found[name] = replace(found.get(name, Integers()), kernel=kernel, bias=bias)
    return found


def _grid(graph: Graph, node: Any) -> Grid:
    scale, zero = (_array(graph, name) for name in node.input[1:3])
    return Grid(float(scale), int(zero) + (128 if zero.dtype == np.int8 else 0))


def _array(graph: Graph, name: str) -> Any:
    import onnx

    return onnx.numpy_helper.to_array(graph.constants[name])


def _floats(graph: Graph, name: str) -> Floats | None:
    """The constant that a tensor is, or is dequantized from; None if it is computed."""
    import onnx

    if name in graph.constants:
        return np.asarray(_array(graph, name), np.float32)
    maker = graph.made_by.get(name)
    if maker is None or maker.op_type != DEQUANTIZE or maker.input[0] not in graph.constants:
        return None
    codes, scales, zeros = (_array(graph, part) for part in maker.input[:3])
    attributes = {item.name: onnx.helper.get_attribute_value(item) for item in maker.attribute}
    return dequantize(codes, np.asarray(scales), np.asarray(zeros), attributes.get("axis", 1))


def _turned(node: Any, kernel: Floats) -> Floats:
    """`kernel` with its dimensions in the order of `Integers`."""
    import onnx

    attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    if node.op_type == "MatMul" or (node.op_type == "Gemm" and not attributes.get("transB")):
        return kernel.T
    if kernel.ndim != PICTURE_RANK:
        return kernel
    depthwise = attributes.get("group", 1) > 1
    return kernel.transpose(1, 2, 3, 0) if depthwise else kernel.transpose(0, 2, 3, 1)
