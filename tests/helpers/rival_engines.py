"""Runs a file of tests/rivals.py on its engine: uint8 pixels [1,H,W,3] in, scores [1,classes] out, on one thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rival_files import FLOAT32, LITERT, NCNN, ONNXRUNTIME, OPENVINO

from edge_squeeze.engines.catalogue import RUNTIMES
from edge_squeeze.engines.engine import Engine, EngineOptions

Run = Callable[[Any], Any]


def opened(engine: str, path: Path, precision: str) -> tuple[Run, Callable[[Any], Any]]:
    """What runs the file at `path`, and what makes scores on a scale of 0 to 1 of the numbers that it gives."""
    if engine == OPENVINO:
        return _openvino(path, precision), np.array  # the next inference overwrites it
    if engine == NCNN:
        return _ncnn(path), np.asarray
    kind = {LITERT: "litert", ONNXRUNTIME: "onnxruntime"}[engine]
    return _ours(RUNTIMES[kind].open(path, EngineOptions(threads=1)))


def _ours(engine: Engine) -> tuple[Run, Callable[[Any], Any]]:
    (scores,) = engine.outputs

    def dequantized(numbers: Any) -> Any:
        if not scores.scale:
            return np.asarray(numbers)
        return (numbers.astype(np.float32) - scores.zero_point) * scores.scale

    return lambda picture: engine.run([picture])[0], dequantized


def _openvino(path: Path, precision: str) -> Run:
    import openvino

    # The default hint is bfloat16 on processors that have it: float32 files would no longer be that.
    hint = {"INFERENCE_PRECISION_HINT": "f32"} if precision == FLOAT32 else {}
    options = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": "1"}
    pinning = {"ENABLE_CPU_PINNING": False}  # the process is bound to its core
    request = openvino.compile_model(path, "CPU", {**options, **pinning, **hint}).create_infer_request()

    def run(picture: Any) -> Any:
        return request.infer([picture], share_inputs=True, share_outputs=True)[0]

    return run


def _ncnn(path: Path) -> Run:
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = 1
    if net.load_param(str(path)) or net.load_model(str(path.with_suffix(".bin"))):
        raise ValueError(f"ncnn cannot load {path.name}")
    (entrance,), (exit_,) = net.input_names(), net.output_names()

    def run(picture: Any) -> Any:
        height, width = picture.shape[1:3]
        pixels = ncnn.Mat.from_pixels(picture[0], ncnn.Mat.PixelType.PIXEL_RGB, width, height)
        with net.create_extractor() as extractor:
            extractor.input(entrance, pixels)
            return np.array(extractor.extract(exit_)[1])[None]

    return run
