"""The original: the Keras float32 model with nothing baked in, which every artifact is held against."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_squeeze.artifact.manifest import WeightsRecord
from edge_squeeze.models import keras_settings, weights as weight_store
from edge_squeeze.networks import builder
from edge_squeeze.networks.design import Architecture
from edge_squeeze.packages import is_installed
from edge_squeeze.pictures.preprocessing import Pixels, Preprocessing
from edge_squeeze.process.output import captured
from edge_squeeze.scores import LOGITS, Scores

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
    content = None if arch.row.softmax else LOGITS
    return Original(build_model(arch, weights), preprocessing, weights.record, content)
