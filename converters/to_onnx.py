"""Keras model -> .onnx, in float32 and float16, with NHWC or NCHW pictures."""

from __future__ import annotations

from typing import Any

from edge_squeeze.chatter import converting
from edge_squeeze.converters.options import ConvertOptions
from edge_squeeze.converters.tracing import INPUT, signature, traceable
from edge_squeeze.errors import MissingDependencyError
from edge_squeeze.runtimes import is_installed

BATCH = "batch"  # what the open dimension is called


def float32(model: Any, *, options: ConvertOptions) -> bytes:
    """The file with float32 weights; `model` takes raw pixels [N,H,W,3]."""
    return _finished(_convert(model, options))


def float16(model: Any, *, options: ConvertOptions) -> bytes:
    """The file with float16 weights and arithmetic, its input and output as in float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    with converting(f"ONNX Runtime could not make {model.name} float16"):
        # The casts are put in out of order, which onnx.checker refuses: sort.
        half = OnnxModel(convert_float_to_float16(_convert(model, options), keep_io_types=True))
        half.topological_sort()
    return _finished(half.model)


def _convert(model: Any, options: ConvertOptions) -> Any:
    """Run tf2onnx; the result is an `onnx.ModelProto`."""
    if not is_installed("tf2onnx"):
        raise MissingDependencyError("tf2onnx", "export", "exporting to ONNX")
    with converting(f"tf2onnx could not convert {model.name}"):
        import tf2onnx

        spec = signature(model, options.io or "float32", batch=None if options.dynamic_batch else 1)
        nchw = [INPUT] if options.layout == "nchw" else None
        proto, _ = tf2onnx.convert.from_function(
            traceable(model), input_signature=[spec], opset=options.opset, inputs_as_nchw=nchw
        )
        return proto


def _finished(proto: Any) -> bytes:
    """The bytes of `proto`, its open batch given one name at both ends and everything the same on every run."""
    for value in (*proto.graph.input, *proto.graph.output):
        batch = value.type.tensor_type.shape.dim[0]
        if not batch.HasField("dim_value"):
            batch.dim_param = BATCH
    proto.graph.name = "edge-squeeze"
    del proto.graph.value_info[:]  # inferred shapes that still carry the batch's old name
    data: bytes = proto.SerializeToString(deterministic=True)
    return data
