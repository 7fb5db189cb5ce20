"""The uint8 pixels of an int8 .tflite file become int8 by way of float32.

XNNPACK has no operator that makes int8 of uint8, but one that makes float32 of it and one that makes int8 of that:
6 us for 227 x 227 pixels, where TensorFlow Lite's own takes 90 outside of the delegate (docs/rewrites.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_squeeze.converters.rewrites import tflite_tree as tree

SHIFT = 128  # between a pixel and its int8 number


def convert_pixels_by_float(model: Any) -> tuple[Any, bool]:
    """`model` with such a conversion, and whether it had the other: the integers are the same.

    Pixels must be taken as they are, scale 1: others could be rounded twice. A file without any float stays so.
    """
    schema, graph = tree.schema(), model.subgraphs[0]
    index = int(graph.inputs[0])
    readers, pixels = tree.readers(graph, index), graph.tensors[index]
    if len(readers) != 1 or tree.kind(model, readers[0]) != schema.BuiltinOperator.QUANTIZE:
        return model, False
    (quantize,) = readers
    integers = graph.tensors[quantize.outputs[0]]
    if (pixels.type, integers.type) != (schema.TensorType.UINT8, schema.TensorType.INT8):
        return model, False
    scales = [(list(end.quantization.scale), list(end.quantization.zeroPoint)) for end in (pixels, integers)]
    floating = any(tensor.type == schema.TensorType.FLOAT32 for tensor in graph.tensors)
    if not floating or scales != [([1.0], [0]), ([1.0], [-SHIFT])]:
        return model, False
    floats = tree.add_like(model, tree.scope(graph, quantize) + b"/float", pixels, pixels.shape)
    graph.tensors[floats].type, graph.tensors[floats].quantization = schema.TensorType.FLOAT32, None
    graph.tensors[floats].shapeSignature = pixels.shapeSignature
    dequantize = tree.operator(model, "DEQUANTIZE", [index], floats, schema.DequantizeOptionsT())
    graph.operators.insert(graph.operators.index(quantize), dequantize)
    quantize.inputs = np.array([floats], np.int32)
    return model, True
