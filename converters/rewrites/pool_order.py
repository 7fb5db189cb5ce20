"""A max pooling behind a concatenation of channels in a .tflite file becomes one of each part before it.

The concatenation then copies the quarter of the numbers that a pooling with a stride of 2 leaves.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from edge_squeeze.converters.rewrites import tflite_tree as tree

CHANNELS = 3  # the axis


def pool_before_concatenation(model: Any) -> tuple[Any, bool]:
    """`model` with such poolings first, and whether there were any: the numbers that it computes are the same.

    Nothing else may read the concatenation, and all of its parts must have its scale.
    """
    graph = model.subgraphs[0]
    pooling = tree.schema().BuiltinOperator.MAX_POOL_2D
    pairs = [(pool, _parts(model, pool)) for pool in graph.operators if tree.kind(model, pool) == pooling]
    for pool, concatenation in pairs:
        if concatenation is not None:
            _exchange(model, pool, concatenation)
    return model, any(concatenation is not None for _, concatenation in pairs)


def _parts(model: Any, pool: Any) -> Any | None:
    """The concatenation that `pool` reads, if they can change places."""
    graph, index = model.subgraphs[0], int(pool.inputs[0])
    maker = tree.maker(graph, index)
    if maker is None or tree.kind(model, maker) != tree.schema().BuiltinOperator.CONCATENATION:
        return None
    options = maker.builtinOptions
    alone = len(tree.readers(graph, index)) == 1 and index not in graph.outputs
    plain = options.axis in (CHANNELS, -1) and options.fusedActivationFunction == 0
    ends = [graph.tensors[end] for end in (*maker.inputs, pool.outputs[0])]
    same = all(_scale(end) == _scale(graph.tensors[index]) for end in ends)
    return maker if alone and plain and same and all(map(tree.is_static, ends)) else None


def _scale(tensor: Any) -> tuple[Any, ...]:
    quantization = tensor.quantization
    numbers = () if quantization is None else (quantization.scale, quantization.zeroPoint)
    return (tensor.type, *(() if values is None else tuple(values) for values in numbers))


def _exchange(model: Any, pool: Any, concatenation: Any) -> None:
    graph = model.subgraphs[0]
    output, pools = int(pool.outputs[0]), []
    batch, height, width, _ = map(int, graph.tensors[output].shape)
    scope = tree.scope(graph, pool)
    for number, index in enumerate(map(int, concatenation.inputs), start=1):
        part = graph.tensors[index]
        sides = [batch, height, width, int(part.shape[CHANNELS])]
        pooled = copy.copy(pool)
        pooled.inputs = np.array([index], np.int32)
        pooled.outputs = np.array([tree.add_like(model, scope + b"/part%d" % number, part, sides)], np.int32)
        pools.append(pooled)
    at = graph.operators.index(concatenation)
    graph.operators[at:at] = pools
    graph.operators.remove(pool)
    concatenation.inputs = np.array([pooled.outputs[0] for pooled in pools], np.int32)
    concatenation.outputs = np.array([output], np.int32)
