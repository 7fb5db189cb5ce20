"""The integer network as TensorFlow computes it in floats, any of its roundings being left out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_squeeze.converters.quantization.integers import Integers, weights_of
from edge_squeeze.converters.quantization.network import PASSING, Grid, Network, Step
from edge_squeeze.converters.quantization.ranges import STEPS
from edge_squeeze.converters.quantization.tuning import product
from edge_squeeze.pictures.preprocessing import Pixels

Values = dict[int, Any]


@dataclass(frozen=True)
class Rounded:
    """Which roundings of the integer file take place: in the weights of some layers, and in what some layers give."""

    weights: Collection[str] = ()
    activations: Collection[str] = ()


class Simulation:
    """A float network, and the numbers that its integer file has in place of its own."""

    def __init__(self, network: Network, integers: Mapping[str, Integers]) -> None:
        self.network, self.weights = network, weights_of(network, integers)
        head = network.head
        self.grids = {
            step.name: grid
            for step in network.steps
            if step.name not in head and (grid := integers.get(step.name, Integers()).grid) is not None
        }
        self._linear = {name for name in self.grids if name in network.weighted and integers[name].is_linear}
        makers = {step.output: step.name for step in network.steps}
        inputs = {step.name: [self.grids.get(makers.get(index, "")) for index in step.inputs] for step in network.steps}
        # Layers that round: others, such as poolings, give numbers that are on their grid already.
        self.rounding = [
            name for name, grid in self.grids.items() if name in network.weighted or {*inputs[name]} != {grid}
        ]

    @property
    def layers(self) -> list[str]:
        """The layers with roundings of their own, in the order of the network."""
        rounding = {*self.weights, *self.rounding}
        return [step.name for step in self.network.steps if step.name in rounding]

    @property
    def everything(self) -> Rounded:
        """All roundings of the file."""
        return Rounded({*self.weights}, {*self.grids})

    def kept(self, name: str) -> set[str]:
        """The layers with weights that compute in float where `name` is kept in float."""
        return {each for each in self.network.kept(name) if each in self.network.weighted}

    def without(self, name: str) -> Rounded:
        """All roundings but those that are left out where the layer `name` is kept in float, as a mixed file does."""
        passing = {step.name for step in self.network.readers(name) if step.kind in PASSING}
        return Rounded({*self.weights} - self.kept(name), {*self.grids} - {name} - passing)

    def values(self, pixels: Pixels, rounded: Rounded) -> Values:
        """What every step gives for `pixels` [N,H,W,3]."""
        return self.changed({self.network.input: pixels.astype(np.float32)}, self.network.steps[0].name, rounded)

    def changed(self, before: Values, name: str, rounded: Rounded) -> Values:
        """`before` with what differs, computed anew, once the layer `name` is rounded otherwise."""
        values = dict(before)
        stale: set[int] = set()
        for step in self.network.steps:
            if step.output not in before or step.name == name or not stale.isdisjoint(step.inputs):
                values[step.output] = self.call(step, values, rounded)
                stale.add(step.output)
        return values

    def call(self, step: Step, values: Mapping[int, Any], rounded: Rounded) -> Any:
        """What `step` makes of the tensors in `values`."""
        name, grid = step.name, self.grids.get(step.name) if step.name in rounded.activations else None
        weights = self.weights.get(name) if name in rounded.weights else None
        if weights is None and name not in self._linear:
            made = step.call(values)
        else:
            made = self._linear_output(step, values, weights)
            made = on_grid(made, grid) if grid is not None and name in self._linear else made
            made = step.layer.activation(made)
        return made if grid is None or name in self._linear else on_grid(made, grid)

    def ranged(self, step: Step, values: Mapping[int, Any]) -> Any:
        """The tensor that the grid of `step` is for, in float: what the step makes, or that before its activation."""
        return self._linear_output(step, values, None) if step.name in self._linear else values[step.output]

    def _linear_output(self, step: Step, values: Mapping[int, Any], weights: Sequence[Any] | None) -> Any:
        """What a layer with weights makes before its activation, with its own `weights` or with others."""
        layer = step.layer
        kernel, *bias = weights or [layer.kernel, *([layer.bias] if layer.use_bias else [])]
        made = product(step, values[step.inputs[0]], kernel)
        return made + bias[0] if bias else made


def on_grid(values: Any, grid: Grid) -> Any:
    """The tensor `values` with each number rounded to the nearest of `grid`."""
    import tensorflow as tf

    codes = tf.clip_by_value(tf.round(values / grid.step) + grid.zero, 0.0, float(STEPS))
    return (codes - grid.zero) * grid.step
