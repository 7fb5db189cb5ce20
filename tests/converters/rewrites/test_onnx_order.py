from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edge_squeeze.converters.formats import to_onnx
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.converters.rewrites import onnx_order
from edge_squeeze.engines.runner import open_runner

TIMES = 3


def model() -> Any:
    """A network whose constants and branches tf2onnx orders another way each time."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3), name="image")
    features = layers.Conv2D(8, 3, activation="celu", name="conv__7")(image)
    features = layers.Conv2D(8, 3, activation="relu")(features)
    return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(features)))


def files(convert: Callable[..., bytes]) -> list[bytes]:
    network = model()
    return [convert(network, FileOptions(), Measured("logits")) for _ in range(TIMES)]


@pytest.mark.parametrize("convert", [to_onnx.float32, to_onnx.float16])
def test_every_export_of_a_process_gives_the_same_bytes(convert: Callable[..., bytes]) -> None:
    assert len(set(files(convert))) == 1


def test_without_an_order_they_would_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_order, "canonicalize", lambda graph: None)
    assert len(set(files(to_onnx.float32))) > 1


def test_what_the_file_computes_stays() -> None:
    network = model()
    pictures = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    data = to_onnx.float32(network, FileOptions(), Measured("logits"))
    scores = open_runner(data, "onnx").run(pictures)
    assert np.abs(scores - np.asarray(network(pictures.astype(np.float32)))).max() <= 1e-3
    assert b"conv__7" in data
