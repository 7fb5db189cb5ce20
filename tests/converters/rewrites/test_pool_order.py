from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from int8_files import RANGE, SIDE, chain, int8_file, kinds, layers, same_integers

from edge_squeeze.converters.formats import tflite_edits, to_tflite
from edge_squeeze.converters.rewrites.pool_order import pool_before_concatenation
from edge_squeeze.converters.rewrites.tflite_tree import schema


def fire(x: Any, axis: int = -1) -> Any:
    parts = [layers().Conv2D(4 + 2 * i, 3, padding="same", activation="relu", name=f"part{i}")(x) for i in range(3)]
    return layers().Concatenate(axis, name="concat")(parts if axis == -1 else [parts[0], parts[0]])


def pool(x: Any, **options: Any) -> Any:
    return layers().MaxPooling2D(3, 2, name="pool", **options)(x)


def exchanged(data: bytes) -> tuple[bytes, bool]:
    rewritten, changed = pool_before_concatenation(tflite_edits.unpack(data))
    return tflite_edits.pack(rewritten), changed


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("make", [int8_file, lambda model: to_tflite.FloatFile(model).data])
def test_pools_of_parts_give_the_same_numbers(make: Any, padding: str) -> None:
    plain = make(chain(fire, lambda x: pool(x, padding=padding)))
    data, changed = exchanged(plain)
    assert changed
    assert kinds(data)["MAX_POOL_2D"] == 3
    assert kinds(data)["CONCATENATION"] == 1
    same_integers(plain, data, (SIDE, SIDE))
    assert exchanged(data) == (data, False)


def test_parts_in_another_order_would_be_seen() -> None:
    plain = int8_file(chain(fire, pool))
    rewritten, _ = pool_before_concatenation(tflite_edits.unpack(plain))
    kind = schema().BuiltinOptions.ConcatenationOptions
    concatenation = next(o for o in rewritten.subgraphs[0].operators if o.builtinOptionsType == kind)
    concatenation.inputs = concatenation.inputs[::-1].copy()
    with pytest.raises(AssertionError):
        same_integers(plain, tflite_edits.pack(rewritten), (SIDE, SIDE))


def twice(x: Any) -> Any:
    """The concatenation is also read by another layer."""
    both = fire(x)
    return layers().Concatenate(name="end")([pool(both, padding="same"), layers().Conv2D(2, 3, 2, "same")(both)])


@pytest.mark.parametrize(
    "model",
    [
        lambda: chain(fire, layers().AveragePooling2D(3, 2, name="pool")),
        lambda: chain(lambda x: fire(x, axis=1), pool),
        lambda: chain(pool, fire),
        lambda: chain(twice),
    ],
)
def test_what_cannot_change_places_is_left_alone(model: Any) -> None:
    data = int8_file(model())
    assert exchanged(data)[1] is False


def test_parts_of_other_scales_are_left_alone() -> None:
    data = int8_file(chain(fire, pool))
    tree = tflite_edits.unpack(data)
    graph = tree.subgraphs[0]
    kind = schema().BuiltinOptions.ConcatenationOptions
    concatenation = next(o for o in graph.operators if o.builtinOptionsType == kind)
    graph.tensors[concatenation.inputs[0]].quantization.scale = np.array([RANGE], np.float32)
    assert exchanged(tflite_edits.pack(tree))[1] is False
