"""Exact rewrites of an ONNX graph: convolutions and poolings take in what is computed just before or behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

FOLDED = ("Mul", "Add")
MOST_INPUTS = 3  # of a convolution: data, weights, bias
PADDED = ("Conv", "AveragePool", "MaxPool")
PICTURE_RANK = 4
NOT_NEGATIVE, KEEPS_SIGN = ("Relu", "Sigmoid"), ("MaxPool", "AveragePool", "Concat")


def fold_into_convolutions(proto: Any) -> tuple[Any, bool]:
    """`proto` without a Mul or Add of constants behind a convolution, and whether there were any.

    tf2onnx leaves both of a batch normalization that follows a depthwise convolution. Engines that do not fold them
    themselves run faster without: OpenCV by a tenth (measured 2026-11-26 on a network like MobileNetV2).
    """
    graph = proto.graph
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        return proto, False  # branches and loops read tensors from outside unseen
    arrays = {entry.name: entry for entry in graph.initializer}
    uses = Counter(name for node in graph.node for name in node.input) + Counter(value.name for value in graph.output)
    convolutions = {
        node.output[0]: node
        for node in graph.node
        if node.op_type == "Conv" and all(name in arrays and uses[name] == 1 for name in node.input[1:] if name)
    }
    folded = []
    for node in graph.node:
        data = next((name for name in node.input if name in convolutions and uses[name] == 1), None)
        if node.op_type not in FOLDED or data is None:
            continue
        other = next((name for name in node.input if name != data), None)
        convolution = convolutions[data]
        values = None if other not in arrays else _by_channel(arrays[other], arrays[convolution.input[1]].dims[0])
        if values is None:
            continue
        _fold(graph, convolution, arrays, node.op_type, values)
        del convolutions[data]
        convolution.output[0] = node.output[0]
        convolutions[node.output[0]] = convolution
        folded.append(node)
    for node in folded:
        graph.node.remove(node)
    _drop_unread(graph)
    return proto, bool(folded)


def _by_channel(constant: Any, channels: int) -> np.ndarray[Any, Any] | None:
    """One number for each channel of [N,C,...], or None if `constant` has others for other pixels or pictures."""
    values = _values(constant).astype(np.float64)
    if values.size == 1 and values.ndim <= 4:  # noqa: PLR2004 - a picture's dimensions
        return np.full(channels, values.reshape(-1)[0])
    sides = (channels, 1, 1)
    return values.reshape(-1) if values.shape in (sides, (1, *sides)) else None


def _fold(graph: Any, convolution: Any, arrays: dict[str, Any], kind: str, values: np.ndarray[Any, Any]) -> None:
    import onnx

    weights = onnx.numpy_helper.to_array(arrays[convolution.input[1]])
    bias = np.zeros(len(values), weights.dtype)
    if len(convolution.input) == MOST_INPUTS and convolution.input[2]:
        bias = onnx.numpy_helper.to_array(arrays[convolution.input[2]])
    else:
        name = f"{convolution.input[1]}/bias"
        arrays[name] = graph.initializer.add()
        convolution.input[2:] = [name]
    if kind == "Mul":
        scaled = weights * values.reshape(-1, *(1,) * (weights.ndim - 1))
        _store(arrays[convolution.input[1]], convolution.input[1], scaled.astype(weights.dtype))
        shifted = bias * values
    else:
        shifted = bias + values
    _store(arrays[convolution.input[2]], convolution.input[2], shifted.astype(weights.dtype))


def _store(entry: Any, name: str, values: np.ndarray[Any, Any]) -> None:
    import onnx

    entry.CopyFrom(onnx.numpy_helper.from_array(values, name))


def _drop_unread(graph: Any) -> None:
    """Take constants out that no operator reads any more."""
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    for entry in [entry for entry in graph.initializer if entry.name not in read]:
        graph.initializer.remove(entry)


def fold_pads(proto: Any) -> tuple[Any, bool]:
    """`proto` without pads of zeros before a convolution or pooling that can pad itself, and whether there were any.

    A max pooling pads with less than any number, which is the same where its data are never negative.
    """
    graph = proto.graph
    arrays = {entry.name: _values(entry) for entry in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    uses = Counter(name for node in graph.node for name in node.input) + Counter(value.name for value in graph.output)
    folded = []
    for node in graph.node:
        pad = makers.get(node.input[0]) if node.op_type in PADDED else None
        sides = None if pad is None or uses[pad.output[0]] > 1 else _zero_pads(pad, arrays)
        if pad is None or sides is None or not _can_pad(node, sides, arrays):
            continue
        if node.op_type == "MaxPool" and not _is_not_negative(pad.input[0], makers):
            continue
        own = _numbers(node, "pads", [0, 0, 0, 0])
        _set(node, "pads", [mine + more for mine, more in zip(own, sides, strict=True)])
        if node.op_type == "AveragePool":
            _set(node, "count_include_pad", 1)
        node.input[0] = pad.input[0]
        folded.append(pad)
    for pad in folded:
        graph.node.remove(pad)
    _drop_unread(graph)
    return proto, bool(folded)


def _values(entry: Any) -> np.ndarray[Any, Any]:
    import onnx

    values: np.ndarray[Any, Any] = onnx.numpy_helper.to_array(entry)
    return values


def _zero_pads(pad: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> list[int] | None:
    """How many rows and columns of zeros `pad` adds: top, left, bottom, right; None if it does anything else."""
    constant = all(attribute.name != "mode" or attribute.s == b"constant" for attribute in pad.attribute)
    if pad.op_type != "Pad" or not constant or any(name and name not in arrays for name in pad.input[1:]):
        return None
    sides, *others = [arrays[name] for name in pad.input[1:] if name]
    if any(values.any() for values in others) or sides.size != 2 * PICTURE_RANK or sides.min() < 0:
        return None  # other axes are numbers above 0, too
    (batch, channels, *first), (_, _, *last) = ends = sides.reshape(2, PICTURE_RANK).tolist()
    return None if batch or channels or any(ends[1][:2]) else [*first, *last]


def _can_pad(node: Any, sides: list[int], arrays: Mapping[str, np.ndarray[Any, Any]]) -> bool:
    """Whether the convolution or pooling can add such `sides` itself without a window of nothing else."""
    names = {attribute.name for attribute in node.attribute}
    if "auto_pad" in names or _numbers(node, "ceil_mode", [0]) != [0]:
        return False
    weights = arrays.get(node.input[1]) if node.op_type == "Conv" else None
    kernel = _numbers(node, "kernel_shape", [] if weights is None else [*weights.shape[2:]])
    pooled = node.op_type != "Conv"
    own = _numbers(node, "pads", [0, 0, 0, 0])
    if pooled and (any(own) or _numbers(node, "dilations", [1, 1]) != [1, 1]):
        return False
    return len(kernel) == 2 and all(side < size for side, size in zip(sides, kernel * 2, strict=True))  # noqa: PLR2004


def _is_not_negative(name: str, makers: Mapping[str, Any]) -> bool:
    maker = makers.get(name)
    if maker is None:
        return False
    kept = maker.op_type in KEEPS_SIGN and all(_is_not_negative(each, makers) for each in maker.input)
    return maker.op_type in NOT_NEGATIVE or kept


def _numbers(node: Any, name: str, default: list[int]) -> list[int]:
    """The whole numbers that the attribute `name` holds."""
    found = next((attribute for attribute in node.attribute if attribute.name == name), None)
    if found is None:
        return default
    return [*found.ints] or [found.i]


def _set(node: Any, name: str, value: Any) -> None:
    import onnx

    for attribute in [attribute for attribute in node.attribute if attribute.name == name]:
        node.attribute.remove(attribute)
    node.attribute.append(onnx.helper.make_attribute(name, value))
