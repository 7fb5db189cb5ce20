"""How long each operator of an .onnx file takes, as ONNX Runtime's profiler has it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze.engines.engine import EngineOptions
from edge_squeeze.engines.onnx_engine import OnnxEngine
from edge_squeeze.inspection.operator_times import OperatorTime, layers_of

RUNS = 30
NODE, KERNEL = "Node", "_kernel_time"  # what the profile calls the run of an operator


def times(model: bytes, _runtime: str, threads: int) -> list[OperatorTime]:
    """The operators as ONNX Runtime runs them: some are fused, some of its own."""
    with tempfile.TemporaryDirectory() as folder:
        engine = OnnxEngine(model, EngineOptions(threads), profile=str(Path(folder) / "profile"))
        rng = np.random.default_rng(0)
        arrays = []
        for tensor in engine.inputs:
            shape = tuple(side or 1 for side in tensor.shape)
            arrays.append(rng.integers(0, 127, shape).astype(tensor.dtype))
        for _ in range(RUNS):
            engine.run(arrays)
        events: list[dict[str, Any]] = json.loads(Path(engine.end_profile()).read_text())
    samples: dict[tuple[str, str], list[float]] = {}
    for event in events:
        if event.get("cat") == NODE and event["name"].endswith(KERNEL):
            key = event["name"].removesuffix(KERNEL), event["args"]["op_name"]
            samples.setdefault(key, []).append(float(event["dur"]))
    rows = zip(samples.items(), layers_of([name for name, _ in samples]), strict=True)
    return [OperatorTime(name, kind, layer, float(np.median(us))) for ((name, kind), us), layer in rows]
