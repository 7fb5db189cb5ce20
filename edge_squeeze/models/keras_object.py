"""A user's Keras model that is given as an object, as a notebook has it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze.errors import UsageError
from edge_squeeze.models.original import all_layers, load_tensorflow
from edge_squeeze.process.output import captured

REQUIRED = "Required: a variant, the path of a Keras model, or a keras.Model"


def save(model: Any, folder: Path) -> Path:
    """The .keras file in `folder` that `model` was saved to, named like it; UsageError if it is no Keras model."""
    load_tensorflow()
    import keras

    if not isinstance(model, keras.Model):
        kind = f"{type(model).__module__}.{type(model).__qualname__}"
        if kind.startswith("tf_keras."):
            raise UsageError(
                f"{REQUIRED} of Keras 3. Got: {kind}, of Keras 2. Export it with model.export(DIR), and give DIR."
            )
        raise UsageError(f"{REQUIRED}. Got: {kind}.")
    if not isinstance(model, keras.Sequential) and not getattr(model, "inputs", None):
        raise UsageError(
            f"{model.name} is a subclassed model, whose layers Keras does not know. Export it with model.export(DIR), "
            "and give DIR."
        )
    name = re.sub(r"[^\w.-]+", "-", model.name).strip(".-") or "model"
    path = folder / f"{name}.keras"
    try:
        with captured():
            model.save(path)
    except Exception as error:  # a layer of the user's that does not tell how it is made
        raise UsageError(
            f"The model {model.name} cannot be saved ({type(error).__name__}: {' '.join(str(error).split())[:200]}). "
            "Export it with model.export(DIR), and give DIR."
        ) from error
    return path


def own_classes(model: Any) -> Any:
    """A context in which Keras knows the classes and functions of `model` that are the user's."""
    import keras

    layers = all_layers(model) if getattr(model, "layers", None) else []
    objects = {}
    for layer in [model, *layers]:
        for item in (type(layer), getattr(layer, "activation", None)):
            name, module = getattr(item, "__name__", None), str(getattr(item, "__module__", None))
            if name is not None and module.partition(".")[0] != "keras":
                objects[name] = item
    return keras.saving.custom_object_scope(objects)


def digest(model: Any) -> str:
    """sha256 of the layers and weights of `model`, in hexadecimal: files of it differ by the time they were saved."""
    total = hashlib.sha256(model.to_json().encode())
    for weights in model.get_weights():
        total.update(np.ascontiguousarray(weights).tobytes())
    return total.hexdigest()
