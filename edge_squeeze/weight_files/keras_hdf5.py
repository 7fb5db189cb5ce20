"""Keras' HDF5 files as layers, whether written by Keras 2 or 3.

libhdf5 trusts what is inside a file: of 20,000 small files with one to four bytes changed, 30 crashed h5py 3.14 and 54
kept it busy for more than four seconds. This is for the guarded process of `contents` alone.
"""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from edge_squeeze.errors import UsageError
from edge_squeeze.weight_files.archives import parsed
from edge_squeeze.weight_files.layers import (
    CONFIG,
    LARGEST_UNPACKED,
    LONGEST_CONFIG,
    Layers,
    Statements,
    add,
    float32,
    require_floats,
    shapes_1_0,
)

CONTAINERS = ("layers", "_layer_checkpoint_dependencies")  # Keras 3; tf.keras 2.12 and 2.13
DEEPEST_MODEL = 1  # models inside the model
ATTRIBUTE = "model_config"
CONVOLUTION = re.compile(r"conv2d(_\d+)?")
MOST_MEMBERS = 10_000
LONGEST_ATTRIBUTE = 1 << 20
SAFE_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
BEST_RATIO = 1032  # what deflate can shrink at most


def read(data: bytes | bytearray, name: str, around: Any = None) -> tuple[Layers, Statements]:
    """The layers of Keras' HDF5 file, kernels [h,w,in,out], and a whole model's configuration.

    `around` is the configuration of the .keras archive that the file is part of.
    """
    try:
        # Through a Python object, libhdf5 opens no file for a link; for external storage it would (see _array).
        with h5py.File(io.BytesIO(data), "r") as file:
            held = list(Reader(file).layers())
            config = configuration(file)
    except Exception as error:  # h5py raises whatever libhdf5 runs into
        reason = str(error)
        if not isinstance(error, UsageError):
            reason = f"it is damaged: {type(error).__name__}: {reason[:200]}"
        raise UsageError(
            f"{name} is not a Keras file that can be read: {reason}. "
            "Required: what model.save or model.save_weights writes."
        ) from error
    layers = Layers()
    for key, layer in zip(names(held, around), held, strict=True):
        add(layers, key, layer.arrays, name)
    return layers, {} if config is None else {CONFIG: parsed(config.encode(), name)}


@dataclass(frozen=True)
class Layer:
    """A layer's arrays; `name` is None where the file has only its group's name, such as conv2d_3."""

    name: str | None
    group: str
    arrays: list[NDArray[np.float32]]


class Reader:
    """Reads the layers of an open file, no more than LARGEST_UNPACKED bytes of arrays."""

    def __init__(self, file: Any) -> None:
        self._file, self._left = file, LARGEST_UNPACKED

    def layers(self) -> Iterator[Layer]:
        """All layers that have arrays, in the order of the model."""
        names = members(self._file)
        if any(container in names for container in CONTAINERS):
            return self._of_containers(self._file, 0)
        root = member(self._file, "model_weights") if "model_weights" in names else self._file
        if "layer_names" not in root.attrs:
            raise UsageError("it has neither Keras' layer_names nor a group called layers")
        return self._of_names(root)

    def _of_names(self, root: Any) -> Iterator[Layer]:
        """As Keras 2 saves them, and Keras 3 in .h5: attributes list the layers, and the arrays of each."""
        for name in texts(root, "layer_names"):
            group = member(root, name)
            parts: dict[str, list[NDArray[np.float32]]] = {}
            for weight in texts(group, "weight_names"):
                parts.setdefault(weight.rpartition("/")[0], []).append(self._array(member(group, weight), weight))
            for part, arrays in parts.items():  # several where the layer is a model: each its own layer's name
                yield Layer(name if len(parts) == 1 else part, name, arrays)

    def _of_containers(self, group: Any, depth: int) -> Iterator[Layer]:
        """As Keras 3 saves them in .weights.h5: groups numbered by class, a layer's own name at most an attribute."""
        if depth > DEEPEST_MODEL:
            raise UsageError("it has models nested too deep; required a model, or a model inside one")
        for container in [name for name in CONTAINERS if name in members(group)]:
            children = member(group, container)
            for name in sorted(members(children), key=by_number):
                layer = member(children, name)
                names = members(layer)
                if "vars" in names:
                    yield from self._of_variables(member(layer, "vars"), name)
                if any(inner in names for inner in CONTAINERS):
                    yield from self._of_containers(layer, depth + 1)

    def _of_variables(self, variables: Any, group: str) -> Iterator[Layer]:
        name = texts(variables, "name")[0] if "name" in variables.attrs else None
        keys = sorted(members(variables), key=by_number)
        if keys:
            yield Layer(name, group, [self._array(member(variables, key), name or group) for key in keys])

    def _array(self, dataset: Any, where: str) -> NDArray[np.float32]:
        """A dataset's numbers, once it is known that they are floats, in this file, and as many as declared."""
        where = where[:100]
        if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
            raise UsageError(f"{where} is not an array")
        if dataset.is_virtual or dataset.external:
            raise UsageError(f"{where} lies in another file")
        require_floats(dataset.dtype, where)
        size = math.prod(dataset.shape) * dataset.dtype.itemsize
        chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
        self._left -= max(size, chunk, math.prod(dataset.shape) * 4)
        if self._left < 0:
            raise UsageError(f"its arrays are larger than allowed, {where} declares {dataset.shape}")
        filters = filters_of(dataset)
        if not filters <= SAFE_FILTERS:
            raise UsageError(f"{where} is compressed otherwise than by gzip")
        if size > dataset.id.get_storage_size() * (BEST_RATIO if filters else 1):
            raise UsageError(f"{where} declares {dataset.shape}, which is more than the file holds")
        return float32(dataset[()], where)


def members(group: Any) -> list[str]:
    """The names in a group, nothing opened."""
    if not isinstance(group, h5py.Group):
        raise UsageError("it has an array where a group is required")
    if len(group) > MOST_MEMBERS:
        raise UsageError(f"it has a group of more than {MOST_MEMBERS:,} members")
    return list(group)


def member(group: Any, path: str) -> Any:
    """What is at `path` in this very file: soft and external links are refused without following them."""
    for part in filter(None, path.split("/")):
        if not isinstance(group, h5py.Group):
            raise UsageError("it has an array where a group is required")
        if not group.id.links.exists(part.encode()):
            raise UsageError(f"it lacks {path[:100]}")
        if group.id.links.get_info(part.encode()).type != h5py.h5l.TYPE_HARD:
            raise UsageError(f"{path[:100]} is a link to elsewhere")
        group = group[part]
    return group


def filters_of(dataset: Any) -> set[int]:
    """The numbers of the filters that its chunks went through."""
    properties = dataset.id.get_create_plist()
    return {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}


def texts(owner: Any, key: str) -> list[str]:
    """The attribute `key`, one text or many."""
    if key not in owner.attrs:
        raise UsageError(f"it lacks the attribute {key}")
    attribute = h5py.h5a.open(owner.id, key.encode())
    if math.prod(attribute.shape) * attribute.dtype.itemsize > LONGEST_ATTRIBUTE:
        raise UsageError(f"its attribute {key} is too long")
    values = np.atleast_1d(owner.attrs[key]).ravel().tolist()
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]


def configuration(file: Any) -> str | None:
    """The JSON text in which a whole model describes itself; None in a file of weights alone."""
    if ATTRIBUTE not in file.attrs:
        return None
    (config,) = texts(file, ATTRIBUTE)
    if len(config) > LONGEST_CONFIG:
        raise UsageError("its configuration is too long")
    return config


def by_number(name: str) -> tuple[str, int]:
    """Sorts conv2d, conv2d_1, conv2d_2 ... conv2d_10."""
    match = re.fullmatch(r"(.*?)_?(\d{0,9})", name, re.DOTALL)
    return (match[1], int(match[2] or 0)) if match else (name, 0)


def grouped(config: Any) -> dict[str, str]:
    """The name of each layer of a model's `config` by its arrays' group: its class, numbered from the second on."""
    counts: Counter[str] = Counter()
    layers: dict[str, str] = {}
    match config:
        case {"config": {"layers": [*rows]}}:
            for row in rows:
                match row:
                    case {"class_name": str(kind), "config": {"name": str(name)}}:
                        group = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)).lower()
                        layers[f"{group}_{counts[group]}" if counts[group] else group] = name
                        counts[group] += 1
    return layers


def names(layers: list[Layer], around: Any = None) -> list[str]:
    """Each layer's own name; where Keras 2 or an older Keras 3 wrote none, that of the configuration `around` it.

    Without a configuration its group's, or our convolutions' in order.
    """
    keys = [layer.name or layer.group for layer in layers]
    groups, own = Counter(layer.group for layer in layers), grouped(around)
    for i, layer in enumerate(layers):
        if layer.name is None and groups[layer.group] == 1 and layer.group in own:  # else inside a model in the model
            keys[i] = own[layer.group]
    unnamed = [i for i, key in enumerate(keys) if layers[i].name is None and CONVOLUTION.fullmatch(key)]
    ours = [name for name, _ in shapes_1_0()]
    if len(unnamed) == len(ours):
        for i, name in zip(unnamed, ours, strict=True):
            keys[i] = name
    return keys
