"""Keras' weights files: HDF5 of Keras 2 and 3, and the .keras archive around it."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze.errors import MissingDependencyError, UsageError
from edge_squeeze.packages import is_installed
from edge_squeeze.weight_files import keras_graph
from edge_squeeze.weight_files.archives import Archive, parsed
from edge_squeeze.weight_files.layers import LARGEST_UNPACKED, Layers, add, shapes_1_0
from edge_squeeze.weight_files.told import NOTHING, Told

MAGIC = b"\x89HDF\r\n\x1a\n"
WEIGHTS, SHARDED, CONFIG = "model.weights.h5", "model.weights.json", "config.json"
READER = Path(__file__).with_name("hdf5_layers.py")
LONGEST_CONFIG = 1 << 24
LONGEST_SECONDS = 30  # a SqueezeNet takes a fraction of one
CONVOLUTION = re.compile(r"conv2d(_\d+)?")
# No plug-ins: libhdf5 would load a library to decompress a file that asks for it. One thread: each takes memory.
ENVIRONMENT = {"HDF5_PLUGIN_PRELOAD": "::", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def recognizes(data: bytes) -> bool:
    """Whether `data` is an HDF5 file."""
    return data.startswith(MAGIC)


def recognizes_archive(archive: Archive) -> bool:
    """Whether the archive is a .keras file."""
    return CONFIG in archive.sizes and (WEIGHTS in archive.sizes or SHARDED in archive.sizes)


def read_archive(archive: Archive) -> Layers:
    """The layers of a .keras file; of the model around them no more than its configuration is looked at."""
    if WEIGHTS not in archive.sizes:
        raise UsageError(f"{archive.name} has its weights in several files; save the model without max_shard_size.")
    return read(archive.read(WEIGHTS), archive.name)


def read(data: bytes | bytearray, name: str) -> Layers:
    """The layers of Keras' HDF5 file, kernels [h,w,in,out]; UsageError for any other or damaged one.

    Raises MissingDependencyError without h5py.
    """
    if not is_installed("h5py"):
        raise MissingDependencyError("h5py", "export", f"reading the Keras file {name}")
    said = _answer(data, name)
    position = said.index(b"\n") + 1
    answer = json.loads(said[:position])
    layers = Layers()
    for row, layer in zip(answer["layers"], _names(answer["layers"]), strict=True):
        arrays = []
        for shape in row["shapes"]:
            arrays.append(np.frombuffer(said, "<f4", math.prod(shape), position).reshape(shape))
            position += arrays[-1].nbytes
        add(layers, layer, arrays, name)
    return layers


def told(data: bytes, name: str) -> Told:
    """The graph in Keras' HDF5 file, if it holds a whole model."""
    config = json.loads(_answer(data, name).partition(b"\n")[0])["config"]
    return NOTHING if config is None else Told(graph=keras_graph.of_config(parsed(config.encode(), name)))


def told_by_archive(archive: Archive) -> Told:
    """The graph in a .keras file."""
    return Told(graph=keras_graph.of_config(archive.read_json(CONFIG, LONGEST_CONFIG)))


def _answer(data: bytes | bytearray, name: str) -> bytes:
    """What `hdf5_layers` says of the file, in a process of its own that may crash or hang on a damaged one.

    Raises UsageError if it refuses the file or breaks down on it.
    """
    command = [sys.executable, "-P", str(READER), str(LARGEST_UNPACKED)]
    try:
        done = subprocess.run(  # noqa: S603 - ourselves
            command,
            input=data,
            capture_output=True,
            check=True,
            timeout=LONGEST_SECONDS,
            env={**os.environ, **ENVIRONMENT},
        )
    except subprocess.TimeoutExpired as error:
        message = f"{name} is damaged: the HDF5 library did not get through it in {LONGEST_SECONDS} s. Save it again."
        raise UsageError(message) from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
        raise UsageError(
            f"{name} is damaged: the HDF5 library broke down on it (exit code {error.returncode}) {said}".rstrip()
        ) from error
    refused = json.loads(done.stdout.partition(b"\n")[0]).get("refused")
    if refused is not None:
        raise UsageError(
            f"{name} is no Keras file that can be read: {refused}. "
            "Required: what model.save or model.save_weights writes."
        )
    return done.stdout


def _names(rows: list[dict[str, Any]]) -> list[str]:
    """Each layer's own name; where an older Keras 3 wrote none, its group's, or our convolutions' in order."""
    own = [row["name"] or row["group"] for row in rows]
    unnamed = [i for i, row in enumerate(rows) if row["name"] is None and CONVOLUTION.fullmatch(row["group"])]
    ours = [name for name, _ in shapes_1_0()]
    if len(unnamed) == len(ours):
        for i, name in zip(unnamed, ours, strict=True):
            own[i] = name
    return own
