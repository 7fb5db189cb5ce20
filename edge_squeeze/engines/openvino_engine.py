"""Runs .tflite and .onnx files with OpenVINO on the CPU, in the precision that the file has."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_squeeze.engines.engine import Array, Arrays, EngineOptions, Model, Tensor, must_fit

SETTINGS = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "1"}


class OpenVinoEngine:
    """A file that OpenVINO has compiled for this CPU."""

    kernels = "openvino"
    operators: int | None = None
    delegated: int | None = None

    def __init__(self, model: Model, options: EngineOptions) -> None:
        """Read and compile the file at `model`; OpenVINO raises errors of any kind if it cannot."""
        import openvino

        self.version = openvino.__version__.split("-")[0]
        core = openvino.Core()
        network = core.read_model(model if isinstance(model, bytes) else str(model))
        for port, shape in zip(network.inputs, options.shapes, strict=False):
            must_fit(_tensor(port), shape)
        if options.shapes:
            network.reshape(dict(zip(network.inputs, map(list, options.shapes), strict=False)))
        threads = {"INFERENCE_NUM_THREADS": str(options.threads)}
        self._request = core.compile_model(network, "CPU", {**SETTINGS, **threads}).create_infer_request()
        self._to_tensor = openvino.Tensor
        self.inputs, self.outputs = list(map(_tensor, network.inputs)), list(map(_tensor, network.outputs))

    def run(self, arrays: Arrays) -> list[Array]:
        """The outputs for `arrays`, copied out of OpenVINO's memory."""
        return [np.array(output) for output in self._request.infer(list(arrays)).values()]

    def bind(self, arrays: Arrays) -> None:
        """Give OpenVINO copies of `arrays`."""
        for at, array in enumerate(arrays):
            self._request.set_input_tensor(at, self._to_tensor(array.copy()))

    def invoke(self) -> None:
        """Compute."""
        self._request.infer()


def _tensor(port: Any) -> Tensor:
    shape = tuple(None if side.is_dynamic else int(side.get_length()) for side in port.partial_shape)
    return Tensor(port.any_name, shape, np.dtype(port.element_type.to_dtype()).name)
