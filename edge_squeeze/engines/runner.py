"""Engines that run an artifact, behind one method: pixels in, scores out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_squeeze.engines.catalogue import RUNTIMES, choose
from edge_squeeze.engines.engine import Array, Engine, EngineOptions, Tensor, engine_errors
from edge_squeeze.errors import UsageError
from edge_squeeze.process.supervision import memory_limited
from edge_squeeze.scores import Scores

if TYPE_CHECKING:  # a launch of a benchmark converts pixels, too, and must not load Pillow before it measures memory
    from edge_squeeze.pictures.preprocessing import Pixels

THREADS = range(1, 257)  # engines crash or hang on absurd numbers
CHANNELS = 3
DYNAMIC_BATCH = 8  # pictures a time where the file leaves the batch open


@dataclass(frozen=True)
class RunOptions:
    """How to run an artifact; `runtime` None is the first one installed, `kernels` None the runtime's default."""

    threads: int = 1
    runtime: str | None = None
    kernels: str | None = None


class Runner:
    """An artifact, loaded. `kernels` names the family of kernels that computes: results agree within a family."""

    def __init__(self, runtime: str, engine: Engine) -> None:
        self.runtime, self.version, self.kernels = runtime, engine.version, engine.kernels
        self._engine, self._input, self._output = engine, engine.inputs[0], engine.outputs[0]
        batch, *self._sides = self._input.shape
        self._step = batch or DYNAMIC_BATCH
        self._channels_first = has_channels_first(self._input.shape)

    def run(self, pixels: Pixels) -> Scores:
        """Scores [N,classes] of raw RGB `pixels` [N,H,W,3] uint8, quantization undone.

        A file whose height and width are open takes another size at each call.
        """
        _check(pixels, tuple(self._sides[1:] if self._channels_first else self._sides[:2]))
        with engine_errors(f"{self.runtime} could not run this file"):
            steps = range(0, len(pixels), self._step)
            return np.concatenate([self._run(pixels[i : i + self._step]) for i in steps])

    def _run(self, pixels: Array) -> Scores:
        return to_scores(self._engine.run([to_input(pixels, self._input)])[0], self._output)


def has_channels_first(shape: Sequence[int | None]) -> bool:
    """Whether an input of `shape` [N,...] has its channels before height and width."""
    return shape[1] == CHANNELS and shape[-1] != CHANNELS


def to_input(pixels: Array, tensor: Tensor) -> Array:
    """Raw RGB `pixels` [N,H,W,3] uint8 as the input `tensor` takes them: its layout, dtype, scale and zero point."""
    ordered = pixels.transpose(0, 3, 1, 2) if has_channels_first(tensor.shape) else pixels
    if tensor.scale == 0:  # not quantized: the graph itself casts
        return np.ascontiguousarray(ordered.astype(tensor.dtype))
    limits = np.iinfo(tensor.dtype)
    steps = np.rint(ordered / np.float64(tensor.scale)) + tensor.zero_point
    return np.ascontiguousarray(np.clip(steps, limits.min, limits.max).astype(tensor.dtype))


def to_scores(raw: Array, tensor: Tensor) -> Scores:
    """The numbers that `raw`, the content of the output `tensor`, stands for: its scale and zero point undone."""
    if tensor.scale == 0:
        return raw.astype(np.float32)
    return (raw.astype(np.float32) - tensor.zero_point) * np.float32(tensor.scale)


def open_runner(model: bytes, format_name: str, options: RunOptions = RunOptions()) -> Runner:
    """The Runner for the bytes of a .tflite or .onnx file; ConversionError if the engine refuses them."""
    check_threads(options.threads)
    name = choose(format_name, options.runtime)
    with engine_errors(f"The engine refuses this {format_name} file"), memory_limited(len(model)):
        return Runner(name, RUNTIMES[name].open(model, EngineOptions(options.threads, options.kernels)))


def check_threads(threads: int) -> None:
    """Raise UsageError for a number of threads out of range."""
    if threads not in THREADS:
        raise UsageError(f"threads must be {THREADS.start} to {THREADS.stop - 1}, got {threads}.")


def _check(pixels: Pixels, size: tuple[int | None, ...]) -> None:
    fits = pixels.dtype == np.uint8 and pixels.ndim == 4 and pixels.shape[3] == CHANNELS  # noqa: PLR2004
    sides = zip(size, pixels.shape[1:], strict=False)
    if not fits or any(required not in (None, actual) or not actual for required, actual in sides):
        height, width = ("any" if side is None else side for side in size)
        raise UsageError(f"Required: pixels [N,{height},{width},3] uint8. Got: {list(pixels.shape)} {pixels.dtype}.")
