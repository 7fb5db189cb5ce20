"""Reads what a .tflite file holds of each layer in integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.converters.formats import tflite_edits
from edge_squeeze.converters.formats.tracing import layer_of
from edge_squeeze.converters.quantization.integers import Integers, dequantize
from edge_squeeze.converters.quantization.network import Floats, Grid
from edge_squeeze.converters.rewrites import tflite_tree as tree

UNSIGNED = 128  # what is added to int8 codes to count from 0


def read(data: bytes, layers: Mapping[str, str]) -> dict[str, Integers]:
    """Layer -> what the file in `data` holds of it; `layers` is what `tracing.scope_names` gives of the model."""
    model = tflite_edits.unpack(data)
    graph, schema = model.subgraphs[0], tree.schema()
    dtypes = {schema.TensorType.INT8: UNSIGNED, schema.TensorType.UINT8: 0}
    kinds = schema.BuiltinOperator
    weighted = (kinds.CONV_2D, kinds.DEPTHWISE_CONV_2D, kinds.FULLY_CONNECTED)
    found: dict[str, Integers] = {}
    for operator in graph.operators:
        output = graph.tensors[operator.outputs[0]]
        name = layer_of(output.name.decode("utf-8", "replace"), layers)[0]
        quantization = output.quantization
        grid = None
        if output.type in dtypes and quantization is not None and quantization.scale is not None:
            grid = Grid(float(quantization.scale[0]), int(quantization.zeroPoint[0]) + dtypes[output.type])
        computes = tree.kind(model, operator) in weighted
        if grid is not None:
            linear = computes and not operator.builtinOptions.fusedActivationFunction
            found[name] = replace(found.get(name, Integers()), grid=grid, is_linear=linear)
        if computes:
            weights, *bias = (graph.tensors[index] for index in operator.inputs[1:] if index >= 0)
            # A layer of its own for the activation gives its name to what the convolution computes.
            own = layer_of(weights.name.decode("utf-8", "replace"), layers)[0]
            name = own if own in layers.values() else name
            terms = _floats(model, bias[0]) if bias else None
            found[name] = replace(found.get(name, Integers()), kernel=_floats(model, weights), bias=terms)
    return found


def _floats(model: Any, tensor: Any) -> Floats | None:
    """The numbers of a constant; None if it is computed."""
    types = tree.schema().TensorType
    dtype = {types.INT8: np.int8, types.UINT8: np.uint8, types.INT32: np.int32, types.FLOAT32: np.float32}
    if tensor.type not in dtype or model.buffers[tensor.buffer].data is None:
        return None
    codes: NDArray[Any] = tree.numbers(model, tensor, dtype[tensor.type]).reshape(tensor.shape)
    quantization = tensor.quantization
    if tensor.type == types.FLOAT32 or quantization is None or quantization.scale is None:
        return np.asarray(codes, np.float32)
    axis = int(quantization.quantizedDimension)
    return dequantize(codes, np.asarray(quantization.scale), np.asarray(quantization.zeroPoint), axis)
