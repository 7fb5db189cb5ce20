from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import SIDE, find, layers, network

from edge_squeeze.errors import UsageError
from edge_squeeze.models import keras_file, source
from edge_squeeze.models.source import Choice
from edge_squeeze.reporting import Silent


def two_inputs() -> Any:
    import keras

    ends = [keras.Input((SIDE, SIDE, 3)) for _ in range(2)]
    return keras.Model(ends, layers().Dense(3)(layers().Flatten()(layers().Add()(ends))))


def two_outputs() -> Any:
    import keras

    inputs = keras.Input((SIDE, SIDE, 3))
    flat = layers().Flatten()(inputs)
    return keras.Model(inputs, [layers().Dense(3)(flat), layers().Dense(2)(flat)])


def vector() -> Any:
    import keras

    return keras.Sequential([keras.Input((20,)), layers().Dense(3)])


def feature_map() -> Any:
    import keras

    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers().Conv2D(4, 3)])


def one_pixel() -> Any:
    import keras

    return keras.Sequential(
        [keras.Input((SIDE, SIDE, 3)), layers().GlobalAveragePooling2D(keepdims=True), layers().Conv2D(4, 1)]
    )


def one_score(activation: str, *, nested: bool = False) -> Any:
    import keras

    inputs = keras.Input((SIDE, SIDE, 3))
    inner = keras.Model(inputs, layers().Dense(1, activation=activation)(layers().Flatten()(inputs)))
    outer = keras.Input((SIDE, SIDE, 3))
    return keras.Model(outer, inner(outer)) if nested else inner


def unbuilt() -> Any:
    import keras

    return keras.Sequential([layers().Conv2D(4, 3), layers().GlobalAveragePooling2D(), layers().Dense(3)])


def double() -> Any:
    import keras

    inputs = keras.Input((SIDE, SIDE, 3))
    return keras.Model(inputs, layers().Dense(3, dtype="float64")(layers().Flatten()(inputs)))


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (two_inputs, "it has 2 inputs"),
        (two_outputs, r"it has 2 outputs .* save keras.Model\(model.inputs, model.outputs\[0\]\)"),
        (vector, r"it takes \[None, 20\], which are not pictures"),
        (feature_map, r"not one score for each class\. "),
        (one_pixel, r"it gives \[None, 1, 1, 4\], not one .*; put keras.layers.Flatten\(\) behind it"),
        (lambda: network(classes=1), "it gives one score, with activation linear; end it with a sigmoid"),
        (lambda: one_score("softmax"), "it gives one score, with activation softmax"),
        (lambda: one_score("tanh", nested=True), "it gives one score, with activation tanh"),
        (lambda: network((SIDE, SIDE, 5)), "which are not pictures"),
        (lambda: network(dtype="uint8"), "it takes uint8"),
        (lambda: network(batch_size=4), "its batch is fixed to 4"),
        (double, "1 of its layers do not compute in float32"),
        (unbuilt, r"it is a Sequential that was never built, .* give it keras\.Input\(\(H, W, 3\)\)"),
    ],
)
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_what_is_no_image_classifier_is_refused_with_the_reason(
    tmp_path: Path, build: Callable[[], Any], reason: str, suffix: str
) -> None:
    build().save(tmp_path / f"model{suffix}")
    with pytest.raises(UsageError, match=reason):
        find(tmp_path / f"model{suffix}")


def test_a_saved_model_of_several_inputs_is_refused(tmp_path: Path) -> None:
    two_inputs().export(tmp_path / "model", verbose=False)
    with pytest.raises(UsageError, match="it has 2 inputs"):
        find(tmp_path / "model")


def test_open_sizes_want_an_input_size(tmp_path: Path) -> None:
    network((None, None, 3)).save(tmp_path / "open.keras")
    with pytest.raises(UsageError, match=r"pictures of any size\. Give --input-size"):
        find(tmp_path / "open.keras")
    origin = find(tmp_path / "open.keras", input_size=(24, 32))
    assert origin.preprocessing.size == (24, 32)
    assert origin.suffix == "-input-size-24x32"
    assert origin.original().model.input_shape == (None, 24, 32, 3)
    network().save(tmp_path / "fixed.keras")
    with pytest.raises(UsageError, match="takes pictures of 16 x 16, --input-size asks for 32 x 32"):
        find(tmp_path / "fixed.keras", input_size=32)


def test_preprocessing_must_be_told_unless_the_model_does_it(tmp_path: Path) -> None:
    import keras

    network().save(tmp_path / "plain.keras")
    with pytest.raises(UsageError, match="Unknown preprocessing: 'grey'"):
        find(tmp_path / "plain.keras", preprocessing="grey")
    with pytest.raises(UsageError, match="Give --preprocessing: caffe, torch, tf, unit, raw, or a file"):
        find(tmp_path / "plain.keras", preprocessing=None)
    own = keras.Sequential(
        [keras.Input((SIDE, SIDE, 3)), layers().Rescaling(1 / 255), layers().Flatten(), layers().Dense(2)]
    )
    own.save(tmp_path / "own.keras")
    assert find(tmp_path / "own.keras", preprocessing=None).preprocessing.baked.scale == (1.0, 1.0, 1.0)


def test_files_that_are_no_models_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.keras").write_text("no model")
    (tmp_path / "text.h5").write_text("no model")
    (tmp_path / "model.pb").write_bytes(b"")
    network().save(tmp_path / "whole.keras")
    (tmp_path / "cut.keras").write_bytes((tmp_path / "whole.keras").read_bytes()[:-100])
    for name, message in {
        "missing.keras": "No such model",
        "empty": "is not a SavedModel",
        "text.keras": r"is not a \.keras file",
        "text.h5": r"is not a \.h5 file",
        "model.pb": "cannot be read as a Keras model",
        "cut.keras": r"is not a whole \.keras file",
    }.items():
        with pytest.raises(UsageError, match=message):
            find(tmp_path / name)


def test_options_of_variants_do_not_apply(tmp_path: Path) -> None:
    for option in ({"weights": "random"}, {"seed": 1}, {"classes": 3}):
        with pytest.raises(UsageError, match=f"--{next(iter(option))} does not apply"):
            find(tmp_path / "model.keras", **option)
    with pytest.raises(UsageError, match=r"--custom-objects does not apply to squeezenet1\.1"):
        source.find(Choice("squeezenet1.1", custom_objects="mine"), Silent())


def test_the_hash_covers_every_file_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1").write_bytes(b"x")
    (tmp_path / "a" / "2").write_bytes(b"y")
    first = keras_file.digest(tmp_path / "a")
    (tmp_path / "a" / "2").rename(tmp_path / "a" / "3")
    assert keras_file.digest(tmp_path / "a") != first


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/My Net.v2.keras", "My-Net.v2"),
        ("mödel.keras", "mödel"),
        ("x/saved/", "saved"),
        ("..h5", "model"),
        ("a.h5", "a"),
    ],
)
def test_artifacts_are_called_like_the_file(path: str, name: str) -> None:
    assert keras_file.name(Path(path)) == name


def test_pixels_reach_the_model_as_its_preprocessing_says(tmp_path: Path) -> None:
    network((SIDE, SIDE, 1)).save(tmp_path / "grey.keras")
    original = find(tmp_path / "grey.keras", preprocessing="tf").original()
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    expected = np.asarray(original.model((luma[..., None] / 127.5 - 1).astype(np.float32)))
    np.testing.assert_allclose(original.run(pixels), expected, atol=1e-5)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_python_code_in_a_lambda_layer_does_not_run(tmp_path: Path, suffix: str) -> None:
    import keras

    trace, file = tmp_path / "trace", str(tmp_path / "trace")
    inputs = keras.Input((SIDE, SIDE, 3))
    hostile = layers().Lambda(lambda x: (__import__("pathlib").Path(file).touch(), x)[1])
    keras.Model(inputs, layers().Dense(3)(layers().Flatten()(hostile(inputs)))).save(tmp_path / f"model{suffix}")
    trace.unlink()
    with pytest.raises(UsageError, match=r"Lambda layer with Python code in it.* give --trust-file to run"):
        find(tmp_path / f"model{suffix}")
    assert not trace.exists()
    trusted = find(tmp_path / f"model{suffix}", trust_file=True).original()
    assert trusted.model.output_shape == (None, 3)
    assert trace.exists()


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
    twice = keras_file.objects_of(str(tmp_path / "mine.py"))["Twice"]
    inputs = keras.Input((SIDE, SIDE, 3))
    keras.Model(inputs, layers().Dense(3)(layers().Flatten()(twice()(inputs)))).save(tmp_path / f"model{suffix}")
    with pytest.raises(UsageError, match=r"needs Twice, which is not Keras' own\. Give --custom-objects MODULE"):
        find(tmp_path / f"model{suffix}")
    origin = find(tmp_path / f"model{suffix}", custom_objects=str(tmp_path / "mine.py"))
    assert origin.original().model.layers[1].__class__.__name__ == "Twice"
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


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_ends_in_a_dict_or_a_list_are_taken_as_they_are(tmp_path: Path, suffix: str) -> None:
    import keras

    inputs = keras.Input((SIDE, SIDE, 3), name="photo")
    scores = layers().Dense(3)(layers().Flatten()(inputs))
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    expected = np.asarray(keras.Model(inputs, scores)(pixels.astype(np.float32)))
    for ends in (({"photo": inputs}, {"scores": scores}), ([inputs], [scores]), (inputs, {"scores": scores})):
        keras.Model(*ends).save(tmp_path / f"model{suffix}")
        assert np.abs(find(tmp_path / f"model{suffix}").original().run(pixels) - expected).max() <= 1e-3
