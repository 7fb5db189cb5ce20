"""Float .onnx graph -> the same graph in 8-bit integers, by ONNX Runtime's own quantizer and ranges known before.

Integer operators are written as float ones between dequantized inputs and a quantized output (QDQ), which needs none
of ONNX Runtime's own operators: other engines read it, too.

Activations are uint8 and weights int8, since ONNX Runtime computes most layers with signed activations in float on x86:
SqueezeNet 1.1 takes 7.6 times as long. The layers that pixels go into are a matter of their own (onnx_pixels.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_squeeze.converters.formats import onnx_pixels
from edge_squeeze.converters.formats.onnx_graph import LAYERS, QUANTIZE, Graph, attributes, moves_input
from edge_squeeze.converters.formats.tracing import INPUT, layer_of
from edge_squeeze.converters.options import PIXEL_RANGE, Ranges
from edge_squeeze.engines.runner import has_channels_first
from edge_squeeze.errors import UsageError
from edge_squeeze.inspection.layers import CLAMPS, FLOAT_OUTPUT, MOVES, QDQ
from edge_squeeze.pictures.preprocessing import Pixels

KINDS = sorted({*QDQ, "ConvTranspose"} - {"Gather", "GatherElements"})
LINEAR = ("Mul", "Div", "Add", "Sub", "BatchNormalization")
CERTAIN = {"Sigmoid": (0.0, 1.0), "Softmax": (0.0, 1.0)}  # whatever they are given


@dataclass(frozen=True)
class Calibration:
    """What a graph's ranges are taken from."""

    ranges: Ranges  # by the keys of tflite_edits.layer_tensors
    layers: Mapping[str, str]  # what tracing.scope_names gives, of layers alone
    pictures: Iterable[Pixels] | None = None  # for tensors that no range is known of


def quantize(proto: Any, calibration: Calibration, io: str, *, int8_head: bool, floats: Collection[str] = ()) -> Any:
    """`proto`, whose pixels are float32, with every operator in integers that ONNX Runtime computes so.

    Args:
        proto: An `onnx.ModelProto`; it is modified.
        calibration: What ranges are taken from; UsageError names the tensors that have none.
        io: The dtype of the pixels, "uint8" or "float32".
        int8_head: Whether the operators after the last layer are quantized, too. Scores are float32 in any case:
            ONNX has no place for the scale of an output.
        floats: Layers that stay in float.
    """
    import onnx

    _name_nodes(proto.graph)
    del proto.graph.value_info[:]
    proto = onnx.shape_inference.infer_shapes(proto)
    _join_biases(proto.graph)
    _join_pads(proto.graph)
    graph = Graph(proto.graph)
    kept = [node.name for node in graph.proto.node if moves_input(graph, node)]
    if not int8_head:
        kept += [node.name for node in graph.after_layers()]
    kept += [node.name for node in graph.proto.node if _layer(graph, node, calibration.layers) in floats]
    ranges = _ranges(graph, proto, _required(graph, _quantizer(proto, kept)), calibration)
    first = onnx_pixels.layers(graph, kept)
    narrow = onnx_pixels.round_weights(graph, first)
    quantizer = _quantizer(proto, kept, ranges, narrow)
    quantized = quantizer.quantize_model()
    quantizer.model.topological_sort()
    onnx_pixels.make_unsigned(quantized.graph, {node.name for node in first if node.input[1] not in narrow})
    if not int8_head:
        _free_scores(quantized.graph)
    onnx_pixels.take_pixels(quantized.graph, io)
    return quantized


def _layer(graph: Graph, node: Any, layers: Mapping[str, str]) -> str:
    """The layer that a node belongs to; one that is called after none, as after folding, to that of its reader."""
    while (layer := layer_of(node.output[0].partition(":")[0], layers)[0]) not in layers.values():
        reader = graph.reader(node.output[0])
        if reader is None:
            break
        node = reader
    return layer


def _name_nodes(graph: Any) -> None:
    """Give every node a name of its own, by which the quantizer knows it."""
    taken: set[str] = set()
    for node in graph.node:
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}:{node.output[0]}"
        taken.add(node.name)


def _join_biases(proto: Any) -> None:
    """Make one Gemm of a product with constant weights and the addition of a constant: pictures' vectors alone."""
    graph = Graph(proto)
    for node in [node for node in proto.node if node.op_type == "MatMul" and node.input[1] in graph.constants]:
        weights, add = graph.constants[node.input[1]], graph.reader(node.output[0])
        if add is None or add.op_type != "Add" or len(weights.dims) != 2 or not graph.is_flat(node.input[0]):  # noqa: PLR2004 - a matrix
            continue
        bias = next((name for name in add.input if name in graph.constants), None)
        if bias is not None and [*graph.constants[bias].dims] == [weights.dims[1]]:
            node.op_type, node.output[0] = "Gemm", add.output[0]
            node.input.append(bias)
            proto.node.remove(add)


def _join_pads(proto: Any) -> None:
    """Let convolutions pad with zeros themselves: ONNX Runtime has no integer kernel for a padding of its own."""
    import onnx

    graph = Graph(proto)
    for pad in [node for node in proto.node if node.op_type == "Pad"]:
        layer = graph.reader(pad.output[0])
        zeros = _zeros_around(graph, pad)
        if layer is None or layer.op_type != "Conv" or zeros is None:
            continue
        own = attributes(layer)
        if own.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            continue
        kept = [item for item in layer.attribute if item.name not in ("pads", "auto_pad")]
        del layer.attribute[:]
        joined = np.add(zeros, own.get("pads", 0)).tolist()
        layer.attribute.extend([*kept, onnx.helper.make_attribute("pads", joined)])
        layer.input[0] = pad.input[0]
        proto.node.remove(pad)


def _zeros_around(graph: Graph, pad: Any) -> Any | None:
    """How many zeros a Pad puts before and after each side of a picture; None if it does anything else."""
    import onnx

    constants = [graph.constants.get(name) for name in pad.input[1:] if name]
    if not constants or None in constants or attributes(pad).get("mode", b"constant") != b"constant":
        return None
    widths, *values = map(onnx.numpy_helper.to_array, constants)
    before, after = np.split(widths, 2)
    outside = [*before[:2], *after[:2]]  # pictures and channels
    if any(value.any() for value in values[:1]) or len(values) > 1 or any(outside) or widths.min() < 0:
        return None
    return np.concatenate([before[2:], after[2:]])


def _quantizer(proto: Any, kept: Iterable[str], ranges: Ranges | None = None, narrow: Collection[str] = ()) -> Any:
    """ONNX Runtime's quantizer for a copy of `proto`, which leaves the nodes `kept` in float.

    The weights `narrow` get 7 bits, from -64 to 64.

    Tensors without a range get any: the quantizer asks for those of the tensors that activations clamp, too, but does
    not use them.
    """
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    names = [name for node in proto.graph.node for name in (*node.input, *node.output) if name]
    whole = {**dict.fromkeys(names, (0.0, 1.0)), **(ranges or {})}
    data = {
        name: TensorData(lowest=np.float32(min(low, 0)), highest=np.float32(max(high, 0)))
        for name, (low, high) in whole.items()
        if name not in narrow
    }
    seven_bits = {"axis": 0, "quant_type": QuantType.QInt8, "symmetric": True, "reduce_range": True}
    copy = type(proto).FromString(proto.SerializeToString())
    return QDQQuantizer(
        copy,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, data),
        nodes_to_quantize=[],
        nodes_to_exclude=[*kept],
        op_types_to_quantize=KINDS,
        extra_options={"WeightSymmetric": True, "TensorQuantOverrides": {name: [seven_bits] for name in narrow}},
    )


def _required(graph: Graph, quantizer: Any) -> list[str]:
    """The tensors whose ranges a quantizer uses, found out by running it: scales are called after them."""
    nodes = quantizer.quantize_model().graph.node
    scales = dict.fromkeys(node.input[1] for node in nodes if node.op_type == QUANTIZE)
    return [name for scale in scales if (name := scale.removesuffix("_scale")) not in graph.constants]


def _ranges(graph: Graph, proto: Any, required: Iterable[str], calibration: Calibration) -> Ranges:
    """A range for each of the `required` tensors: that of its layer, what follows from it, or else measured."""
    known = _Known(graph, calibration)
    ranges = {name: known.range(name) for name in required}
    lacking = [name for name, pair in ranges.items() if pair is None]
    if not lacking:
        return {name: pair for name, pair in ranges.items() if pair is not None}
    if calibration.pictures is None:
        layers = dict.fromkeys(layer_of(name, calibration.layers)[0] for name in lacking)
        raise UsageError(f"The calibration has no range for {', '.join(layers)}. Calibrate with pictures.")
    measured = _measure(proto, lacking, calibration.pictures)
    return {name: measured[name] if pair is None else pair for name, pair in ranges.items()}


class _Known:
    """Which range of a calibration, whose keys are those of a .tflite file, a tensor of an .onnx graph has."""

    def __init__(self, graph: Graph, calibration: Calibration) -> None:
        self._graph, self._ranges = graph, calibration.ranges
        self._places = {name: layer_of(name.partition(":")[0], calibration.layers) for name in graph.made_by}
        self._several = {key.partition("/")[0] for key in self._ranges if "/" in key}

    def range(self, name: str) -> tuple[float, float] | None:
        """The range of a tensor; None if nothing is known of it."""
        graph, maker = self._graph, self._graph.made_by.get(name)
        if maker is None or moves_input(graph, maker):
            return PIXEL_RANGE
        reader = graph.reader(name)
        leaves = name if reader is None or reader.op_type not in MOVES else reader.output[0]
        if leaves in graph.outputs and maker.op_type not in CERTAIN:
            return self._ranges.get("output")
        clamp = self._clamp(name)
        if clamp is not None and clamp.output[0] != name:
            return self.range(clamp.output[0])
        pair = self._of_layer(name)
        if pair is None and maker.op_type in CERTAIN:
            return CERTAIN[maker.op_type]
        if pair is None and maker.op_type in MOVES:
            return self.range(maker.input[0])
        return (max(pair[0], 0.0), max(pair[1], 0.0)) if pair is not None and maker.op_type == "Relu" else pair

    def _of_layer(self, name: str) -> tuple[float, float] | None:
        """The range that is called after the tensor's layer, if it can be no other tensor's."""
        layer, operation = self._places[name]
        if f"{layer}/{operation}" in self._ranges:
            return self._ranges[f"{layer}/{operation}"]
        if layer not in self._ranges or layer in self._several:
            return None
        readers = [reader for reader in self._graph.read_by.get(name, []) if reader.op_type not in MOVES]
        within = any(self._places[out][0] == layer for reader in readers for out in reader.output)
        more = self._graph.is_layer(self._graph.made_by[name]) and any(map(self._scales, readers))
        return None if within or more else self._ranges[layer]

    def _scales(self, node: Any) -> bool:
        """Whether a node may be part of the layer before it in the .tflite file: it scales, or adds constants."""
        return node.op_type in LINEAR and any(name in self._graph.constants for name in node.input)

    def _clamp(self, name: str) -> Any | None:
        """The activation that clamps a tensor before anything else sees it."""
        reader = self._graph.reader(name)
        while reader is not None and reader.op_type in MOVES:
            reader = self._graph.reader(reader.output[0])
        return reader if reader is not None and reader.op_type in CLAMPS else None


def _measure(proto: Any, names: Iterable[str], pictures: Iterable[Pixels]) -> Ranges:
    """The smallest and largest value of tensors of a float graph over `pictures`."""
    import onnx
    import onnxruntime

    copy = type(proto).FromString(proto.SerializeToString())
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(copy.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    ranges: dict[str, tuple[float, float]] = {}
    for picture in pictures:
        pixels = picture[None].astype(np.float32)
        moved = pixels.transpose(0, 3, 1, 2) if has_channels_first(session.get_inputs()[0].shape) else pixels
        for name, values in zip(names, session.run(None, {INPUT: np.ascontiguousarray(moved)}), strict=True):
            low, high = ranges.get(name, (np.inf, -np.inf))
            ranges[name] = min(low, float(values.min())), max(high, float(values.max()))
    return ranges


def _free_scores(proto: Any) -> None:
    """Let a last dense layer give floats, which its integer kernel can: no rounding of what the head reads."""
    graph = Graph(proto)
    last = next(node for node in reversed(proto.node) if node.op_type in LAYERS)
    quantize = graph.reader(last.output[0])
    if last.op_type not in FLOAT_OUTPUT or quantize is None or quantize.op_type != QUANTIZE:
        return
    dequantize = graph.read_by[quantize.output[0]][0]
    last.output[0] = dequantize.output[0]
    proto.node.remove(quantize)
    proto.node.remove(dequantize)
