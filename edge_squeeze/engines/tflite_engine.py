"""Runs .tflite files with an interpreter of TensorFlow Lite's family: LiteRT, tflite-runtime, tf.lite."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from edge_squeeze.engines.engine import (
    BUILTIN,
    REFERENCE,
    XNNPACK,
    Array,
    Arrays,
    EngineOptions,
    Model,
    Tensor,
    must_fit,
)
from edge_squeeze.packages import version_of
from edge_squeeze.process import keras_environment
from edge_squeeze.process.output import captured

DELEGATE = "DELEGATE"
# The kernels of quantized networks, by package, where they are not XNNPACK's: tflite-runtime 2.14 gives XNNPACK no
# convolution with int8 weights, whatever the dtype of pixels and scores.
QUANTIZED_KERNELS = {"tflite-runtime": BUILTIN}


class TFLiteEngine:
    """A loaded .tflite file."""

    def __init__(self, module: str, package: str, model: Model, options: EngineOptions) -> None:
        """Load `model` with the interpreter of `module`; it raises errors of any kind if it cannot."""
        self.version = version_of(package) or "of an unknown version"
        source = {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
        with captured(), keras_environment.neutral():  # LiteRT announces its delegate on every load
            engine = importlib.import_module(module)
            resolver = engine.OpResolverType
            own = {BUILTIN: resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES, REFERENCE: resolver.BUILTIN_REF}
            chosen = own.get(options.kernels or "", resolver.AUTO)
            self._interpreter = engine.Interpreter(
                **source, num_threads=options.threads, experimental_op_resolver_type=chosen
            )
            inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
            self._inputs, self._outputs = ([detail["index"] for detail in details] for details in (inputs, outputs))
            self.inputs, self.outputs = list(map(_tensor, inputs)), list(map(_tensor, outputs))
            self._shapes: list[tuple[int, ...]] | None = None  # that memory is allocated for
            self._prepare(options.shapes)
        self.kernels = options.kernels or self._default_kernels(package)
        self.operators, self.delegated = self._operators()

    def _prepare(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        """Allocate for `shapes`, or those of the file; an input of open sides waits for its first array.

        Open sides are 1 in the file, of which the first layers may leave nothing: LiteRT refuses to allocate for that,
        and tflite-runtime 2.14 does not notice.
        """
        for tensor, shape in zip(self.inputs, shapes, strict=False):
            must_fit(tensor, shape)
        own = [tuple(map(int, detail["shape"])) for detail in self._interpreter.get_input_details()]
        if shapes or not any(None in tensor.shape[1:] for tensor in self.inputs):
            self._allocate([*shapes[: len(own)], *own[len(shapes) :]])

    def _allocate(self, shapes: list[tuple[int, ...]]) -> None:
        """Make room for inputs of `shapes`, as far as the file leaves them open."""
        if shapes == self._shapes:
            return
        self._shapes = None
        for index, tensor, shape in zip(self._inputs, self.inputs, shapes, strict=True):
            if None in tensor.shape or not tensor.shape:
                self._interpreter.resize_tensor_input(index, shape)
        self._interpreter.allocate_tensors()
        self._shapes = shapes

    def _default_kernels(self, package: str) -> str:
        """The kernel family where none was chosen: a network with scales on any tensor but its input is quantized."""
        tensors = [tensor for tensor in self._interpreter.get_tensor_details() if tensor["index"] not in self._inputs]
        scales = [tensor["quantization_parameters"]["scales"] for tensor in tensors]
        return QUANTIZED_KERNELS.get(package, XNNPACK) if any(map(len, scales)) else XNNPACK

    def _operators(self) -> tuple[int | None, int | None]:
        """How many operators the file has, and how many of them a delegate took over."""
        read = getattr(self._interpreter, "_get_ops_details", None)  # not public, so it may go
        if read is None or self._shapes is None:  # delegates take operators when memory is allocated
            return None, None
        nodes = read()
        own = [node for node in nodes if node["op_name"] != DELEGATE]
        return len(own), len(_taken_over(own, [node for node in nodes if node["op_name"] == DELEGATE]))

    def run(self, arrays: Arrays) -> list[Array]:
        """The outputs for `arrays`, copied out of the interpreter."""
        self.bind(arrays)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]

    def bind(self, arrays: Arrays) -> None:
        """Copy `arrays` into the interpreter, which makes room for other sizes where the file leaves them open."""
        shapes = [array.shape for array in arrays]
        if shapes != self._shapes:
            with captured():
                self._allocate(shapes)
        for index, array in zip(self._inputs, arrays, strict=True):
            self._interpreter.set_tensor(index, array)

    def invoke(self) -> None:
        """Compute."""
        self._interpreter.invoke()


def _taken_over(own: list[dict[str, Any]], delegates: list[dict[str, Any]]) -> set[int]:
    """The positions in `own` of what `delegates` compute: everything between its inputs and its outputs."""
    producers = {int(tensor): at for at, node in enumerate(own) for tensor in node["outputs"]}
    taken: set[int] = set()
    for delegate in delegates:
        entering = set(map(int, delegate["inputs"]))
        waiting = [int(tensor) for tensor in delegate["outputs"]]
        while waiting:
            tensor = waiting.pop()
            at = producers.get(tensor)
            if tensor not in entering and at is not None and at not in taken:
                taken.add(at)
                waiting += map(int, own[at]["inputs"])
    return taken


def _tensor(detail: dict[str, Any]) -> Tensor:
    shape = tuple(None if side < 0 else int(side) for side in detail.get("shape_signature", detail["shape"]))
    scale, zero_point = detail["quantization"]
    return Tensor(detail["name"], shape, np.dtype(detail["dtype"]).name, float(scale), int(zero_point))
