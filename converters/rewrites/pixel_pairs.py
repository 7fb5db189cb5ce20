"""The first convolution of an int8 .tflite file takes the pixels of a row in pairs.

XNNPACK multiplies channels in groups of eight, of which the colors of a pixel fill three. A convolution with a stride
of 2 along the row computes the same on [height, width / 2, 2 * channels], which is the same memory: of the groups of a
7x7 kernel 28 are left of 49. This is space-to-depth along the rows alone; along both sides it fills more of each group,
but needs a copy, a larger kernel, and is slower (docs/rewrites.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_squeeze.converters.rewrites import tflite_tree as tree

MOST_CHANNELS = 4
PAIR = 2


def pair_pixels(model: Any) -> tuple[Any, bool]:
    """`model` with such a first convolution, and whether it could have one: the integers that it computes are the same.

    The convolution must read int8 pixels of at most four channels and a size that is known, with a stride of 2 along
    the row, a kernel that is wider than a pixel, and weights of its own.
    """
    stem = find_stem(model)
    if stem is None or stem.builtinOptions.strideW != PAIR:
        return model, False
    graph = model.subgraphs[0]
    pixels, output = graph.tensors[stem.inputs[0]], graph.tensors[stem.outputs[0]]
    width, channels, out_width = int(pixels.shape[2]), int(pixels.shape[3]), int(output.shape[2])
    weights = graph.tensors[stem.inputs[1]]
    filters, rows, columns, _ = map(int, weights.shape)
    pairs = -(-columns // PAIR)
    (top, bottom), (left, _) = zeros(graph, stem)
    right = PAIR * (out_width + pairs - 1) - width - left
    if right < 0:  # pixels would have to be cut off
        return model, False
    wide = np.zeros((filters, rows, PAIR * pairs, channels), np.int8)
    wide[:, :, :columns] = tree.numbers(model, weights, np.int8).reshape(filters, rows, columns, channels)
    model.buffers[weights.buffer].data = np.frombuffer(wide.tobytes(), np.uint8)
    weights.shape = np.array([filters, rows, pairs, PAIR * channels], np.int32)
    _feed(model, stem, [top, bottom], [left * channels, right * channels])
    stem.builtinOptions.padding, stem.builtinOptions.strideW = tree.schema().Padding.VALID, 1
    return model, True


def zeros(graph: Any, stem: Any) -> list[tuple[int, int]]:
    """How many zeros the convolution `stem` puts above and below a picture, and before and after each row of it."""
    pixels, weights, output = (graph.tensors[index] for index in (*stem.inputs[:2], stem.outputs[0]))
    options, pairs = stem.builtinOptions, []
    for axis, stride in ((1, options.strideH), (2, options.strideW)):
        needed = (int(output.shape[axis]) - 1) * stride + int(weights.shape[axis]) - int(pixels.shape[axis])
        missing = max(needed, 0) if options.padding == tree.schema().Padding.SAME else 0
        pairs.append((missing // 2, missing - missing // 2))
    return pairs


def find_stem(model: Any) -> Any | None:
    """The first convolution, if the pixels can be grouped for it: int8 ones of few channels, weights of its own."""
    kinds, graph = tree.schema().BuiltinOperator, model.subgraphs[0]
    sources = [int(graph.inputs[0])]
    readers = tree.readers(graph, sources[0])
    while len(readers) == 1 and tree.kind(model, readers[0]) in (kinds.QUANTIZE, kinds.DEQUANTIZE):
        readers = tree.readers(graph, int(readers[0].outputs[0]))
    if len(readers) != 1 or tree.kind(model, readers[0]) != kinds.CONV_2D:
        return None
    (stem,) = readers
    pixels, weights = (graph.tensors[index] for index in stem.inputs[:2])
    options, int8 = stem.builtinOptions, tree.schema().TensorType.INT8
    own = sum(tensor.buffer == weights.buffer for tensor in graph.tensors) == 1
    fits = (
        pixels.type == weights.type == int8
        and own
        and len(tree.readers(graph, int(stem.inputs[1]))) == 1
        and tree.is_static(pixels)
        and pixels.shape[0] == 1
        and pixels.shape[-1] == weights.shape[-1] <= MOST_CHANNELS
        and weights.shape[2] > 1
        and options.dilationWFactor == options.dilationHFactor == 1
    )
    return stem if fits else None


def _feed(model: Any, stem: Any, vertical: list[int], along: list[int]) -> None:
    """Bring the pixels that `stem` reads into pairs, with so many zeros before and after them."""
    graph = model.subgraphs[0]
    source = int(stem.inputs[0])
    pixels, name = graph.tensors[source], tree.scope(graph, stem)
    _, height, width, channels = map(int, pixels.shape)
    steps: list[Any] = []
    if any((*vertical, *along)):
        source, steps = padded_rows(model, stem, vertical, along)
    height, width = height + sum(vertical), width + sum(along) // channels
    paired = tree.add_like(model, name + b"/pairs", pixels, [1, height, width // PAIR, PAIR * channels])
    steps.append(tree.reshape(model, source, paired, name + b"/pairs/shape"))
    at = graph.operators.index(stem)
    graph.operators[at:at] = steps
    stem.inputs = np.array([paired, *stem.inputs[1:]], np.int32)


def padded_rows(model: Any, stem: Any, vertical: list[int], along: list[int]) -> tuple[int, list[Any]]:
    """The pixels that `stem` reads as rows of numbers, with zeros before and after them: the tensor, its operators.

    XNNPACK pads [height, width, channels] a pixel at a time, in 390 us for 227 x 227 pixels; rows of numbers in 2.

    Args:
        model: The tree of the file; the operators are not in its graph yet.
        stem: The convolution.
        vertical: How many rows of zeros to put above and below the picture.
        along: How many numbers to put before and after each row.
    """
    graph, source = model.subgraphs[0], int(stem.inputs[0])
    pixels, name = graph.tensors[source], tree.scope(graph, stem)
    _, height, width, channels = map(int, pixels.shape)
    flat = tree.add_like(model, name + b"/rows", pixels, [1, height, width * channels])
    shape = [1, height + sum(vertical), width * channels + sum(along)]
    padded = tree.add_like(model, name + b"/padded", pixels, shape)
    pads = tree.add_constant(model, name + b"/padded/pads", np.array([[0, 0], vertical, along], np.int32))
    pad = tree.operator(model, "PAD", [flat, pads], padded, tree.schema().PadOptionsT(), version=2)
    return padded, [tree.reshape(model, source, flat, name + b"/rows/shape"), pad]
