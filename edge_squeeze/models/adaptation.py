"""Brings a user's Keras model into the form that converters take: float32, pictures as [N,H,W,C]."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_squeeze.errors import UsageError
from edge_squeeze.models.original import all_layers

HALVES = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16")  # dtypes and policies
WHOLE = ("uint8", "int8", "int16", "int32", "int64")  # dtypes of inputs that take pixels as they are
COLORS = (1, 3)
DIFFERENCE = 1e-3  # of the largest score: float32 sums in another order, and no more


def computing(model: Any) -> list[Any]:
    """The layers of `model` but its inputs, which compute nothing."""
    return [layer for layer in all_layers(model) if layer.__class__.__name__ != "InputLayer"]


def in_float32(model: Any) -> tuple[Any, str | None]:
    """`model`, computing in float32 and taking float32, and what was changed for that, in words.

    UsageError if it cannot be rebuilt so, or gives other scores of whole pixels than before.
    """
    half = [layer for layer in computing(model) if layer.compute_dtype in HALVES]
    (taken,) = model.inputs
    if not half and taken.dtype not in (*HALVES, *WHOLE):
        return model, None
    try:
        rebuilt = model.__class__.from_config(_with_float32(model.get_config()))
        rebuilt.set_weights(model.get_weights())
    except Exception as error:  # a layer that does not tell how it is made, or Keras' safe mode
        raise UsageError(
            f"{model.name} takes {taken.dtype} and {len(half)} of its layers compute in half precision. It cannot be "
            f"rebuilt in float32 ({type(error).__name__}). Build it with that policy, and set_weights of this one."
        ) from error
    for layer in all_layers(rebuilt):
        if hasattr(layer, "finalize_state"):  # Normalization computes with what it derives from its weights
            layer.finalize_state()
    if half:
        some = ", ".join(layer.name for layer in half[:3])
        return rebuilt, f"{len(half)} of its layers computed in half precision ({some}); here they compute in float32"
    if not _is_same(model, rebuilt):
        raise UsageError(
            f"{model.name} cannot be used: it takes {taken.dtype}, with which its layers cannot compute, or give "
            "other scores than with the same numbers in float32. Build it with a float32 input, and set_weights of "
            "this one."
        )
    return rebuilt, f"it takes {taken.dtype} pixels; here it takes the same numbers in float32"


def _with_float32(config: Any) -> Any:
    """The configuration of a model, its policies and the dtypes of its inputs being float32."""
    if isinstance(config, list | tuple):
        return type(config)(_with_float32(value) for value in config)
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy" and config.get("config", {}).get("name") in HALVES:
        return {**config, "config": {"name": "float32"}}
    changed = {name: _with_float32(value) for name, value in config.items()}
    if changed.get("class_name") == "InputLayer":
        changed["config"] = {**changed["config"], "dtype": "float32"}
    elif isinstance(changed.get("dtype"), str) and changed["dtype"] in HALVES:
        changed["dtype"] = "float32"
    return changed


def _is_same(model: Any, rebuilt: Any) -> bool:
    """Whether `rebuilt` gives the scores of whole pixels that `model` gives."""
    shape = [side or 32 for side in model.input_shape[1:]]
    pixels = np.random.default_rng(0).integers(0, 128, (2, *shape))
    try:
        before = np.asarray(model(pixels.astype(model.inputs[0].dtype), training=False))
    except Exception:  # a model that cannot run as it is has no scores to keep
        return False
    after = np.asarray(rebuilt(pixels.astype(np.float32), training=False))
    return bool(np.abs(before - after).max() <= DIFFERENCE * max(1.0, np.abs(before).max()))


def channels_last(model: Any) -> tuple[Any, str | None]:
    """`model` behind a layer that moves channels to the front, if it takes [N,C,H,W]; and that in words."""
    import keras

    shape = tuple(model.input_shape)
    if len(shape) != 4 or shape[-1] in COLORS or shape[1] not in COLORS:  # noqa: PLR2004 - batch, height, width, channels
        return model, None
    picture = keras.Input((*shape[2:], shape[1]), dtype="float32", name="image")
    moved = keras.layers.Permute((3, 1, 2), name="channels_first", dtype="float32")(picture)
    return keras.Model(
        picture, model(moved), name=model.name
    ), "it takes channels first; its files take pictures as --layout says"
