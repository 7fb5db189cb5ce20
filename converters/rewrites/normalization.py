"""Exact graph rewrites: each takes a Keras model and gives another one that computes the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_squeeze.artifact.manifest import FOLD_NORMALISATION, PREPEND_NORMALISATION
from edge_squeeze.pictures.preprocessing import Normalisation

LAYER = "preprocessing"  # what the layer that prepend_normalisation adds is called


def bake(model: Any, normalisation: Normalisation) -> tuple[Any, list[str]]:
    """A model that takes raw RGB pixels 0..255 [N,H,W,3] float32 and normalises them itself; the rewrites it took.

    The normalisation goes into the first convolution where that is exact, else into a 1x1 convolution before it.
    """
    if normalisation == Normalisation():
        return model, []
    first = _foldable(model, normalisation)
    copy = None if first is None else _copy(model)
    if copy is not None:
        return fold_normalisation(model, first, normalisation, copy), [FOLD_NORMALISATION]
    return prepend_normalisation(model, normalisation), [PREPEND_NORMALISATION]


def _foldable(model: Any, normalisation: Normalisation) -> Any | None:
    """The first layer, if it is a convolution that can take the normalisation in exactly.

    A padded zero stands for a normalised 0, which is a raw 0 only where no mean is taken away.
    """
    import keras

    pixels = model.inputs[0]
    consumers = [layer for layer in model.layers if any(tensor is pixels for call in _calls(layer) for tensor in call)]
    if len(consumers) != 1 or type(consumers[0]) is not keras.layers.Conv2D:
        return None
    first = consumers[0]
    alone = all(tensor is pixels for call in _calls(first) for tensor in call)  # a Sequential calls it more than once
    plain = alone and first.groups == 1 and first.data_format == "channels_last"
    exact = not any(normalisation.mean) or (first.padding == "valid" and first.use_bias)
    return first if plain and exact else None


def _calls(layer: Any) -> list[Any]:
    """Each call of `layer`, as the tensors it was given."""
    return [node.input_tensors for node in layer._inbound_nodes]  # noqa: SLF001 - Keras has no public word for it


def _copy(model: Any) -> Any | None:
    """`model` with new weights and three channels; None where a layer does not tell how it is made."""
    import keras

    pixels = keras.Input((*model.input_shape[1:3], 3), name="image")
    try:
        return keras.models.clone_model(model, input_tensors=pixels)
    except (TypeError, ValueError, NotImplementedError):  # what Keras raises of such a layer
        return None


def fold_normalisation(model: Any, first: Any, normalisation: Normalisation, copy: Any) -> Any:
    """`copy`, given the weights of `model` with the normalisation in the kernel and bias of its convolution `first`."""
    matrix, offset = normalisation.linear()
    kernel = np.asarray(first.kernel, np.float64)
    folded = {id(first.kernel): np.einsum("cn,hwno->hwco", matrix, kernel)}
    if first.use_bias:
        folded[id(first.bias)] = np.asarray(first.bias, np.float64) + np.einsum("hwno,n->o", kernel, offset)
    for new, old in zip(copy.weights, model.weights, strict=True):
        new.assign(np.asarray(folded.get(id(old), old), new.dtype))
    return copy


def prepend_normalisation(model: Any, normalisation: Normalisation) -> Any:
    """`model` behind a 1x1 convolution that normalises: one operator, which a quantiser handles like any other."""
    import keras

    matrix, offset = normalisation.linear()
    pixels = keras.Input((*model.input_shape[1:3], 3), name="image")
    layer = keras.layers.Conv2D(normalisation.channels, 1, name=LAYER)
    baked = keras.Model(pixels, model(layer(pixels)), name=model.name)
    layer.set_weights([matrix[None, None].astype(np.float32), offset.astype(np.float32)])
    return baked
