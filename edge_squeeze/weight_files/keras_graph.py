"""The graph that a whole Keras model tells beside its weights, which would fit another graph as well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edge_squeeze.weight_files.keras_config import layers_of

SETTINGS = ("strides", "padding", "activation")  # of a convolution: those that its weights' shapes do not show
SHAPES = ("batch_shape", "batch_input_shape")  # Keras 3 and 2


@dataclass(frozen=True)
class Graph:
    """What shapes of weights do not show of a network; `input_size` is None where it is open."""

    input_size: tuple[int, int] | None
    additions: int
    convolutions: dict[str, dict[str, Any]]  # layer -> SETTINGS

    def differences(self, other: Graph) -> Iterator[str]:
        """What `other` has in place of what is required here, a text each."""
        if self.additions != other.additions:
            yield f"bypasses: required {self.additions}, got a model with {other.additions}"
        for layer in self.convolutions.keys() & other.convolutions.keys():
            for name, required in self.convolutions[layer].items():
                if (got := other.convolutions[layer][name]) != required:
                    yield f"{layer}: required {name} {required}, got {ascii(got)[:60]}"


def of_config(config: Any) -> Graph | None:
    """The graph of a model's configuration, as Keras writes it into its files; None where that has no layers."""
    layers = list(layers_of(config))
    if not layers:
        return None
    return Graph(
        next(filter(None, map(_input_size, layers)), None),
        sum(layer["class_name"] == "Add" for layer in layers),
        {
            str(layer["config"].get("name")): {name: layer["config"].get(name) for name in SETTINGS}
            for layer in layers
            if layer["class_name"] == "Conv2D"
        },
    )


def _input_size(layer: dict[str, Any]) -> tuple[int, int] | None:
    for name in SHAPES:
        match layer["config"].get(name):
            case [_, int(height), int(width), _]:
                return height, width
    return None
