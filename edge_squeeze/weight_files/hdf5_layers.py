"""Keras' HDF5 files as layers: a program of its own, the file on standard input, the arrays on standard output.

It is run by `keras_files` in a process of its own, because libhdf5 trusts what is inside a file: of 20,000
small files with one to four bytes changed, 30 crashed h5py 3.14 and 54 kept it busy for more than four seconds.
Its answer is a line of JSON, {"config": TEXT or null, "layers": [{"name", "group", "shapes"}]} or {"refused": TEXT},
and then the arrays as little-endian float32, one after another. The config is JSON, too: a whole model's own.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

CONTAINERS = ("layers", "_layer_checkpoint_dependencies")  # Keras 3; tf.keras 2.12 and 2.13
DEEPEST_MODEL = 1  # models inside the model
CONFIG = "model_config"
LONGEST_CONFIG = 1 << 24
MOST_MEMBERS = 10_000
LONGEST_ATTRIBUTE = 1 << 20
FLOAT_BYTES = (2, 4, 8)
SAFE_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
BEST_RATIO = 1032  # what deflate can shrink at most
MEMORY = 4  # times the limit of the arrays: the file, the arrays, and what libhdf5 makes of them


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """A file that is not read; the text is for the user."""


@dataclass(frozen=True)
class Layer:
    """A layer's arrays; `name` is None where the file has only its group's name, such as conv2d_3."""

    name: str | None
    group: str
    arrays: list[NDArray[np.float32]]


class Reader:
    """Reads what is in one file, no more than `limit` bytes of arrays."""

    def __init__(self, file: Any, limit: int) -> None:
        self._file, self._left = file, limit

    def layers(self) -> Iterator[Layer]:
        """All layers that have arrays, in the order of the model."""
        names = members(self._file)
        if any(container in names for container in CONTAINERS):
            return self._of_containers(self._file, 0)
        root = member(self._file, "model_weights") if "model_weights" in names else self._file
        if "layer_names" not in root.attrs:
            raise Refused("it has neither Keras' layer_names nor a group called layers")
        return self._of_names(root)

    def _of_names(self, root: Any) -> Iterator[Layer]:
        """Keras 2's way, and Keras 3's for .h5: attributes list the layers, and the arrays of each."""
        for name in texts(root, "layer_names"):
            group = member(root, name)
            parts: dict[str, list[NDArray[np.float32]]] = {}
            for weight in texts(group, "weight_names"):
                parts.setdefault(weight.rpartition("/")[0], []).append(self._array(member(group, weight), weight))
            for part, arrays in parts.items():  # several where the layer is a model: each its own layer's name
                yield Layer(name if len(parts) == 1 else part, name, arrays)

    def _of_containers(self, group: Any, depth: int) -> Iterator[Layer]:
        """Keras 3's way for .weights.h5: groups numbered by class, each layer's own name an attribute if at all."""
        if depth > DEEPEST_MODEL:
            raise Refused("it has models nested too deep; required a model, or a model inside one")
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
            raise Refused(f"{where} is no array")
        if dataset.is_virtual or dataset.external:
            raise Refused(f"{where} lies in another file")
        if dataset.dtype.kind != "f" or dataset.dtype.itemsize not in FLOAT_BYTES:
            raise Refused(f"{where}: required arrays of floats, got {dataset.dtype}")
        size = math.prod(dataset.shape) * dataset.dtype.itemsize
        chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
        self._left -= max(size, chunk, math.prod(dataset.shape) * 4)
        if self._left < 0:
            raise Refused(f"its arrays are larger than allowed, {where} declares {dataset.shape}")
        filters = filters_of(dataset)
        if not filters <= SAFE_FILTERS:
            raise Refused(f"{where} is compressed otherwise than by gzip")
        if size > dataset.id.get_storage_size() * (BEST_RATIO if filters else 1):
            raise Refused(f"{where} declares {dataset.shape}, which is more than the file holds")
        return np.ascontiguousarray(dataset[()], "<f4")


def members(group: Any) -> list[str]:
    """The names in a group, nothing opened."""
    if not isinstance(group, h5py.Group):
        raise Refused("it has an array where a group is required")
    if len(group) > MOST_MEMBERS:
        raise Refused(f"it has a group of more than {MOST_MEMBERS:,} members")
    return list(group)


def member(group: Any, path: str) -> Any:
    """What is at `path` in this very file: soft and external links are refused without following them."""
    for part in filter(None, path.split("/")):
        if not isinstance(group, h5py.Group):
            raise Refused("it has an array where a group is required")
        if not group.id.links.exists(part.encode()):
            raise Refused(f"it lacks {path[:100]}")
        if group.id.links.get_info(part.encode()).type != h5py.h5l.TYPE_HARD:
            raise Refused(f"{path[:100]} is a link to elsewhere")
        group = group[part]
    return group


def filters_of(dataset: Any) -> set[int]:
    """The numbers of the filters that its chunks went through."""
    properties = dataset.id.get_create_plist()
    return {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}


def texts(owner: Any, key: str) -> list[str]:
    """The attribute `key`, one text or many."""
    if key not in owner.attrs:
        raise Refused(f"it lacks the attribute {key}")
    attribute = h5py.h5a.open(owner.id, key.encode())
    if math.prod(attribute.shape) * attribute.dtype.itemsize > LONGEST_ATTRIBUTE:
        raise Refused(f"its attribute {key} is too long")
    values = np.atleast_1d(owner.attrs[key]).ravel().tolist()
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]


def configuration(file: Any) -> str | None:
    """The JSON that a whole model has of itself; None in a file of weights alone."""
    if CONFIG not in file.attrs:
        return None
    (config,) = texts(file, CONFIG)
    if len(config) > LONGEST_CONFIG:
        raise Refused("its configuration is too long")
    return config


def by_number(name: str) -> tuple[str, int]:
    """Sorts conv2d, conv2d_1, conv2d_2 ... conv2d_10."""
    match = re.fullmatch(r"(.*?)_?(\d{0,9})", name, re.DOTALL)
    return (match[1], int(match[2] or 0)) if match else (name, 0)


def confine(limit: int) -> None:
    """Let this process have no more memory than it can have need of, where the system knows such a limit."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY * limit, MEMORY * limit))


def main() -> None:
    """Answer for the file on standard input."""
    limit, data = int(sys.argv[1]), sys.stdin.buffer.read()
    confine(limit)
    found: list[Layer] = []
    config: str | None = None
    try:
        # Read through a Python object, libhdf5 opens no file for a link; for external storage it would (see _array).
        with h5py.File(io.BytesIO(data), "r") as file:
            found = list(Reader(file, limit).layers())
            config = configuration(file)
        answer: dict[str, Any] = {
            "config": config,
            "layers": [{"name": x.name, "group": x.group, "shapes": [a.shape for a in x.arrays]} for x in found],
        }
    except Refused as refused:
        answer = {"refused": str(refused)}
    except Exception as error:  # h5py raises whatever libhdf5 stumbles over
        answer = {"refused": f"it is damaged: {type(error).__name__}: {str(error)[:200]}"}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    for array in [array for layer in found for array in layer.arrays] if "layers" in answer else []:
        sys.stdout.buffer.write(array.data.cast("B"))


if __name__ == "__main__":
    main()
