"""Runs .onnx files with ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import Any

from edge_squeeze.engines.engine import ONNXRUNTIME, REFERENCE, Array, Arrays, EngineOptions, Model, Tensor, must_fit

CPU = "CPUExecutionProvider"
# ONNX Runtime's names of element types (onnx.proto's TensorProto.DataType) that are not NumPy's.
DTYPES = {"float": "float32", "double": "float64"}


class OnnxEngine:
    """A loaded .onnx file."""

    kernels: str
    operators: int | None = None
    delegated: int | None = None

    def __init__(self, model: Model, options: EngineOptions, profile: str | None = None) -> None:
        """Load `model`; ONNX Runtime raises errors of any kind if it cannot.

        With `profile`, the beginning of a file's path, the time of every operator is written until `end_profile`.
        """
        import onnxruntime

        self.version, self.kernels = onnxruntime.__version__, options.kernels or ONNXRUNTIME
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads = options.threads, 1
        settings.log_severity_level = 3
        if options.kernels == REFERENCE:
            settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if not options.spin:
            settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if profile is not None:
            settings.enable_profiling, settings.profile_file_prefix = True, profile
        source = model if isinstance(model, bytes) else str(model)
        self._session = onnxruntime.InferenceSession(source, settings, providers=[CPU])
        self.inputs = list(map(_tensor, self._session.get_inputs()))
        self.outputs = list(map(_tensor, self._session.get_outputs()))
        for tensor, shape in zip(self.inputs, options.shapes, strict=False):
            must_fit(tensor, shape)
        self._value = onnxruntime.OrtValue.ortvalue_from_numpy
        self._binding: Any = None

    def end_profile(self) -> str:
        """Where the times of operators have been written."""
        return str(self._session.end_profiling())

    def run(self, arrays: Arrays) -> list[Array]:
        """The outputs for `arrays`."""
        feed = {tensor.name: array for tensor, array in zip(self.inputs, arrays, strict=True)}
        outputs: list[Array] = self._session.run(None, feed)
        return outputs

    def bind(self, arrays: Arrays) -> None:
        """Copy `arrays` into ONNX Runtime's own memory, and let it choose where its outputs go."""
        self._binding = self._session.io_binding()
        for tensor, array in zip(self.inputs, arrays, strict=True):
            self._binding.bind_ortvalue_input(tensor.name, self._value(array))
        for tensor in self.outputs:
            self._binding.bind_output(tensor.name)

    def invoke(self) -> None:
        """Compute."""
        self._session.run_with_iobinding(self._binding)


def _tensor(node: Any) -> Tensor:
    kind = node.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(side if isinstance(side, int) else None for side in node.shape)
    return Tensor(node.name, shape, DTYPES.get(kind, kind))
