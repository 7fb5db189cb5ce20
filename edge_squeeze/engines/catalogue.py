"""The engines: what each reads, and which one is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from edge_squeeze.engines.engine import ONNXRUNTIME, Engine, EngineOptions, Model
from edge_squeeze.engines.ncnn_engine import NcnnEngine
from edge_squeeze.engines.onnx_engine import OnnxEngine
from edge_squeeze.engines.openvino_engine import OpenVinoEngine
from edge_squeeze.engines.tflite_engine import QUANTIZED_KERNELS, TFLiteEngine
from edge_squeeze.errors import UsageError, unknown
from edge_squeeze.formats import FORMATS, a_file
from edge_squeeze.packages import is_installed

Opener = Callable[[Model, EngineOptions], Engine]


@dataclass(frozen=True)
class EngineRow:
    """An engine: its Python module, the package that provides it, our extra for it (None: install the package).

    Which files it runs is in the table of formats.
    """

    module: str
    package: str
    extra: str | None
    open: Opener

    @property
    def installed(self) -> bool:
        """Whether it can be imported, without importing it."""
        return is_installed(self.module.partition(".")[0])


def _tflite(module: str, package: str, extra: str) -> EngineRow:
    return EngineRow(module, package, extra, partial(TFLiteEngine, module, package))


# In order of preference. Artifacts are proven on these.
RUNTIMES = {
    "litert": _tflite("ai_edge_litert.interpreter", "ai-edge-litert", "litert"),
    "tflite-runtime": _tflite("tflite_runtime.interpreter", "tflite-runtime", "tflite-runtime"),
    "tf.lite": _tflite("tensorflow.lite.python.interpreter", "tensorflow", "export"),
    ONNXRUNTIME: EngineRow("onnxruntime", "onnxruntime", "onnx", OnnxEngine),
}
# For benchmarks only, in addition to the ones above.
OTHERS = {
    "openvino": EngineRow("openvino", "openvino", None, OpenVinoEngine),
    "ncnn": EngineRow("ncnn", "ncnn", None, NcnnEngine),
}


def formats_of(name: str) -> tuple[str, ...]:
    """The formats of files that the engine `name` runs."""
    return tuple(kind for kind, row in FORMATS.items() if name in row.engines)


def choose(format_name: str, name: str | None, rows: Mapping[str, EngineRow] = RUNTIMES) -> str:
    """The engine of `rows` called `name`, or the first that is installed, for files of `format_name`.

    UsageError if it is unknown or does not read them, MissingDependencyError if it is not installed.
    """
    if format_name not in FORMATS:
        raise unknown("format", format_name, FORMATS)
    able = {key: row for key, row in rows.items() if key in FORMATS[format_name].engines}
    if name is None:
        installed = next((key for key, row in able.items() if row.installed), None)
        if installed is None:
            from edge_squeeze import packages  # takes longer to load than choosing does

            raise packages.missing_engine(format_name, f"running {a_file(format_name)}")
        return installed
    if name not in rows:
        raise unknown(f"runtime of .{format_name} files", name, able)
    if name not in able:
        suffixes = " and ".join(FORMATS[kind].suffix for kind in formats_of(name))
        choices = ", ".join(able)
        raise UsageError(f"{name} runs {suffixes} files, and this is {a_file(format_name)}. Choices: {choices}.")
    if not able[name].installed:
        from edge_squeeze import packages

        raise packages.missing(able[name].package, able[name].extra, f"--runtime {name}")
    return name


def default_kernels(name: str, *, quantized: bool) -> str:
    """The kernel family that the runtime `name` computes the convolutions of a network with."""
    usual = FORMATS[formats_of(name)[0]].kernels[0]
    return QUANTIZED_KERNELS.get(RUNTIMES[name].package, usual) if quantized else usual
