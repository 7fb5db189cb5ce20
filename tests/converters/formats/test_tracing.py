from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tflite
from operator_models import Middle, crops, layer_ranges, middle, network, scores

from edge_squeeze.converters.formats import to_onnx, to_tflite
from edge_squeeze.converters.formats.tracing import scope_names
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.engines.runner import open_runner

NAMES = ["conv 1", "conv:1", "свёртка", "modèle", "_conv", "a b", "a:b"]


def renamed(name: str) -> Middle:
    return middle("Conv2D", 8, 3, name=name)


def tensor_names(data: bytes) -> list[str]:
    graph = tflite.Model.GetRootAs(data, 0).Subgraphs(0)
    outputs = [graph.Operators(i).Outputs(0) for i in range(graph.OperatorsLength())]
    return [graph.Tensors(index).Name().decode() for index in outputs]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_layer_is_converted_and_kept(name: str) -> None:
    model = network(renamed(name))
    pixels = crops(1, seed=1)
    for kind, data in (
        ("tflite", to_tflite.float32(model, FileOptions(), Measured("logits"))),
        ("onnx", to_onnx.float32(model, FileOptions(), Measured("logits"))),
    ):
        assert np.abs(open_runner(data, kind).run(pixels) - scores(model, pixels)).max() < 1e-5
        if kind == "tflite":
            assert name in tensor_names(data)
    assert name in {layer.name for layer in model.layers}


@pytest.mark.parametrize("name", ["my model v1", "modèle"])
def test_any_name_of_a_model_is_converted_and_kept(name: str) -> None:
    model = network(renamed("conv"), name=name)
    ranges = layer_ranges(model, crops(1, seed=1))
    assert "conv" in ranges
    assert "conv" in tensor_names(to_tflite.int8(model, FileOptions(), Measured("logits", ranges)))
    assert model.name == name


def test_names_that_would_be_the_same_stay_apart() -> None:
    def both(x: Any) -> Any:
        return renamed("a:b")(renamed("a b")(renamed("a_b")(x)))

    model = network(both)
    names = tensor_names(to_tflite.float32(model, FileOptions(), Measured("logits")))
    assert names[1:4] == ["a_b", "a b", "a:b"]
    assert [scope for scope, name in scope_names(model).items() if name in names[1:4]] == ["a_b", "a_b-1", "a_b-2"]
