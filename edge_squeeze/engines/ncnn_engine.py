"""Runs .onnx files with ncnn, in float32; pnnx converts them to ncnn's own format first."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_squeeze.engines.engine import Array, Arrays, EngineOptions, Model, Tensor
from edge_squeeze.errors import ConversionError, MissingDependencyError

PNNX_TIMEOUT_S = 120
# ncnn computes in half precision where the CPU can, unless told otherwise: not comparable with float32.
HALF_PRECISION = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage")


def convert(model: Path, folder: Path) -> Path:
    """The .param file that pnnx makes, with its .bin beside it, of the .onnx file `model` in the empty `folder`."""
    spec = importlib.util.find_spec("pnnx")
    if spec is None or spec.origin is None:
        raise MissingDependencyError("pnnx", None, "converting .onnx files for ncnn")
    program, copy = Path(spec.origin).with_name("pnnx"), folder / "model.onnx"
    copy.write_bytes(model.read_bytes())  # it writes its files beside its input
    command = [str(program), str(copy), "fp16=0"]
    try:
        done = subprocess.run(command, capture_output=True, cwd=folder, timeout=PNNX_TIMEOUT_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConversionError(f"pnnx could not convert {model.name} for ncnn: {error}") from error
    made = folder / "model.ncnn.param"
    if done.returncode or not made.is_file():
        log = (done.stdout + done.stderr).decode("utf-8", "replace")
        raise ConversionError(f"pnnx could not convert {model.name} for ncnn.", log)
    return made


class NcnnEngine:
    """A network that pnnx converted, with one input and one output that have no batch dimension."""

    kernels = "ncnn"
    operators: int | None = None
    delegated: int | None = None

    def __init__(self, model: Model, options: EngineOptions) -> None:
        """Load the .param file at `model` and the .bin file beside it; its input's shape is in `options.shapes`."""
        import ncnn

        if isinstance(model, bytes):
            raise TypeError
        self.version = ncnn.__version__
        self._net, self._mat = ncnn.Net(), ncnn.Mat
        self._net.opt.num_threads = options.threads
        for name in HALF_PRECISION:
            setattr(self._net.opt, name, False)
        if self._net.load_param(str(model)) or self._net.load_model(str(model.with_suffix(".bin"))):
            raise ConversionError(f"ncnn cannot load {model.name}.")
        self.inputs = [
            Tensor(name, shape, "float32") for name, shape in zip(self._net.input_names(), _all(options), strict=True)
        ]
        self.outputs = [Tensor(name, (), "float32") for name in self._net.output_names()]
        self._bound: list[object] = []

    def run(self, arrays: Arrays) -> list[Array]:
        """The outputs for `arrays`, whose batch of one is taken off and put on again."""
        self.bind(arrays)
        return [np.array(output)[None] for output in self._extract()]

    def bind(self, arrays: Arrays) -> None:
        """Copy `arrays` into ncnn's memory."""
        self._bound = [self._mat(array[0]).clone() for array in arrays]

    def invoke(self) -> None:
        """Compute."""
        self._extract()

    def _extract(self) -> Sequence[object]:
        with self._net.create_extractor() as extractor:
            for tensor, mat in zip(self.inputs, self._bound, strict=True):
                extractor.input(tensor.name, mat)
            return [extractor.extract(tensor.name)[1] for tensor in self.outputs]


def _all(options: EngineOptions) -> tuple[tuple[int, ...], ...]:
    if not options.shapes:
        raise ConversionError("ncnn files do not record the shape of their input, and none was given.")
    return options.shapes
