"""Times of operators: cut graphs compute what the whole does, and operators belong to their layers."""

from __future__ import annotations

import numpy as np
import pytest

from edge_squeeze.engines.catalogue import RUNTIMES
from edge_squeeze.engines.engine import EngineOptions
from edge_squeeze.errors import ConversionError
from edge_squeeze.inspection import tflite_file, tflite_times
from edge_squeeze.inspection.operator_times import by_layer, layers_of, measure


def test_a_graph_cut_after_its_last_operator_computes_the_same(small_exports: dict[str, bytes]) -> None:
    data = small_exports["tflite"]
    graph = tflite_file.read(data)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)

    def outputs(file: bytes) -> list[np.ndarray]:
        return RUNTIMES["litert"].open(file, EngineOptions()).run([pixels])

    (whole,) = outputs(data)
    (same,) = outputs(tflite_times.cut(data, graph, len(graph.operators)))
    assert np.array_equal(whole, same)
    part = outputs(tflite_times.cut(data, graph, 8))
    assert all(each.shape != whole.shape for each in part)
    assert len(tflite_file.read(tflite_times.cut(data, graph, 8)).operators) == 8


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_every_layer_has_its_time(small_exports: dict[str, bytes], kind: str) -> None:
    layers = by_layer(measure(small_exports[kind], kind))
    assert {*layers} >= {"first", "squeeze", "left", "right", "back"}
    assert all(us >= 0 for us in layers.values())
    assert sum(layers.values()) > 0


@pytest.mark.parametrize(
    ("names", "layers"),
    [
        (["net_1/conv_1/Relu;net_1/conv_1/BiasAdd", "net_1/pool_1/MaxPool:0"], ["conv", "pool"]),
        (["net/conv_1/Relu", "net/conv_2/Relu"], ["conv_1", "conv_2"]),
        (["conv_1", "conv_1/rows", "scores"], ["conv_1", "conv_1", "scores"]),
    ],
)
def test_layers_are_found_in_names(names: list[str], layers: list[str]) -> None:
    assert layers_of(names) == layers


def test_a_file_that_no_engine_reads_is_refused() -> None:
    with pytest.raises(ConversionError):
        measure(b"\0\0\0\0TFL3" + bytes(100), "tflite")
