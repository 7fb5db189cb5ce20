"""A TensorFlow SavedModel as a Keras model of one layer: Keras 3 opens it only as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_squeeze.errors import UsageError

FILE, ENDPOINT = "saved_model.pb", "serving_default"
# Operators with which a SavedModel's graph reaches for files or runs Python; a classifier has no need of them.
# SaveV2 and RestoreV2 are in every SavedModel, to read its own variables.
REFUSED_OPERATORS = {
    "ReadFile", "WriteFile", "MatchingFiles", "PyFunc", "PyFuncStateless", "EagerPyFunc", "Save", "SaveSlices",
    "Restore", "RestoreSlice", "WholeFileReaderV2", "FixedLengthRecordDatasetV2", "TextLineDataset", "TFRecordDataset",
    "DebugIdentityV2", "DebugIdentityV3", "DumpGraph",
}  # fmt: skip


def refused(path: Path, reason: str) -> UsageError:
    """A UsageError for a model that is no image classifier."""
    return UsageError(
        f"{path} cannot be exported: {reason}. Required: an image classifier, pictures [N,H,W,3 or 1] float32 -> "
        "scores [N,classes]."
    )


def read(path: Path, _objects: dict[str, Any]) -> Any:
    """The SavedModel as one Keras layer between an input and an output."""
    import keras

    signature = _signature(path)
    for kind, ends in (("input", signature.inputs), ("output", signature.outputs)):
        if len(ends) != 1:
            raise refused(path, f"it has {len(ends)} {kind}s ({', '.join(sorted(ends))}), one is required")
    (taken,), (given,) = signature.inputs.values(), signature.outputs
    shape = [None if side.size < 0 else side.size for side in taken.tensor_shape.dim]
    picture = keras.Input(batch_shape=shape, dtype=_dtype(taken), name="image")
    return keras.Model(picture, keras.layers.TFSMLayer(path, call_endpoint=ENDPOINT)(picture)[given])


def _dtype(tensor: Any) -> str:
    import tensorflow as tf

    return str(tf.as_dtype(tensor.dtype).name)


def _signature(path: Path) -> Any:
    """The serving signature in saved_model.pb, once no operator of the graph reaches out of it."""
    from tensorflow.core.protobuf import saved_model_pb2

    graphs = saved_model_pb2.SavedModel.FromString((path / FILE).read_bytes()).meta_graphs
    reaching = {op for graph in graphs for op in _operators(graph.graph_def)} & REFUSED_OPERATORS
    if reaching:
        raise refused(path, f"its graph reads or writes files, or runs Python ({', '.join(sorted(reaching))})")
    signatures = [graph.signature_def[ENDPOINT] for graph in graphs if ENDPOINT in graph.signature_def]
    if not signatures:
        raise refused(path, f"it has no signature {ENDPOINT!r}")
    return signatures[0]


def _operators(graph: Any) -> Iterator[str]:
    yield from (node.op for node in graph.node)
    yield from (node.op for function in graph.library.function for node in function.node_def)
