"""Layers that scale and shift each channel, such as BatchNormalization, go into the convolution beside them.

Keras computes them one after the other. TensorFlow's converter folds most of them itself, but a quantizer that changes
weights must see those that the file will have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.converters.rewrites.keras_graph import (
    Call,
    Graph,
    Replacement,
    UncopyableError,
    changed_layer,
    is_plain,
    nothing,
    rebuild,
)

Numbers = NDArray[np.float64]
# Kind of layer -> the shape to which a factor for each output channel is brought to be multiplied with the last kernel.
OUTPUTS: Mapping[str, tuple[int, ...]] = {
    "Conv2D": (1, 1, 1, -1),
    "SeparableConv2D": (1, 1, 1, -1),
    "Conv2DTranspose": (1, 1, -1, 1),
    "Dense": (1, -1),
}
READERS = ("Conv2D", "DepthwiseConv2D", "Dense")


@dataclass(frozen=True)
class _Affine:
    """scale * x + offset, each a number for each channel."""

    scale: Numbers
    offset: Numbers

    def then(self, later: _Affine) -> _Affine:
        return _Affine(self.scale * later.scale, self.offset * later.scale + later.offset)


def fold(model: Any) -> tuple[Any, bool]:
    """The flat `model` without BatchNormalization, Rescaling and Normalization beside a convolution or dense layer.

    Between the two there must be no activation and no other reader. A convolution takes the name of the last layer that
    goes into it from behind, since its output is that layer's. A shift before it does not go through the zeros that it
    pads with. A model that cannot be rebuilt layer by layer is returned as it is.
    """
    try:
        replacements = _replacements(Graph(model))
        return (rebuild(model, replacements), True) if replacements else (model, False)
    except UncopyableError:
        return model, False


def _replacements(graph: Graph) -> dict[int, Replacement]:
    replacements: dict[int, Replacement] = {}
    for call in graph.calls:
        if not is_plain(call, (*OUTPUTS, "DepthwiseConv2D")):
            continue
        before, after = _before(graph, call), _after(graph, call)
        if not before and not after:
            continue
        weights = _weights(call, [affine for _, affine in before], [affine for _, affine in after])
        name = after[-1][0].layer.name if after else call.layer.name
        replacements[id(call.layer)] = changed_layer(call.layer, weights, name=name, use_bias=True)
        replacements |= {id(folded.layer): nothing for folded, _ in (*before, *after)}
    return replacements


def _after(graph: Graph, call: Call) -> list[tuple[Call, _Affine]]:
    """The scalings behind a linear layer, in their order."""
    chain: list[tuple[Call, _Affine]] = []
    if getattr(call.layer, "activation", None) is not None and call.layer.get_config()["activation"] != "linear":
        return chain
    reader = graph.only_reader(call)
    while reader is not None and (affine := _affine(reader)) is not None:
        chain.append((reader, affine))
        reader = graph.only_reader(reader)
    return chain


def _before(graph: Graph, call: Call) -> list[tuple[Call, _Affine]]:
    """The scalings before a linear layer, in their order, up to the first that its padding would not go through."""
    chain: list[tuple[Call, _Affine]] = []
    grouped = getattr(call.layer, "groups", 1) != 1
    maker = graph.maker(call.inputs[0]) if call.kind in READERS and not grouped else None
    while maker is not None and graph.only_reader(maker) is not None and (affine := _affine(maker)) is not None:
        if getattr(call.layer, "padding", "valid") != "valid" and affine.offset.any():
            break
        chain.insert(0, (maker, affine))
        maker = graph.maker(maker.inputs[0])
    if maker is not None and is_plain(maker, (*OUTPUTS, "DepthwiseConv2D")) and _after(graph, maker):
        return []  # they go into the layer before them
    return chain


def _affine(call: Call) -> _Affine | None:
    """What a scaling layer computes; None for others."""
    if not is_plain(call, ("BatchNormalization", "Rescaling", "Normalization")):
        return None
    layer, channels = call.layer, call.output.shape[-1]
    if call.kind == "Rescaling":
        scale, offset = _numbers(layer.scale), _numbers(layer.offset)
    elif call.kind == "Normalization":
        if layer.invert:
            return None
        scale = 1 / np.maximum(np.sqrt(_numbers(layer.variance)), 1e-7)  # as in Keras
        offset = -_numbers(layer.mean) * scale
    else:
        if layer.axis not in (-1, len(call.output.shape) - 1):
            return None
        scale = 1 / np.sqrt(_numbers(layer.moving_variance) + layer.epsilon)
        scale = scale * _numbers(layer.gamma) if layer.scale else scale
        offset = (_numbers(layer.beta) if layer.center else 0) - _numbers(layer.moving_mean) * scale
    if any(
        values.size not in (1, channels) or values.shape[-1:] != (values.size,)
        for values in map(np.atleast_1d, (scale, offset))
    ):
        return None  # other numbers for other pixels
    return _Affine(*(np.broadcast_to(values.reshape(-1), (channels,)) for values in (scale, offset)))


def _numbers(values: Any) -> Numbers:
    return np.asarray(values, np.float64)


def _weights(call: Call, before: list[_Affine], after: list[_Affine]) -> list[Numbers]:
    """The kernels and the bias of the convolution with the scalings in them."""
    layer = call.layer
    *kernels, last = [_numbers(kernel) for kernel in layer.get_weights()[: -1 if layer.use_bias else None]]
    bias = _numbers(layer.bias) if layer.use_bias else np.zeros(call.output.shape[-1])
    depthwise = call.kind == "DepthwiseConv2D"
    for affine in reversed(before):
        shifted = last * affine.offset[:, None]
        bias = bias + (shifted.sum((0, 1)).reshape(-1) if depthwise else shifted.sum(tuple(range(shifted.ndim - 1))))
        last = last * affine.scale[:, None]
    for affine in after:
        shape = last.shape[2:] if depthwise else OUTPUTS[call.kind]
        last = last * affine.scale.reshape(shape)
        bias = bias * affine.scale + affine.offset
    return [*kernels, last, bias]
