"""int8 of layers with operators that TFLite has in float alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import CommandLine
from operator_models import Middle, crops, layer_ranges, middle, network, scores

import edge_squeeze
from edge_squeeze.converters.formats import tflite_edits, to_tflite
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.engines.runner import open_runner
from edge_squeeze.errors import ConversionError
from edge_squeeze.inspection.inspector import Inspection, inspect

CLOSE = 0.05  # of the span of the scores: some ten of 256 steps, through a convolution, its neighbors and a dense layer
# An operator of each layer that TFLite has no integer kernel for.
PARTLY_FLOAT: dict[str, tuple[Middle, str]] = {
    "elu": (middle("Activation", "elu"), "ELU"),
    "fused elu": (middle("Conv2D", 8, 3, activation="elu"), "ELU"),
    "log_sigmoid": (middle("Activation", "log_sigmoid"), "NEG"),
    "squareplus": (middle("Activation", "squareplus"), "SQUARE"),
    "LayerNormalization": (middle("LayerNormalization"), "NEG"),
    "GroupNormalization": (middle("GroupNormalization", 4), "SQUARE"),
    "RMSNormalization": (middle("RMSNormalization"), "SQUARE"),
}


def quantized(model: Any, head: str = "float") -> bytes:
    ranges = layer_ranges(model, crops(8, seed=1))
    return to_tflite.int8(model, FileOptions(head=head), Measured("logits", ranges))


def difference(model: Any, data: bytes) -> float:
    """The largest difference from the Keras model, as a part of the span of its scores."""
    pixels = crops(8, seed=5)
    expected = scores(model, pixels)
    return float(np.abs(open_runner(data, "tflite").run(pixels) - expected).max() / np.ptp(expected))


def kernels(file: Inspection) -> set[tuple[str, str]]:
    return {(kernel.dtype, kernel.arithmetic) for kernel in file.kernels}


@pytest.mark.parametrize("name", PARTLY_FLOAT)
def test_the_layer_is_in_float_and_right_and_all_kernels_are_integers(name: str) -> None:
    operation, kind = PARTLY_FLOAT[name]
    model = network(operation)
    file = inspect(data := quantized(model), "tflite")
    assert kind in file.float_fallbacks
    assert file.float_islands == 1  # one way into floats and one back
    assert kernels(file) == {("int8", "int8")}
    assert difference(model, data) < CLOSE


@pytest.mark.parametrize("name", ["GroupNormalization", "RMSNormalization"])
def test_a_normalization_that_is_partly_in_integers_would_be_wrong(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(tflite_edits, "float_layers", lambda *_: [])
    model = network(PARTLY_FLOAT[name][0])
    assert difference(model, quantized(model)) > 4 * CLOSE


def test_a_layer_that_tflite_has_in_integers_stays_in_integers() -> None:
    file = inspect(quantized(network(middle("Activation", "relu6"))), "tflite")
    assert (file.float_fallbacks, file.float_head, file.tensor_types.get("float32")) == (
        {},
        {},
        2,
    )  # pixels on their way to int8, and the logits


@pytest.fixture(scope="module")
def elu_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("elu") / "elu.keras"
    network(PARTLY_FLOAT["elu"][0]).save(path)
    return path


def test_summary_json_and_manifest_count_what_is_in_float(
    command_line: CommandLine, elu_model: Path, tmp_path: Path
) -> None:
    export = ("export", elu_model, "--preprocessing", "raw", "--precision", "int8", "--quantizer", "stock")
    done = command_line(*export)
    assert "tflite-int8 has 1 operator in float (ELU 1)" in " ".join(done.stdout.split()), done.stderr
    (artifact,) = json.loads(command_line(*export, "--json").stdout)["artifacts"]
    assert artifact["float_operators"] == {"ELU": 1}
    manifest = json.loads((tmp_path / "out" / "elu-tflite-int8-stock" / "model.json").read_text())
    assert manifest["graph"]["float_operators"] == {"ELU": 1}
    assert "float fallbacks: ELU 1" in " ".join(command_line("inspect", "out/elu-tflite-int8-stock").stdout.split())


def test_strict_int8_refuses_it(elu_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"stayed in float.*ELU 1.*leave out --strict-int8"):
        edge_squeeze.export(
            elu_model, preprocessing="raw", precision="int8", quantizer="stock", strict_int8=True, out=tmp_path
        )
    assert not list(tmp_path.iterdir())
