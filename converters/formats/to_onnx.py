"""Keras model -> .onnx, in float32, float16 and full integer precision, with NCHW or NHWC pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edge_squeeze.converters.formats.onnx_int8 import Calibration, quantize
from edge_squeeze.converters.formats.to_tflite import with_head_room
from edge_squeeze.converters.formats.tracing import INPUT, scope_names, signature, traceable
from edge_squeeze.converters.options import INT8_HEAD, FileOptions, Measured
from edge_squeeze.converters.rewrites import catalogue, onnx_folding, onnx_operators, onnx_order
from edge_squeeze.converters.targets import Target
from edge_squeeze.errors import ConversionError, MissingDependencyError
from edge_squeeze.inspection import model_card
from edge_squeeze.inspection.model_card import ModelCard
from edge_squeeze.models.original import all_layers
from edge_squeeze.packages import is_installed
from edge_squeeze.process.output import converting

ALMOST_ZERO = 1e-7  # not 0 in float16, either
OPEN_SIDES = ("batch", "height", "width")  # what open dimensions are called, channels apart


def float32(model: Any, options: FileOptions, measured: Measured) -> bytes:
    """The file with float32 weights; `model` takes raw pixels [N,H,W,3]."""
    return _finished(_faster(model, options, measured, "float32"), measured.card)


def float16(model: Any, options: FileOptions, measured: Measured) -> bytes:
    """The file with float16 weights and arithmetic, its input and output as in float32."""
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    proto = _faster(model, options, measured, "float16")
    with converting(f"ONNX Runtime could not make {model.name} float16"):
        kept = [*DEFAULT_OP_BLOCK_LIST, *onnx_operators.float32_only(proto)]
        # The casts are put in out of order, which onnx.checker refuses: sort.
        half = OnnxModel(convert_float_to_float16(proto, keep_io_types=True, op_block_list=kept))
        _drop_repeated(half.model.graph)
        half.topological_sort()
    onnx_order.canonicalize(half.model.graph)
    return _finished(half.model, measured.card)


def int8(model: Any, options: FileOptions, measured: Measured) -> bytes:
    """The integer file, which takes pixels as they are; `measured.ranges` must hold a range for each layer.

    Operators that ONNX Runtime has in float alone stay in float32.
    """
    if measured.ranges is None:
        raise ConversionError("int8 needs calibration ranges.")
    proto = _convert(model, replace(options, io="float32"), measured.output)
    layers = scope_names(model).of_layers(layer.name for layer in all_layers(model))
    known = Calibration(with_head_room(measured.ranges, measured.output), layers, measured.pictures)
    with converting(f"ONNX Runtime could not quantize {model.name}"):
        quantized = quantize(
            proto, known, options.io or "uint8", int8_head=options.head == INT8_HEAD, floats=measured.floats
        )
    onnx_order.canonicalize(quantized.graph)
    return _finished(quantized, measured.card)


def _drop_repeated(graph: Any) -> None:
    """Keep one of the casts that the converter adds to a tensor once for each operator that stays in float32."""
    nodes = {(node.op_type, *node.input, *node.output): node for node in graph.node}
    kept = [type(node).FromString(node.SerializeToString()) for node in nodes.values()]
    del graph.node[:]
    graph.node.extend(kept)


TARGETS = (
    Target("onnx", "float32", float32, "float32"),
    Target("onnx", "float16", float16, "float16"),
    Target(
        "onnx",
        "int8",
        int8,
        "int8",
        io="uint8",
        ios=("uint8", "float32"),
        quantizer="ONNX Runtime static QDQ",
        float_scores=True,  # ONNX has no place for the scale of an output
    ),
)


def _convert(model: Any, options: FileOptions, output: str) -> Any:
    """Run tf2onnx; the result is an `onnx.ModelProto`."""
    if not is_installed("tf2onnx"):
        raise MissingDependencyError("tf2onnx", "export", "exporting to ONNX")
    with converting(f"tf2onnx could not convert {model.name}"):
        import tf2onnx
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        spec = signature(model, options.io or "float32", batch=None if options.dynamic_batch else 1)
        traced = traceable(model, output).get_concrete_function(spec)
        # Frozen here: tf2onnx.convert.from_function takes constants that the function captured for inputs.
        frozen = convert_variables_to_constants_v2(traced)
        (pixels,), (scores,) = frozen.inputs, frozen.outputs
        layout = options.layout or TARGETS[0].layouts[0]
        proto, _ = tf2onnx.convert.from_graph_def(
            onnx_operators.inlinable(frozen.graph.as_graph_def()),
            input_names=[pixels.name],
            output_names=[scores.name],
            opset=options.opset,
            inputs_as_nchw=[pixels.name] if layout == "nchw" else None,
            custom_op_handlers=onnx_operators.handlers(),
        )
        onnx_operators.check(proto, all_layers(model), scope_names(model))
    _rename(proto.graph, {pixels.name: INPUT, scores.name: output})
    padded = onnx_folding.fold_pads(proto)[0]
    _keep_zero_pads(padded.graph)
    folded = onnx_folding.fold_into_convolutions(padded)[0]
    onnx_order.canonicalize(folded.graph)
    return folded


def _faster(model: Any, options: FileOptions, measured: Measured, precision: str) -> Any:
    """What `_convert` gives, after the rewrites of its operators that files of `precision` get."""
    proto = _convert(model, options, measured.output)
    import onnx

    chosen = catalogue.chosen(options.rewrites, f"{TARGETS[0].format} {precision}")
    data, done = catalogue.faster(
        proto.SerializeToString(),
        chosen,
        model.input_shape[1:3],
        onnx.load_model_from_string,
        lambda rewritten: bytes(rewritten.SerializeToString()),
    )
    measured.done.extend(done)
    return onnx.load_model_from_string(data) if done else proto


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    """Give tensors of `graph` other names: old -> new."""
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for tensors in (node.input, node.output):
            for i, tensor in enumerate(tensors):
                tensors[i] = names.get(tensor, tensor)


def _keep_zero_pads(graph: Any) -> None:
    """Pad before max pooling with a little more than zero, where the padding is zero.

    ONNX Runtime makes a pooling with padding of the two, which takes padding for minus infinity: other values where
    a whole window is negative, as in ResNetV2 (8.5e-3 of a probability; onnxruntime pull request 18136).
    """
    import numpy as np
    import onnx

    pooled = {node.input[0] for node in graph.node if node.op_type == "MaxPool"}
    constants = {constant.name: constant for constant in graph.initializer}
    for node in graph.node:
        if node.op_type != "Pad" or node.output[0] not in pooled:
            continue
        value = node.input[2] if len(node.input) > 2 else ""  # noqa: PLR2004 - data, pads, value
        if not value or (value in constants and not onnx.numpy_helper.to_array(constants[value]).any()):
            name = f"{node.output[0]}/value"
            graph.initializer.append(onnx.numpy_helper.from_array(np.array(ALMOST_ZERO, np.float32), name))
            node.input[2:] = [name]


def _finished(proto: Any, card: ModelCard | None) -> bytes:
    """The bytes of `proto` with `card`, checked, its open dimensions named and everything the same on every run.

    The static shapes of its tensors are left in it, so that any reader can count what it computes.
    """
    import onnx

    _name_open_sides(proto.graph)
    proto.graph.name = "edge-squeeze"
    proto.producer_version = proto.producer_version.partition(" ")[0]  # tf2onnx adds "None" for want of a git hash
    if card is not None:
        onnx.helper.set_model_props(proto, model_card.to_properties(card))
    del proto.graph.value_info[:]  # inferred shapes that still carry the old names
    with converting("ONNX refuses the file that was made"):
        onnx.checker.check_model(proto, full_check=True)
        inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True).graph.value_info
    proto.graph.value_info.extend(value for value in inferred if _is_static(value.type.tensor_type.shape))
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def _name_open_sides(graph: Any) -> None:
    for value in (*graph.input, *graph.output):
        batch, *others = value.type.tensor_type.shape.dim
        sides = [batch, *(side for side in others if not side.HasField("dim_value"))]
        for side, name in zip(sides, OPEN_SIDES, strict=False):
            if not side.HasField("dim_value"):
                side.dim_param = name


def _is_static(shape: Any) -> bool:
    return len(shape.dim) > 0 and all(side.HasField("dim_value") for side in shape.dim)
