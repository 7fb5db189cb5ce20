"""A program that saves a Keras 2 file as a SavedModel: its argument is a request as `keras2` writes it, in JSON.

It answers {} or {"refused": TEXT} on standard output. Hence a process: TensorFlow must not have loaded Keras 3.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_squeeze.errors import UsageError
from edge_squeeze.models import keras2, keras_file
from edge_squeeze.models.adaptation import HALVES, computing
from edge_squeeze.packages import version_of
from edge_squeeze.process.output import captured
from edge_squeeze.process.supervision import die_with, memory_limited
from edge_squeeze.weight_files import keras_config

OWN = ("keras", "tf_keras", "builtins")  # modules of Keras' own layers


def convert(path: Path, size: int, custom_objects: str | None, folder: Path, *, trust_file: bool) -> None:
    """Save the Keras 2 file at `path`, of `size` bytes, as a SavedModel in `folder`; UsageError if it is unusable."""
    try:
        import tf_keras
    except Exception as error:  # of another TensorFlow's version, it fails in many ways
        raise UsageError(
            f"{path} was saved by Keras 2, and {keras2.PACKAGE} {version_of(keras2.PACKAGE)} does not load with "
            f"TensorFlow {version_of('tensorflow')}: {str(error)[:200]}. Both must have the same version."
        ) from error
    sys.modules["keras"] = tf_keras  # what modules of that time import
    objects = keras_file.objects_of(custom_objects) if custom_objects else {}
    config = keras_config.read(path)
    if not trust_file:
        keras2.check(config, path)
    for name in _foreign(config):
        if tf_keras.saving.get_registered_object(name, objects) is None:
            raise UsageError(keras_file.needs(path, name))
    try:
        with memory_limited(size):
            model = _load(path, objects, trust_file=trust_file)
            keras_file.check_ends(model, path)
            _require_float32(model, path)
            _save(model, folder)
    except UsageError:
        raise
    except Exception as error:  # as keras_file.load
        raise UsageError(keras_file.reason_of(path, error)) from error


def _load(path: Path, objects: dict[str, Any], *, trust_file: bool) -> Any:
    """The model at `path`; no Python code in it runs, as tf-keras by itself ensures for .keras files only."""
    import tf_keras
    from tf_keras.src.saving.serialization_lib import SafeModeScope

    with SafeModeScope(safe_mode=not trust_file):
        return tf_keras.models.load_model(path, compile=False, custom_objects=objects)


def _foreign(config: Any) -> Iterator[str]:
    """The names of what is not Keras' own: tf-keras would import the module that the file names for each."""
    if isinstance(config, dict):
        module = config.get("module")
        if "class_name" in config and isinstance(module, str) and module.partition(".")[0] not in OWN:
            function = config["class_name"] == "function"
            yield str(config.get("config") if function else config.get("registered_name") or config["class_name"])
    for value in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        yield from _foreign(value)


def _require_float32(model: Any, path: Path) -> None:
    half = sorted({layer.name for layer in computing(model) if layer.compute_dtype in HALVES})
    if half:
        raise UsageError(
            f"{path} cannot be used: {len(half)} of its layers do not compute in float32 ({', '.join(half[:3])}). "
            "Build it with that policy, and set_weights of this one."
        )


def _save(model: Any, folder: Path) -> None:
    """Write the SavedModel of `model`; unlike model.export, without the random layers that only training wants."""
    import tensorflow as tf
    from tf_keras.export import ExportArchive

    (picture,) = model.inputs
    archive = ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve",
        lambda image: model(tf.cast(image, picture.dtype), training=False),
        input_signature=[tf.TensorSpec(picture.shape, tf.float32, "image")],
    )
    archive.write_out(str(folder))


def main() -> None:
    """Answer the request in the program's argument."""
    request = json.loads(sys.argv[1])
    die_with(request["parent"])
    answer = {}
    try:
        with captured():
            path, folder = Path(request["path"]), Path(request["folder"]) / "model"
            convert(path, request["size"], request["custom_objects"], folder, trust_file=request["trust_file"])
    except UsageError as error:
        answer = {"refused": str(error)}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
