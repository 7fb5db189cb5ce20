"""Artifacts with one fault each, planted in the model file or in model.json."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from small_artifacts import change

from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.converters.formats import tflite_edits
from edge_squeeze.converters.rewrites import tflite_tree as tree

Edit = Callable[[Any], None]  # of the tree of a .tflite file


def copied(artifact: Path, to: Path) -> Path:
    """A copy of an artifact, without its proof."""
    shutil.copytree(artifact, to)
    (to / "parity.json").unlink()
    return to


def with_file(artifact: Path, to: Path, data: bytes) -> Path:
    """A copy of an artifact with another model file, whose sha256 model.json has."""
    folder = copied(artifact, to)
    name = artifacts.load(folder).manifest.file.name
    (folder / name).write_bytes(data)
    change(folder, file={"name": name, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    return folder


def edited(artifact: Path, to: Path, edit: Edit) -> Path:
    """A copy of a .tflite artifact whose file was edited."""
    loaded = artifacts.load(artifact)
    model = tflite_edits.unpack(loaded.model())
    edit(model)
    return with_file(artifact, to, tflite_edits.pack(model))


class Layer:
    """A convolution of a .tflite file, by the name of what it gives, whose numbers can be changed."""

    def __init__(self, model: Any, name: str) -> None:
        self._model, graph = model, model.subgraphs[0]
        self.output = next(tensor for tensor in graph.tensors if tensor.name == name.encode())
        maker = tree.maker(graph, graph.tensors.index(self.output))
        self.weights, self.bias = (graph.tensors[index] for index in maker.inputs[1:3])

    def numbers(self, tensor: Any, dtype: Any) -> Any:
        """The numbers of a constant in its shape."""
        return tree.numbers(self._model, tensor, dtype).reshape(tensor.shape).copy()

    def put(self, tensor: Any, numbers: Any) -> None:
        """Store other numbers."""
        self._model.buffers[tensor.buffer].data = np.frombuffer(numbers.tobytes(), np.uint8)


def scale(tensor: Any, factor: float) -> None:
    """Let the codes of a tensor stand for other numbers."""
    tensor.quantization.scale = (np.asarray(tensor.quantization.scale) * factor).astype(np.float32)
