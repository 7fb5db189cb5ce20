from __future__ import annotations

from typing import Any

import numpy as np

from edge_squeeze.converters.formats import to_onnx
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.engines.runner import open_runner

DEFAULT = FileOptions()
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 14, 14, 3), dtype=np.uint8)


def difference(model: Any, options: FileOptions = DEFAULT, convert: Any = to_onnx.float32) -> float:
    wanted = np.asarray(model(PIXELS.astype(np.float32)))
    got = open_runner(convert(model, options, Measured()), "onnx").run(PIXELS)
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


def padded_pool() -> Any:
    """Zeros around values that are all negative, then the largest of each window: zeros win at the border."""
    import keras
    from keras import layers

    inputs = keras.Input((14, 14, 3))
    scaled = layers.Rescaling(1 / 255)(inputs)
    negative = layers.Conv2D(4, 3, bias_initializer=keras.initializers.Constant(-3))(scaled)
    pooled = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(negative))
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(pooled))


def test_zeros_before_a_max_pool_stay_zeros() -> None:
    assert difference(padded_pool()) < 1e-6
    assert difference(padded_pool(), FileOptions(layout="nchw", dynamic_batch=True)) < 1e-6
    assert difference(padded_pool(), convert=to_onnx.float16) < 1e-2


def test_the_engine_would_get_them_wrong(monkeypatch: Any) -> None:
    """If this fails, ONNX Runtime has mended its fusion, and `_keep_zero_pads` can go."""
    monkeypatch.setattr(to_onnx, "_keep_zero_pads", lambda _: None)
    assert difference(padded_pool()) > 0.01


def test_constants_that_a_layer_captured_are_no_inputs() -> None:
    import keras
    from keras import layers

    inputs = keras.Input((14, 14, 3))
    normalized = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0])(inputs)
    assert difference(keras.Model(inputs, layers.GlobalAveragePooling2D()(normalized))) < 1e-6
