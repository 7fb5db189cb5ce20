"""Measures on this machine what each optional rewrite saves, and writes converters/rewrites/measured.json.

    python tests/helpers/measure_rewrites.py [WEIGHTS]

WEIGHTS are those of SqueezeNet 1.0, with which that is measured, too. Files with one rewrite and without any run in
turn, in an order that changes, on one core; takes six minutes.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import onnx
from interleaving import latencies, ratio

import edge_squeeze
from edge_squeeze import packages
from edge_squeeze.converters import targets
from edge_squeeze.converters.formats import tflite_edits
from edge_squeeze.converters.options import STOCK
from edge_squeeze.converters.rewrites import catalogue
from edge_squeeze.converters.rewrites.catalogue import EVERY, MEASURED, NONE, REWRITES, Measurements, Saving
from edge_squeeze.engines.catalogue import RUNTIMES
from edge_squeeze.engines.engine import EngineOptions
from edge_squeeze.formats import FORMATS
from edge_squeeze.machine import device

ROUNDS = 120
# How the rewrites of a kind of files take them, and the reverse.
PACKING: dict[str, tuple[Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    "tflite": (tflite_edits.unpack, tflite_edits.pack),
    "onnx": (onnx.load_model_from_string, lambda proto: proto.SerializeToString()),
}


def calls(files: dict[str, bytes], kind: str) -> dict[str, Callable[[], None]]:
    """What runs each of `files` on the same pixels."""
    options, runtime = EngineOptions(threads=1), RUNTIMES[FORMATS[kind].engines[0]]
    engines = {name: runtime.open(data, options) for name, data in files.items()}
    rng = np.random.default_rng(0)
    for engine in engines.values():
        (end,) = engine.inputs
        engine.bind([rng.integers(0, 256, [side or 1 for side in end.shape]).astype(end.dtype)])
    return {name: engine.invoke for name, engine in engines.items()}


def savings(network: str, kind: str, precision: str, options: dict[str, Any]) -> list[Saving]:
    """What the rewrites save in a file of that kind and precision, each by itself and all that it can have together."""
    # Which weights the file has makes no difference, and tuning them takes minutes.
    chosen = {"quantizer": STOCK} if targets.find(kind, precision).quantizer else {}
    with tempfile.TemporaryDirectory() as folder:
        targeted = {"format": kind, "precision": precision, "rewrites": NONE, "out": folder}
        (plain,) = edge_squeeze.export(network, **targeted, **options, **chosen)
        files = {NONE: (plain.folder / plain.manifest.file.name).read_bytes()}
    (unpack, pack), fitting = PACKING[kind], [rewrite for rewrite in REWRITES if rewrite.kind == kind]
    for name, rewrites in {**{rewrite.name: [rewrite] for rewrite in fitting}, EVERY: fitting}.items():
        rewritten, done = catalogue.apply(unpack(files[NONE]), rewrites)
        if len(done) > (name == EVERY):
            files[name] = pack(rewritten)
    if len(files) == 1:
        return []
    measured = latencies(calls(files, kind), ROUNDS)
    target = f"{kind} {precision}"
    return [
        Saving(target=target, rewrite=name, network=network, ratio=value, interval=interval)
        for name in files
        if name != NONE
        for value, interval in [ratio(measured[name], measured[NONE])]
    ]


def main(weights: str | None) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    networks: dict[str, dict[str, Any]] = {
        "squeezenet1.1": {},
        "squeezenet-mlt": {"weights": "random"},  # has a last convolution without an activation
    }
    if weights is not None:
        networks["squeezenet1.0"] = {"weights": weights}
    rows = []
    for network, options in networks.items():
        for kind in PACKING:
            for precision in FORMATS[kind].arithmetic:
                rows += savings(network, kind, precision, options)
    processor = device.describe_processor()
    content = Measurements(
        device=f"{processor.name} ({processor.arch}), 1 thread",
        date=dt.datetime.now(tz=dt.UTC).date().isoformat(),
        versions=packages.versions(["ai-edge-litert", "onnxruntime", "tensorflow"]),
        savings=rows,
    )
    MEASURED.write_text(json.dumps(asdict(content), indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
