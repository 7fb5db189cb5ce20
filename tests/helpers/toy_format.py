"""A format of its own, gzipped .tflite files: one row, one converter file (this one), and an engine to run it.

As a program it is the command line of edge-squeeze with that format in its tables.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

from edge_squeeze.converters.formats import to_tflite
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.converters.targets import Target
from edge_squeeze.engines import catalogue
from edge_squeeze.engines.catalogue import EngineRow
from edge_squeeze.engines.engine import Engine, EngineOptions, Model
from edge_squeeze.formats import FORMATS, Format
from edge_squeeze.inspection import tflite_file
from edge_squeeze.inspection.graph import FileGraph

MAGIC = gzip.compress(b"")[:2]
ROW = Format(
    suffix=".toy",
    magic=(0, MAGIC),
    description="a .toy file, which is gzipped",
    reader=__name__,
    converter=__name__,
    engines=("toy",),
    kernels=("xnnpack",),
    extras={"litert": "ai-edge-litert"},
    arithmetic={"float32": "float32"},
    layouts=("nhwc",),
)


def float32(model: Any, options: FileOptions, measured: Measured) -> bytes:
    """The converter: a .tflite file, gzipped."""
    return gzip.compress(to_tflite.float32(model, options, measured), mtime=0)


TARGETS = (Target("toy", "float32", float32, "float32"),)


def recognizes(data: bytes, name: str) -> bool:
    return ROW.fits(data, name)


def read(data: bytes) -> FileGraph:
    return tflite_file.read(gzip.decompress(data))


def run(model: Model, options: EngineOptions) -> Engine:
    data = model if isinstance(model, bytes) else Path(model).read_bytes()
    return catalogue.RUNTIMES["litert"].open(gzip.decompress(data), options)


ENGINE = EngineRow("ai_edge_litert.interpreter", "ai-edge-litert", "litert", run)

if __name__ == "__main__":
    FORMATS["toy"] = ROW
    catalogue.RUNTIMES["toy"] = ENGINE
    from edge_squeeze.cli.app import main

    sys.exit(main())
