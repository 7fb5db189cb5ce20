from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from operator_models import Middle, crops, middle, network, scores

from edge_squeeze.converters.formats import to_onnx
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.converters.rewrites import onnx_operators
from edge_squeeze.engines.runner import open_runner
from edge_squeeze.errors import ConversionError

ROUNDING = {"float32": 1e-6, "float16": 2e-3}  # of the largest score: 24 and 11 bits, through ten operators


def log1p(x: Any) -> Any:
    import keras

    return keras.ops.log1p(keras.ops.relu(x))


def finite(x: Any) -> Any:
    import keras

    return keras.ops.where(keras.ops.isinf(x), 0.0, x)


def two_minima(x: Any) -> Any:
    """Two operators that stay in float32 and read the same tensor."""
    import keras

    return keras.ops.minimum(x, 0.25) + keras.ops.maximum(x, 0.5)


MIDDLES: dict[str, Middle] = {
    "gelu": middle("Activation", "gelu"),  # Erfc
    "celu": middle("Activation", "celu"),  # Expm1
    "elu": middle("Activation", "elu"),
    "log1p": log1p,
    "isinf": finite,
    "minima": two_minima,
    "grouped": middle("Conv2D", 8, 3, groups=4, padding="same"),  # a function of its own, compiled
    "grouped-strides": middle("Conv2D", 8, 3, groups=2, strides=2),
    "grouped-dilated": middle("Conv2D", 8, 3, groups=2, dilation_rate=2),
}


def convert(model: Any, precision: str) -> bytes:
    data: bytes = getattr(to_onnx, precision)(model, FileOptions(), Measured("logits"))
    return data


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("name", MIDDLES)
def test_scores_of_photographs_are_those_of_the_keras_model(name: str, precision: str) -> None:
    model = network(MIDDLES[name])
    pixels = crops(4, seed=1)
    expected = scores(model, pixels)
    got = open_runner(convert(model, precision), "onnx").run(pixels)
    scale = np.abs(expected).max()
    assert np.abs(got - expected).max() <= ROUNDING[precision] * scale
    assert np.abs(got[::-1] - expected).max() > 10 * ROUNDING[precision] * scale  # of other pictures


@pytest.mark.parametrize(("name", "operator"), [("gelu", "Erfc"), ("celu", "Expm1")])
def test_without_its_rewrite_an_operator_is_named_with_its_layer(
    monkeypatch: pytest.MonkeyPatch, name: str, operator: str
) -> None:
    monkeypatch.setattr(onnx_operators, "handlers", dict)
    with pytest.raises(ConversionError, match=rf"{operator}: layer middle \(Activation\)\n.*--format tflite"):
        convert(network(MIDDLES[name]), "float32")


def test_a_compiled_function_would_not_be_inlined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_operators, "APART", ())
    with pytest.raises(ConversionError, match=r"StatefulPartitionedCall: layer middle \(Conv2D\)"):
        convert(network(MIDDLES["grouped"]), "float32")
