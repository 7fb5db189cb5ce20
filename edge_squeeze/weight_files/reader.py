"""Weights files as NumPy arrays under our layer names, read by a guarded process that may hang, crash or be refused.

Files of every kind go through it: to this process they are bytes, which it hands on; it gets names and numbers back.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from edge_squeeze.errors import EdgeSqueezeError, MissingDependencyError, UsageError
from edge_squeeze.files.reading import decode
from edge_squeeze.networks.design import Network
from edge_squeeze.pictures.preprocessing import Preprocessing
from edge_squeeze.weight_files.keras_config import Graph, graph_of
from edge_squeeze.weight_files.layers import CONFIG, NETWORK, PREPROCESSING, Layers, Statements, add

T = TypeVar("T")
PROGRAM = ("-m", "edge_squeeze.weight_files.contents")
LONGEST_SECONDS = 30  # a SqueezeNet takes a fraction of one
# No plug-ins: libhdf5 would load a library to decompress a file that asks for it. One thread: each takes memory.
ENVIRONMENT = {"HDF5_PLUGIN_PRELOAD": "::", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
COLORS = 3


@dataclass(frozen=True)
class Description:
    """What a weights file says of its network beside the arrays; None: nothing.

    Attributes:
        preprocessing: How pictures were prepared in training.
        network: Which network the weights are for.
        graph: The graph that they were saved with.
    """

    preprocessing: Preprocessing | None = None
    network: Network | None = None
    graph: Graph | None = None


UNDESCRIBED = Description()


@dataclass(frozen=True)
class WeightFile:
    """What a weights file holds; `convention` names how pictures were prepared for such weights, None: not known."""

    kind: str
    layers: Layers
    convention: str | None
    description: Description


def read(data: bytes, name: str) -> WeightFile:
    """What a weights file holds, recognized by its bytes and not by its name.

    Args:
        data: The file's bytes, which may be anything.
        name: What messages call it.

    Raises:
        UsageError: It is of no kind that can be read, is damaged, or takes more than LARGEST_UNPACKED bytes of memory.
        MissingDependencyError: It is a file of Keras, and h5py is not installed.
    """
    try:
        return _received(_answer(data, name), name)
    except UsageError as error:
        raise UsageError(_printable(str(error))) from error
    except EdgeSqueezeError:
        raise
    except Exception as error:  # not even a process that a file has taken over can look like a defect of ours
        message = f"{name} cannot be read: {type(error).__name__}: {str(error)[:200]}"
        raise UsageError(_printable(message)) from error


def _printable(message: str) -> str:
    """`message` without what a name in the file could make the terminal do."""
    return "".join(character if character.isprintable() else "?" for character in message)


def _answer(data: bytes, name: str) -> bytes:
    """What `contents` answers for the file in its guarded process; UsageError if that breaks down or takes too long."""
    try:
        return subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-P", *PROGRAM, name],
            input=data,
            capture_output=True,
            check=True,
            timeout=LONGEST_SECONDS,
            env={**os.environ, **ENVIRONMENT},
        ).stdout
    except subprocess.TimeoutExpired as error:
        raise UsageError(
            f"{name} is damaged: reading it took more than {LONGEST_SECONDS} s. Fetch or save it again."
        ) from error
    except subprocess.CalledProcessError as error:
        last_line = error.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
        raise UsageError(
            f"{name} is damaged: reading it broke down (exit code {error.returncode}) {last_line}".rstrip()
        ) from error


def _received(answer: bytes, name: str) -> WeightFile:
    """The weights file that `answer` describes, of whose correctness nothing is assumed."""
    position = answer.index(b"\n") + 1
    header = json.loads(answer[:position])
    if "refused" in header:
        raise UsageError(header["refused"])
    if "missing" in header:
        raise MissingDependencyError(header["missing"], "export", f"reading the Keras file {name}")
    layers = Layers()
    for layer, shapes in header["layers"]:
        arrays = []
        for shape in shapes:
            arrays.append(np.frombuffer(answer, np.float32, math.prod(shape), position).reshape(shape))
            position += arrays[-1].nbytes
        add(layers, layer, arrays, name)
    return WeightFile(header["kind"], layers, header["convention"], _description(header["statements"], name))


def _description(statements: Statements, name: str) -> Description:
    preprocessing = _stated(Preprocessing, statements, PREPROCESSING, name)
    if preprocessing is not None and preprocessing.baked.channels != COLORS:
        where = f"{name}: {PREPROCESSING}"
        raise UsageError(f"{where}: required an order of {COLORS} channels, got {preprocessing.baked.order}.")
    return Description(preprocessing, _stated(Network, statements, NETWORK, name), graph_of(statements.get(CONFIG)))


def _stated(kind: type[T], statements: dict[str, Any], member: str, name: str) -> T | None:
    """The JSON of `member` as `kind`; None without it."""
    if member not in statements:
        return None
    statement = decode(kind, statements[member], f"{name}: {member}")
    assert isinstance(statement, kind)
    return statement
