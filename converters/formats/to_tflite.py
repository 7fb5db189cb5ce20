"""Keras model -> .tflite, in float32, float16, dynamic range and full integer precision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from edge_squeeze.converters.formats import tflite_edits
from edge_squeeze.converters.formats.tracing import INPUT, signature, traceable
from edge_squeeze.converters.options import ConvertOptions
from edge_squeeze.errors import ConversionError
from edge_squeeze.models.original import all_layers
from edge_squeeze.pictures.preprocessing import Pixels
from edge_squeeze.process.output import converting

PIXEL_RANGE = (0.0, 255.0)  # whatever the pictures held: scale 1 and zero point 0 take pixels as they are


def float32(model: Any, *, options: ConvertOptions) -> bytes:
    """The file with float32 weights and arithmetic; `model` takes raw pixels [N,H,W,3]."""
    return _named(model, options, _convert(model, options))


def float16(model: Any, *, options: ConvertOptions) -> bytes:
    """The file with float16 weights, half the size; CPUs expand them and compute in float32."""
    import tensorflow as tf

    return _named(model, options, _convert(model, options, optimizations=["DEFAULT"], types=[tf.float16]))


def dynamic(model: Any, *, options: ConvertOptions) -> bytes:
    """The file with int8 weights whose activations are quantized anew for each picture."""
    return _named(model, options, _convert(model, options, optimizations=["DEFAULT"]))


def int8(model: Any, *, options: ConvertOptions) -> bytes:
    """The full integer file; `options.ranges` must hold what `measure_ranges` gave."""
    if options.ranges is None:
        raise ConversionError("int8 needs calibration ranges.")
    ranges = {**options.ranges, "input": PIXEL_RANGE}
    calibrated = tflite_edits.write_ranges(_convert(model, replace(options, io="float32")), ranges, _layers(model))
    return _named(model, options, _quantize(calibrated, options.io or "uint8"))


def measure_ranges(model: Any, pictures: Iterable[Pixels]) -> dict[str, tuple[float, float]]:
    """The range of each layer's output over `pictures`, each [H,W,3], as TensorFlow's own calibrator sees it."""
    from tensorflow.lite.python.optimize.calibrator import Calibrator

    def feed() -> Iterator[list[np.ndarray[Any, Any]]]:
        for picture in pictures:
            yield [picture[None].astype(np.float32)]

    data = _convert(model, ConvertOptions())
    with converting("TensorFlow could not calibrate the model"):
        calibrated = bytes(Calibrator(data).calibrate(feed))
    ranges = tflite_edits.read_ranges(calibrated, _layers(model))
    return {**ranges, "input": PIXEL_RANGE}


def _named(model: Any, options: ConvertOptions, data: bytes) -> bytes:
    return tflite_edits.name_tensors(data, INPUT, options.output, _layers(model))


def _layers(model: Any) -> list[str]:
    return [layer.name for layer in all_layers(model)]


def _convert(
    model: Any, options: ConvertOptions, optimizations: Iterable[str] = (), types: Iterable[Any] = ()
) -> bytes:
    """Run TensorFlow's converter on a static batch of 1, with its built-in operators alone."""
    import tensorflow as tf

    with converting(f"TensorFlow could not convert {model.name} to TFLite"):
        spec = signature(model, options.io or "float32", batch=1)
        traced = traceable(model, options.output).get_concrete_function(spec)
        # None as the second argument: with a Keras 3 model there, the file silently lacks its weights.
        converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], None)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.target_spec.supported_types = list(types)
        converter.optimizations = [tf.lite.Optimize[name] for name in optimizations]
        return bytes(converter.convert())


def _quantize(calibrated: bytes, io: str) -> bytes:
    """Run the second half of TensorFlow's post-training quantizer on a float file that has ranges in it."""
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize

    dtype = tf.as_dtype(io)
    with converting("TensorFlow could not quantize the model"):
        return bytes(mlir_quantize(calibrated, input_data_type=dtype, output_data_type=dtype))
