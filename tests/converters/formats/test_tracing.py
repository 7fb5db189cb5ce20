from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tflite
from operator_models import Middle, crops, layer_ranges, middle, network, scores

from edge_squeeze.converters.formats import to_onnx, to_tflite
from edge_squeeze.converters.formats.tracing import Scopes, layer_of, scope_names
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.engines.runner import open_runner
from edge_squeeze.pictures.loading import photograph_crops

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


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("sequential_1/conv2d_1/Relu;sequential_1/conv2d_1/convolution", "conv2d"),  # traced again: each part has _1
        ("sequential_1/conv2d_1_2/Relu", "conv2d_1"),
        ("sequential/conv2d_1/Relu", "conv2d_1"),
        ("sequential/conv2d/Relu", "conv2d"),
        ("conv2d_1/Relu", "conv2d_1"),  # as a file names its tensors
        ("another/block/Add", "block"),
    ],
)
def test_a_number_is_taken_for_a_part_of_the_name_unless_the_model_was_traced_again(name: str, layer: str) -> None:
    known = Scopes({each: each for each in ("conv2d", "conv2d_1")})
    known.whole = "sequential"
    assert layer_of(name, known)[0] == layer


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_layers_that_keras_numbers_have_ranges_of_their_own(kind: str) -> None:
    """TensorFlow calls conv2d conv2d_1 where it traces the model again."""
    import keras

    outputs = []
    for names in (("conv2d", "conv2d_1"), ("first", "second")):
        convolutions = [keras.layers.Conv2D(8, 3, strides=2, activation="relu", name=name) for name in names]
        head = [keras.layers.GlobalAveragePooling2D(name="mean"), keras.layers.Dense(3, name="scores")]
        model = keras.Sequential([keras.Input((48, 48, 3)), *convolutions, *head])
        rng = np.random.default_rng(0)
        model.set_weights([rng.normal(0, 0.2, weight.shape) for weight in model.weights])
        pixels = photograph_crops(2, (48, 48), seed=1).pixels
        ranges = layer_ranges(model, pixels)
        assert {*names} <= {*ranges}
        data = {"tflite": to_tflite, "onnx": to_onnx}[kind].int8(model, FileOptions(), Measured("logits", ranges))
        outputs.append(open_runner(data, kind).run(pixels))
    assert np.array_equal(*outputs)
