"""Exact rewrites of the operators in a finished .tflite file, so that more runtimes read it.

Each takes the tree of objects that `tflite_edits.unpack` gives, changes it in place, and returns it with whether it
changed. Only the first graph is looked at: that of the network.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from edge_squeeze.converters.rewrites import tflite_tree as tree

PICTURE_RANK = 4  # [batch, height, width, channels]
NO_TENSOR = -1


def rewrite(model: Any) -> tuple[Any, bool]:
    """`model` after every rewrite of this module, and whether one changed it."""
    changed = False
    for step in (dense_to_convolution, cast_to_dequantize):
        model, done = step(model)
        changed |= done
    if changed:
        tree.drop_unused_kinds(model)
    return model, changed


def cast_to_dequantize(model: Any) -> tuple[Any, bool]:
    """A float file that takes uint8 pixels dequantizes them with scale 1 and zero point 0 instead of casting them.

    The numbers are the same; tflite-micro, OpenCV 5 and accelerators have no such cast.
    """
    schema, graph = tree.schema(), model.subgraphs[0]
    index = int(graph.inputs[0])
    readers = tree.readers(graph, index)
    casts = all(tree.kind(model, operator) == schema.BuiltinOperator.CAST for operator in readers)
    floats = all(graph.tensors[operator.outputs[0]].type == schema.TensorType.FLOAT32 for operator in readers)
    if graph.tensors[index].type != schema.TensorType.UINT8 or not (readers and casts and floats):
        return model, False
    quantization = schema.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = np.ones(1, np.float32), np.zeros(1, np.int64)
    graph.tensors[index].quantization = quantization
    for operator in readers:
        operator.opcodeIndex = tree.kind_index(model, schema.BuiltinOperator.DEQUANTIZE, 1)
        operator.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
        operator.builtinOptions = schema.DequantizeOptionsT()
    return model, True


def shorten_biases(model: Any) -> tuple[Any, bool]:
    """Convolutions of 16-bit activations whose sums fit into 32 bits, whatever the picture, get biases of 32 bits.

    With biases of 64 bits TFLite sums in 64 bits, for which it has only reference kernels: 340 ms for SqueezeNet 1.1
    instead of 17. The numbers differ by the rounding of a step. Depthwise convolutions must have 64 bits.
    """
    schema, graph, changed = tree.schema(), model.subgraphs[0], False
    for operator in graph.operators:
        if tree.kind(model, operator) != schema.BuiltinOperator.CONV_2D or len(operator.inputs) < 3:  # noqa: PLR2004 - bias
            continue
        weights, bias = (graph.tensors[index] for index in operator.inputs[1:3])
        if bias.type != schema.TensorType.INT64:
            continue
        factors = tree.numbers(model, weights, np.int8).reshape(weights.shape[0], -1).astype(np.int64)
        terms = tree.numbers(model, bias, np.int64)
        if (np.abs(factors).sum(axis=1) * -np.iinfo(np.int16).min + np.abs(terms)).max() <= np.iinfo(np.int32).max:
            _replace_bias(model, operator, terms.astype(np.int32))
            changed = True
    return model, changed


def _replace_bias(model: Any, operator: Any, terms: Any) -> None:
    """Give a convolution the 32-bit bias `terms`; zeros may be one tensor, or one buffer, of several convolutions."""
    schema, graph, index = tree.schema(), model.subgraphs[0], int(operator.inputs[2])
    bias = graph.tensors[index]
    if len(tree.readers(graph, index)) > 1:
        bias = copy.copy(bias)
        operator.inputs = np.array([*operator.inputs[:2], len(graph.tensors)], np.int32)
        graph.tensors.append(bias)
    if sum(tensor.buffer == bias.buffer for tensor in graph.tensors) > 1:
        buffer, bias.buffer = schema.BufferT(), len(model.buffers)
        buffer.offset = buffer.size = 0
        model.buffers.append(buffer)
    model.buffers[bias.buffer].data = np.frombuffer(terms.tobytes(), np.uint8)
    bias.type = operator.builtinOptions.quantizedBiasType = schema.TensorType.INT32


def take_pixels(model: Any) -> Any:
    """A file that takes float32 pixels takes uint8 ones, which it dequantizes with scale 1 and zero point 0."""
    schema, graph = tree.schema(), model.subgraphs[0]
    floats, index = graph.tensors[graph.inputs[0]], len(graph.tensors)
    pixels, operator, quantization = schema.TensorT(), schema.OperatorT(), schema.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = np.ones(1, np.float32), np.zeros(1, np.int64)
    pixels.name, pixels.shape, pixels.shapeSignature = b"pixels", floats.shape, floats.shapeSignature
    pixels.type, pixels.buffer, pixels.quantization = schema.TensorType.UINT8, 0, quantization
    operator.opcodeIndex = tree.kind_index(model, schema.BuiltinOperator.DEQUANTIZE, 1)
    operator.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
    operator.builtinOptions = schema.DequantizeOptionsT()
    operator.inputs, operator.outputs = np.array([index], np.int32), np.array([graph.inputs[0]], np.int32)
    graph.tensors.append(pixels)
    graph.operators.insert(0, operator)
    graph.inputs = np.array([index], np.int32)
    return model


def dense_to_convolution(model: Any) -> tuple[Any, bool]:
    """A dense layer in float behind a global pooling, a flattening or another such layer, as a convolution.

    It has one output pixel, and the numbers are the same; OpenCV 4 forgets the bias of a dense layer. Layers with int8
    weights stay, since no reader needs it: of a float input, LiteRT's builtin kernels took 0.31 ms for two of them as
    convolutions instead of 0.18; of an int8 input, these kernels differ by a step (measured 2026-11-26).
    """
    dense = _Dense(model)
    replaced = [dense.replace(operator) for operator in [*model.subgraphs[0].operators]]
    if any(replaced):
        dense.drop_unread_reshapes()
    return model, any(replaced)


class _Dense:
    """Replaces the dense layers of one model, in their order."""

    def __init__(self, model: Any) -> None:
        self.schema, self.model, self.graph = tree.schema(), model, model.subgraphs[0]
        self.kinds = self.schema.BuiltinOperator
        self.pictures: dict[int, int] = {}  # a vector -> the tensor of one pixel that it was reshaped from

    def replace(self, operator: Any) -> bool:
        """Make `operator` a convolution if it is a dense layer that can be one; whether it was."""
        if tree.kind(self.model, operator) != self.kinds.FULLY_CONNECTED or not self._is_plain(operator):
            return False
        weights, output = self._stored(int(operator.inputs[1])), int(operator.outputs[0])
        picture = None if weights is None else self._picture(int(operator.inputs[0]))
        if weights is None or picture is None:
            return False
        sides = self._sides(picture)
        filters, numbers = map(int, self.graph.tensors[weights[0]].shape)
        kernel = [1, 1, sides[-1]] if self._rank(output) == PICTURE_RANK else sides
        if math.prod(kernel) != numbers:  # a layer that makes rows of a picture
            return False
        for index in weights:
            self.graph.tensors[index].shape = np.array([filters, *kernel], np.int32)
        if output in self.graph.outputs:  # it has the name of an end: call it after its layer, as the weights are
            self.graph.tensors[output].name = self.graph.tensors[weights[-1]].name
        self._convolve(operator, picture, filters)
        if self._rank(output) != PICTURE_RANK:
            self._add_reshape(operator, output, filters)
        return True

    def _is_plain(self, operator: Any) -> bool:
        """Whether all is in float, both ends are of a size that is known, and the weights are stored row by row."""
        data, weights, output = (self.graph.tensors[index] for index in (*operator.inputs[:2], operator.outputs[0]))
        in_float = {data.type, weights.type} == {self.schema.TensorType.FLOAT32}
        signatures = [end.shapeSignature for end in (data, output) if end.shapeSignature is not None]
        static = all(min(sides, default=0) >= 0 for sides in signatures)
        ranks = {self._rank(operator.inputs[0]), self._rank(operator.outputs[0])}
        return (
            in_float
            and static
            and ranks <= {2, PICTURE_RANK}
            and (weights.sparsity is None and operator.builtinOptions.weightsFormat == 0)
        )

    def _rank(self, index: int) -> int:
        shape = self.graph.tensors[index].shape
        return 0 if shape is None else len(shape)

    def _sides(self, index: int) -> list[int]:
        """Height, width and channels."""
        return [int(side) for side in self.graph.tensors[index].shape[1:]]

    def _stored(self, index: int) -> list[int] | None:
        """The weights `index` and the float16 ones they are expanded from; None if they are computed, or shared."""
        chain = [index]
        if (maker := tree.maker(self.graph, index)) is not None and tree.kind(
            self.model, maker
        ) == self.kinds.DEQUANTIZE:
            chain.append(int(maker.inputs[0]))
        stored = self.model.buffers[self.graph.tensors[chain[-1]].buffer].data is not None
        alone = all(len(tree.readers(self.graph, tensor)) == 1 for tensor in chain)
        return chain if stored and alone and self._rank(index) == 2 else None  # noqa: PLR2004 - outputs, inputs

    def _picture(self, vector: int) -> int | None:
        """The tensor [1,height,width,channels] with the numbers of `vector` in their order."""
        if self._rank(vector) == PICTURE_RANK:
            return vector if self.graph.tensors[vector].shape[0] == 1 else None
        if vector in self.pictures:
            return self.pictures[vector]
        maker = tree.maker(self.graph, vector)
        if maker is None:
            return None
        kind = tree.kind(self.model, maker)
        if kind == self.kinds.RESHAPE and self._rank(maker.inputs[0]) == PICTURE_RANK:
            source = int(maker.inputs[0])
            flat = [1, math.prod(self._sides(source))]
            return source if list(self.graph.tensors[vector].shape) == flat else None
        pooled = kind in (self.kinds.MEAN, self.kinds.REDUCE_MAX) and self._rank(maker.inputs[0]) == PICTURE_RANK
        tensor = self.graph.tensors[vector]
        only = len(tree.readers(self.graph, vector)) == 1 and vector not in self.graph.outputs
        if pooled and only and tensor.shape[0] == 1 and self._axes(maker) == [1, 2]:
            maker.builtinOptions.keepDims = True
            tensor.shape = np.array([1, 1, 1, tensor.shape[1]], np.int32)
            return vector
        return None

    def _axes(self, pooling: Any) -> list[int]:
        data = self.model.buffers[self.graph.tensors[pooling.inputs[1]].buffer].data
        return [] if data is None else sorted(int(axis) for axis in np.frombuffer(bytes(bytearray(data)), np.int32))

    def _convolve(self, operator: Any, picture: int, filters: int) -> None:
        schema, options = self.schema, self.schema.Conv2DOptionsT()
        options.padding, options.strideW, options.strideH = schema.Padding.VALID, 1, 1
        options.fusedActivationFunction = operator.builtinOptions.fusedActivationFunction
        _, weights, *bias = (int(index) for index in operator.inputs)
        if not bias or bias[0] == NO_TENSOR:  # some readers require one of a convolution
            name = tree.scope(self.graph, operator) + b"/bias"
            bias = [tree.add_constant(self.model, name, np.zeros(filters, np.float32))]
        operator.inputs = np.array([picture, weights, *bias], np.int32)
        operator.opcodeIndex = tree.kind_index(self.model, self.kinds.CONV_2D, 1)
        operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.Conv2DOptions, options

    def _add_reshape(self, operator: Any, output: int, filters: int) -> None:
        """The layer's output becomes one pixel, which is reshaped into a vector for everything that read it."""
        graph, tensor = self.graph, self.graph.tensors[output]
        name = tree.scope(graph, operator) + b"/Reshape"
        vector = tree.add_like(self.model, name, tensor, tensor.shape)
        tensor.shape = np.array([1, 1, 1, filters], np.int32)
        for reader in tree.readers(graph, output):
            reader.inputs = np.where(np.asarray(reader.inputs) == output, vector, reader.inputs).astype(np.int32)
        graph.outputs = np.where(np.asarray(graph.outputs) == output, vector, graph.outputs).astype(np.int32)
        reshape = tree.reshape(self.model, output, vector, name + b"/shape")
        graph.operators.insert(graph.operators.index(operator) + 1, reshape)
        self.pictures[vector] = output

    def drop_unread_reshapes(self) -> None:
        """Take out reshapes whose vectors no operator reads any more."""
        graph, reshape = self.graph, self.kinds.RESHAPE
        graph.operators = [
            operator
            for operator in graph.operators
            if tree.kind(self.model, operator) != reshape
            or operator.outputs[0] in graph.outputs
            or tree.readers(graph, operator.outputs[0])
        ]
