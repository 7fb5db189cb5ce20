"""What a report is made of: two artifacts of one network, with a benchmark and an evaluation of theirs."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import color_classifier
import pytest
from synthetic import FakeDevice, measure

import edge_squeeze
from edge_squeeze.benchmarks import result_files
from edge_squeeze.evaluation import document

COUNT = 24
LATENCY_MS = {"float32": 4.0, "int8": 1.0}


@dataclass(frozen=True)
class Home:
    """A folder with artifacts, pictures, and what was measured."""

    folder: Path
    artifacts: list[Path]
    images: Path
    benchmark: Path
    evaluation: Path

    def sha256(self, at: int = 0) -> str:
        """The sha256 of a model file."""
        manifest: dict[str, Any] = json.loads((self.artifacts[at] / "model.json").read_text())
        return str(manifest["file"]["sha256"])


def furnish(folder: Path) -> Home:
    """Make all of it in `folder`."""
    artifacts = color_classifier.export(folder / "model")
    images = color_classifier.label(folder / "images", artifacts[0], COUNT)
    measured = measure(artifacts, FakeDevice(LATENCY_MS, noise=0.001))
    benchmark = folder / "benchmark.json"
    result_files.write(measured, [benchmark], raw=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "EDGE_SQUEEZE_CACHE", str(folder / "cache"))
        evaluated = edge_squeeze.evaluate(artifacts, images=images, workers=1)
    evaluation = folder / "evaluation.json"
    command = "edge-squeeze evaluate colors --images images --json"
    evaluation.write_text("".join(document.lines(evaluated, command=command)))
    return Home(folder, artifacts, images, benchmark, evaluation)
