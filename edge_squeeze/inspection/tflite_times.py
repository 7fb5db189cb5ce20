"""How long each operator of a .tflite file takes: the graph cut after it, less the graph cut before it.

The Python packages of the interpreters have no profiler. Cut graphs run with all that an engine does to whole ones:
fused operators, packed weights, delegates. A cut only shortens the list of operators and renames the outputs, so every
file can be cut, and no other package is needed.
"""

from __future__ import annotations

import struct
import time
from typing import Any

import numpy as np

from edge_squeeze.engines.catalogue import RUNTIMES
from edge_squeeze.engines.engine import EngineOptions
from edge_squeeze.inspection import tflite_file
from edge_squeeze.inspection.graph import FileGraph
from edge_squeeze.inspection.operator_times import OperatorTime, layers_of

OPERATORS, OUTPUTS, SIGNATURES = 10, 8, 18  # places of fields in the tables of the schema: SubGraph's, and Model's
SECONDS, FEWEST, MOST = 0.04, 4, 60  # of runs of one cut graph, and how many there are
PASSES = 3  # over all cut graphs, so that a disturbance does not hit one alone


def times(model: bytes, runtime: str, threads: int) -> list[OperatorTime]:
    """The operators of the first graph, in the order of the file."""
    graph = tflite_file.read(model)
    operators = [operator for operator in graph.operators if operator.graph == 0]
    cuts = [cut(model, graph, count) for count in range(1, len(operators) + 1)]
    lowest = np.full(len(cuts), np.inf)
    for _ in range(PASSES):
        lowest = np.minimum(lowest, [_run(data, runtime, threads) for data in cuts])
    until = np.minimum.accumulate(lowest[::-1])[::-1]  # a part of a graph takes no longer than more of it
    each = np.diff(until, prepend=0.0) * 1e6
    names = [graph.tensors[operator.outputs[0]].name for operator in operators]
    rows = zip(names, operators, layers_of(names), each, strict=True)
    return [OperatorTime(name, operator.kind, layer, float(us)) for name, operator, layer, us in rows]


def cut(model: bytes, graph: FileGraph, count: int) -> bytes:
    """`model`, whose graph is `graph`, with its first `count` operators alone; what none of them reads comes out."""
    import tflite

    data = bytearray(model)
    root = tflite.Model.GetRootAs(model, 0)
    first = root.Subgraphs(0)
    kept = graph.operators[:count]
    read = {index for operator in kept for index in operator.inputs}
    outputs = [index for operator in kept for index in operator.outputs if index not in read]
    _shorten(data, first, OPERATORS, count)
    _shorten(data, root, SIGNATURES, 0)  # they name outputs that are gone
    field = first._tab.Pos + first._tab.Offset(OUTPUTS)  # noqa: SLF001 - the reader has no public word for places
    data += bytes(-len(data) % 4)
    struct.pack_into("<I", data, field, len(data) - field)
    data += struct.pack(f"<I{len(outputs)}i", len(outputs), *outputs)
    return bytes(data)


def _shorten(data: bytearray, table: Any, place: int, count: int) -> None:
    """Give the vector in the field at `place` of a table `count` entries."""
    if offset := table._tab.Offset(place):  # noqa: SLF001
        struct.pack_into("<I", data, table._tab.Vector(offset) - 4, count)  # noqa: SLF001


def _run(data: bytes, runtime: str, threads: int) -> float:
    """The shortest of several runs in seconds."""
    engine = RUNTIMES[runtime].open(data, EngineOptions(threads))
    rng = np.random.default_rng(0)
    arrays = []
    for tensor in engine.inputs:
        shape = tuple(side or 1 for side in tensor.shape)
        arrays.append(rng.integers(0, 127, shape).astype(tensor.dtype))
    engine.bind(arrays)
    engine.invoke()
    shortest, begun = np.inf, time.perf_counter()
    for run in range(MOST):
        start = time.perf_counter()
        engine.invoke()
        end = time.perf_counter()
        shortest = min(shortest, end - start)
        if run + 1 >= FEWEST and end - begun > SECONDS:
            break
    return float(shortest)
