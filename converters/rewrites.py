"""Exact graph rewrites: each takes a Keras model and gives another one that computes the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_squeeze.errors import ConversionError
from edge_squeeze.preprocessing import Normalisation

FOLD_NORMALISATION = "fold_normalisation"


def fold_normalisation(model: Any, normalisation: Normalisation) -> Any:
    """A copy of `model` that takes raw RGB pixels 0..255 [N,H,W,3] float32: order, mean, scale in its first kernel.

    Exact only where the first layer is a convolution that pads with nothing: a padded zero would no longer be the
    mean colour. ConversionError otherwise.
    """
    import keras

    first = model.layers[1]
    if not isinstance(first, keras.layers.Conv2D) or first.padding != "valid" or not first.use_bias:
        raise ConversionError(
            f"Preprocessing can be folded into a first Conv2D with bias that pads with nothing; {model.name} starts "
            f"with {type(first).__name__} {first.name!r}."
        )
    baked = keras.models.clone_model(model)
    baked.set_weights(model.get_weights())
    kernel, bias = (weight.astype(np.float64) for weight in first.get_weights())
    kernel *= np.array(normalisation.scale)[:, None]
    bias -= np.einsum("hwio,i->o", kernel, np.array(normalisation.mean))
    if normalisation.order == "bgr":
        kernel = kernel[:, :, ::-1]
    baked.get_layer(first.name).set_weights([kernel.astype(np.float32), bias.astype(np.float32)])
    return baked
