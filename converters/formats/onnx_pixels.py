"""The layers of an .onnx graph that pixels go into: how they read uint8, and multiply exactly on every processor.

x86 processors without VNNI instructions (AMD before Zen 4, Intel before Ice Lake) multiply uint8 by int8 in pairs whose
sums saturate at 16 bits, which bright pixels exceed: with int8 weights of 8 bits four outputs of five have such a pair
in the first convolutions of both SqueezeNets, and 68 and 74 % of pictures keep their best class. Two remedies:

- Weights of at most 64 steps: 2 x 255 x 64 = 32,640, which 16 bits hold. Rounded to nearest, they cost SqueezeNet 1.0
  three times its divergence from the original; with second-order rounding, nothing measurable. That needs the moments
  of what the kernel meets, which are those of photographs, so the built-in ones do: no calibration has to hold them.
- uint8 weights, the same numbers plus 128, which those processors multiply exactly but more slowly: for layers whose
  inputs are not windows of the picture.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.converters.formats.onnx_graph import DEQUANTIZE, QUANTIZE, Graph, attributes, moves_input
from edge_squeeze.converters.formats.tracing import INPUT
from edge_squeeze.converters.quantization import rounding
from edge_squeeze.engines.runner import has_channels_first
from edge_squeeze.pictures.loading import photograph_crops

UNSIGNED = 128  # what is added to int8 to make it uint8
STEPS = 64  # of the largest weight of a channel
CROPS, PLACES, SEED = 20, 300, 0  # of each built-in photograph, of each crop
SIDE = 224  # of the crops, where a graph takes pictures of any size
MOST_SIDE = 448  # of the crops: beyond, they would only take memory, since the photographs have about as many pixels
MOST_INPUTS = 1024  # of an output, 16 x 16 x 3 and some more: the samples of 1,024 take 250 MB
COLORS = 3
TO_CHANNELS_FIRST = [0, 3, 1, 2]


def layers(graph: Graph, kept: Collection[str]) -> list[Any]:
    """The layers that read what no layer has computed, but those whose names are `kept`."""
    first = graph.before_layers()
    return [
        node for node in graph.proto.node if graph.is_layer(node) and first & {*node.input} and node.name not in kept
    ]


def round_weights(graph: Graph, nodes: Iterable[Any]) -> set[str]:
    """Round the weights of those of `nodes` that can be to STEPS, their biases making up for the means; their names."""
    import onnx

    rounded = set()
    for node in nodes:
        if not _reads_windows(graph, node):
            continue
        constants = [graph.constants[name] for name in node.input[1:] if name]
        kernel, *biases = (onnx.numpy_helper.to_array(constant) for constant in constants)
        rows, shift = rounding.round_rows(
            kernel.reshape(len(kernel), -1), _windows(graph, node, kernel), STEPS, has_bias=bool(biases)
        )
        arrays = [rows.reshape(kernel.shape), *(bias + shift for bias in biases)]
        for constant, array in zip(constants, arrays, strict=True):
            constant.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float32), constant.name))
        rounded.add(node.input[1])
    return rounded


def _reads_windows(graph: Graph, node: Any) -> bool:
    """Whether a node is a convolution of the picture's own colors, with constants that nothing else reads."""
    own, kernel = attributes(node), graph.constants.get(node.input[1])
    constants = [name for name in node.input[1:] if name]
    turn = graph.made_by.get(node.input[0])
    if turn is None:
        direct = node.input[0] == INPUT and has_channels_first(_shape(graph))
    else:
        direct = turn.op_type == "Transpose" and turn.input[0] == INPUT
        direct = direct and attributes(turn).get("perm") == TO_CHANNELS_FIRST
    return (
        node.op_type == "Conv"
        and direct
        and kernel is not None
        and len(kernel.dims) == len(TO_CHANNELS_FIRST)
        and kernel.dims[1] == COLORS
        and own.get("group", 1) == 1
        and own.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID")
        and all(name in graph.constants and graph.reader(name) is node for name in constants)
        and int(np.prod(kernel.dims[1:])) <= MOST_INPUTS
        and max(_spans(node, kernel.dims[2:])) <= SIDE
    )


def _windows(graph: Graph, node: Any, kernel: Any) -> NDArray[np.float64]:
    """What `kernel` [outputs,colors,height,width] meets at some places of photographs: [places,inputs].

    Whole numbers, so that float64 sums of their products are exact in any order, the same on every machine.
    """
    own, shape = attributes(node), _shape(graph)
    height, width = shape[2:] if has_channels_first(shape) else shape[1:3]
    size = min(height or SIDE, MOST_SIDE), min(width or SIDE, MOST_SIDE)
    crops = photograph_crops(CROPS, size, SEED).pixels.transpose(0, 3, 1, 2)
    top, left, bottom, right = own.get("pads", [0] * 4)
    padded = np.pad(crops, ((0, 0), (0, 0), (top, bottom), (left, right)))
    strides, dilations = (own.get(name, [1, 1]) for name in ("strides", "dilations"))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _spans(node, kernel.shape[2:]), axis=(2, 3))
    windows = windows[:, :, :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]].transpose(0, 2, 3, 1, 4, 5)
    rng = np.random.default_rng(SEED)
    places = np.stack([rng.integers(0, side, (len(crops), PLACES)) for side in windows.shape[1:3]])
    chosen = windows[np.arange(len(crops))[:, None], places[0], places[1]]
    samples: NDArray[np.float64] = chosen.reshape(-1, kernel[0].size).astype(np.float64)
    return samples


def _spans(node: Any, sides: Sequence[int]) -> tuple[int, ...]:
    """The height and width that a kernel of these covers."""
    dilations = attributes(node).get("dilations", [1] * len(sides))
    return tuple((side - 1) * dilation + 1 for side, dilation in zip(sides, dilations, strict=True))


def _shape(graph: Graph) -> list[int]:
    """That of the pictures, with 0 for open dimensions."""
    (pixels,) = (value for value in graph.proto.input if value.name == INPUT)
    return [side.dim_value for side in pixels.type.tensor_type.shape.dim]


def make_unsigned(proto: Any, names: Iterable[str]) -> None:
    """Store the weights of the layers `names` as uint8, the same numbers plus 128."""
    import onnx

    graph = Graph(proto)
    dequantized = [graph.made_by[node.input[1]] for node in proto.node if node.name in names]
    for name in {name for node in dequantized for name in (node.input[0], node.input[2])}:  # layers may share them
        constant = graph.constants[name]
        moved = onnx.numpy_helper.to_array(constant).astype(np.int16) + UNSIGNED
        constant.CopyFrom(onnx.numpy_helper.from_array(moved.astype(np.uint8), name))


def take_pixels(proto: Any, io: str) -> None:
    """Let the graph take uint8 pixels as they are, where `io` asks for them."""
    import onnx

    if io == "float32":
        return
    graph = Graph(proto)
    pixels = next(value for value in proto.input if value.name == INPUT)
    pixels.type.tensor_type.elem_type = onnx.TensorProto.UINT8
    moved = [INPUT, *(node.output[0] for node in proto.node if moves_input(graph, node))]
    for name in moved:
        for reader in graph.read_by.get(name, []):
            if reader.op_type == QUANTIZE:
                for dequantize in graph.read_by[reader.output[0]]:
                    dequantize.input[0] = name
                proto.node.remove(reader)
            elif not moves_input(graph, reader):
                _read_as_floats(proto, reader, name)


def _read_as_floats(proto: Any, reader: Any, name: str) -> None:
    """Let a node that computes in float read the uint8 pixels `name` as the same numbers in float32."""
    import onnx

    constants = {f"{name}/one": np.array(1, np.float32), f"{name}/zero": np.array(0, np.uint8)}
    known = {constant.name for constant in proto.initializer}
    for key in constants.keys() - known:
        proto.initializer.append(onnx.numpy_helper.from_array(constants[key], key))
    floats = f"{name}/floats:{reader.name}"
    position = list(proto.node).index(reader)
    proto.node.insert(position, onnx.helper.make_node(DEQUANTIZE, [name, *constants], [floats], name=floats))
    for at, read in enumerate(reader.input):
        if read == name:
            reader.input[at] = floats
