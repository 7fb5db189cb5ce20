"""Measures on this machine what each optional rewrite saves, and writes converters/rewrites/measured.json.

    python tests/helpers/measure_rewrites.py [WEIGHTS]

WEIGHTS are those of SqueezeNet 1.0, with which that is measured, too. Files with one rewrite and without any run in
turn, in an order that changes, on one core; takes ten minutes.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from typing import Any

import numpy as np

import edge_squeeze
from edge_squeeze import packages
from edge_squeeze.converters.rewrites.catalogue import EVERY, MEASURED, NONE, REWRITES, Measurements, Saving
from edge_squeeze.engines.catalogue import RUNTIMES
from edge_squeeze.engines.engine import EngineOptions
from edge_squeeze.formats import FORMATS
from edge_squeeze.machine import device

ROUNDS, RUNS = 120, 5
LOW = 10  # percentile of the rounds: what the file takes where no other program is in its way
RESAMPLES = 1000


def latencies(files: dict[str, bytes], kind: str) -> dict[str, Any]:
    """The shortest of RUNS latencies in ms, in each of ROUNDS in which every file has its turn."""
    options, runtime = EngineOptions(threads=1), RUNTIMES[FORMATS[kind].engines[0]]
    engines = {name: runtime.open(data, options) for name, data in files.items()}
    rng = np.random.default_rng(0)
    for engine in engines.values():
        (end,) = engine.inputs
        engine.bind([rng.integers(0, 256, [side or 1 for side in end.shape]).astype(end.dtype)])
        engine.invoke()
    rounds: dict[str, list[float]] = {name: [] for name in files}
    for _ in range(ROUNDS):
        for name in rng.permutation([*files]):
            times = []
            for _ in range(RUNS):
                start = time.perf_counter()
                engines[name].invoke()
                times.append(1e3 * (time.perf_counter() - start))
            rounds[name].append(min(times))
    return {name: np.array(values) for name, values in rounds.items()}


def ratio(fast: Any, slow: Any) -> tuple[float, tuple[float, float]]:
    """How the latencies compare, and the interval that 95 % of resampled rounds give."""

    def compared(rounds: Any) -> float:
        return float(np.percentile(fast[rounds], LOW) / np.percentile(slow[rounds], LOW))

    rng = np.random.default_rng(1)
    several = [compared(rng.integers(0, len(fast), len(fast))) for _ in range(RESAMPLES)]
    low, high = np.percentile(several, [2.5, 97.5])
    return round(compared(slice(None)), 3), (round(float(low), 3), round(float(high), 3))


def savings(network: str, precision: str, options: dict[str, Any]) -> list[Saving]:
    """What the rewrites save in a .tflite file of that precision, each by itself and all that it can have together."""
    kind, every = REWRITES[0].kind, [rewrite.name for rewrite in REWRITES]
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for rewrites in (NONE, *every, ",".join(every)):
            (done,) = edge_squeeze.export(network, precision=precision, rewrites=rewrites, out=folder, **options)
            applied = [name for name in done.manifest.rewrites if name in every]
            if rewrites == NONE or applied == rewrites.split(",") or (len(applied) > 1):
                name = EVERY if "," in rewrites else rewrites
                files[name] = (done.folder / done.manifest.file.name).read_bytes()
    measured = latencies(files, kind)
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
        for precision in FORMATS[REWRITES[0].kind].arithmetic:
            rows += savings(network, precision, options)
    processor = device.describe_processor()
    content = Measurements(
        device=f"{processor.name} ({processor.arch}), 1 thread",
        date=dt.datetime.now(tz=dt.UTC).date().isoformat(),
        versions=packages.versions(["ai-edge-litert", "tensorflow"]),
        savings=rows,
    )
    MEASURED.write_text(json.dumps(asdict(content), indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
