"""A user's own Keras model or SavedModel: read as the untrusted input it is, and checked to be an image classifier."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_squeeze.artifact.manifest import KERAS_MODEL, SAVED_MODEL, WeightsRecord
from edge_squeeze.errors import EdgeSqueezeError, UsageError
from edge_squeeze.files import reading
from edge_squeeze.models import adaptation, keras2, weights as weight_store
from edge_squeeze.models.original import load_tensorflow, require_tensorflow
from edge_squeeze.process.output import captured
from edge_squeeze.process.supervision import memory_limited
from edge_squeeze.weight_files import keras_config

SUFFIXES = (".keras", ".h5", ".hdf5")
KNOWN = "a .keras file, a .h5 file, or a folder with a SavedModel"
HDF5, ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
LARGEST_FILE = 4 << 30
LARGEST_CONFIG = 64 << 20
BINARY = ("sigmoid", "hard_sigmoid")  # activations of one output that decides between two classes
LONGEST_MESSAGE = 300  # Keras quotes whole configurations
SAVED_MODEL_FILE, ENDPOINT = "saved_model.pb", "serving_default"
# Operators with which a SavedModel's graph reaches for files or runs Python; a classifier has no need of them.
# SaveV2 and RestoreV2 are in every SavedModel, to read its own variables.
REFUSED_OPERATORS = {
    *("ReadFile", "WriteFile", "MatchingFiles", "PyFunc", "PyFuncStateless", "EagerPyFunc", "Save", "SaveSlices"),
    *("Restore", "RestoreSlice", "WholeFileReaderV2", "FixedLengthRecordDatasetV2", "TextLineDataset"),
    *("TFRecordDataset", "DebugIdentityV2", "DebugIdentityV3", "DumpGraph"),
}


@dataclass(frozen=True)
class Loaded:
    """A Keras model that takes float32 pictures [None,H,W,C] of fixed size -> [None,classes]."""

    model: Any
    record: WeightsRecord
    changes: tuple[str, ...]  # what differs from the model in the file, in words
    takes_pixels: bool  # whether its input had a dtype that holds nothing but pixels


def load(
    path: Path, input_size: int | tuple[int, int] | None, custom_objects: str | None, *, trust_file: bool = False
) -> Loaded:
    """The Keras model at `path`.

    `custom_objects` is a module that defines the layers that are not Keras' own: it is run, and so is Python code in
    the file, if `trust_file`. UsageError for what cannot be read or is not an image classifier, MissingDependencyError
    without TensorFlow.
    """
    require_tensorflow()
    read, size = _reader(path)
    if path.is_file():
        keras_config.check(keras_config.read(path), path, size)
    kind, source = (SAVED_MODEL, "SavedModel") if path.is_dir() else (KERAS_MODEL, "Keras model")
    sha256 = digest(path)
    began = weight_store.pretrained(path, sha256)
    record = WeightsRecord(kind, f"{source} {path.name}", trained=True, path=str(path), sha256=sha256, pretrained=began)
    if path.is_file() and keras_config.keras_2(path):
        with keras2.converted(path, size, custom_objects, trust_file=trust_file) as folder:
            return _loaded(path, size, lambda: _saved_model(folder, path), input_size, record)
    load_tensorflow()
    objects = objects_of(custom_objects) if custom_objects else {}
    return _loaded(path, size, lambda: read(path, objects, trust_file), input_size, record)


def _loaded(
    path: Path,
    size: int,
    read: Callable[[], Any],
    input_size: int | tuple[int, int] | None,
    record: WeightsRecord,
) -> Loaded:
    """The model that `read` makes of the `size` bytes at `path`, checked; UsageError if it makes none."""
    load_tensorflow()
    try:
        with captured(), memory_limited(size):
            model = read()
    except EdgeSqueezeError:
        raise
    except Exception as error:  # Keras raises whatever a damaged or foreign file makes it run into
        raise UsageError(reason_of(path, error)) from error
    check_ends(model, path)
    model = _without_names(model)
    takes_pixels = model.inputs[0].dtype in adaptation.WHOLE
    with captured():
        model, in_float32 = adaptation.in_float32(model)
        model, channels_last = adaptation.channels_last(model)
    changes = tuple(change for change in (in_float32, channels_last) if change)
    return Loaded(_fixed(_checked(model, path), input_size, path), record, changes, takes_pixels)


def _without_names(model: Any) -> Any:
    """`model`, taking and giving one tensor, where it takes or gives a dict or a list of one."""
    import keras

    if not isinstance(model, keras.Sequential) and any(
        isinstance(ends, dict | list | tuple) for ends in (model.input, model.output)
    ):
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return model


def _reader(path: Path) -> tuple[Any, int]:
    """The function that reads the model at `path`, and its size in bytes; UsageError if it looks like none."""
    if path.is_dir():
        if not (path / SAVED_MODEL_FILE).is_file():
            raise UsageError(f"{path} is not a SavedModel: it has no {SAVED_MODEL_FILE}. Required: {KNOWN}.")
        return _read_saved_model, sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    if not path.is_file():
        raise UsageError(f"No such model: {path}. Required: {KNOWN}.")
    size = path.stat().st_size
    if path.suffix not in SUFFIXES or size > LARGEST_FILE:
        raise UsageError(f"{path} ({size:,} bytes) cannot be read as a Keras model. Required: {KNOWN}, below 4 GB.")
    with path.open("rb") as file:
        start = file.read(len(HDF5))
    magic = ZIP if path.suffix == ".keras" else HDF5
    if not start.startswith(magic):
        raise UsageError(f"{path} is not a {path.suffix} file: required bytes {magic!r} at its start, got {start!r}.")
    unpacked = _check_archive(path) if path.suffix == ".keras" else size
    if version := keras_config.keras_2(path):
        keras2.require(path, version)
    return _read_keras, unpacked


def _check_archive(path: Path) -> int:
    """The bytes that the .keras file at `path` unpacks to; UsageError if they are absurdly many."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise UsageError(f"{path} is not a whole .keras file: {error}.") from error
    total = sum(sizes.values())
    if total > LARGEST_FILE or sizes.get("config.json", 0) > LARGEST_CONFIG:
        raise UsageError(f"{path} would unpack to {total:,} bytes. Required: below 4 GB, config.json below 64 MB.")
    return total


def _read_keras(path: Path, objects: dict[str, Any], trust_file: bool) -> Any:  # noqa: FBT001 - one of a pair
    import keras

    return keras.saving.load_model(path, compile=False, custom_objects=objects, safe_mode=not trust_file)


def _read_saved_model(path: Path, _objects: dict[str, Any], _trust_file: bool) -> Any:  # noqa: FBT001
    return _saved_model(path, path)


def _saved_model(folder: Path, path: Path) -> Any:
    """The SavedModel in `folder`, made of the model at `path`, as one Keras layer between an input and an output.

    Keras 3 opens it only as a whole.
    """
    import keras

    signature = _signature(folder, path)
    for kind, ends in (("input", signature.inputs), ("output", signature.outputs)):
        if len(ends) != 1:
            raise _refused(path, f"it has {len(ends)} {kind}s ({', '.join(sorted(ends))}), one is required")
    (taken,), (score,) = signature.inputs.values(), signature.outputs
    shape = [None if side.size < 0 else side.size for side in taken.tensor_shape.dim]
    picture = keras.Input(batch_shape=shape, dtype=_dtype(taken), name="image")
    return keras.Model(picture, keras.layers.TFSMLayer(folder, call_endpoint=ENDPOINT)(picture)[score])


def _dtype(tensor: Any) -> str:
    import tensorflow as tf

    return str(tf.as_dtype(tensor.dtype).name)


def _signature(folder: Path, path: Path) -> Any:
    """The serving signature in the saved_model.pb of `folder`, once no operator of the graph reaches out of it."""
    from tensorflow.core.protobuf import saved_model_pb2

    graphs = saved_model_pb2.SavedModel.FromString((folder / SAVED_MODEL_FILE).read_bytes()).meta_graphs
    reaching = {op for graph in graphs for op in _operators(graph.graph_def)} & REFUSED_OPERATORS
    if reaching:
        raise _refused(path, f"its graph reads or writes files, or runs Python ({', '.join(sorted(reaching))})")
    signatures = [graph.signature_def[ENDPOINT] for graph in graphs if ENDPOINT in graph.signature_def]
    if not signatures:
        raise _refused(path, f"it has no signature {ENDPOINT!r}")
    return signatures[0]


def _operators(graph: Any) -> Iterator[str]:
    yield from (node.op for node in graph.node)
    yield from (node.op for function in graph.library.function for node in function.node_def)


def objects_of(module: str) -> dict[str, Any]:
    """What the Python module (a name, or a .py file) defines and registers for Keras; running it is the user's wish."""
    try:
        if module.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(module).stem, module)
            assert spec is not None
            assert spec.loader is not None
            loaded = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(loaded)
        else:
            sys.path.insert(0, "")  # a module beside the user, as `python -m` would find it
            loaded = importlib.import_module(module)
    except Exception as error:  # the user's own code
        raise UsageError(f"--custom-objects {module} cannot be imported: {type(error).__name__}: {error}.") from error
    return {key: value for key, value in vars(loaded).items() if callable(value) and not key.startswith("_")}


def _refused(path: Path, reason: str) -> UsageError:
    """A UsageError for a model that is not an image classifier."""
    return UsageError(
        f"{path} cannot be used: {reason}. Required: an image classifier, pictures [N,H,W,3 or 1] float32 -> "
        "scores [N,classes]."
    )


def reason_of(path: Path, error: Exception) -> str:
    """A message for an error that Keras raised, whose own quotes whole configurations."""
    text = " ".join(str(error).split())
    if "Lambda" in text and "arbitrary code" in text:
        return (
            f"{path} has a Lambda layer with Python code in it, which would run on loading: refused. Build the model "
            "with a layer of Keras' own, or define it in a class of your own and give --custom-objects MODULE. If you "
            "made the file yourself, you can give --trust-file to run its code."
        )
    if missing := re.search(
        r"(?:Could not locate (?:class|function)|Unknown (?:layer|activation function)"
        r"|Cannot deserialize object of type):? ['`]?(\w+)",
        text,
    ):
        return needs(path, missing[1])
    if isinstance(error, MemoryError) or "OOM" in text or "Allocat" in text:
        return f"{path} asks for far more memory than its size explains. It is damaged, or not what it seems."
    return f"{path} cannot be read as a Keras model: {type(error).__name__}: {text[:LONGEST_MESSAGE]}"


def needs(path: Path, name: str) -> str:
    """A message for the class or function `name` that the model at `path` needs and does not have."""
    return (
        f"{path} needs {name[:60]}, which is not Keras' own. Give --custom-objects MODULE, a Python module (or .py "
        "file) that defines it."
    )


def check_ends(model: Any, path: Path) -> None:
    """Raise UsageError unless Keras knows the layers of `model`, and it has one input and one output."""
    import keras

    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not inputs or not outputs:
        if isinstance(model, keras.Sequential):
            raise _refused(
                path,
                "it is a Sequential that was never built, without an input size or weights; give it "
                "keras.Input((H, W, 3)) as its first layer, train it, and save it again",
            )
        raise _refused(
            path, "it is a subclassed model, whose layers Keras does not know; save it with model.export(DIR)"
        )
    for kind, ends in (("input", inputs), ("output", outputs)):
        if len(ends) != 1:
            cut = "; save keras.Model(model.inputs, model.outputs[0]) for the first" if kind == "output" else ""
            names = ", ".join(end.name for end in ends)
            raise _refused(path, f"it has {len(ends)} {kind}s ({names}), one is required{cut}")


def _checked(model: Any, path: Path) -> Any:
    """`model`, if it is an image classifier that computes in float32."""
    if reason := _mismatch(model.inputs[0], model.outputs[0]):
        raise _refused(path, reason)
    other = {layer.name for layer in adaptation.computing(model) if layer.compute_dtype not in ("float32", None)}
    if other:
        some = ", ".join(sorted(other)[:3])
        raise _refused(
            path, f"{len(other)} of its layers do not compute in float32 ({some}); rebuild it with that policy"
        )
    return model


def _mismatch(pictures: Any, scores: Any) -> str | None:
    """What is wrong with the input or output of a model, if anything."""
    shape, classes = tuple(pictures.shape), scores.shape[-1]
    if len(shape) != 4 or shape[-1] not in (1, 3):  # noqa: PLR2004 - batch, height, width, channels
        return f"it takes {list(shape)}, which are not pictures"
    if pictures.dtype != "float32":
        return f"it takes {pictures.dtype}"
    if shape[0] not in (None, 1):
        return f"its batch is fixed to {shape[0]}; leave it open"
    if len(scores.shape) != 2 or classes is None:  # noqa: PLR2004 - batch, classes
        flat = "; put keras.layers.Flatten() behind it" if {*scores.shape[1:-1]} == {1} else ""
        return f"it gives {list(scores.shape)}, not one score for each class{flat}"
    if classes == 1 and (activation := _activation(scores)) not in (None, *BINARY):
        return (
            f"it gives one score, with activation {activation}; end it with a sigmoid, "
            "keras.layers.Activation('sigmoid'), or give both classes theirs"
        )
    return None


def _activation(scores: Any) -> str | None:
    """The name of the function that the output `scores` of a model comes from; None where that is hidden."""
    operation = scores._keras_history.operation  # noqa: SLF001
    if getattr(operation, "outputs", None):  # a model inside the model
        return _activation(operation.outputs[0]) if operation.outputs[0] is not scores else None
    return getattr(getattr(operation, "activation", None), "__name__", None)


def _fixed(model: Any, input_size: int | tuple[int, int] | None, path: Path) -> Any:
    """`model` with a fixed input size, which it has or `input_size` gives it."""
    import keras

    own, channels = tuple(model.input_shape[1:3]), model.input_shape[-1]
    if input_size is None:
        if None in own:
            raise UsageError(f"{path} takes pictures of any size. Give --input-size.")
        return model
    size = (input_size, input_size) if isinstance(input_size, int) else input_size
    if any(side not in (None, asked) for side, asked in zip(own, size, strict=True)):
        raise UsageError(f"{path} takes pictures of {own[0]} x {own[1]}, --input-size asks for {size[0]} x {size[1]}.")
    if None not in own:
        return model
    picture = keras.Input((*size, channels), name="image")
    return keras.Model(picture, model(picture), name=model.name)


def prepares_itself(path: Path) -> bool:
    """Whether the model at `path` may prepare its pictures by itself; False for a SavedModel, which hides it."""
    _reader(path)
    return path.is_file() and keras_config.normalizes(keras_config.read(path))


def digest(path: Path) -> str:
    """sha256 of a file, or of a folder's files with their names, in hexadecimal."""
    if path.is_file():
        return reading.sha256(path)
    total = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        total.update(str(file.relative_to(path)).encode() + b"\0" + bytes.fromhex(digest(file)))
    return total.hexdigest()


def check_unchanged(path: Path, record: WeightsRecord) -> None:
    """Raise UsageError if the model that `record` describes is gone or has changed."""
    _reader(path)
    if (received := digest(path)) != record.sha256:
        raise UsageError(f"{path} has changed: required sha256 {record.sha256}, got {received}.")


def name(path: Path) -> str:
    """What the artifacts of the model at `path` are called: its file's name, of letters, digits, dots, - and _."""
    stem = path.resolve().name
    stem = stem.removesuffix(path.suffix) if path.suffix in SUFFIXES else stem
    return re.sub(r"[^\w.-]+", "-", stem).strip(".-") or "model"
