"""The kinds of model files. A row here and a converter are all that a kind needs: nothing else names one.

Readers and converters are given as names of modules, and loaded where they are needed: this module is the ground that
all others stand on.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HEAD = 8  # bytes of a file by which its kind is recognized


@dataclass(frozen=True)
class Format:
    """What the package knows of one kind of file."""

    suffix: str
    magic: tuple[int, bytes] | None  # where in the head of a file what must stand; None: only its name tells the kind
    description: str  # completes "Required: ..."
    reader: str  # module with `recognizes(data) -> bool` and `read(data) -> FileGraph`
    converter: str  # module with TARGETS, the precisions it can be written in
    engines: tuple[str, ...]  # names of engines that run it (engines/catalogue.py)
    kernels: tuple[str, ...]  # kernel families of those engines; each has golden scores of its own
    extras: Mapping[str, str]  # extra of this package -> package with an engine, the recommended one first
    arithmetic: Mapping[str, str]  # precision -> what is computed, by which gates are chosen (proof/gates.py)
    layouts: tuple[str, ...]  # layouts of pictures that its files can take, the default first
    options: tuple[str, ...] = field(default=())  # fields of FileOptions that apply to it alone
    integers: str = ""  # module with `read(data, layers) -> Integers by layer`, of its integer files
    profiler: str = ""  # module with `times(data, runtime, threads) -> list[OperatorTime]`
    aligned: bool = False  # whether its weights begin at multiples of their size

    def fits(self, head: bytes, name: str) -> bool:
        """Whether a file called `name` that starts with `head` may be of this kind, as far as that tells."""
        if self.magic is None:
            return name.lower().endswith(self.suffix) and bool(head)
        start, magic = self.magic
        return head[start : start + len(magic)] == magic


FORMATS = {
    "tflite": Format(
        suffix=".tflite",
        magic=(4, b"TFL3"),
        description="a .tflite file, which has TFL3 as its bytes 4 to 8",
        reader="edge_squeeze.inspection.tflite_file",
        converter="edge_squeeze.converters.formats.to_tflite",
        engines=("litert", "tflite-runtime", "tf.lite", "openvino"),
        kernels=("xnnpack", "builtin"),
        extras={"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime"},
        arithmetic={
            "float32": "float32",
            "float16": "float16 weights",
            "dynamic": "dynamic",
            "int8": "int8",
            "int16x8": "int16 with int8 weights",
        },
        layouts=("nhwc",),
        integers="edge_squeeze.converters.formats.tflite_integers",
        profiler="edge_squeeze.inspection.tflite_times",
        aligned=True,
    ),
    "onnx": Format(
        suffix=".onnx",
        magic=None,
        description="an .onnx file with operators in it",
        reader="edge_squeeze.inspection.onnx_file",
        converter="edge_squeeze.converters.formats.to_onnx",
        engines=("onnxruntime", "openvino", "ncnn"),
        kernels=("onnxruntime",),
        extras={"onnx": "onnxruntime"},
        arithmetic={"float32": "float32", "float16": "float16", "int8": "int8"},
        layouts=("nchw", "nhwc"),
        options=("opset", "dynamic_batch"),
        integers="edge_squeeze.converters.formats.onnx_integers",
        profiler="edge_squeeze.inspection.onnx_times",
    ),
}


def of_head(head: bytes, name: str) -> str | None:
    """The kind of a file called `name` that starts with `head`, by that alone; None if it is none of them."""
    return next((kind for kind, row in FORMATS.items() if row.fits(head, name)), None)


def of_name(name: str) -> str:
    """The kind that a file called `name` claims to be; the first where its name tells nothing."""
    return next((kind for kind, row in FORMATS.items() if name.lower().endswith(row.suffix)), next(iter(FORMATS)))


def precisions() -> tuple[str, ...]:
    """Every precision that a format has, the first format's first."""
    return tuple(dict.fromkeys(precision for row in FORMATS.values() for precision in row.arithmetic))


def layouts() -> tuple[str, ...]:
    """Every layout that a format has, the first format's first."""
    return tuple(dict.fromkeys(layout for row in FORMATS.values() for layout in row.layouts))


def suffixes() -> str:
    """The endings of all kinds, as a sentence has them: ".tflite or .onnx"."""
    return " or ".join(row.suffix for row in FORMATS.values())


def a_file(kind: str) -> str:
    """A file of that kind with its article: "an .onnx file"."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {FORMATS[kind].suffix} file"


def module(name: str) -> Any:
    """The reader or converter of that name, loaded."""
    return importlib.import_module(name)
