"""The environment that Keras is imported in: the user's variables and keras.json do not decide what is computed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

BACKEND, HOME, TENSORFLOW = "KERAS_BACKEND", "KERAS_HOME", "tensorflow"
SCIKIT_LEARN = "sklearn"  # Keras imports it, where it is installed, for its wrappers: a fifth of what its import takes
IGNORED = ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED", "TF_USE_LEGACY_KERAS")

_wrappers = True


def leave_wrappers_out() -> None:
    """Have Keras imported without its wrappers for scikit-learn, which no command of ours needs; Python users may."""
    global _wrappers  # noqa: PLW0603 - set once, by the program that this process is
    _wrappers = False


@contextmanager
def neutral() -> Iterator[None]:
    """Import Keras, or TensorFlow, which imports it, in this block: on TensorFlow, without the user's keras.json.

    The variables stay as they are set here, for processes that are started later. Nothing is done if Keras is there.
    """
    if "keras" in sys.modules:  # imported by whoever calls us
        yield
        return
    for name in IGNORED:
        os.environ.pop(name, None)
    os.environ[BACKEND] = TENSORFLOW
    home = os.environ.get(HOME)
    os.environ[HOME] = os.devnull  # a keras.json that Keras refuses, or cannot read, would end the import
    modules: dict[str, Any] = sys.modules
    if not _wrappers:
        modules.setdefault(SCIKIT_LEARN, None)  # importing it raises, as where it is not installed
    try:
        yield
    finally:
        if modules.get(SCIKIT_LEARN, modules) is None:
            del modules[SCIKIT_LEARN]
        os.environ.pop(HOME)
        if home is not None:
            os.environ[HOME] = home
        _restore_home(home)


def _restore_home(home: str | None) -> None:
    """Have Keras keep its downloads, which a model's own code may ask for, where it always does."""
    config: Any = sys.modules.get("keras.src.backend.config")
    if config is not None and hasattr(config, "_KERAS_DIR"):
        config._KERAS_DIR = os.path.expanduser(home or os.path.join("~", ".keras"))  # noqa: PTH111, PTH118, SLF001
