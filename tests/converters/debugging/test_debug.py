"""What `debug` finds in real files: legs, layers, ranges; and what was planted there."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from commands import CommandLine
from planted_faults import Layer, edited, scale
from small_artifacts import change

from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.converters.debugging import debug, symptoms
from edge_squeeze.converters.debugging.debug import Debugged, DebugOptions
from edge_squeeze.converters.debugging.layers import LayerLoss
from edge_squeeze.converters.export import Exported
from edge_squeeze.converters.formats import tflite_edits
from edge_squeeze.converters.rewrites import tflite_tree
from edge_squeeze.reporting import Silent

WEIGHTED = {"first", "squeeze", "left", "right", "wide", "back", "scores"}


@pytest.fixture(scope="module", params=["tflite", "onnx"])
def debugged(request: pytest.FixtureRequest, modules_exports: dict[str, Exported]) -> Debugged:
    return debug.debug(modules_exports[request.param].folder, DebugOptions(samples=10), Silent())


def by_name(result: Debugged) -> dict[str, LayerLoss]:
    return {layer.layer: layer for layer in result.layers}


def test_layers_of_unknown_cost_come_last_by_what_they_give_back(debugged: Debugged) -> None:
    figures = [
        ("dear", 0.9, 0.01),
        ("unknown", 0.8, None),
        ("cheap", 0.1, 0.02),
        ("less", 0.2, None),
        ("none", None, None),
    ]
    layers = [
        dataclasses.replace(debugged.layers[0], layer=name, gain=gain, gain_per_us=per_us)
        for name, gain, per_us in figures
    ]
    ordered = sorted(layers, key=debug._pays, reverse=True)
    assert [layer.layer for layer in ordered] == ["cheap", "dear", "unknown", "less", "none"]


def test_the_loss_is_split_into_legs(debugged: Debugged) -> None:
    conversion, quantization, kernels = debugged.legs
    assert conversion.is_zero
    assert quantization.kl > 10 * abs(kernels.kl)
    assert quantization.kl_interval[0] > 0
    assert debugged.preparation.pixels_equal
    assert debugged.preparation.kl == 0
    assert debugged.preparation.golden.passed


def test_the_simulation_computes_what_the_file_does(debugged: Debugged) -> None:
    assert debugged.simulated is not None
    assert debugged.simulated.kl_after == pytest.approx(debugged.legs[1].kl_after, rel=0.3)


def test_the_scores_are_rounded_before_the_softmax_of_their_layer(deep: Path, tmp_path: Path) -> None:
    """TensorFlow Lite computes the softmax in float, from logits of 8 bits."""
    result = debug.debug(deep, DebugOptions(samples=10, detailed=False), Silent())
    assert result.simulated is not None
    assert result.simulated.kl_after == pytest.approx(result.legs[1].kl_after, rel=0.3)
    scores = by_name(result)["scores"]
    assert scores.filled is not None
    assert 0.5 < scores.filled < 1.1
    assert result.findings == []
    folder = edited(deep, tmp_path / "planted", lambda model: scale(Layer(model, "scores").output, 0.25))
    planted = debug.debug(folder, DebugOptions(samples=10, detailed=False), Silent())
    assert by_name(planted)["scores"].filled == pytest.approx(4 * scores.filled)
    assert planted.findings[0].symptom == symptoms.LOGIT


def test_every_layer_with_weights_has_its_figures(debugged: Debugged) -> None:
    layers = by_name(debugged)
    assert {*layers} >= WEIGHTED
    for name in WEIGHTED:
        layer = layers[name]
        assert layer.kl_weights is not None
        assert layer.kl_weights > 0
        assert layer.weight_moves is not None
        if name == "first" and debugged.artifact.manifest.format == "onnx":
            assert 0.5 < layer.weight_moves < 2  # second-order rounding to 7 bits
        else:
            assert layer.weight_moves == pytest.approx(0.289, abs=0.06)  # of nearest rounding: a step by the root of 12
        assert layer.snr_db is not None
        assert 15 < layer.snr_db < 60
        assert layer.dying == 0
        assert layer.median_weights is not None
        assert 0 < layer.median_weights < 10 * layer.kl_weights
    assert layers["pool"].kl_activations is None  # its numbers are on the grid of what it reads
    assert layers["joined"].imbalance is not None


def test_the_file_of_another_rounding_is_found_out(modules_exports: dict[str, Exported], tmp_path: Path) -> None:
    folder = tmp_path / "planted"
    shutil.copytree(modules_exports["tflite"].folder, folder)
    manifest = artifacts.load(folder).manifest
    path = folder / manifest.file.name
    tree = tflite_edits.unpack(path.read_bytes())
    squeeze = next(tensor for tensor in tree.subgraphs[0].tensors if tensor.name == b"squeeze")
    squeeze.quantization.scale = np.asarray(squeeze.quantization.scale, np.float32) / 4
    maker = tflite_tree.maker(tree.subgraphs[0], tree.subgraphs[0].tensors.index(squeeze))
    assert maker is not None
    data = tflite_edits.pack(tree)
    path.write_bytes(data)
    change(folder, file={"name": path.name, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    (folder / "parity.json").unlink()
    planted = by_name(debug.debug(folder, DebugOptions(samples=6), Silent()))
    assert planted["squeeze"].clipped is not None
    assert planted["squeeze"].clipped > 0.02
    losses = {name: layer.kl_activations or 0 for name, layer in planted.items()}
    assert max(losses, key=lambda name: losses[name]) == "squeeze"


def test_the_plot_shows_the_layers(
    command_line: CommandLine, modules_exports: dict[str, Exported], tmp_path: Path
) -> None:
    page = tmp_path / "loss.html"
    done = command_line("debug", modules_exports["tflite"].folder, "--samples", "2", "--plot", page)
    assert done.returncode == 0, done.stderr
    assert f"{page.name} opens in any browser." in done.stdout.replace("\n", " ")
    assert {*re.findall(r'<th scope="row">(\w+)</th>', page.read_text())} >= WEIGHTED | {"quantization", "kernels"}
    refused = command_line("debug", modules_exports["tflite"].folder, "--plot", tmp_path / "loss.svg")
    assert refused.returncode == 2
    assert "Required: a file that ends in .html" in " ".join(refused.stderr.split())


def test_a_float_file_has_two_legs_and_no_layers(command_line: CommandLine, exported_11: dict[str, Exported]) -> None:
    folder = exported_11["onnx-float32"].folder
    result = debug.debug(folder, DebugOptions(samples=2), Silent())
    assert [leg.name for leg in result.legs] == ["conversion", "kernels"]
    assert all(leg.is_zero for leg in result.legs)
    assert result.without_layers is not None
    before = datetime.now(UTC).replace(microsecond=0)
    done = command_line("debug", folder, "--samples", "2", "--json")
    saved = json.loads(done.stdout)
    assert saved["command"] == f"edge-squeeze debug {folder} --samples 2 --json"
    assert before <= datetime.fromisoformat(saved["created_utc"]) <= datetime.now(UTC)
    refused = command_line("debug", folder, "--samples", "1")
    assert refused.returncode == 2
    assert "--samples must be 2 or more" in refused.stderr
    assert command_line("debug", "missing").returncode == 2
