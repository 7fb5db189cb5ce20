"""The files that tests/rivals.py compares: ours, and what each rival makes of the same network and pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edge_squeeze
from edge_squeeze.engines import ncnn_engine

Pixels = NDArray[np.uint8]
INT8, FLOAT32, DYNAMIC = "int8", "float32", "dynamic"
LITERT, ONNXRUNTIME, OPENVINO, NCNN = "LiteRT", "ONNX Runtime", "OpenVINO", "ncnn"


@dataclass(frozen=True)
class Material:
    """What every tool is given, and the folder where it leaves its files."""

    network: str
    weights: Path | None
    model: Any  # Keras, takes the pixels as float32 [N,H,W,3]; the preprocessing is in its first convolution
    listing: Path  # the calibration pictures, a path in each line
    pixels: Pixels  # those pictures as the network takes them [N,H,W,3]
    folder: Path

    @property
    def of_uint8(self) -> Any:
        """The model behind a cast, for tools that convert it as it is."""
        import keras

        pixels = keras.Input(self.model.input_shape[1:], batch_size=1, dtype="uint8", name="image")
        return keras.Model(pixels, self.model(keras.ops.cast(pixels, "float32")), name="network")

    def batches(self) -> Iterator[list[Any]]:
        """The pictures as TensorFlow's converter wants them."""
        for picture in self.pixels:
            yield [picture[None].astype(np.float32)]


@dataclass(frozen=True)
class Contender:
    """A file in the comparison: who makes it and how, what runs it, and which of our files it is held against."""

    name: str
    precision: str
    engine: str
    options: str
    make: Callable[[Material], Path]
    ours: str | None = None  # None: it is ours


def our_file(target: str) -> Callable[[Material], Path]:
    """What finds our file of that format and precision; the first call exports all of them."""

    def make(material: Material) -> Path:
        if not (material.folder / "ours").exists():
            edge_squeeze.export(
                material.network,
                weights=material.weights,
                format="all",
                precision=(FLOAT32, DYNAMIC, INT8),
                io="uint8",
                layout="nhwc",
                calibration=material.listing,
                out=material.folder / "ours",
            )
        (artifact,) = (material.folder / "ours").glob(f"*-{target.replace(' ', '-')}*")
        (file,) = artifact.glob(f"*.{target.partition(' ')[0]}")
        return file

    return make


def stock(precision: str) -> Callable[[Material], Path]:
    """TensorFlow's converter, used as its guide says."""

    def make(material: Material) -> Path:
        import tensorflow as tf

        model = material.model if precision == INT8 else material.of_uint8
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if precision != FLOAT32:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == INT8:
            converter.representative_dataset = material.batches
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.uint8
        return _written(material.folder / f"stock-{precision}.tflite", converter.convert())

    return make


def keras_litert(precision: str) -> Callable[[Material], Path]:
    """Keras' own export, which hands options on to TensorFlow's converter."""

    def make(material: Material) -> Path:
        import tensorflow as tf

        path, options = material.folder / f"keras-{precision}.tflite", {}
        if precision == INT8:
            options = {
                "optimizations": [tf.lite.Optimize.DEFAULT],
                "representative_dataset": material.batches,
                "target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
                "inference_input_type": tf.uint8,
                "inference_output_type": tf.uint8,
            }
        model = material.model if precision == INT8 else material.of_uint8
        model.export(str(path), format="litert", verbose=False, **options)
        return path

    return make


def ai_edge(recipe: str) -> Callable[[Material], Path]:
    """AI Edge Quantizer on the float file of TensorFlow's converter, by the recipe of that name."""

    def make(material: Material) -> Path:
        from ai_edge_quantizer import quantizer, recipe as recipes

        tool, path = quantizer.Quantizer(str(stock(FLOAT32)(material))), material.folder / f"{recipe}.tflite"
        tool.load_quantization_recipe(getattr(recipes, recipe)())
        pictures = [{"image": picture[None]} for picture in material.pixels]
        ranges = tool.calibrate({"serving_default": pictures}) if tool.need_calibration else None
        tool.quantize(ranges).export_model(str(path), overwrite=True)
        return path

    return make


def keras_onnx(material: Material) -> Path:
    """Keras' own export to ONNX, by way of tf2onnx."""
    import keras

    path = material.folder / "keras-float32.onnx"
    ends = [keras.InputSpec(shape=(1, *material.pixels.shape[1:]), dtype="uint8", name="image")]
    material.of_uint8.export(str(path), format="onnx", verbose=False, input_signature=ends)
    return path


def onnxruntime_int8(material: Material) -> Path:
    """ONNX Runtime's static quantizer on Keras' export, preprocessed as its guide says."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Pictures(CalibrationDataReader):  # type: ignore[misc] # of a package without types
        def __init__(self) -> None:
            self.left = iter(material.pixels)

        def get_next(self) -> dict[str, Any] | None:
            picture = next(self.left, None)
            return None if picture is None else {"image": picture[None]}

    prepared, path = material.folder / "keras-prepared.onnx", material.folder / "onnxruntime-int8.onnx"
    quant_pre_process(str(keras_onnx(material)), str(prepared))
    quantize_static(
        str(prepared),
        str(path),
        Pictures(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return path


def openvino(precision: str) -> Callable[[Material], Path]:
    """OpenVINO's reading of Keras' ONNX export, in int8 after NNCF's post-training quantization."""

    def make(material: Material) -> Path:
        import openvino as library

        network, path = library.convert_model(keras_onnx(material)), material.folder / f"openvino-{precision}.xml"
        if precision == INT8:
            import nncf

            pictures = nncf.Dataset(list(material.pixels), lambda picture: picture[None])
            network = nncf.quantize(network, pictures, subset_size=len(material.pixels))
        library.save_model(network, path, compress_to_fp16=False)
        return path

    return make


def ncnn(material: Material) -> Path:
    """What pnnx makes of our .onnx file of float32 pixels."""
    (done,) = edge_squeeze.export(
        material.network, weights=material.weights, format="onnx", out=material.folder / "for-ncnn"
    )
    folder = material.folder / "ncnn"
    folder.mkdir(exist_ok=True)
    return ncnn_engine.convert(done.folder / done.manifest.file.name, folder)


def size(path: Path) -> int:
    """The bytes of a file and of its weights, where those are in a second one."""
    return sum(file.stat().st_size for file in {path, path.with_suffix(".bin")} if file.exists())


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


OUR_INT8, OUR_FLOAT32, OUR_DYNAMIC = (f"edge-squeeze tflite {precision}" for precision in (INT8, FLOAT32, DYNAMIC))
OUR_ONNX_INT8, OUR_ONNX_FLOAT32 = (f"edge-squeeze onnx {precision}" for precision in (INT8, FLOAT32))
CONVERTER = "TFLiteConverter.from_keras_model"
FULL_INT8 = "Optimize.DEFAULT, TFLITE_BUILTINS_INT8, uint8 in and out"
# fmt: off
CONTENDERS: Sequence[Contender] = (
    Contender(OUR_INT8, INT8, LITERT, "export --precision int8 --calibration DIR", our_file("tflite int8")),
    Contender("TFLiteConverter int8", INT8, LITERT, f"{CONVERTER}, {FULL_INT8}", stock(INT8), OUR_INT8),
    Contender("Keras export int8", INT8, LITERT, f"export(format='litert'), {FULL_INT8}", keras_litert(INT8), OUR_INT8),
    Contender("AI Edge Quantizer static", INT8, LITERT, "recipe static_wi8_ai8, uint8 in", ai_edge("static_wi8_ai8"),
              OUR_INT8),
    Contender(OUR_ONNX_INT8, INT8, ONNXRUNTIME, "export --format onnx --precision int8 --calibration DIR --layout nhwc",
              our_file("onnx int8")),
    Contender("ONNX Runtime quantize_static", INT8, ONNXRUNTIME,
              "QDQ, per channel, uint8 activations, int8 weights, after quant_pre_process", onnxruntime_int8,
              OUR_ONNX_INT8),
    Contender("OpenVINO NNCF int8", INT8, OPENVINO, "nncf.quantize with its defaults", openvino(INT8), OUR_INT8),
    Contender(OUR_DYNAMIC, DYNAMIC, LITERT, "export --precision dynamic --io uint8", our_file("tflite dynamic")),
    Contender("TFLiteConverter dynamic", DYNAMIC, LITERT, f"{CONVERTER}, Optimize.DEFAULT", stock(DYNAMIC),
              OUR_DYNAMIC),
    Contender("AI Edge Quantizer dynamic", DYNAMIC, LITERT, "recipe dynamic_wi8_afp32", ai_edge("dynamic_wi8_afp32"),
              OUR_DYNAMIC),
    Contender(OUR_FLOAT32, FLOAT32, LITERT, "export --io uint8", our_file("tflite float32")),
    Contender("TFLiteConverter float32", FLOAT32, LITERT, CONVERTER, stock(FLOAT32), OUR_FLOAT32),
    Contender("Keras export float32", FLOAT32, LITERT, "export(format='litert')", keras_litert(FLOAT32), OUR_FLOAT32),
    Contender(OUR_ONNX_FLOAT32, FLOAT32, ONNXRUNTIME, "export --format onnx --io uint8 --layout nhwc",
              our_file("onnx float32")),
    Contender("Keras export ONNX", FLOAT32, ONNXRUNTIME, "export(format='onnx')", keras_onnx, OUR_ONNX_FLOAT32),
    Contender("OpenVINO float32", FLOAT32, OPENVINO, "convert_model of Keras' ONNX export; float32 hint",
              openvino(FLOAT32), OUR_FLOAT32),
    Contender("ncnn float32", FLOAT32, NCNN, "pnnx of an .onnx file of ours; Mat.from_pixels before each inference",
              ncnn, OUR_FLOAT32),
)
# fmt: on
