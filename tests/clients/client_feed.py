"""Gives one file the pixels, in the client's own environment, and prints what it answers as JSON.

Usage: python client_feed.py CLIENT FILE.json, where CLIENT is a function below. Needs NumPy and the client alone.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

CHANNELS_FIRST = "nchw"
Answer = tuple[Any, "list[str] | None"]  # scores of each class, and their names


def quantized(pixels: np.ndarray, dtype: Any, scale: float, zero_point: int) -> np.ndarray:
    """The pixels as an input takes them that has this scale, or 0."""
    if not scale:
        return pixels.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(pixels / scale) + zero_point, limits.min, limits.max).astype(dtype)


def real(scores: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    return (scores.astype(np.float32) - zero_point) * np.float32(scale) if scale else scores


def interpreted(module: str, file: dict[str, Any], pixels: np.ndarray) -> Answer:
    interpreter = importlib.import_module(module).Interpreter(file["path"], num_threads=1)
    interpreter.allocate_tensors()
    (taken,), (returned,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(taken["index"], quantized(pixels, taken["dtype"], *taken["quantization"]))
    interpreter.invoke()
    return real(interpreter.get_tensor(returned["index"]), *returned["quantization"]), None


def litert(file: dict[str, Any], pixels: np.ndarray) -> Answer:
    return interpreted("ai_edge_litert.interpreter", file, pixels)


def tflite_runtime(file: dict[str, Any], pixels: np.ndarray) -> Answer:
    return interpreted("tflite_runtime.interpreter", file, pixels)


def mediapipe(file: dict[str, Any], pixels: np.ndarray) -> Answer:
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=file["path"]), max_results=-1)
    with vision.ImageClassifier.create_from_options(options) as classifier:
        picture = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(pixels[0]))
        categories = classifier.classify(picture).classifications[0].categories
    by_index = sorted(categories, key=lambda category: category.index)
    return [category.score for category in by_index], [category.category_name or "" for category in by_index]


def opencv(file: dict[str, Any], pixels: np.ndarray) -> Answer:
    """As model.json says; .tflite files get their channels first, which OpenCV's importer wants."""
    first = file["layout"] == CHANNELS_FIRST or file["path"].endswith(".tflite")
    return _opencv(file, pixels.transpose(0, 3, 1, 2) if first else pixels)


def opencv_blob(file: dict[str, Any], pixels: np.ndarray) -> Answer:
    """As every example does, whatever the file says."""
    import cv2

    height, width = pixels.shape[1:3]
    bgr = np.ascontiguousarray(pixels[0, :, :, ::-1])
    return _opencv(file, cv2.dnn.blobFromImage(bgr, 1.0, (width, height), swapRB=True))


def _opencv(file: dict[str, Any], blob: np.ndarray) -> Answer:
    import cv2

    network = cv2.dnn.readNet(file["path"])
    network.setInput(np.ascontiguousarray(blob, np.float32))
    return network.forward(), None


def openvino(file: dict[str, Any], pixels: np.ndarray) -> Answer:
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # it would call home
    import openvino as ov

    compiled = ov.Core().compile_model(file["path"], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    ordered = pixels.transpose(0, 3, 1, 2) if file["layout"] == CHANNELS_FIRST else pixels
    taken = quantized(ordered, np.dtype(file["dtype"]), file["scale"] or 0, file["zero_point"] or 0)
    return real(compiled([taken])[0], file["output_scale"] or 0, file["output_zero_point"] or 0), None


def tflite_micro(file: dict[str, Any], pixels: np.ndarray) -> Answer:
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_file(file["path"])
    taken, returned = interpreter.get_input_details(0), interpreter.get_output_details(0)
    interpreter.set_input(quantized(pixels, taken["dtype"], *_first(taken)), 0)
    interpreter.invoke()
    return real(np.asarray(interpreter.get_output(0)), *_first(returned)), None


def _first(details: dict[str, Any]) -> tuple[float, int]:
    parameters = details["quantization_parameters"]
    scales, zero_points = parameters["scales"], parameters["zero_points"]
    return (float(scales[0]), int(zero_points[0])) if len(scales) else (0.0, 0)


def onnxruntime(file: dict[str, Any], pixels: np.ndarray) -> Answer:
    import onnxruntime as ort

    session = ort.InferenceSession(file["path"], providers=["CPUExecutionProvider"])
    ordered = pixels.transpose(0, 3, 1, 2) if file["layout"] == CHANNELS_FIRST else pixels
    (scores,) = session.run(None, {session.get_inputs()[0].name: ordered.astype(file["dtype"])})
    return scores, None


def ncnn(file: dict[str, Any], pixels: np.ndarray) -> Answer:
    import ncnn as library

    ordered = pixels.transpose(0, 3, 1, 2) if file["layout"] == CHANNELS_FIRST else pixels
    program = Path(library.__file__).parent.parent / "pnnx" / "pnnx"
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model.onnx")
        model.write_bytes(Path(file["path"]).read_bytes())
        sides = ",".join(map(str, ordered.shape))
        words = [str(program), str(model), f"inputshape=[{sides}]", "fp16=0"]
        if subprocess.run(
            words, cwd=folder, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ).returncode:
            raise ValueError("pnnx refuses the file")
        network = library.Net()
        for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(network.opt, option, False)
        for load, suffix in ((network.load_param, "param"), (network.load_model, "bin")):
            if load(f"{folder}/model.ncnn.{suffix}"):
                raise ValueError(f"ncnn refuses the .{suffix} that pnnx made")
        taken = np.ascontiguousarray(ordered[0], np.float32)
        mat = library.Mat(taken).clone()  # both must live until the scores are there
        with network.create_extractor() as extractor:
            extractor.input("in0", mat)
            code, scores = extractor.extract("out0")
            if code:
                raise ValueError(f"ncnn computes nothing: {code}")
            return np.array(scores), None


def main(client: str, description: str) -> None:
    file = json.loads(Path(description).read_text())
    pixels = np.load(file["pixels"])
    try:
        scores, names = globals()[client](file, pixels)
        answer = {"scores": [float(score) for score in np.asarray(scores, np.float64).ravel()], "names": names}
    except Exception as error:
        answer = {"error": " ".join(str(error).split()) or type(error).__name__}
    print("\n" + json.dumps(answer))  # noqa: T201 - read by run_clients.py


if __name__ == "__main__":
    main(*sys.argv[1:])
