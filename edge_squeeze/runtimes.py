"""Engines that run an artifact, behind one method: pixels in, scores out."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.chatter import captured
from edge_squeeze.errors import ConversionError, EdgeSqueezeError, MissingDependencyError, UsageError, unknown
from edge_squeeze.preprocessing import Pixels
from edge_squeeze.resources import memory_limited
from edge_squeeze.scores import Scores

XNNPACK, BUILTIN, ONNXRUNTIME = "xnnpack", "builtin", "onnxruntime"
THREADS = range(1, 257)  # engines crash or hang on absurd numbers
LONGEST_MESSAGE = 500  # some engines quote the whole model
DYNAMIC_BATCH = 8  # pictures a time where the file leaves the batch open


@dataclass(frozen=True)
class TFLiteRuntime:
    """A package with a TensorFlow Lite interpreter."""

    module: str
    package: str
    extra: str


# In the order in which they are looked for.
TFLITE_RUNTIMES = {
    "litert": TFLiteRuntime("ai_edge_litert.interpreter", "ai-edge-litert", "litert"),
    "tflite-runtime": TFLiteRuntime("tflite_runtime.interpreter", "tflite-runtime", "tflite-runtime"),
    "tf.lite": TFLiteRuntime("tensorflow.lite.python.interpreter", "tensorflow", "export"),
}


class Runner(Protocol):
    """An artifact, loaded. `kernels` names the family of kernels that computes: results agree within a family."""

    runtime: str
    version: str
    kernels: str

    def run(self, pixels: Pixels) -> Scores:
        """Scores [N,classes] of raw RGB `pixels` [N,H,W,3] uint8, quantisation undone."""
        ...


@dataclass(frozen=True)
class RunOptions:
    """How to run an artifact: the runtime's name, or None for the first installed; a kernel family, or its default."""

    threads: int = 1
    runtime: str | None = None
    kernels: str | None = None


def open_runner(model: bytes, format_name: str, options: RunOptions = RunOptions()) -> Runner:
    """The Runner for the bytes of a .tflite or .onnx file; ConversionError if the engine refuses them."""
    if options.threads not in THREADS:
        raise UsageError(f"threads must be {THREADS.start} to {THREADS.stop - 1}, got {options.threads}.")
    kinds: dict[str, Callable[[bytes, RunOptions], Runner]] = {"tflite": TFLiteRunner, "onnx": OnnxRunner}
    if format_name not in kinds:
        raise unknown("format", format_name, kinds)
    with _telling(f"The engine refuses this {format_name} file"), memory_limited(len(model)):
        return kinds[format_name](model, options)


@contextmanager
def _telling(what: str) -> Iterator[None]:
    """Turn whatever an engine raises into a ConversionError: ONNX Runtime's exceptions are of no narrower kind."""
    try:
        yield
    except EdgeSqueezeError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:LONGEST_MESSAGE] or type(error).__name__
        raise ConversionError(f"{what}: {said}") from error


def installed_tflite() -> str | None:
    """The name of the first TensorFlow Lite runtime that is installed."""
    return next((name for name, r in TFLITE_RUNTIMES.items() if is_installed(r.module.partition(".")[0])), None)


def is_installed(package: str) -> bool:
    """Can `package` be imported? Found out without importing it."""
    return importlib.util.find_spec(package) is not None


def _tflite_runtime(name: str | None) -> str:
    if name is None:
        found = installed_tflite()
        if found is None:
            raise MissingDependencyError("ai-edge-litert", "litert", "running a .tflite file")
        return found
    if name == ONNXRUNTIME:
        raise UsageError(f"{name} runs .onnx files, and this is a .tflite file. Choices: {', '.join(TFLITE_RUNTIMES)}.")
    if name not in TFLITE_RUNTIMES:
        raise unknown("runtime of .tflite files", name, TFLITE_RUNTIMES)
    runtime = TFLITE_RUNTIMES[name]
    if not is_installed(runtime.module.partition(".")[0]):
        raise MissingDependencyError(runtime.package, runtime.extra, f"--runtime {name}")
    return name


class TFLiteRunner:
    """Runs a .tflite file with LiteRT, tflite-runtime or tf.lite."""

    def __init__(self, model: bytes, options: RunOptions) -> None:
        """Load `model`; the engine raises what it likes if it refuses the file."""
        self.runtime = _tflite_runtime(options.runtime)
        row = TFLITE_RUNTIMES[self.runtime]
        self.version = importlib.metadata.version(row.package)
        with captured():  # LiteRT announces its delegate on every load
            engine = importlib.import_module(row.module)
            resolver = engine.OpResolverType
            chosen = resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES if options.kernels == BUILTIN else resolver.AUTO
            self._interpreter = engine.Interpreter(
                model_content=model, num_threads=options.threads, experimental_op_resolver_type=chosen
            )
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]
        self.kernels = options.kernels or self._default_kernels()

    def _default_kernels(self) -> str:
        """What computes the convolutions where nobody has chosen: any tensor with scales is a quantised network's."""
        scales = [tensor["quantization_parameters"]["scales"] for tensor in self._interpreter.get_tensor_details()]
        return default_kernels(self.runtime, quantised=any(len(of_tensor) for of_tensor in scales))

    def run(self, pixels: Pixels) -> Scores:
        """Scores [N,classes] of raw RGB `pixels` [N,H,W,3] uint8."""
        _check(pixels, tuple(self._input["shape"])[1:3])
        with _telling(f"{self.runtime} could not run this file"):
            return np.concatenate([self._run_one(picture[None]) for picture in pixels])

    def _run_one(self, pixels: Pixels) -> Scores:
        self._interpreter.set_tensor(self._input["index"], quantise(pixels, self._input))
        self._interpreter.invoke()
        return dequantise(self._interpreter.get_tensor(self._output["index"]), self._output)


def default_kernels(runtime: str, *, quantised: bool) -> str:
    """The kernel family that `runtime` computes the convolutions of a network with.

    tflite-runtime 2.14 gives XNNPACK no convolution with int8 weights, be the pixels and scores float32 or not.
    """
    if runtime == ONNXRUNTIME:
        return ONNXRUNTIME
    return BUILTIN if quantised and runtime == "tflite-runtime" else XNNPACK


def quantise(pixels: Pixels, details: dict[str, Any]) -> NDArray[Any]:
    """Raw `pixels` as the input tensor described by `details` wants them: its dtype, scale and zero point applied."""
    dtype, (scale, zero_point) = details["dtype"], details["quantization"]
    if scale == 0:  # not quantised: the graph itself casts
        return pixels.astype(dtype)
    limits = np.iinfo(dtype)
    stored: NDArray[Any] = np.clip(np.rint(pixels / np.float64(scale)) + zero_point, limits.min, limits.max)
    return stored.astype(dtype)


def dequantise(raw: NDArray[Any], details: dict[str, Any]) -> Scores:
    """The scores that the output tensor `raw`, described by `details`, stands for."""
    scale, zero_point = details["quantization"]
    return raw.astype(np.float32) if scale == 0 else (raw.astype(np.float32) - zero_point) * np.float32(scale)


class OnnxRunner:
    """Runs an .onnx file with ONNX Runtime on the CPU."""

    def __init__(self, model: bytes, options: RunOptions) -> None:
        """Load `model`; the engine raises what it likes if it refuses the file."""
        if not is_installed("onnxruntime"):
            raise MissingDependencyError("onnxruntime", "onnx", "running an .onnx file")
        if options.runtime not in (None, ONNXRUNTIME):
            raise unknown("runtime of .onnx files", str(options.runtime), [ONNXRUNTIME])
        import onnxruntime

        self.runtime, self.version, self.kernels = ONNXRUNTIME, onnxruntime.__version__, ONNXRUNTIME
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads = options.threads, 1
        settings.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0]

    def run(self, pixels: Pixels) -> Scores:
        """Scores [N,classes] of raw RGB `pixels` [N,H,W,3] uint8."""
        batch, *rest = self._input.shape
        nchw = rest[0] == 3  # noqa: PLR2004 - colour channels
        _check(pixels, tuple(rest[1:] if nchw else rest[:2]))
        step = batch if isinstance(batch, int) else DYNAMIC_BATCH
        tensor = pixels.transpose(0, 3, 1, 2) if nchw else pixels
        tensor = np.ascontiguousarray(tensor, dtype=np.uint8 if "uint8" in self._input.type else np.float32)
        batches = [{self._input.name: tensor[i : i + step]} for i in range(0, len(tensor), step)]
        with _telling(f"{self.runtime} could not run this file"):
            scores: Scores = np.concatenate([self._session.run(None, batch)[0] for batch in batches])
            return scores.astype(np.float32)


def _check(pixels: Pixels, size: tuple[int, ...]) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (*size, 3):  # noqa: PLR2004
        raise UsageError(f"Required: pixels [N,{size[0]},{size[1]},3] uint8. Got: {list(pixels.shape)} {pixels.dtype}.")
