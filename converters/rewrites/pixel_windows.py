"""The first convolution of an int8 .tflite file takes each row of its kernel's window as one pixel of many channels.

Pixels of a row are one after the other in memory: of a 7x7 kernel on three colors, a row of the window is 21 numbers.
Windows that are as far apart as they are wide, four strides of 2 pixels, are [height, width / 8, 24], the same memory
again, of which a 7x1 kernel takes three full groups of eight channels in each row, where pairs of pixels
(pixel_pairs.py) fill four groups with six channels each. The windows in between are those of rows that start 2, 4 and 6
pixels later: slices, four convolutions with the same weights, and their outputs side by side.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from edge_squeeze.converters.rewrites import tflite_tree as tree
from edge_squeeze.converters.rewrites.pixel_pairs import PAIR, find_stem, padded_rows, zeros

GROUP = 8  # channels that XNNPACK's kernels multiply at a time


def take_windows(model: Any) -> tuple[Any, bool]:
    """`model` with such a first convolution, and whether it could have one: the integers that it computes are the same.

    The convolution must read int8 pixels of at most four channels and a size that is known, with a stride along the
    row, weights of its own, and a kernel so wide that windows have fewer products than pairs of pixels.
    """
    stem = find_stem(model)
    if stem is None or not _saves(model, stem):
        return model, False
    graph, stride = model.subgraphs[0], int(stem.builtinOptions.strideW)
    output, weights = graph.tensors[stem.outputs[0]], graph.tensors[stem.inputs[1]]
    _, _, width, channels = map(int, graph.tensors[stem.inputs[0]].shape)
    filters, rows, columns, _ = map(int, weights.shape)
    phases = -(-columns // stride)
    windows = -(-int(output.shape[2]) // phases)  # of each phase
    numbers = phases * stride * channels  # in a row of a window
    vertical, (left, _) = zeros(graph, stem)
    needed = windows * numbers + (phases - 1) * stride * channels
    right = max(needed - (left + width) * channels, 0)
    source, steps = padded_rows(model, stem, [*vertical], [left * channels, right])
    wide = np.zeros((filters, rows, phases * stride, channels), np.int8)
    wide[:, :, :columns] = tree.numbers(model, weights, np.int8).reshape(filters, rows, columns, channels)
    model.buffers[weights.buffer].data = np.frombuffer(wide.tobytes(), np.uint8)
    weights.shape = np.array([filters, rows, 1, numbers], np.int32)
    parts = []
    for phase in range(phases):
        part, made = _phase(model, stem, source, (phase, windows, numbers, phase * stride * channels))
        parts.append(part)
        steps += made
    steps += _side_by_side(model, stem, parts)
    at = graph.operators.index(stem)
    graph.operators[at : at + 1] = steps
    return model, True


def _saves(model: Any, stem: Any) -> bool:
    """Whether windows have fewer products than the pixels have by themselves or, where they can, in pairs."""
    weights, stride = model.subgraphs[0].tensors[stem.inputs[1]], int(stem.builtinOptions.strideW)
    columns, channels = map(int, weights.shape[2:])
    usual = columns * _whole_groups(channels)
    if stride == PAIR:
        usual = min(usual, -(-columns // PAIR) * _whole_groups(PAIR * channels))
    return 1 < stride < columns and _whole_groups(-(-columns // stride) * stride * channels) < usual


def _whole_groups(channels: int) -> int:
    return -(-channels // GROUP) * GROUP


def _phase(model: Any, stem: Any, source: int, place: tuple[int, int, int, int]) -> tuple[int, list[Any]]:
    """The outputs of every so manieth window of the rows `source`, and the operators that compute them.

    Args:
        model: The tree of the file.
        stem: The convolution of all windows.
        source: The padded rows.
        place: Which phase, how many windows it has, how many numbers each has in a row, and where the first begins.
    """
    phase, windows, numbers, start = place
    graph, schema = model.subgraphs[0], tree.schema()
    rows, output = graph.tensors[source], graph.tensors[stem.outputs[0]]
    height, name = int(rows.shape[1]), tree.scope(graph, stem) + b"/phase" + str(phase).encode()
    cut = tree.add_like(model, name + b"/rows", rows, [1, height, windows * numbers])
    grouped = tree.add_like(model, name + b"/windows", rows, [1, height, windows, numbers])
    part = tree.add_like(model, name, output, [1, int(output.shape[1]), windows, int(output.shape[3])])
    convolution = copy.copy(stem)
    convolution.builtinOptions = copy.copy(stem.builtinOptions)
    convolution.builtinOptions.padding, convolution.builtinOptions.strideW = schema.Padding.VALID, 1
    convolution.inputs = np.array([grouped, *stem.inputs[1:]], np.int32)
    convolution.outputs = np.array([part], np.int32)
    steps = [
        tree.slice_of(model, source, cut, [0, 0, start], name + b"/rows"),
        tree.reshape(model, cut, grouped, name + b"/windows/shape"),
        convolution,
    ]
    return part, steps


def _side_by_side(model: Any, stem: Any, parts: list[int]) -> list[Any]:
    """The operators that make the output of `stem` of those of its phases."""
    graph, schema, name = model.subgraphs[0], tree.schema(), tree.scope(model.subgraphs[0], stem)
    target = int(stem.outputs[0])
    output = graph.tensors[target]
    _, height, width, filters = map(int, output.shape)
    windows = int(graph.tensors[parts[0]].shape[2])
    whole = windows * len(parts)
    joined = tree.add_like(model, name + b"/phases", output, [1, height, windows, len(parts) * filters])
    options = schema.ConcatenationOptionsT()
    options.axis = 3
    steps = [tree.operator(model, "CONCATENATION", parts, joined, options)]
    if whole != width and _hides(graph, target, whole):
        output.shape = np.array([1, height, whole, filters], np.int32)
        width = whole
    ordered = target if whole == width else tree.add_like(model, name + b"/more", output, [1, height, whole, filters])
    steps.append(tree.reshape(model, joined, ordered, name + b"/phases/shape"))
    if ordered != target:
        steps.append(tree.slice_of(model, ordered, target, [0, 0, 0, 0], name + b"/more"))
    return steps


def _hides(graph: Any, index: int, width: int) -> bool:
    """Whether the tensor `index` may be `width` wide without anybody seeing: a pooling leaves the last columns out."""
    readers = tree.readers(graph, index)
    if len(readers) != 1 or index in graph.outputs:
        return False
    (pooling,) = readers
    options, output = pooling.builtinOptions, graph.tensors[pooling.outputs[0]]
    if not isinstance(options, tree.schema().Pool2DOptionsT) or options.padding != tree.schema().Padding.VALID:
        return False
    return (width - int(options.filterWidth)) // int(options.strideW) + 1 == int(output.shape[2])
