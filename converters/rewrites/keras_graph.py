"""The Keras model as a flat graph of layers, which rewrites can search and rebuild.

A rewrite takes a Keras model of one input and one output, and returns a model that computes the same and whether it
changed. It never changes the model that it takes: what it returns has layers and weights of its own, or is that model.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Replacement = Callable[..., Any]  # called like the layer, on the tensors of the new model; gives its output
# Layers that do nothing unless the model is trained.
TRAINING_ONLY = {
    *("ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D"),
    *("SpatialDropout2D", "SpatialDropout3D", "Identity", "RandomBrightness", "RandomContrast", "RandomFlip"),
    *("RandomRotation", "RandomTranslation", "RandomZoom"),
}


class UncopyableError(Exception):
    """A model that cannot be rebuilt layer by layer; the message says why, in words for the user."""


@dataclass(frozen=True)
class Call:
    """One use of a layer, or of another Keras operation, on tensors of the model."""

    layer: Any
    inputs: tuple[Any, ...]
    output: Any
    arguments: Mapping[str, Any]  # the rest

    @property
    def kind(self) -> str:
        """The name of Keras' own class; of others, which may compute anything, an empty string."""
        kind = type(self.layer)
        return kind.__name__ if kind.__module__.startswith("keras.") else ""


class Graph:
    """The calls of a flat model, in an order in which they can run, and who reads what."""

    def __init__(self, model: Any) -> None:
        self.calls = [_call(node) for node in _nodes(_functional(model))]
        self._readers: dict[int, list[Call]] = {}
        for call in self.calls:
            for tensor in call.inputs:
                self._readers.setdefault(id(tensor), []).append(call)
        self._makers = {id(call.output): call for call in self.calls}
        self._ends = {id(tensor) for tensor in model.outputs}
        self._uses = Counter(id(call.layer) for call in self.calls)

    def maker(self, tensor: Any) -> Call | None:
        """The call that gives `tensor`; None for the picture."""
        return self._makers.get(id(tensor))

    def readers(self, tensor: Any) -> list[Call]:
        """The calls that take `tensor`."""
        return self._readers.get(id(tensor), [])

    def only_reader(self, call: Call) -> Call | None:
        """The call that takes the output of `call`, if nothing else does and each has a layer of its own."""
        readers = self.readers(call.output)
        if len(readers) != 1 or id(call.output) in self._ends:
            return None
        alone = self._uses[id(call.layer)] == self._uses[id(readers[0].layer)] == 1
        return readers[0] if alone else None


def is_plain(call: Call, kinds: tuple[str, ...]) -> bool:
    """Whether the layer is of one of these kinds, computes in float32 on float32 and is not used for training alone."""
    layer = call.layer
    return (
        call.kind in kinds
        and len(call.inputs) == 1
        and call.inputs[0].dtype == call.output.dtype == layer.compute_dtype == "float32"
        and not any(call.arguments.get(name) for name in ("training", "mask"))
        and getattr(layer, "quantization_mode", None) is None
        and not getattr(layer, "lora_enabled", False)
        and getattr(layer, "data_format", None) in (None, "channels_last")
    )


def flatten(model: Any) -> tuple[Any, bool]:
    """`model` without models inside it and without layers that only training needs, and whether it had any.

    Layers keep their names; where models inside have layers of the same name, later ones get their model's name in
    front. A model that cannot be rebuilt layer by layer is returned as it is.
    """
    copies = _Copies({})
    try:
        flat = _rebuilt(model, copies)
    except UncopyableError:
        return model, False
    return (flat, True) if copies.changed else (model, False)


def rebuild(model: Any, replacements: Mapping[int, Replacement] | None = None) -> Any:
    """A copy of the flat `model` in which the layers with these ids are replaced; UncopyableError if there is none.

    Args:
        model: A Keras model without models inside.
        replacements: `id` of a layer -> what to call in its place. Others are copied with their weights.
    """
    return _rebuilt(model, _Copies(replacements or {}))


def changed_layer(layer: Any, weights: Sequence[Any], **changes: Any) -> Replacement:
    """What replaces `layer`: one with its configuration, except for these `changes`, and the float32 `weights`."""
    new = type(layer).from_config({**layer.get_config(), **changes})

    def replacement(*tensors: Any, **options: Any) -> Any:
        output = new(*tensors, **options)
        new.set_weights([np.asarray(values, np.float32) for values in weights])
        return output

    return replacement


def nothing(tensor: Any, **_options: Any) -> Any:
    """What replaces a layer that is left out."""
    return tensor


def _rebuilt(model: Any, copies: _Copies) -> Any:
    import keras

    functional = _functional(model)
    (old,) = functional.inputs
    picture = keras.Input(batch_shape=old.shape, dtype=old.dtype, name=old.name)
    scores = copies.run(functional, picture, model.name)
    if scores is picture:
        raise UncopyableError(f"{model.name} does nothing")
    return keras.Model(picture, scores, name=model.name)


def _functional(model: Any) -> Any:
    """The graph of layers of `model`; UncopyableError if it has none."""
    import keras
    from keras.src.models.functional import Functional

    if isinstance(model, keras.Sequential) and type(model).call is keras.Sequential.call:
        functional = model._functional  # noqa: SLF001 - Keras has no public word for it
    else:
        functional = model if getattr(type(model), "call", None) is Functional.call else None
    if functional is None:
        raise UncopyableError(f"{model.name} is not made of layers that Keras can list")
    if len(functional.inputs) != 1 or len(functional.outputs) != 1:
        raise UncopyableError(f"{model.name} has more than one input or output")
    return functional


def _nodes(functional: Any) -> Iterator[Any]:
    """Every call of a layer, those on which others depend first."""
    by_depth = functional._nodes_by_depth  # noqa: SLF001 - Keras has no public word for it
    for depth in sorted(by_depth, reverse=True):
        yield from (node for node in by_depth[depth] if not node.is_input)


def _call(node: Any) -> Call:
    return Call(node.operation, tuple(node.input_tensors), node.outputs[0], node.arguments.kwargs)


class _Copies:
    """Runs a model on new tensors with a copy of each layer, which has the same name and weights."""

    def __init__(self, replacements: Mapping[int, Replacement]) -> None:
        self.changed = False
        self._replacements = dict(replacements)
        self._copies: dict[int, Any] = {}
        self._names: set[str] = set()

    def run(self, functional: Any, picture: Any, name: str) -> Any:
        """The output of `functional`, the model called `name`, for the tensor `picture`."""
        self._names.add(functional.inputs[0].name)
        tensors = {id(functional.inputs[0]): picture}
        for node in _nodes(functional):
            arguments, options = node.arguments.fill_in(tensors)
            outputs = self._output(node.operation, name, arguments, options)
            single = outputs if isinstance(outputs, list | tuple) else [outputs]
            tensors |= {id(old): new for old, new in zip(node.outputs, single, strict=True)}
        return tensors[id(functional.outputs[0])]

    def _output(self, layer: Any, inside: str, arguments: Any, options: dict[str, Any]) -> Any:
        import keras

        if id(layer) in self._replacements:
            return self._replacements[id(layer)](*arguments, **options)
        if isinstance(layer, keras.Model):
            return self._unfold(layer, arguments, options)
        if _does_nothing(layer, arguments, options):
            self.changed = True
            return arguments[0]
        if id(layer) in self._copies:
            return self._copies[id(layer)](*arguments, **options)
        copy = self._copies[id(layer)] = self._copy(layer, inside)
        output = copy(*arguments, **options)
        _take_weights(copy, layer)
        return output

    def _unfold(self, inner: Any, arguments: Any, options: dict[str, Any]) -> Any:
        """The output of a model inside, layer by layer."""
        functional = _functional(inner)
        (wanted,), (got, *more) = functional.inputs, arguments
        others = {name: value for name, value in options.items() if value is not None and name != "training"}
        fits = getattr(got, "dtype", None) == wanted.dtype and len(got.shape) == len(wanted.shape)
        if more or others or options.get("training") or not fits:
            raise UncopyableError(f"the model {inner.name} inside it is not called on its own kind of picture alone")
        self.changed = True
        return self.run(functional, got, inner.name)

    def _copy(self, layer: Any, inside: str) -> Any:
        try:
            config = layer.get_config()
            name = self._unused(layer.name, inside)
            return type(layer).from_config({**config, "name": name} if "name" in config else config)
        except (TypeError, ValueError, NotImplementedError) as error:  # what Keras raises of such a layer
            raise UncopyableError(f"layer {layer.name} does not say how it is made") from error

    def _unused(self, name: str, inside: str) -> str:
        """`name`, or one made of it and that of the model it is `inside` if another layer has it."""
        numbered = (f"{inside}_{name}_{i}" for i in itertools.count(2))
        chosen = next(c for c in itertools.chain([name, f"{inside}_{name}"], numbered) if c not in self._names)
        self._names.add(chosen)
        return chosen


def _does_nothing(layer: Any, arguments: Any, options: Mapping[str, Any]) -> bool:
    """Whether the layer gives back what it takes, outside of training."""
    kind = type(layer)
    # Keras notes training=True for layers that change pictures at random, whose default that is.
    forced = options.get("training") and not kind.__name__.startswith("Random")
    if not kind.__module__.startswith("keras.") or forced or len(arguments) != 1:
        return False
    if getattr(arguments[0], "dtype", None) != getattr(layer, "compute_dtype", None):  # it converts
        return False
    if kind.__name__ == "Activation":
        return bool(layer.get_config()["activation"] == "linear")
    if kind.__name__ == "ZeroPadding2D":
        return not any(pad for side in layer.padding for pad in side)
    return kind.__name__ in TRAINING_ONLY


def _take_weights(copy: Any, layer: Any) -> None:
    weights = getattr(layer, "weights", [])
    mine = getattr(copy, "weights", [])
    if [tuple(weight.shape) for weight in mine] != [tuple(weight.shape) for weight in weights]:
        raise UncopyableError(f"a copy of layer {layer.name} has other weights")
    for new, old in zip(mine, weights, strict=True):
        new.assign(old)
    if hasattr(copy, "finalize_state"):  # Normalization works out its divisor from its weights
        copy.finalize_state()
