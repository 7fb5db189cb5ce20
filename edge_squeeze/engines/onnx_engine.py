"""Runs .onnx files with ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import Any

from edge_squeeze.engines.engine import ONNXRUNTIME, Array, Arrays, EngineOptions, Model, Tensor, must_fit

CPU = "CPUExecutionProvider"
# ONNX Runtime's names of element types (onnx.proto's TensorProto.DataType) that are not NumPy's.
DTYPES = {"float": "float32", "double": "float64"}


class OnnxEngine:
    """A loaded .onnx file."""

    kernels = ONNXRUNTIME
    operators: int | None = None
    delegated: int | None = None

    def __init__(self, model: Model, options: EngineOptions) -> None:
        """Load `model`; ONNX Runtime raises errors of any kind if it cannot."""
        import onnxruntime

        self.version = onnxruntime.__version__
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads = options.threads, 1
        settings.log_severity_level = 3
        if not options.spin:
            settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        source = model if isinstance(model, bytes) else str(model)
        self._session = onnxruntime.InferenceSession(source, settings, providers=[CPU])
        self.inputs = list(map(_tensor, self._session.get_inputs()))
        self.outputs = list(map(_tensor, self._session.get_outputs()))
        for tensor, shape in zip(self.inputs, options.shapes, strict=False):
            must_fit(tensor, shape)
        self._value = onnxruntime.OrtValue.ortvalue_from_numpy
        self._binding: Any = None

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
