from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operator_models import crops, layers, middle, network, scores

import edge_squeeze
from edge_squeeze.converters.export import OLDEST_RUNTIME
from edge_squeeze.converters.formats import to_onnx, to_tflite
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.engines.runner import open_runner
from edge_squeeze.errors import ConversionError
from edge_squeeze.inspection.inspector import inspect
from edge_squeeze.reporting import Silent

FULLY_CONNECTED = 9  # its code in the schema


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def dense(x: Any) -> Any:
    """A dense layer of more numbers than the quantizer leaves in float."""
    return layers().Dense(256, activation="relu", name="middle")(x)


def test_a_dense_layer_of_a_dynamic_file_has_a_kernel_in_the_oldest_runtime() -> None:
    import tflite

    model = network(dense)
    data = to_tflite.dynamic(model, FileOptions(), Measured("logits"))
    file = inspect(data, "tflite")
    version = tuple(int(part) for part in file.metadata["min_runtime_version"].split("."))[:2]
    assert version <= OLDEST_RUNTIME
    assert ("FULLY_CONNECTED", "int8", "hybrid") in {(k.operator, k.dtype, k.arithmetic) for k in file.kernels}
    codes = [tflite.Model.GetRootAs(data, 0).OperatorCodes(i) for i in range(2)]
    assert all(code.Version() < 12 for code in codes if code.BuiltinCode() == FULLY_CONNECTED)
    pixels = crops(4, seed=1)
    expected = scores(model, pixels)
    assert np.abs(open_runner(data, "tflite").run(pixels) - expected).max() < 0.03 * np.ptp(expected)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [("sigmoid", (["logits"], True)), ("softmax", (["flatten", "logits"], False)), ("tanh", ([], False))],
)
def test_logits_are_what_a_softmax_or_sigmoid_reads(activation: str, expected: tuple[list[str], bool]) -> None:
    import keras

    convolution = layers().Conv2D(2, 4, name="logits")
    ends = [layers().Flatten(name="flatten"), layers().Activation(activation, name="end")]
    assert to_tflite.FloatFile(keras.Sequential([keras.Input((4, 4, 3)), convolution, *ends])).logits() == expected
    averaged = [layers().GlobalAveragePooling2D(), ends[-1]]
    assert to_tflite.FloatFile(keras.Sequential([keras.Input((4, 4, 3)), convolution, *averaged])).logits()[0] == []


def test_an_export_says_which_runtime_does_not_load_a_file(tmp_path: Path) -> None:
    for name in ("mish", "relu6"):  # LOG in int8 is of TensorFlow Lite 2.15
        network(middle("Activation", name)).save(tmp_path / f"{name}.keras")
        reporter = Notes()
        edge_squeeze.export(
            tmp_path / f"{name}.keras", preprocessing="raw", precision="int8", out=tmp_path, reporter=reporter
        )
        said = "warning: tflite-runtime 2.14 does not load this file: it needs TensorFlow Lite 2.15.0 or newer"
        assert (said in reporter.notes) == (name == "mish"), reporter.notes


def recurrent(*, unroll: bool) -> Any:
    import keras

    image = keras.Input((12, 12, 3))
    rows = layers().Reshape((12, 36))(layers().Rescaling(1 / 255)(image))
    return keras.Model(image, layers().Dense(3)(layers().GRU(4, unroll=unroll, name="rows")(rows)))


def test_loops_are_refused_before_they_crash_the_calibrator() -> None:
    with pytest.raises(ConversionError, match=r"loops, which integers need: rows\. Build the model with unroll=True"):
        to_tflite.FloatFile(recurrent(unroll=False))
    (values,) = to_tflite.FloatFile(recurrent(unroll=True)).activations(np.zeros((1, 12, 12, 3), np.uint8))
    assert any(name.startswith("rows") for name in values)


def test_onnx_names_the_same_way_out() -> None:
    with pytest.raises(
        ConversionError, match=r"TensorListReserve: layer rows \(GRU\)\nUse --format tflite, or build.*unroll"
    ):
        to_onnx.float32(recurrent(unroll=False), FileOptions(), Measured("logits"))
