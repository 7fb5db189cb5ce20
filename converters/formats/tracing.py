"""The TensorFlow function that every converter starts from: raw pixels in, scores out, both named."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

INPUT = "image"
UNROLL = "Build the model with unroll=True in its recurrent layers, and set_weights of this one"
SCOPE = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.-]*")  # what TensorFlow takes for a scope, without / and \\
FOREIGN = re.compile(r"[^A-Za-z0-9_.-]")
NUMBERED = re.compile(r"_\d+$")


def traceable(model: Any, output: str) -> Any:
    """A `tf.function` of one picture tensor, cast to float32, that gives the model's scores under the name `output`."""
    import tensorflow as tf

    def classify(image: Any) -> dict[str, Any]:
        with _scoped(model):
            return {output: model(tf.cast(image, tf.float32), training=False)}

    return tf.function(classify, autograph=False)


class Scopes(dict[str, str]):
    """What parts of a model are called in its trace -> their own names; `whole` is what the model itself is called."""

    whole: str = ""

    def of_layers(self, layers: Iterable[str]) -> Scopes:
        """Those of the parts that `layers` names."""
        names = {*layers}
        kept = Scopes({scope: name for scope, name in self.items() if name in names})
        kept.whole = self.whole
        return kept


def scope_names(model: Any) -> Scopes:
    """What each layer is called in the trace -> its own name, which TensorFlow may refuse: accents, spaces, colons."""
    own = list(dict.fromkeys(part.name for part in _parts(model)))
    taken = {name for name in own if SCOPE.fullmatch(name)}
    names = Scopes()
    for name in own:
        plain = name if name in taken else next(choice for choice in _plain(name) if choice not in taken)
        taken.add(plain)
        names[plain] = name
    names.whole = next(iter(names))
    return names


def _plain(name: str) -> Iterator[str]:
    """Names like `name` that TensorFlow takes for a scope."""
    plain = FOREIGN.sub("_", name)
    plain = plain if plain[:1].isalnum() else f"layer{plain}"
    return (plain if i == 0 else f"{plain}-{i}" for i in itertools.count())


def _parts(model: Any) -> list[Any]:
    """The model and every layer and model in it."""
    return [model, *(part for part in model._flatten_layers(include_self=False))]  # noqa: SLF001 - no public word


@contextmanager
def _scoped(model: Any) -> Iterator[None]:
    """Call the model and its layers by their names in `scope_names` while the block runs."""
    plain = {name: scope for scope, name in scope_names(model).items()}
    names = [(part, part.name) for part in _parts(model)]
    try:
        for part, name in names:
            part.name = plain[name]
        yield
    finally:
        for part, name in names:
            part.name = name


def signature(model: Any, io: str, batch: int | None) -> Any:
    """The `tf.TensorSpec` of the picture tensor: [batch,H,W,3], None leaving the batch open."""
    import tensorflow as tf

    return tf.TensorSpec((batch, *model.input_shape[1:]), tf.as_dtype(io), name=INPUT)


def layer_of(name: str, known: Mapping[str, str]) -> tuple[str, str]:
    """The layer and the operation that a tensor is called after: model/layer/operation;what/else/was/fused into it.

    Models may lie inside models, and TensorFlow appends _1 to each part where it traces a model again: whether it did
    shows in the part that comes first, so that dense_1 is not taken for another layer of that name. A layer that is not
    `known` (what `scope_names` gives), as in a SavedModel, is what stands before the operation.
    """
    *scopes, operation = name.partition(";")[0].split("/")
    whole = known.whole if isinstance(known, Scopes) else ""
    again = bool(scopes) and scopes[0] != whole == NUMBERED.sub("", scopes[0])
    for scope in reversed(scopes):
        names = (scope, NUMBERED.sub("", scope))
        for candidate in reversed(names) if again else names:
            if candidate in known:
                return known[candidate], operation
    return (scopes[-1] if scopes else operation), operation
