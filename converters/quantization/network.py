"""A flat Keras network as a list of steps, and what its tensors hold for many pictures, in floats or in 8 bits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.converters.quantization.ranges import STEPS, Range
from edge_squeeze.converters.rewrites import batch_norm
from edge_squeeze.converters.rewrites.keras_graph import flatten, rebuild
from edge_squeeze.pictures.preprocessing import Pixels

BATCH = 16  # pictures
CONVOLUTION, DEPTHWISE, DENSE = "Conv2D", "DepthwiseConv2D", "Dense"
ACTIVATIONS = ("Activation", "ReLU")  # layers of their own, after which a file may call what computes them as well
PASSING = (  # kinds of layers whose integer kernels only move or compare numbers
    "Activation",
    "AveragePooling2D",
    "Concatenate",
    "Cropping2D",
    "Dropout",
    "Flatten",
    "MaxPooling2D",
    "ReLU",
    "Reshape",
    "SpatialDropout2D",
    "ZeroPadding2D",
)
Floats = NDArray[np.float32]
Weights = dict[str, list[NDArray[np.float32]]]  # layer -> its kernel and, if it has one, its bias


def flat(model: Any) -> Any:
    """A copy of `model` without models inside it and with BatchNormalization folded; UncopyableError if it has none."""
    return rebuild(batch_norm.fold(flatten(model)[0])[0])


@dataclass(frozen=True)
class Step:
    """One call of a layer: the tensors that it reads, and the one that it makes."""

    layer: Any
    arguments: Any
    inputs: tuple[int, ...]
    output: int

    @property
    def name(self) -> str:
        """The layer's name."""
        name: str = self.layer.name
        return name

    @property
    def kind(self) -> str:
        """The class of the layer."""
        return type(self.layer).__name__

    def call(self, values: Mapping[int, Any]) -> Any:
        """What the layer makes of the tensors in `values`."""
        arguments, keywords = self.arguments.fill_in(values)
        return self.layer(*arguments, **keywords)


class Network:
    """The steps of a functional Keras model with one input and one output, in an order that they can be done in."""

    def __init__(self, model: Any) -> None:
        self.model = model
        nodes = [node for depth in sorted(model._nodes_by_depth, reverse=True) for node in model._nodes_by_depth[depth]]  # noqa: SLF001 - Keras has no public word for the order of its calls
        self.steps = [
            Step(node.operation, node.arguments, tuple(map(id, node.arguments.keras_tensors)), id(node.outputs[0]))
            for node in nodes
            if not node.is_input
        ]
        self.input, self.output = id(model.inputs[0]), id(model.outputs[0])
        calls = Counter(step.name for step in self.steps)
        self.weighted = {step.name: step for step in self.steps if _has_kernel(step.layer) and calls[step.name] == 1}

    @property
    def head(self) -> set[str]:
        """The layers behind the last one that has a kernel."""
        last = max((i for i, step in enumerate(self.steps) if step.name in self.weighted), default=-1)
        return {step.name for step in self.steps[last + 1 :]}

    def readers(self, name: str) -> list[Step]:
        """The steps that read what the layer `name` gives, and those in between that pass its numbers on."""
        reached = {step.output for step in self.steps if step.name == name}
        steps = []
        for step in self.steps:
            if step.name != name and not reached.isdisjoint(step.inputs):
                steps.append(step)
                if step.kind in PASSING:
                    reached.add(step.output)
        return steps

    def kept(self, name: str) -> list[str]:
        """The layers that compute in float where what the layer `name` gives is not rounded.

        Besides itself these are the layers that read it, with the activations that a file computes together with them.
        """
        readers = [step.name for step in self.readers(name)]
        layers = [each for each in (name, *readers) if each in self.weighted]
        behind = [step.name for each in layers for step in self.readers(each)[:1] if step.kind in ACTIVATIONS]
        return list(dict.fromkeys([name, *readers, *behind]))

    @property
    def left(self) -> list[str]:
        """The layers with weights that the quantizer leaves as they are, with their kinds."""
        layers = {step.name: step for step in self.steps if step.layer.weights and step.name not in self.weighted}
        return [f"{name} ({step.kind})" for name, step in layers.items()]

    def values(self, pixels: Pixels) -> Iterator[tuple[Step, Any]]:
        """Each step with what it makes of `pixels` [N,H,W,3], which should be few."""
        values: dict[int, Any] = {self.input: pixels.astype(np.float32)}
        for step in self.steps:
            values[step.output] = step.call(values)
            yield step, values[step.output]


def _has_kernel(layer: Any) -> bool:
    """Whether the quantizer knows how the layer computes: channels last, one group."""
    kind = type(layer).__name__
    if kind == DENSE:
        return True
    plain = kind in (CONVOLUTION, DEPTHWISE) and layer.data_format == "channels_last"
    return plain and (kind == DEPTHWISE or layer.groups == 1) and layer.padding in ("same", "valid")


def with_weights(model: Any, weights: Mapping[str, Collection[NDArray[np.float32]]]) -> Any:
    """A copy of `model` in which the layers of `weights` have these."""
    copy = rebuild(model)
    for layer in copy.layers:
        if layer.name in weights:
            layer.set_weights(list(weights[layer.name]))
    return copy


@dataclass(frozen=True)
class Grid:
    """The 256 values of an 8-bit tensor."""

    step: float
    zero: int  # code of zero

    @classmethod
    def of(cls, limits: Range) -> Grid:
        """The grid that integer files have for a range, which is widened to zero."""
        low, high = min(limits[0], 0.0), max(limits[1], 0.0)
        step = (high - low) / STEPS or 1.0
        return cls(step, round(-low / step))

    def codes(self, values: Floats) -> NDArray[np.uint8]:
        """The nearest code of each of `values`."""
        codes: NDArray[np.uint8] = np.clip(np.rint(values / np.float32(self.step)) + self.zero, 0, STEPS).astype(
            np.uint8
        )
        return codes

    def floats(self, codes: NDArray[np.uint8]) -> Floats:
        """What `codes` stand for."""
        return ((codes.astype(np.float32) - self.zero) * np.float32(self.step)).astype(np.float32)


@dataclass(frozen=True)
class Half:
    """Floats kept in 16 bits as shares of the largest, which is close enough: a step of 8 bits is 8 times as coarse."""

    largest: float

    @classmethod
    def of(cls, limits: Range) -> Half:
        """For values of about this range."""
        return cls(max(abs(limits[0]), abs(limits[1])) or 1.0)

    def codes(self, values: Floats) -> NDArray[np.float16]:
        """What is kept of `values`."""
        return (values / np.float32(self.largest)).astype(np.float16)

    def floats(self, codes: NDArray[np.float16]) -> Floats:
        """What `codes` stand for."""
        return codes.astype(np.float32) * np.float32(self.largest)


@dataclass(frozen=True)
class _Held:
    codes: NDArray[Any]
    code: Grid | Half | None

    def floats(self, part: slice) -> Floats:
        kept = self.codes[part]
        return kept.astype(np.float32) if self.code is None else self.code.floats(kept)


@dataclass(frozen=True)
class _Pending:
    """What is computed when it is read, since it is read once."""

    step: Step
    call: Callable[[Mapping[int, Floats]], Any]


class Tensors:
    """What the tensors of a network hold for all pictures: each from the step that makes it to the last that reads it.

    A tensor is rounded to the `codes` given for its layer: the grid that the integer file has for it, or 16 bits.
    """

    def __init__(self, network: Network, pixels: Pixels, codes: Mapping[str, Grid] | Mapping[str, Half]) -> None:
        self._codes, self._steps, self._count = codes, network.steps, len(pixels)
        self._held: dict[int, _Held | _Pending] = {network.input: _Held(pixels, None)}
        readers: dict[int, list[Step]] = {}
        for step in network.steps:
            for name in set(step.inputs):
                readers.setdefault(name, []).append(step)
        # Large ones are often read by a pooling alone.
        self._passing = {
            name for name, (first, *more) in readers.items() if not more and first.name not in network.weighted
        }
        self._last: dict[int, int] = {}
        for index, step in reversed([*enumerate(network.steps)]):
            end = self._last.get(step.output, index) if step.output in self._passing else index
            for name in step.inputs:
                self._last[name] = max(self._last.get(name, 0), end)

    def batches(self, step: Step) -> Iterator[dict[int, Floats]]:
        """What `step` reads, for a few pictures at a time."""
        for start in range(0, self._count, BATCH):
            part = slice(start, min(start + BATCH, self._count))
            yield {name: self._floats(name, part) for name in step.inputs}

    def _floats(self, name: int, part: slice) -> Floats:
        held = self._held[name]
        if isinstance(held, _Held):
            return held.floats(part)
        made = np.asarray(held.call({read: self._floats(read, part) for read in held.step.inputs}), np.float32)
        code = self._codes.get(held.step.name)
        return made if code is None else code.floats(code.codes(made))  # type: ignore[arg-type]

    def advance(self, index: int, call: Callable[[Mapping[int, Floats]], Any]) -> None:
        """Hold what step `index`, computed by `call`, makes of all pictures; drop what no later step reads."""
        step = self._steps[index]
        self._held[step.output] = _Pending(step, call) if step.output in self._passing else self._computed(step, call)
        for name in [name for name, last in self._last.items() if last == index]:
            self._held.pop(name, None)

    def _computed(self, step: Step, call: Callable[[Mapping[int, Floats]], Any]) -> _Held:
        code, whole, start = self._codes.get(step.name), None, 0
        for values in self.batches(step):
            made = np.asarray(call(values), np.float32)
            kept = made if code is None else code.codes(made)
            if whole is None:
                whole = np.empty((self._count, *kept.shape[1:]), kept.dtype)
            whole[start : start + len(kept)] = kept
            start += len(kept)
        assert whole is not None
        return _Held(whole, code)
