"""The builder of the networks: it walks a row of the table top-down.

Layer names are those of the authors' Caffe files, with / replaced by _.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from edge_squeeze.networks.design import SIMPLE, Architecture
from edge_squeeze.networks.variants import CEIL, VALID, Conv, Fire, Pool, Stage, named


def build(arch: Architecture) -> Any:
    """A `keras.Model`, weights not yet assigned: picture [N,H,W,3] float32, normalized -> scores [N,classes]."""
    import keras

    sides = (None, None) if arch.any_size else arch.input_size
    inputs = keras.Input((*sides, 3), name="image")
    outputs = classifier(learner(stem(inputs, arch), arch), arch)
    return keras.Model(inputs, outputs, name=arch.variant.replace(".", "_").replace("-", "_"))


def stem(inputs: Any, arch: Architecture) -> Any:
    """The output [N,H',W',C] of the first convolution and pooling of `arch` for normalized pictures [N,H,W,3]."""
    return _walk(inputs, arch, itertools.takewhile(_opens, named(arch.stages)))


def learner(x: Any, arch: Architecture) -> Any:
    """The output [N,H'',W'',C'] of the fire modules and poolings of `arch` for the output of its stem."""
    return _walk(x, arch, itertools.dropwhile(_opens, named(arch.stages)))


def classifier(x: Any, arch: Architecture) -> Any:
    """The scores [N,classes] of the head of `arch` for the output of its learner."""
    from keras import layers

    number = int(arch.head.removeprefix("conv"))
    if arch.dropout:
        x = layers.Dropout(arch.dropout, name=f"drop{number - 1}")(x)
    x = custom_conv2d(x, arch.classes, 1, name=arch.head, activation="relu" if arch.row.head_relu else None)
    x = layers.GlobalAveragePooling2D(name=f"pool{number}")(x)
    return layers.Softmax(name="prob")(x) if arch.row.softmax else x


def _opens(row: tuple[str, Stage]) -> bool:
    """Whether the row comes before the first fire module."""
    return not isinstance(row[1], Fire)


def _walk(x: Any, arch: Architecture, rows: Iterable[tuple[str, Stage]]) -> Any:
    bypasses = arch.bypasses
    for name, stage in rows:
        if isinstance(stage, Conv):
            x = custom_conv2d(x, *stage, name=name)
        elif isinstance(stage, Pool):
            x = pool(x, stage, name)
        else:
            x = fire_module(x, stage.squeeze, (stage.expand1x1, stage.expand3x3), name, bypasses.get(name))
    return x


def custom_conv2d(
    inputs: Any,
    filters: int,
    kernel: int,
    stride: int = 1,
    padding: str = VALID,
    *,
    name: str,
    activation: str | None = "relu",
) -> Any:
    """A convolution of [N,H,W,C] with ReLU: [N,H',W',filters]."""
    from keras import layers

    return layers.Conv2D(filters, kernel, stride, padding, activation=activation, name=name)(inputs)


def fire_module(
    inputs: Any, squeeze_depth: int, expand_depth: int | tuple[int, int], name: str, bypass: str | None = None
) -> Any:
    """A fire module (Figure 1 of the paper) on [N,H,W,C]: [N,H,W,1x1 filters + 3x3 filters].

    `expand_depth` is the number of filters of each kind, or (1x1, 3x3). If `bypass` is simple, the input is added to
    the output; if it is complex, through a 1x1 convolution.
    """
    from keras import layers

    expand1x1, expand3x3 = (expand_depth, expand_depth) if isinstance(expand_depth, int) else expand_depth
    squeezed = custom_conv2d(inputs, squeeze_depth, 1, name=f"{name}_squeeze1x1")
    left = custom_conv2d(squeezed, expand1x1, 1, name=f"{name}_expand1x1")
    right = custom_conv2d(squeezed, expand3x3, 3, padding="same", name=f"{name}_expand3x3")
    x = layers.Concatenate(name=f"{name}_concat")([left, right])
    if bypass is None:
        return x
    around = inputs if bypass == SIMPLE else custom_conv2d(inputs, x.shape[-1], 1, name=f"{name}_bypass1x1")
    return layers.Add(name=f"{name}_bypass")([x, around])


def pool(x: Any, row: Pool, name: str) -> Any:
    """Max pooling of [N,H,W,C], exact in ceil mode, too: a partial last window is padded with the missing pixels.

    They are missing on the right and at the bottom. Zero padding is exact after ReLU. If one pixel is missing on both
    sides (window 3, stride 2, even sides), 'same' adds just that, with one operator instead of two.
    """
    from keras import layers

    if row.padding != CEIL:
        return layers.MaxPooling2D(row.size, row.stride, padding=row.padding, name=name)(x)
    missing = [(row.size - side) % row.stride for side in x.shape[1:3]]
    if missing == [1, 1] and (row.size, row.stride) == (3, 2):
        return layers.MaxPooling2D(row.size, row.stride, padding="same", name=name)(x)
    if any(missing):
        x = layers.ZeroPadding2D(((0, missing[0]), (0, missing[1])), name=f"{name}_pad")(x)
    return layers.MaxPooling2D(row.size, row.stride, name=name)(x)
