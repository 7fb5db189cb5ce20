"""The TensorFlow function that every converter starts from: raw pixels in, scores out, both named."""

from __future__ import annotations

from typing import Any

INPUT = "image"


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
