"""The TensorFlow function that every converter starts from: raw pixels in, scores out, both named."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Any

INPUT = "image"
NUMBERED = re.compile(r"_\d+$")


def traceable(model: Any, output: str) -> Any:
    """A `tf.function` of one picture tensor, cast to float32, that gives the model's scores under the name `output`."""
    import tensorflow as tf

    def classify(image: Any) -> dict[str, Any]:
        return {output: model(tf.cast(image, tf.float32), training=False)}

    return tf.function(classify, autograph=False)


def signature(model: Any, io: str, batch: int | None) -> Any:
    """The `tf.TensorSpec` of the picture tensor: [batch,H,W,3], None leaving the batch open."""
    import tensorflow as tf

    return tf.TensorSpec((batch, *model.input_shape[1:]), tf.as_dtype(io), name=INPUT)


def layer_of(name: str, known: Container[str]) -> tuple[str, str]:
    """The layer and the operation that a tensor is called after: model/layer/operation;what/else/was/fused into it.

    Models may lie inside models, and TensorFlow may append _1 to each part. A layer that is not `known`, as in a
    SavedModel, is what stands before the operation.
    """
    *scopes, operation = name.partition(";")[0].split("/")
    for scope in reversed(scopes):
        for candidate in (scope, NUMBERED.sub("", scope)):
            if candidate in known:
                return candidate, operation
    return (scopes[-1] if scopes else operation), operation
