"""Keras with settings of ours in place of the user's global ones, and these given back where they were."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edge_squeeze.errors import UsageError
from edge_squeeze.process import keras_environment
from edge_squeeze.process.keras_environment import TENSORFLOW

FLOAT, FORMAT, EPSILON = "float32", "channels_last", 1e-7


def load() -> None:
    """Import TensorFlow and Keras, and set what layers are built with from now on.

    UsageError if Keras was imported before, on another backend.
    """
    with keras_environment.neutral():
        import keras
        import tensorflow  # noqa: F401, ICN001

    if (backend := keras.config.backend()) != TENSORFLOW:
        raise UsageError(
            f"Keras was imported on the backend {backend} by this program. Required: {TENSORFLOW}. Set "
            f"{keras_environment.BACKEND}={TENSORFLOW} before the first import of keras, or use the command line."
        )
    keras.config.set_floatx(FLOAT)
    keras.config.set_image_data_format(FORMAT)
    keras.config.set_epsilon(EPSILON)
    keras.config.set_dtype_policy(FLOAT)


@contextmanager
def preserved() -> Iterator[None]:
    """Give a program that has imported Keras its own settings back when the block ends."""
    config: Any = getattr(sys.modules.get("keras"), "config", None)
    if config is None:
        yield
        return
    names = ("floatx", "image_data_format", "epsilon", "dtype_policy")
    before = {name: getattr(config, name)() for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            getattr(config, f"set_{name}")(value)
