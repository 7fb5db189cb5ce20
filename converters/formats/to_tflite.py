"""Keras model -> .tflite, in float32, float16, dynamic range, and with 8-bit or 16-bit integers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Set as AbstractSet
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.converters.formats import tflite_edits, tflite_metadata
from edge_squeeze.converters.formats.tracing import INPUT, UNROLL, Scopes, scope_names, signature, traceable
from edge_squeeze.converters.options import INT8_HEAD, PIXEL_RANGE, FileOptions, Measured, Ranges
from edge_squeeze.converters.rewrites import catalogue, tflite_operators
from edge_squeeze.converters.targets import Target
from edge_squeeze.errors import ConversionError
from edge_squeeze.models.original import all_layers
from edge_squeeze.pictures.preprocessing import Pixels
from edge_squeeze.process.output import converting
from edge_squeeze.scores import LOGITS

OUTPUT = "scores"  # until the finished file gets its names
# Share of the range of logits that is added above the highest one of calibration: a picture that scores higher would be
# clipped, several classes to the same score. SqueezeNet 1.1 without its softmax, calibrated on the built-in crops, on
# 100 other ImageNet pictures: 6 clipped, cosine 0.987, a probability off by 0.62; with a fifth 1, 0.996 and 0.12; more
# gains nothing (docs/parity.md).
HEAD_ROOM = 0.2
# Times the range of calibration that 16-bit numbers cover: other pictures go beyond it, and a bit less changes nothing.
# Agreement on 300 ImageNet crops, with the ranges of 20 crops of the built-in photographs: SqueezeNet 1.0 90.3 % with
# once the range, 91.7 with twice and with four times; 1.1 96.3, 97.0 and 97.0.
ROOM_OF_16_BITS = 2.0
LARGEST = float(np.finfo(np.float32).max)
NO_16_BITS = {"SQUARED_DIFFERENCE"}  # the quantizer takes these, but no runtime has them


def float32(model: Any, options: FileOptions, measured: Measured) -> bytes:
    """The file with float32 weights and arithmetic; `model` takes raw pixels [N,H,W,3]."""
    return _named(model, "float32", options, measured, _convert(model, options.io))


def float16(model: Any, options: FileOptions, measured: Measured) -> bytes:
    """The file with float16 weights, half the size; CPUs expand them and compute in float32."""
    import tensorflow as tf

    data = _convert(model, options.io, optimizations=["DEFAULT"], types=[tf.float16])
    return _named(model, "float16", options, measured, data)


def dynamic(model: Any, options: FileOptions, measured: Measured) -> bytes:
    """The file with int8 weights whose activations are quantized anew for each picture.

    A dense layer has one scale: TFLite before 2.17 has no kernel for one with a scale for each channel.
    """
    return _named(model, "dynamic", options, measured, _convert(model, options.io, optimizations=["DEFAULT"]))


def int8(model: Any, options: FileOptions, measured: Measured) -> bytes:
    """The integer file; `measured.ranges` must hold a range for each layer, as calibration gives them.

    A layer with an operator that TFLite has in float alone stays in float as a whole, its convolutions and products
    apart: in integers the rest of a group normalization has a tenth of the digits.
    """
    if measured.ranges is None:
        raise ConversionError("int8 needs calibration ranges.")
    data = FloatFile(model).quantize(measured.ranges, options, measured.output, measured.floats)
    return _named(model, "int8", options, measured, data)


def int16x8(model: Any, options: FileOptions, measured: Measured) -> bytes:
    """The integer file with 16-bit activations and 8-bit weights; `measured.ranges` as for `int8`.

    Operators that TFLite has no 16-bit kind of stay in float.
    """
    if measured.ranges is None:
        raise ConversionError("int16x8 needs calibration ranges.")
    quantized = FloatFile(model).quantize_to_16_bits(measured.ranges, options, measured.floats)
    rewritten, _ = tflite_operators.shorten_biases(tflite_edits.unpack(quantized))
    if options.io != "float32":
        rewritten = tflite_operators.take_pixels(rewritten)
    return _named(model, "int16x8", options, measured, tflite_edits.pack(rewritten))


TARGETS = (
    Target("tflite", "float32", float32, "float32"),
    Target("tflite", "float16", float16, "float16"),
    Target("tflite", "dynamic", dynamic, "int8"),
    Target(
        "tflite",
        "int8",
        int8,
        "int8",
        io="uint8",
        ios=("uint8", "int8", "float32"),
        quantizer="TensorFlow post-training",
    ),
    Target(
        "tflite",
        "int16x8",
        int16x8,
        "int8",
        io="uint8",
        ios=("uint8", "float32"),
        quantizer="TensorFlow post-training",
        activations="int16",
        float_scores=True,
        widest=True,
    ),
)


def with_head_room(ranges: Ranges, output: str) -> Ranges:
    """`ranges` with HEAD_ROOM above the highest score, where scores are logits."""
    if output != LOGITS or "output" not in ranges:
        return ranges
    low, high = ranges["output"]
    return {**ranges, "output": (low, high + HEAD_ROOM * (high - low))}


class FloatFile:
    """The float32 file of a model, from which its integer file is made and whose layers can be looked into."""

    def __init__(self, model: Any) -> None:
        self.data, self._layers = _convert(model), _layers(model)
        if loops := tflite_edits.loops(self.data, self._layers):
            raise ConversionError(
                f"TensorFlow cannot calibrate loops, which integers need: {', '.join(loops)}. {UNROLL}, or leave out "
                "int8 and int16x8."
            )

    def activations(self, pictures: Iterable[Pixels]) -> Iterator[dict[str, NDArray[np.float32]]]:
        """What each layer gives for each of `pictures` [H,W,3]: layer -> values; the scores are called "output"."""
        import tensorflow as tf

        with converting("TensorFlow could not calibrate the model"):
            interpreter = tf.lite.Interpreter(
                model_content=self.data,
                experimental_preserve_all_tensors=True,
                experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
            interpreter.allocate_tensors()
        (pixels,) = interpreter.get_input_details()
        size = tuple(pixels["shape"])
        floats = {name: tensor for name, tensor in self.tensors().items() if name != "input"}
        for picture in pictures:
            with converting("TensorFlow could not calibrate the model"):
                if size != (1, *picture.shape):  # a network of any picture size
                    size = (1, *picture.shape)
                    interpreter.resize_tensor_input(pixels["index"], size)
                    interpreter.allocate_tensors()
                interpreter.set_tensor(pixels["index"], picture[None].astype(np.float32))
                interpreter.invoke()
            yield {name: interpreter.get_tensor(index) for name, index in floats.items()}

    def tensors(self) -> dict[str, int]:
        """Layer -> the float tensor that it computes, by its index."""
        return tflite_edits.float_tensors(self.data, self._layers)

    def groups(self) -> list[tuple[list[str], list[str]]]:
        """The layers that share a range, and those of them that compute: see `tflite_edits.groups`."""
        names = {index: name for name, index in self.tensors().items() if name != "input"}
        return tflite_edits.groups(self.data, names)

    def logits(self) -> tuple[list[str], bool]:
        """The layers that hold the logits which a softmax or sigmoid reads, and whether it is a sigmoid."""
        kind, names = tflite_edits.logits(self.data, self._layers)
        return names, kind == tflite_edits.SIGMOID

    def quantize(self, ranges: Ranges, options: FileOptions, output: str, floats: Collection[str] = ()) -> bytes:
        """The integer file with these ranges, whose scores are `output`; UsageError names the layers without range.

        The layers `floats` stay in float.
        """
        roomy = {**with_head_room(ranges, output), "input": PIXEL_RANGE}
        calibrated = tflite_edits.write_ranges(self.data, roomy, self._layers)
        io = options.io or "uint8"
        ends = io, io if options.head == INT8_HEAD else "float32"
        kept = [] if options.head == INT8_HEAD else tflite_edits.head(calibrated)
        kept += tflite_edits.made_in(calibrated, floats, self._layers)
        quantized = _quantize(calibrated, ends, kept)
        if partly := {*tflite_edits.float_layers(calibrated, quantized, self._layers)} - {*kept}:
            quantized = _quantize(calibrated, ends, [*kept, *partly])
        return quantized

    def quantize_to_16_bits(self, ranges: Ranges, options: FileOptions, floats: Collection[str] = ()) -> bytes:
        """The file with 16-bit activations, whose pixels and scores are float32; errors as of `quantize`."""
        wide = {
            name: (max(ROOM_OF_16_BITS * low, -LARGEST), min(ROOM_OF_16_BITS * high, LARGEST))
            for name, (low, high) in ranges.items()
        }
        calibrated = tflite_edits.write_ranges(self.data, {**wide, "input": PIXEL_RANGE}, self._layers)
        kept = {*tflite_edits.made_by(calibrated, NO_16_BITS)}
        kept |= {*tflite_edits.made_in(calibrated, floats, self._layers)}
        if options.head != INT8_HEAD:
            kept |= {*tflite_edits.head(calibrated)}
        quantized = _quantize_to_16_bits(calibrated, kept)
        if partly := {*tflite_edits.float_layers(calibrated, quantized, self._layers)} - kept:
            quantized = _quantize_to_16_bits(calibrated, kept | partly)
        return quantized


def _named(model: Any, precision: str, options: FileOptions, measured: Measured, data: bytes) -> bytes:
    """`data` after the rewrites of its operators, with names and the model's card."""
    rewritten, changed = tflite_operators.rewrite(tflite_edits.unpack(data))
    plain = tflite_edits.pack(rewritten) if changed else data
    chosen = catalogue.chosen(options.rewrites, f"{TARGETS[0].format} {precision}")
    faster, done = catalogue.faster(plain, chosen, model.input_shape[1:3], tflite_edits.unpack, tflite_edits.pack)
    measured.done.extend(done)
    named = tflite_edits.name_tensors(faster, INPUT, measured.output, _layers(model))
    return named if measured.card is None else tflite_metadata.write(named, measured.card)


def _layers(model: Any) -> Scopes:
    return scope_names(model).of_layers(layer.name for layer in all_layers(model))


def _convert(model: Any, io: str | None = None, optimizations: Iterable[str] = (), types: Iterable[Any] = ()) -> bytes:
    """Run TensorFlow's converter on a static batch of 1, with its built-in operators alone."""
    import tensorflow as tf

    with converting(f"TensorFlow could not convert {model.name} to TFLite"):
        spec = signature(model, io or "float32", batch=1)
        traced = traceable(model, OUTPUT).get_concrete_function(spec)
        # None as the second argument: with a Keras 3 model there, the file silently lacks its weights.
        converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], None)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.target_spec.supported_types = list(types)
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True  # noqa: SLF001 - see `dynamic`
        converter.optimizations = [tf.lite.Optimize[name] for name in optimizations]
        return bytes(converter.convert())


def _quantize(calibrated: bytes, ends: tuple[str, str], kept: Iterable[str] = ()) -> bytes:
    """Run the second half of TensorFlow's post-training quantizer on a float file that has ranges in it.

    `ends` are the dtypes of pixels and scores. Operators that compute the tensors `kept` stay in float.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize

    pixels, scores = map(tf.as_dtype, ends)
    with converting("TensorFlow could not quantize the model"):
        return bytes(
            mlir_quantize(calibrated, input_data_type=pixels, output_data_type=scores, denylisted_nodes={*kept} or None)
        )


def _quantize_to_16_bits(calibrated: bytes, kept: AbstractSet[str]) -> bytes:
    """Run TensorFlow's older quantizer, the only one with 16-bit activations, on a float file that has ranges in it.

    Operators that compute the tensors `kept` stay in float.
    """
    from tensorflow.lite.python.optimize.calibrator import Calibrator

    ends, activations, bias = (np.dtype(name).num for name in ("float32", "int16", "int64"))
    per_tensor, dense_per_tensor = False, True  # see `dynamic`
    hidden, codes = tflite_edits.hide(calibrated, kept)
    with converting("TensorFlow could not quantize the model"):
        quantizer = Calibrator(hidden)._calibrator  # noqa: SLF001 - the public method wants to be fed pictures
        quantized = quantizer.QuantizeModel(ends, ends, True, activations, bias, per_tensor, dense_per_tensor)
    return tflite_edits.reveal(bytes(quantized), codes)
