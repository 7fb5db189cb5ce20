"""A 1x1 convolution without an activation before a global average in an .onnx file in float comes behind it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from edge_squeeze.converters.formats.onnx_graph import attributes

KIND = "onnx"  # of files
AVERAGE, PLAIN = "GlobalAveragePool", ("NOTSET", "VALID")


def average_before_convolution(proto: Any) -> tuple[Any, bool]:
    """`proto` with such averages first, and whether there were any; sums are rounded in another order.

    Nothing else may read the convolution. In integers the average would be rounded to the scale of what it averages.
    """
    graph = proto.graph
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        return proto, False  # branches and loops read tensors from outside unseen
    uses = Counter(name for node in graph.node for name in node.input) + Counter(value.name for value in graph.output)
    weights = {entry.name: entry for entry in graph.initializer}
    linear = {node.output[0]: node for node in graph.node if _is_linear(node, weights) and uses[node.output[0]] == 1}
    averages = [node for node in graph.node if node.op_type == AVERAGE and node.input[0] in linear]
    for average in averages:
        _exchange(graph, linear[average.input[0]], average)
    return proto, bool(averages)


def _is_linear(node: Any, weights: dict[str, Any]) -> bool:
    """Whether `node` computes each pixel of its output from the same pixel of its input, in float."""
    if node.op_type != "Conv" or any(name and name not in weights for name in node.input[1:]):
        return False
    own, sides = attributes(node), weights[node.input[1]].dims[2:]
    return (
        list(sides) == [1, 1]
        and set(own.get("strides", [1])) == {1}
        and not any(own.get("pads", []))
        and own.get("auto_pad", b"NOTSET").decode() in PLAIN
    )


def _exchange(graph: Any, convolution: Any, average: Any) -> None:
    """Let `average` read what `convolution` read, and `convolution` the average; it makes what the average made."""
    known = {value.name: value for value in graph.value_info}
    for name in (convolution.output[0], average.output[0]):
        if name in known:  # the first is gone, and the other has another maker
            graph.value_info.remove(known[name])
    nodes, made = list(graph.node), f"{average.name}/average:0"
    average.input[0], convolution.input[0], convolution.output[0] = convolution.input[0], made, average.output[0]
    average.output[0] = made
    moved = type(average).FromString(average.SerializeToString())
    graph.node.remove(average)
    graph.node.insert(nodes.index(convolution), moved)
