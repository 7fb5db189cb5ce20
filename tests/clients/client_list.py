"""The clients that exported files are tried on: what each is installed from, and which files it is given."""

from __future__ import annotations

from dataclasses import dataclass

TFLITE, ONNX = "tflite", "onnx"
NPM = (
    "@litertjs/core@2.5.3",
    "@litertjs/wasm-utils@2.5.3",
    "@mediapipe/tasks-vision@1.1.0",
    "onnxruntime-web@1.30.0",
    "playwright-core@1.65.1",
)


@dataclass(frozen=True)
class Client:
    """One program that reads files; `feed` names the function that does, in client_feed.py or browser.mjs."""

    name: str
    version: str
    feed: str
    kind: str  # of the files it is given
    packages: tuple[str, ...] = ()  # of Python; none: it runs in the browser
    dependencies: bool = True  # whether what they depend on is installed, too
    names: bool = False  # whether it shows the names of classes

    @property
    def title(self) -> str:
        """The name with the version behind its first part."""
        name, comma, more = self.name.partition(",")
        return f"{name} {self.version}{comma}{more}"


LITERT = Client("LiteRT", "2.3.0", "litert", TFLITE, ("ai-edge-litert==2.3.0", "numpy==2.4.6"))
ONNX_RUNTIME = Client("ONNX Runtime", "1.32.0", "onnxruntime", ONNX, ("onnxruntime==1.32.0", "numpy==2.4.6"))
OPENCV_4 = ("opencv-python-headless==4.14.0.94", "numpy==2.4.6")
OPENCV_5 = ("opencv-python-headless==5.0.0.93", "numpy==2.4.6")
OPENVINO = ("openvino==2026.4.1", "numpy==2.4.6")
CLIENTS = (
    LITERT,
    Client("tflite-runtime", "2.14.0", "tflite_runtime", TFLITE, ("tflite-runtime==2.14.0", "numpy==1.26.4")),
    Client("MediaPipe", "1.2.3", "mediapipe", TFLITE, ("mediapipe==1.2.3", "numpy==2.4.6"), names=True),
    Client("MediaPipe", "0.10.21", "mediapipe", TFLITE, ("mediapipe==0.10.21", "numpy==1.26.4"), names=True),
    Client("MediaPipe JS, Chromium", "1.1.0", "mediapipe", TFLITE, names=True),
    Client("LiteRT.js, Chromium", "2.5.3", "litert", TFLITE),
    Client("OpenCV", "4.14.0", "opencv", TFLITE, OPENCV_4),
    Client("OpenCV", "5.0.0", "opencv", TFLITE, OPENCV_5),
    Client("OpenVINO, float32 hint", "2026.4.1", "openvino", TFLITE, OPENVINO),
    Client("tflite-micro", "0.dev20261023", "tflite_micro", TFLITE, ("tflite-micro==0.dev20261023182759",)),
    ONNX_RUNTIME,
    Client("ONNX Runtime Web, Chromium", "1.30.0", "onnxruntime", ONNX),
    Client("OpenCV, fed as model.json says", "4.14.0", "opencv", ONNX, OPENCV_4),
    Client("OpenCV, fed by blobFromImage", "4.14.0", "opencv_blob", ONNX, OPENCV_4),
    Client("OpenCV, fed as model.json says", "5.0.0", "opencv", ONNX, OPENCV_5),
    Client("OpenCV, fed by blobFromImage", "5.0.0", "opencv_blob", ONNX, OPENCV_5),
    Client("OpenVINO, float32 hint", "2026.4.1", "openvino", ONNX, OPENVINO),
    Client(
        "ncnn by pnnx, float32",
        "1.0.20261020",
        "ncnn",
        ONNX,
        ("pnnx==20261020", "ncnn==1.0.20261020", "numpy==2.4.6"),
        dependencies=False,
    ),
)
