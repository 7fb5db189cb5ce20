"""Exact graph rewrites: each takes a Keras model and gives another one that computes the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_squeeze.artifact.manifest import FOLD_NORMALIZATION, PREPEND_NORMALIZATION
from edge_squeeze.pictures.preprocessing import Normalization

LAYER = "preprocessing"  # what the layer that prepend_normalization adds is called


def bake(model: Any, normalization: Normalization) -> tuple[Any, list[str]]:
    """A model that takes raw RGB pixels 0..255 [N,H,W,3] float32 and normalizes them itself; the rewrites it took.

    The normalization goes into the first convolution where that is exact, else into a 1x1 convolution before it.
    """
    if normalization == Normalization():
        return model, []
    first = _foldable(model, normalization)
    copy = None if first is None else _copy(model)
    if copy is not None:
        return fold_normalization(model, first, normalization, copy), [FOLD_NORMALIZATION]
    return prepend_normalization(model, normalization), [PREPEND_NORMALIZATION]


def _foldable(model: Any, normalization: Normalization) -> Any | None:
    """The first layer, if it is a convolution that can take the normalization in exactly.

    A padded zero stands for a normalized 0, which is a raw 0 only where no mean is taken away.
    """
    import keras

    pixels = model.inputs[0]
    consumers = [layer for layer in model.layers if any(tensor is pixels for call in _calls(layer) for tensor in call)]
    if len(consumers) != 1 or type(consumers[0]) is not keras.layers.Conv2D:
        return None
    first = consumers[0]
    alone = all(tensor is pixels for call in _calls(first) for tensor in call)  # a Sequential calls it more than once
    plain = alone and first.groups == 1 and first.data_format == "channels_last"
    exact = not any(normalization.mean) or (first.padding == "valid" and first.use_bias)
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


def fold_normalization(model: Any, first: Any, normalization: Normalization, copy: Any) -> Any:
    """`copy`, given the weights of `model` with the normalization in the kernel and bias of its convolution `first`."""
    matrix, offset = normalization.linear()
    kernel = np.asarray(first.kernel, np.float64)
    folded = {id(first.kernel): np.einsum("cn,hwno->hwco", matrix, kernel)}
    if first.use_bias:
        folded[id(first.bias)] = np.asarray(first.bias, np.float64) + np.einsum("hwno,n->o", kernel, offset)
    for new, old in zip(copy.weights, model.weights, strict=True):
        new.assign(np.asarray(folded.get(id(old), old), new.dtype))
    return copy


def prepend_normalization(model: Any, normalization: Normalization) -> Any:
    """`model` behind a 1x1 convolution that normalizes: one operator, which a quantizer handles like any other."""
    import keras

    matrix, offset = normalization.linear()
    pixels = keras.Input((*model.input_shape[1:3], 3), name="image")
    layer = keras.layers.Conv2D(normalization.channels, 1, dtype="float32", name=LAYER)
    baked = keras.Model(pixels, model(layer(pixels)), name=model.name)
    layer.set_weights([matrix[None, None].astype(np.float32), offset.astype(np.float32)])
    return baked
