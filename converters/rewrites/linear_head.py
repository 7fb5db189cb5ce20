"""A 1x1 convolution without an activation before a global average in a .tflite file in float comes behind it.

The average of products is the product of the average, so that the convolution computes one pixel instead of all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_squeeze.converters.rewrites import tflite_tree as tree

SIDES = [1, 2]  # the axes of height and width


def average_before_convolution(model: Any) -> tuple[Any, bool]:
    """`model` with such averages first, and whether there were any; float32 sums are rounded in another order.

    Nothing else may read the convolution. In integers the average would be rounded to the scale of what it averages.
    """
    graph = model.subgraphs[0]
    kind = tree.schema().BuiltinOperator.MEAN
    pairs = [(mean, _linear(model, mean)) for mean in graph.operators if tree.kind(model, mean) == kind]
    for mean, convolution in pairs:
        if convolution is not None:
            _exchange(model, mean, convolution)
    return model, any(convolution is not None for _, convolution in pairs)


def _linear(model: Any, mean: Any) -> Any | None:
    """The convolution whose output `mean` averages, if they can change places."""
    schema, graph, index = tree.schema(), model.subgraphs[0], int(mean.inputs[0])
    maker, axes = tree.maker(graph, index), graph.tensors[mean.inputs[1]]
    if maker is None or tree.kind(model, maker) != schema.BuiltinOperator.CONV_2D:
        return None
    if model.buffers[axes.buffer].data is None or sorted(tree.numbers(model, axes, np.int32)) != SIDES:
        return None
    options = maker.builtinOptions
    pixels, weights = (graph.tensors[each] for each in maker.inputs[:2])
    fits = (
        len(tree.readers(graph, index)) == 1
        and index not in graph.outputs
        and options.fusedActivationFunction == 0
        and options.strideH == options.strideW == 1
        and list(weights.shape[1:3]) == [1, 1]
        and weights.shape[3] == pixels.shape[3]  # one group
        and pixels.type == weights.type == schema.TensorType.FLOAT32
        and tree.is_static(pixels)
    )
    return maker if fits else None


def _exchange(model: Any, mean: Any, convolution: Any) -> None:
    graph, scope = model.subgraphs[0], tree.scope(model.subgraphs[0], mean)
    source, product, result = int(convolution.inputs[0]), int(convolution.outputs[0]), int(mean.outputs[0])
    batch, _, _, channels = map(int, graph.tensors[source].shape)
    pooled = tree.add_like(model, scope + b"/average", graph.tensors[source], [batch, 1, 1, channels])
    mean.inputs, mean.outputs = np.array([source, mean.inputs[1]], np.int32), np.array([pooled], np.int32)
    mean.builtinOptions.keepDims = True
    convolution.inputs = np.array([pooled, *convolution.inputs[1:]], np.int32)
    graph.tensors[product].shape = np.array([batch, 1, 1, int(graph.tensors[product].shape[3])], np.int32)
    graph.tensors[product].shapeSignature = None
    graph.operators.remove(mean)
    at = graph.operators.index(convolution)
    graph.operators[at : at + 1] = [mean, convolution, tree.reshape(model, product, result, scope + b"/shape")]
