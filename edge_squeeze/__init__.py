"""Exports Keras SqueezeNets to phones, ARM boards and browsers, and proves every file against the original.

    import edge_squeeze
    model = edge_squeeze.build("squeezenet1.1")                       # a Keras model with its ImageNet weights
    exported = edge_squeeze.export(format="all", precision="all")     # folders below out/, each with its proof
    edge_squeeze.load("out/squeezenet1.1-tflite-float32").predict("cat.jpg")

Importing this package loads neither TensorFlow nor an engine; each function loads what it needs (`api.py`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edge_squeeze.version import __version__

if TYPE_CHECKING:
    from edge_squeeze.api import (
        benchmark,
        build,
        bundle,
        compare,
        evaluate,
        export,
        finetune,
        load,
        replay,
        report,
        train,
        verify,
    )

__all__ = [
    "__version__",
    "benchmark",
    "build",
    "bundle",
    "compare",
    "evaluate",
    "export",
    "finetune",
    "load",
    "replay",
    "report",
    "train",
    "verify",
]

# Documented modules that moved: their old names still import.
MOVED = {"conventions": "edge_squeeze.pictures.presets", "preprocessing": "edge_squeeze.pictures.preprocessing"}


def __getattr__(name: str) -> Any:
    """A public function, loaded when it is first asked for (PEP 562)."""
    if name in __all__:
        return getattr(importlib.import_module("edge_squeeze.api"), name)
    if name in MOVED:
        return importlib.import_module(MOVED[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
