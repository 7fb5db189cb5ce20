"""The configuration inside a Keras model file, read without building anything: its weights, and its graph.

A model's weights would fit another graph as well; its configuration shows the difference.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_squeeze.errors import UsageError
from edge_squeeze.weight_files.layers import CONFIG

LONGEST_MESSAGE = 200
NORMALIZING = ("Rescaling", "Normalization")
WIDTHS = ("units", "filters", "output_dim")
SMALLEST = 1 << 24  # numbers: whatever a layer below that claims is no burden
BYTES = 2  # of the smallest numbers that Keras keeps weights in
SETTINGS = ("strides", "padding", "activation")  # of a convolution: those that its weights' shapes do not show
SHAPES = ("batch_shape", "batch_input_shape")  # Keras 3 and 2
# What only Keras 2 writes, for files that do not say which version saved them.
KERAS_2_CLASSES = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ModuleWrapper")
KERAS_2_MODULES = ("tf_keras", "keras.engine", "keras.src.engine", "keras.layers.core", "keras.src.layers.core.tf_op")
KERAS_2_KEYS = ("batch_input_shape", "rng_type")
ADDITIONS = ("__operators__.add", "math.add")  # as Keras 2 saves a + b
METADATA = "metadata.json"
WHOLE, LAYERS = "model_config", "layer_names"  # attributes of a whole model's .h5 file, and of one of weights alone


def read(path: Path) -> Any:
    """The configuration in the .keras or .h5 file at `path`; UsageError if there is none that can be read."""
    alone = False
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                return json.loads(archive.read(CONFIG))
        import h5py

        with h5py.File(path) as file:
            alone = WHOLE not in file.attrs and LAYERS in file.attrs
            return json.loads(file.attrs[WHOLE])
    except Exception as error:  # zipfile and h5py raise whatever a damaged file makes them run into
        if alone or path.name.endswith(".weights.h5"):
            raise UsageError(
                f"{path} holds weights alone. Required: a whole model, as model.save writes it."
            ) from error
        what = f"{type(error).__name__}: {str(error)[:LONGEST_MESSAGE]}"
        raise UsageError(f"{path} has no configuration of a Keras model that can be read ({what}).") from error


def keras_2(path: Path) -> str | None:
    """The version of Keras 2 that saved the file at `path`: "2" if it does not say which, None if none did."""
    try:
        version, config = _version(path), read(path)
    except Exception:  # whatever is damaged is reported where the whole file is read
        return None
    if re.match(r"\d+\.", version):
        return version if version.startswith("2.") else None
    return "2" if any(map(_is_keras_2, layers_of(config))) else None


def _version(path: Path) -> str:
    """The version that the file at `path` says saved it, as in "2.13.1"; "" if it says none."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            metadata = json.loads(archive.read(METADATA)) if METADATA in archive.namelist() else {}
            return str(metadata.get("keras_version", ""))
    import h5py

    with h5py.File(path) as file:
        version = file.attrs.get("keras_version", "")
        return version.decode() if isinstance(version, bytes) else str(version)


def _is_keras_2(layer: dict[str, Any]) -> bool:
    module, keys = str(layer.get("module")), layer["config"].keys()
    return (
        layer["class_name"] in KERAS_2_CLASSES
        or module.startswith(KERAS_2_MODULES)
        or any(key in keys for key in KERAS_2_KEYS)
    )


def check(config: Any, path: Path, size: int) -> None:
    """Raise UsageError if a layer of the model at `path` claims weights that `size` bytes cannot hold.

    Keras makes room for what is claimed, and TensorFlow tries for ten seconds, before either looks at the weights.
    """
    for layer in layers_of(config):
        if (claimed := _weights(layer)) > max(SMALLEST, size // BYTES):
            name = str(layer["config"].get("name"))[:60]
            raise UsageError(
                f"{path} is damaged, or not what it seems: its layer {name} claims {claimed:,} weights, which "
                f"{size:,} bytes cannot hold."
            )


def normalizes(config: Any) -> bool:
    """Whether a layer of the model prepares the pictures by itself."""
    return any(layer["class_name"] in NORMALIZING for layer in layers_of(config))


def layers_of(config: Any) -> Iterator[dict[str, Any]]:
    """Every object with a class and a configuration, however deep it lies."""
    if isinstance(config, dict):
        if "class_name" in config and isinstance(config.get("config"), dict):
            yield config
        config = list(config.values())
    if isinstance(config, list):
        for value in config:
            yield from layers_of(value)


def _weights(layer: dict[str, Any]) -> int:
    """How many weights a layer must have at least: its width x its kernel x the channels that it takes."""
    config, build = layer["config"], layer.get("build_config") or {}
    shape = build.get("input_shape") if isinstance(build, dict) else None
    widths = [config.get(name) for name in WIDTHS]
    if not any(isinstance(width, int) for width in widths) and "kernel_size" not in config:
        return 0
    kernel = config.get("kernel_size", 1)
    numbers = [*widths, *(kernel if isinstance(kernel, list) else [kernel])]
    numbers += shape[-1:] if isinstance(shape, list) and config.get("groups", 1) == 1 else []
    return math.prod(abs(number) for number in numbers if isinstance(number, int) and number)


@dataclass(frozen=True)
class Graph:
    """What shapes of weights do not show of a network; `input_size` is None where it is open."""

    input_size: tuple[int, int] | None
    additions: int
    convolutions: dict[str, dict[str, Any]]  # layer -> SETTINGS

    def differences(self, received: Graph) -> Iterator[str]:
        """A text for each difference between this required graph and the `received` one."""
        if self.additions != received.additions:
            yield f"bypasses: required {self.additions}, got a model with {received.additions}"
        for layer in self.convolutions.keys() & received.convolutions.keys():
            for name, required in self.convolutions[layer].items():
                if (setting := received.convolutions[layer][name]) != required:
                    yield f"{layer}: required {name} {required}, got {ascii(setting)[:60]}"


def graph_of(config: Any) -> Graph | None:
    """The graph of a model's configuration, as Keras writes it into its files; None where that has no layers."""
    layers = list(layers_of(config))
    if not layers:
        return None
    return Graph(
        next(filter(None, map(_input_size, layers)), None),
        sum(layer["class_name"] == "Add" or layer["config"].get("function") in ADDITIONS for layer in layers),
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
