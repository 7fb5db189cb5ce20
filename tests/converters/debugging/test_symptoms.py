"""Ten faults, each planted in a file or its manifest, are named; nothing is named of sound files."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import CommandLine
from planted_faults import Layer, copied, edited, scale, with_file
from shared_exports import Exports
from small_artifacts import change

from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.converters.debugging import debug, symptoms
from edge_squeeze.converters.debugging.debug import DebugOptions
from edge_squeeze.converters.debugging.layers import LayerLoss
from edge_squeeze.converters.export import Exported
from edge_squeeze.converters.formats.to_tflite import FloatFile
from edge_squeeze.converters.options import FileOptions
from edge_squeeze.converters.rewrites.normalization import bake
from edge_squeeze.models.original import Original
from edge_squeeze.reporting import Silent

LAYER_FIGURES = [item.name for item in dataclasses.fields(LayerLoss)]
BLUE_GREEN_RED = np.array([104.0, 117.0, 123.0])  # what Caffe's networks subtract


def named(folder: Path) -> list[str]:
    """The symptoms that are found, the likeliest first."""
    options = DebugOptions(samples=12, detailed=False)
    return [finding.symptom for finding in debug.debug(folder, options, Silent()).findings]


def swap_channels(model: Any) -> None:
    first = Layer(model, "conv1")
    kernel = first.numbers(first.weights, np.float32)
    first.put(first.weights, np.ascontiguousarray(kernel[..., ::-1]))


def forget_mean(model: Any) -> None:
    first = Layer(model, "conv1")
    kernel, bias = (first.numbers(tensor, np.float32) for tensor in (first.weights, first.bias))
    first.put(first.bias, (bias + (kernel @ BLUE_GREEN_RED[::-1]).sum(axis=(1, 2))).astype(np.float32))


def expect_shares(model: Any) -> None:
    """Let the file expect pixels from 0 to 1."""
    first = Layer(model, "conv1")
    first.put(first.weights, first.numbers(first.weights, np.float32) * np.float32(255))


def clip_scores(model: Any) -> None:
    scale(Layer(model, "conv10").output, 0.25)


def silence_channels(model: Any) -> None:
    squeeze = Layer(model, "fire6_squeeze1x1")
    kernel, bias = squeeze.numbers(squeeze.weights, np.int8), squeeze.numbers(squeeze.bias, np.int32)
    kernel[::3], bias[::3] = 0, -1
    squeeze.put(squeeze.weights, kernel)
    squeeze.put(squeeze.bias, bias)


def unbalance(model: Any) -> None:
    """Make one of the inputs of a concatenation 32 times as large, and the weights that read it as much smaller."""
    factor = 32
    large, small, reader = (Layer(model, name) for name in ("fire2_expand3x3", "fire2_expand1x1", "fire3_squeeze1x1"))
    joined = next(tensor for tensor in model.subgraphs[0].tensors if tensor.name == b"fire2_concat")
    for tensor in (large.weights, large.bias, large.output, small.output, joined, reader.bias):
        scale(tensor, factor)
    kernel, bias = reader.numbers(reader.weights, np.int8), reader.numbers(reader.bias, np.int32)
    kernel[..., 64:] = np.rint(kernel[..., 64:] / factor)
    reader.put(reader.weights, kernel)
    reader.put(reader.bias, np.rint(bias / factor).astype(np.int32))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "edit", "symptom"),
    [
        ("tflite-float32", swap_channels, symptoms.ORDER),
        ("tflite-float32", forget_mean, symptoms.MEAN),
        ("tflite-float32", expect_shares, symptoms.RANGE),
        ("tflite-int8", clip_scores, symptoms.LOGIT),
        ("tflite-int8", silence_channels, symptoms.DYING),
        ("tflite-int8", unbalance, symptoms.CONCAT),
    ],
)
def test_a_fault_in_the_file_is_named(
    exported_11: Exports, tmp_path: Path, target: str, edit: Callable[[Any], None], symptom: str
) -> None:
    assert named(edited(exported_11[target].folder, tmp_path / "planted", edit))[:1] == [symptom]


@pytest.mark.slow
def test_ranges_of_noise_are_named(exported_11: Exports, original_11: Original, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, *original_11.preprocessing.size, 3)).astype(np.uint8)
    file = FloatFile(bake(original_11.model, original_11.preprocessing.baked)[0])
    ranges: dict[str, tuple[float, float]] = {}
    for layers in file.activations(noise):
        for name, values in layers.items():
            low, high = ranges.get(name, (0.0, 0.0))
            ranges[name] = min(low, float(values.min())), max(high, float(values.max()))
    data = file.quantize(ranges, FileOptions(), "probabilities")
    folder = with_file(exported_11["tflite-int8"].folder, tmp_path / "planted", data)
    (folder / "calibration.json").unlink()
    change(folder, options__quantizer="stock")
    assert named(folder)[:1] == [symptoms.NOISE]


@pytest.mark.slow
def test_another_filter_in_the_manifest_is_named(
    exported_11: Exports, tmp_path: Path, command_line: CommandLine
) -> None:
    folder = copied(exported_11["tflite-int8"].folder, tmp_path / "planted")
    change(folder, preprocessing__filter="nearest")
    (finding,) = debug.debug(folder, DebugOptions(samples=4, detailed=False), Silent()).findings
    assert finding.symptom == symptoms.FILTER
    assert "bilinear gives the golden pixels, nearest does not" in finding.evidence
    verified = command_line("verify", folder)
    assert verified.returncode == 3
    assert "Likely cause: pictures are resized with another filter" in " ".join(verified.stdout.split())


@pytest.mark.slow
def test_kernels_that_differ_are_named(exported_11: Exports, tmp_path: Path) -> None:
    folder = copied(exported_11["tflite-int8"].folder, tmp_path / "planted")
    golden = artifacts.load(folder).manifest.golden.scores["xnnpack"].file
    scores = np.frombuffer((folder / golden).read_bytes(), "<f4") + np.float32(0.05)
    (folder / golden).write_bytes(scores.astype("<f4").tobytes())
    assert named(folder) == [symptoms.OTHER_KERNELS]


def test_depthwise_weights_that_broke_down_are_named(modules_exports: dict[str, Exported], tmp_path: Path) -> None:
    def shuffle(model: Any) -> None:
        wide = Layer(model, "limit")
        kernel = wide.numbers(wide.weights, np.int8)
        wide.put(wide.weights, np.ascontiguousarray(kernel[:, ::-1]))

    folder = modules_exports["tflite"].folder
    assert named(folder) == []
    assert named(edited(folder, tmp_path / "planted", shuffle)) == [symptoms.DEPTHWISE_WEIGHTS]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["tflite-int8", "onnx-int8", "tflite-float16", "onnx-float32"])
def test_nothing_is_named_of_sound_files(exported_11: Exports, target: str) -> None:
    assert named(exported_11[target].folder) == []


@pytest.mark.parametrize(
    ("kinds", "filled", "named"),
    [
        (["Conv2D", "ReLU", "Dense"], 2.0, [symptoms.NOISE]),
        (["Conv2D", "ReLU", "Dense"], 1.45, []),  # as sound networks do that were calibrated on few pictures
        (["Conv2D", "ReLU", "MaxPooling2D"], 2.0, [symptoms.LOGIT]),  # poolings have the ranges of what they read
        (["Conv2D", "Conv2D"], 2.0, [symptoms.LOGIT]),
        (["Conv2D", "Conv2D"], 1.45, []),
    ],
)
def test_a_range_is_too_small_if_values_go_far_beyond_it(kinds: list[str], filled: float, named: list[str]) -> None:
    unknown = dict.fromkeys(LAYER_FIGURES)
    counts = {"channels": 8, "dead": 0, "dying": 0, "clipped": 0.01, "filled": filled}
    layers = [LayerLoss(**{**unknown, "layer": f"layer{at}", "kind": kind, **counts}) for at, kind in enumerate(kinds)]
    case: Any = types.SimpleNamespace(layers=layers)
    findings = [*symptoms._calibration(case), *symptoms._scores(case)]
    assert [finding.symptom for finding in findings] == named


def test_the_table_has_ten_rows_and_every_one_a_remedy() -> None:
    assert len(symptoms.TABLE) == 10
    for name in symptoms.TABLE:
        text = str(symptoms.Finding(name, "seen"))
        assert "(seen)" in text
        assert text.endswith(".")
        assert "--" in text
