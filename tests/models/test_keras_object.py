"""A Keras model in memory exports as its file does, and stays as it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import CommandLine
from small_models import SIDE, layers, network

import edge_squeeze
from edge_squeeze.artifact import folder as artifact
from edge_squeeze.errors import UsageError


def custom() -> Any:
    """A model that only its own process can build: a class, a function and a lambda without a file."""
    import keras

    class Twice(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return 2 * x

    def bent(x: Any) -> Any:
        return keras.ops.maximum(x, 0.1 * x)

    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers().Conv2D(4, 3, activation=bent)(Twice()(layers().Rescaling(1 / 255)(inputs)))
    x = layers().Lambda(lambda value: value + 1)(layers().GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers().Dense(3)(x), name="of-my.own")


def test_a_model_in_memory_gives_its_own_scores(tmp_path: Path) -> None:
    model = custom()
    before = [weights.copy() for weights in model.get_weights()]
    (exported,) = edge_squeeze.export(model, out=tmp_path)
    assert exported.folder.name == "of-my.own-tflite-float32"
    pixels = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
    expected = np.asarray(model(pixels.astype(np.float32), training=False))
    np.testing.assert_allclose(edge_squeeze.load(exported.folder).runner.run(pixels), expected, atol=1e-5)
    for kept, weights in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, weights)
    record = artifact.load(exported.folder).manifest.weights
    assert (record.kind, record.path, record.source) == ("keras_model", None, "Keras model of-my.own in memory")


def test_verify_wants_the_file_of_a_model_in_memory(tmp_path: Path) -> None:
    model = network()
    (exported,) = edge_squeeze.export(model, preprocessing="unit", out=tmp_path)
    alone = edge_squeeze.verify(exported.folder)
    assert alone.passed
    assert alone.without_proof == (
        "its original could not be loaded (it was a model in memory; save it with model.save, if you still have it). "
        "Give --original FILE"
    )
    model.save(tmp_path / "saved.keras")
    assert edge_squeeze.verify(exported.folder, original=tmp_path / "saved.keras").proof is not None
    network().save(tmp_path / "another.keras")
    again = edge_squeeze.verify(exported.folder, original=tmp_path / "another.keras").proof
    assert again is not None
    assert again.parity.max_abs > 1e-2


def test_a_model_and_its_file_replace_each_other_but_no_other_model(tmp_path: Path) -> None:
    import keras

    model = keras.models.clone_model(network())
    model.name = "mine"
    model.save(tmp_path / "mine.keras")
    for each in (tmp_path / "mine.keras", model, tmp_path / "mine.keras"):
        edge_squeeze.export(each, preprocessing="unit", out=tmp_path)
    another = network()
    another.name = "mine"
    with pytest.raises(UsageError, match=r"was made from .*mine\.keras, not from mine\. Move it"):
        edge_squeeze.export(another, preprocessing="unit", out=tmp_path)


def unbuilt() -> Any:
    import keras

    return keras.Sequential([layers().GlobalAveragePooling2D(), layers().Dense(3)], name="plain")


def subclassed() -> Any:
    import keras

    class Mine(keras.Model):
        def call(self, x: Any) -> Any:
            return keras.ops.mean(x, axis=(1, 2))

    model = Mine()
    model(np.zeros((1, SIDE, SIDE, 3), np.float32))
    return model


def test_a_model_in_memory_is_asked_like_a_file() -> None:
    with pytest.raises(UsageError, match="Give --preprocessing: caffe"):
        edge_squeeze.export(network())
    with pytest.raises(UsageError, match=r"^The model plain cannot be used: it is a Sequential that was never built"):
        edge_squeeze.export(unbuilt(), preprocessing="raw")
    with pytest.raises(
        UsageError, match=r"is a subclassed model, .* Export it with model\.export\(DIR\), and give DIR"
    ):
        edge_squeeze.export(subclassed(), preprocessing="raw")
    with pytest.raises(UsageError, match=r"a keras\.Model\. Got: builtins\.int"):
        edge_squeeze.export(3)  # type: ignore[arg-type]


def test_a_file_with_code_exports_and_verifies_only_if_it_is_trusted(tmp_path: Path, command_line: CommandLine) -> None:
    import keras

    inputs = keras.Input((SIDE, SIDE, 3))
    pooled = layers().GlobalAveragePooling2D()(layers().Lambda(lambda pixels: pixels / 255)(inputs))
    model = keras.Model(inputs, layers().Dense(3)(pooled))
    model.save(tmp_path / "coded.keras")
    with pytest.raises(UsageError, match="give --trust-file to run"):
        edge_squeeze.export(tmp_path / "coded.keras", preprocessing="raw", out=tmp_path)
    done = command_line("export", tmp_path / "coded.keras", "--preprocessing", "raw", "--trust-file")
    printed = re.search(r"^  \S*edge-squeeze (verify .*) --images DIR --trust-file$", done.stdout, re.MULTILINE)
    assert printed, done.stdout + done.stderr
    verified = command_line(*printed[1].split(), "--trust-file", "--json")
    assert json.loads(verified.stdout)["proof"]["parity"]["max_abs"] < 1e-5
    without = edge_squeeze.verify(tmp_path / printed[1].split()[1]).without_proof or ""
    assert "Lambda layer with Python code in it" in without
    assert "--original" not in without  # which would not help
    with pytest.raises(UsageError, match=r"--trust-file does not apply to squeezenet1\.1"):
        edge_squeeze.export(weights="random", trust_file=True)
