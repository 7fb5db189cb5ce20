from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_models import SIDE, find, layers, network

from edge_squeeze.errors import UsageError
from edge_squeeze.models import keras_file


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_python_code_in_a_lambda_layer_does_not_run(tmp_path: Path, suffix: str) -> None:
    import keras

    trace = tmp_path / "trace"
    inputs = keras.Input((SIDE, SIDE, 3))
    hostile = layers().Lambda(lambda x, file=str(trace): (__import__("pathlib").Path(file).touch(), x)[1])
    keras.Model(inputs, layers().Dense(3)(layers().Flatten()(hostile(inputs)))).save(tmp_path / f"model{suffix}")
    trace.unlink()
    with pytest.raises(UsageError, match="Lambda layer with Python code in it"):
        find(tmp_path / f"model{suffix}")
    assert not trace.exists()


CUSTOM = """
from keras import layers
class Twice(layers.Layer):
    def call(self, x):
        return 2 * x
"""


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_layers_of_the_users_own_come_from_the_module_that_is_named(tmp_path: Path, suffix: str) -> None:
    import keras

    (tmp_path / "mine.py").write_text(CUSTOM)
    twice = keras_file._custom_objects(str(tmp_path / "mine.py"))["Twice"]
    inputs = keras.Input((SIDE, SIDE, 3))
    keras.Model(inputs, layers().Dense(3)(layers().Flatten()(twice()(inputs)))).save(tmp_path / f"model{suffix}")
    with pytest.raises(UsageError, match=r"needs Twice, which is not Keras' own\. Give --custom-objects MODULE"):
        find(tmp_path / f"model{suffix}")
    found = find(tmp_path / f"model{suffix}", custom_objects=str(tmp_path / "mine.py"))
    assert found.original().model.layers[1].__class__.__name__ == "Twice"
    (tmp_path / "mine.py").write_text("raise RuntimeError('broken')")
    with pytest.raises(UsageError, match="cannot be imported: RuntimeError: broken"):
        find(tmp_path / f"model{suffix}", custom_objects=str(tmp_path / "mine.py"))


def edited(source: Path, target: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """A copy of a .keras file with its layers' configurations changed."""
    with zipfile.ZipFile(source) as read, zipfile.ZipFile(target, "w") as write:
        for name in read.namelist():
            data = read.read(name)
            if name == "config.json":
                config = json.loads(data)
                for layer in config["config"]["layers"]:
                    edit(layer)
                data = json.dumps(config).encode()
            write.writestr(name, data)


def huge(layer: dict[str, Any]) -> None:
    if layer["class_name"] == "Dense":
        layer["config"]["units"] = 10**10


def another_module(layer: dict[str, Any]) -> None:
    if layer["class_name"] == "Dense":
        layer.update(module="os", class_name="system", config="touch trace", registered_name=None)


@pytest.mark.parametrize("edit", [huge, another_module])
def test_a_configuration_that_was_tampered_with_is_refused(
    tmp_path: Path, edit: Callable[[dict[str, Any]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    network().save(tmp_path / "model.keras")
    edited(tmp_path / "model.keras", tmp_path / "edited.keras", edit)
    with pytest.raises(UsageError, match=r"edited\.keras"):
        find(tmp_path / "edited.keras")
    assert not (tmp_path / "trace").exists()


def test_a_saved_model_that_reaches_for_files_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    class Reaching(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((None, SIDE, SIDE, 3))])  # type: ignore[untyped-decorator]
        def serve(self, x: Any) -> Any:
            tf.io.write_file(str(tmp_path / "trace"), "written")
            return tf.reduce_mean(x, axis=(1, 2))

    module = Reaching()
    tf.saved_model.save(module, tmp_path / "model", signatures=module.serve)
    with pytest.raises(UsageError, match=r"reads or writes files, or runs Python \(WriteFile\)"):
        find(tmp_path / "model")
    assert not (tmp_path / "trace").exists()
