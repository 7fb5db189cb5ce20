"""The original: the Keras float32 model with nothing baked in, which every artifact is held against."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edge_squeeze.artifact.manifest import WeightsRecord
from edge_squeeze.errors import UsageError
from edge_squeeze.models import keras_settings, weights as weight_store
from edge_squeeze.networks import builder
from edge_squeeze.networks.design import Architecture
from edge_squeeze.packages import is_installed
from edge_squeeze.pictures.loading import photograph_crops
from edge_squeeze.pictures.preprocessing import Pixels, Preprocessing
from edge_squeeze.process.output import captured
from edge_squeeze.scores import LOGITS, PROBABILITIES, Scores, content

CROPS_PER_PHOTOGRAPH = 2  # to see what scores are
BATCH = 8  # pictures a time: 32 take a quarter less time on two cores, but four times the memory
BATCH_PIXELS = BATCH * 512 * 512  # of larger pictures fewer


@dataclass(frozen=True)
class Original:
    """A Keras model [N,H,W,C] normalized -> [N,classes], with its preprocessing and the record of its weights."""

    model: Any
    preprocessing: Preprocessing
    weights: WeightsRecord
    content: str | None = None  # what its scores are, where that is known beforehand

    def run(self, pixels: Pixels) -> Scores:
        """Scores [N,classes] of raw RGB `pixels` [N,H,W,3] uint8, normalized outside the graph."""
        step = self.model.input_shape[0] or max(1, min(BATCH, BATCH_PIXELS // math.prod(pixels.shape[1:3])))
        batches = (self.preprocessing.normalize(pixels[i : i + step]) for i in range(0, len(pixels), step))
        return np.concatenate([np.asarray(self.model(batch, training=False), np.float32) for batch in batches])


def with_softmax(original: Original) -> Original:
    """`original` with a softmax behind its logits; UsageError if photographs show that it gives none."""
    import keras

    pixels = photograph_crops(CROPS_PER_PHOTOGRAPH, original.preprocessing.size, seed=0).pixels
    if (kind := original.content or content(original.run(pixels))) != LOGITS:
        raise UsageError(f"--softmax is for models that give logits. {original.model.name} gives {kind}. Leave it out.")
    model = original.model
    probabilities = keras.layers.Softmax(dtype="float32", name="probabilities_of_logits")(model.outputs[0])
    return replace(original, model=keras.Model(model.inputs, probabilities, name=model.name), content=PROBABILITIES)


def all_layers(model: Any) -> list[Any]:
    """Every layer of the Keras `model`, those of models inside it in the place of these."""
    inner = [all_layers(layer) if hasattr(layer, "layers") else [layer] for layer in model.layers]
    return [layer for layers in inner for layer in layers]


def require_tensorflow() -> None:
    """Raise MissingDependencyError if TensorFlow is not installed."""
    if not is_installed("tensorflow"):
        from edge_squeeze import packages

        raise packages.missing("tensorflow", "export", "building a Keras model")


def load_tensorflow() -> None:
    """Import TensorFlow and Keras without their chatter, with settings of ours.

    MissingDependencyError if they are not installed, UsageError if this program has Keras on another backend.
    """
    require_tensorflow()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with captured():
        keras_settings.load()


def build_model(arch: Architecture, weights: weight_store.Weights) -> Any:
    """The Keras model of `arch` with `weights` in it; UsageError lists the layers that do not match."""
    load_tensorflow()
    with captured():
        model = builder.build(arch)
    weight_store.assign(model, weights)
    return model


def build(arch: Architecture, weights: weight_store.Weights, preprocessing: Preprocessing) -> Original:
    """The original of `arch` with `weights` in it; UsageError lists the layers that do not match."""
    kind = None if arch.row.softmax else LOGITS
    return Original(build_model(arch, weights), preprocessing, weights.record, kind)
