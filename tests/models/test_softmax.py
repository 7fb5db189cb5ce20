"""A softmax behind a network of logits: in every file, in its name and its record, and again in `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import SIDE, layers, network

import edge_squeeze
from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.converters.targets import all_targets
from edge_squeeze.errors import UsageError
from edge_squeeze.scores import LOGITS, comparable


def logits() -> Any:
    """The small network with logits of some size, and an attention whose layer is called softmax."""
    import keras

    inner = network()
    inner.layers[-1].set_weights([weights * 0.1 + 0.3 for weights in inner.layers[-1].get_weights()])
    weighed = layers().Softmax(name="softmax")(inner.outputs[0])
    return keras.Model(inner.inputs, layers().Add()([weighed, inner.outputs[0]]), name="attentive")


def test_files_of_logits_give_probabilities(tmp_path: Path) -> None:
    model = logits()
    model.save(tmp_path / "attentive.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
    expected = comparable(np.asarray(model(pixels.astype(np.float32), training=False)), LOGITS)
    exports = edge_squeeze.export(
        tmp_path / "attentive.keras", format="all", precision="all", preprocessing="raw", softmax=True, out=tmp_path
    )
    assert len(exports) == len(all_targets())
    for exported in exports:
        manifest = artifacts.load(exported.folder).manifest
        assert exported.folder.name.endswith("-softmax")
        assert (manifest.options["softmax"], manifest.output.content) == (True, "probabilities")
        scores = edge_squeeze.load(exported.folder).runner.run(pixels)
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=0.02)
        if manifest.precision == "float32":
            np.testing.assert_allclose(scores, expected, atol=1e-5)
            again = edge_squeeze.verify(exported.folder).proof
            assert again is not None
            assert again.parity.max_abs < 1e-4


def test_a_variant_of_logits_takes_it_too(tmp_path: Path) -> None:
    (exported,) = edge_squeeze.export("squeezenet-lab", weights="random", softmax=True, out=tmp_path)
    assert exported.folder.name == "squeezenet-lab-tflite-float32-random-softmax"
    assert exported.manifest.output.content == "probabilities"
    (plain,) = edge_squeeze.export("squeezenet-lab", weights="random", out=tmp_path)
    assert (plain.manifest.output.content, plain.manifest.options["softmax"]) == ("logits", False)


def test_a_network_of_probabilities_does_not(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--softmax is for models that give logits\. .* gives probabilities"):
        edge_squeeze.export(weights="random", softmax=True, out=tmp_path)
