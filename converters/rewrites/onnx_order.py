"""Puts the nodes, weights and names of an ONNX graph in an order that depends on nothing but the graph.

tf2onnx numbers what it makes through the whole process, and goes through sets, so that the same model gives other bytes
each time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

NUMBER = re.compile(r"__(\d+)(?=[:_][^/]*$|$)")  # of tf2onnx; a layer may be called like that, but a / follows it


def canonicalize(graph: Any) -> None:
    """Order `graph` from its outputs backwards, and number its names anew. One with loops stays as it is."""
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        return
    nodes = [type(node).FromString(node.SerializeToString()) for node in _ordered(graph)]
    numbers: dict[str, str] = {}

    def renamed(name: str) -> str:
        return NUMBER.sub(lambda match: f"__{numbers.setdefault(match[1], str(len(numbers)))}", name)

    kept = {value.name for value in (*graph.input, *graph.output)}
    uses: dict[str, None] = {}
    for node in nodes:
        uses.update(dict.fromkeys(node.input))
        for tensors in (node.input, node.output):
            tensors[:] = [name if name in kept else renamed(name) for name in tensors]
        node.name = renamed(node.name)
    weights = {weight.name: weight for weight in graph.initializer}
    used = [weights[name] for name in uses if name in weights]
    for weight in used:
        weight.name = renamed(weight.name)
    used = [type(weight).FromString(weight.SerializeToString()) for weight in used]
    for field, ordered in ((graph.node, nodes), (graph.initializer, used)):
        del field[:]
        field.extend(ordered)


def _ordered(graph: Any) -> Iterator[Any]:
    """The nodes of `graph` that its outputs need, each after those that it needs itself."""
    makers = {name: node for node in graph.node for name in node.output}
    done: set[str] = set()
    stack = [(value.name, False) for value in reversed(graph.output)]
    while stack:
        name, is_ready = stack.pop()
        if name in done or name not in makers:
            continue
        node = makers[name]
        if is_ready:
            done.update(node.output)
            yield node
        else:
            stack.append((name, True))
            stack.extend((needed, False) for needed in reversed(node.input))
