"""Files that Keras 2 saved: recognized by what they hold, read by tf-keras alone, refused without it.

tests/data/keras2 has a small model as tf-keras 2.21 saves it. The tests that read such files are slow where tf-keras is
not installed: they install it, without the tensorflow that it asks for beside tensorflow-cpu.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import environments
import h5py
import numpy as np
import pytest
from commands import CommandLine
from places import ROOT
from small_models import find, network

import edge_squeeze
from edge_squeeze import packages
from edge_squeeze.errors import MissingDependencyError, UsageError
from edge_squeeze.models import keras2
from edge_squeeze.weight_files import keras_config

DATA = ROOT / "tests" / "data" / "keras2"
SUFFIXES = (".h5", ".keras")
INSTALLED = importlib.util.find_spec("tf_keras") is not None
reading = pytest.mark.usefixtures("reader") if INSTALLED else pytest.mark.slow
PIXELS = (np.arange(16 * 16 * 3) % 256).astype(np.uint8).reshape(1, 16, 16, 3)
SCORES = (-5.617217540740967, 7.78208589553833, -3.9906394481658936)  # what Keras 2 itself gave for them
KERAS_3_SCORES = (-5.58866, 7.7147555, -3.9539645)  # with the same weights: its hard_sigmoid is another function

# Saves what people have of Keras 2, and the scores that it gives for PIXELS, into the folder in its argument.
MAKE = """
import sys, pathlib, numpy as np, tf_keras as keras
from tf_keras import layers
folder = pathlib.Path(sys.argv[1])
pixels = (np.arange(16 * 16 * 3) % 256).astype("float32").reshape(1, 16, 16, 3)
keras.utils.set_random_seed(0)
def image(): return keras.Input((16, 16, 3))
def ended(inputs, x): return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
class Twice(layers.Layer):
    def call(self, x): return 2 * x

def nested():  # as Teachable Machine saves them
    start = image()
    x = layers.DepthwiseConv2D(3)(start)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    features = keras.Sequential([keras.Model(start, x), layers.GlobalAveragePooling2D()])
    head = keras.Sequential([layers.Dense(8, activation="relu"), layers.Dense(3, use_bias=False, activation="softmax")])
    return keras.Sequential([features, head])
def tutorial():
    normalization = layers.Normalization()
    normalization.adapt(pixels)
    return keras.Sequential([layers.RandomFlip(input_shape=(16, 16, 3)), layers.RandomRotation(0.1), normalization,
        layers.Conv2D(4, 3, activation="gelu"), layers.Flatten(), layers.Dropout(0.5), layers.Dense(3)])
def of(layer):
    inputs = image()
    return ended(inputs, layer(inputs))
def two():
    ends = [image(), image()]
    return ended(ends, layers.Add()(ends))
models = {"nested": nested(), "tutorial": tutorial(), "twice": of(Twice()), "two": two(),
    "lambda": of(layers.Lambda(lambda x, touch=str(folder / "trace"): (open(touch, "w"), x)[1]))}
for name, model in models.items():
    for suffix in (".h5", ".keras"):
        model.save(folder / (name + suffix))
    if name != "two":
        np.save(folder / (name + ".npy"), model.predict(pixels, verbose=0))
"""


@pytest.fixture(scope="session")
def tf_keras(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The folder that tf-keras was installed in; None if this environment has it."""
    if INSTALLED:
        return None
    folder = tmp_path_factory.mktemp("tf-keras")
    tool = [environments.uv(), "pip"] if environments.uv() else [sys.executable, "-m", "pip"]
    version = re.search(r"(?m)^tf-keras==.*$", (ROOT / "constraints.txt").read_text())
    assert version is not None
    python = ["--python", sys.executable] if environments.uv() else []
    environments.must(environments.run(*tool, "install", *python, "--no-deps", "--target", folder, version[0]))
    return folder


@pytest.fixture
def reader(tf_keras: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has tf-keras importable, here and in processes."""
    if tf_keras is not None:
        monkeypatch.syspath_prepend(tf_keras)
        monkeypatch.setenv("PYTHONPATH", str(tf_keras))


@pytest.fixture(scope="session")
def made(tf_keras: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the files that MAKE saves."""
    folder = tmp_path_factory.mktemp("keras2")
    environment = os.environ | {"TF_USE_LEGACY_KERAS": "1"} | ({"PYTHONPATH": str(tf_keras)} if tf_keras else {})
    subprocess.run([sys.executable, "-c", MAKE, str(folder)], check=True, env=environment, capture_output=True)
    (folder / "trace").unlink(missing_ok=True)
    return folder


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides tf-keras."""
    is_installed = packages.is_installed
    monkeypatch.setattr(packages, "is_installed", lambda package: package != "tf_keras" and is_installed(package))


def said_to_be(source: Path, target: Path, version: Any) -> Path:
    """A copy of a Keras file that says it was saved by `version`; None: says nothing."""
    if source.suffix == ".h5":
        shutil.copy(source, target)
        with h5py.File(target, "a") as file:
            del file.attrs["keras_version"]
            if version is not None:
                file.attrs["keras_version"] = version
        return target
    with zipfile.ZipFile(source) as read, zipfile.ZipFile(target, "w") as write:
        for name in read.namelist():
            metadata = {} if version is None else {"keras_version": version}
            write.writestr(name, json.dumps(metadata) if name == "metadata.json" else read.read(name))
    return target


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_of_keras_2_are_recognized_by_their_version_or_else_their_layers(tmp_path: Path, suffix: str) -> None:
    real, copy = DATA / f"small{suffix}", tmp_path / f"copy{suffix}"
    assert keras_config.keras_2(real) == "2.21.0"
    assert keras_config.keras_2(said_to_be(real, copy, "2.2.4-tf")) == "2.2.4-tf"
    assert keras_config.keras_2(said_to_be(real, copy, None)) == "2"
    assert keras_config.keras_2(said_to_be(real, copy, "3.5.0")) is None  # it knows better
    network().save(tmp_path / f"new{suffix}")
    assert keras_config.keras_2(tmp_path / f"new{suffix}") is None
    assert keras_config.keras_2(said_to_be(tmp_path / f"new{suffix}", copy, None)) is None


def test_the_version_may_be_bytes(tmp_path: Path) -> None:
    assert keras_config.keras_2(said_to_be(DATA / "small.h5", tmp_path / "a.h5", np.bytes_("2.3.0-tf"))) == "2.3.0-tf"


@pytest.mark.parametrize(
    "layer",
    [
        {"class_name": "Dense", "module": "keras.src.engine.functional", "config": {}},
        {"class_name": "Dense", "module": "tf_keras.src.layers", "config": {}},
        {"class_name": "TFOpLambda", "config": {}},
        {"class_name": "RandomFlip", "config": {"rng_type": "stateful"}},
        {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 16, 16, 3]}},
    ],
)
def test_a_trait_of_keras_2_is_enough(tmp_path: Path, layer: dict[str, Any]) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Model", "config": {"layers": [layer]}})
    assert keras_config.keras_2(tmp_path / "a.h5") == "2"


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize("preprocessing", [(), ("--preprocessing", "raw")])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_without_tf_keras_one_message_has_the_two_commands(
    command_line: CommandLine, suffix: str, preprocessing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(DATA / f"small{suffix}")
    monkeypatch.setattr(sys, "argv", ["edge-squeeze", "export", file, *preprocessing])
    done = command_line("export", file, *preprocessing)
    assert done.returncode == 5
    message = done.stderr[done.stderr.index("Error: ") :].splitlines()
    assert message[0].startswith("Error: tf-keras is not installed")
    assert message[0].count("was saved by Keras 2 (version 2.21.0)") == 1
    assert message[1].strip() in (
        'pip install "edge-squeeze[keras2]"',
        'pip install --no-deps "tf-keras>=2.21,<2.22"',  # beside tensorflow-cpu
    )
    assert re.fullmatch(rf"  \S*edge-squeeze export {re.escape(' '.join([file, *preprocessing]))}", message[2])


@pytest.mark.usefixtures("without")
def test_keras_3_files_do_not_need_tf_keras(tmp_path: Path) -> None:
    network().save(tmp_path / "new.h5")
    assert find(tmp_path / "new.h5").classes == 3
    with pytest.raises(MissingDependencyError, match="edge-squeeze export"):
        find(DATA / "small.h5")


def operator(function: str, kind: str = "TFOpLambda") -> dict[str, Any]:
    return {"config": {"layers": [{"class_name": kind, "config": {"name": "op", "function": function}}]}}


@pytest.mark.parametrize(
    "function",
    ["math.truediv", "nn.relu6", "image.resize", "__operators__.getitem", "cast", "compat.v1.shape", "reduce_mean"],
)
def test_functions_that_compute_are_allowed(function: str) -> None:
    keras2.check(operator(function), Path("a.h5"))


@pytest.mark.parametrize(
    "function",
    ["io.gfile.rmtree", "io.write_file", "load_op_library", "py_function", "raw_ops.WriteFile", "saved_model.load"],
)
def test_functions_that_may_do_more_are_refused(function: str) -> None:
    with pytest.raises(UsageError, match=rf"a\.h5 cannot be used: its layer op calls 'tf\.{re.escape(function)}'"):
        keras2.check(operator(function), Path("a.h5"))
    with pytest.raises(UsageError, match="which may do more than compute"):  # tf-keras finds it by this name, too
        keras2.check(operator(function, "tf_op_layer.TFOpLambda"), Path("a.h5"))


@pytest.mark.parametrize("key", ["cls_symbol", "method_name", "call_endpoint"])
def test_layers_that_call_methods_or_load_models_are_refused(key: str) -> None:
    config = {"class_name": "ClassMethod", "config": {"name": "op", key: "io.TFRecordWriter"}}
    with pytest.raises(UsageError, match=r"its layer op calls 'io\.TFRecordWriter', which may do more"):
        keras2.check(config, Path("a.h5"))


def test_a_lambda_is_left_to_safe_mode() -> None:
    keras2.check({"class_name": "Lambda", "config": {"function": "mine", "function_type": "function"}}, Path("a.h5"))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", r"reading it broke down \(exit code -11\)"),
        ("raise SystemExit('no reason')", r"broke down \(exit code 1\) no reason"),
        ("import time; time.sleep(60)", r"took more than 1 s"),
    ],
)
def test_a_process_that_breaks_down_is_reported(monkeypatch: pytest.MonkeyPatch, program: str, message: str) -> None:
    monkeypatch.setattr(keras2, "PROGRAM", ("-c", program))
    monkeypatch.setattr(keras2, "LONGEST_SECONDS", 1 if "sleep" in program else 60)
    with (
        pytest.raises(UsageError, match=rf"small\.h5 was saved by Keras 2.*{message}"),
        keras2.converted(DATA / "small.h5", 1, None),
    ):
        pass


def test_weights_alone_are_no_model(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = ["dense"]
    with pytest.raises(UsageError, match=r"a\.h5 holds weights alone\. Required: a whole model"):
        find(tmp_path / "a.h5")


@reading
@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_scores_are_those_of_keras_2(suffix: str) -> None:
    source = find(DATA / f"small{suffix}")
    scores = source.original().run(PIXELS)
    np.testing.assert_allclose(scores, [SCORES], atol=1e-5)
    assert np.abs(scores - KERAS_3_SCORES).min() > 0.02
    assert source.weights.path == str(DATA / f"small{suffix}")


@reading
@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("name", ["nested.h5", "tutorial.keras"])
def test_layers_for_training_rest_and_nested_models_are_read(made: Path, name: str) -> None:
    expected = np.load(made / f"{name.partition('.')[0]}.npy")
    for _ in range(2):  # a picture that is flipped or turned is so at random
        np.testing.assert_allclose(find(made / name).original().run(PIXELS), expected, atol=1e-5)
    if name == "tutorial.keras":  # it has a Normalization
        with pytest.raises(UsageError, match=r"Its layers cannot be looked into: if it normalizes itself, say raw\."):
            find(made / name, preprocessing=None)
        twice = "the model starts with a Normalization; if that takes 0 to 255, pixels are normalized twice"
        assert find(made / name, preprocessing="tf").warnings == (twice,)
        assert not find(made / name, preprocessing="raw").warnings


@reading
@pytest.mark.usefixtures("reader")
def test_the_record_finds_the_users_file_again(tmp_path: Path, pictures: Path) -> None:
    file = Path(shutil.copy(DATA / "small.h5", tmp_path))
    (exported,) = edge_squeeze.export(file, preprocessing="raw", out=tmp_path)
    weights = exported.manifest.weights
    assert (weights.kind, weights.path) == ("keras_model", str(file))
    assert edge_squeeze.verify(exported.folder, images=pictures).passed
    file.write_bytes((DATA / "small.h5").read_bytes() + b"\0")
    with pytest.raises(UsageError, match=rf"small\.h5 has changed: required sha256 {weights.sha256}"):
        edge_squeeze.verify(exported.folder, images=pictures)


@reading
@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_code_in_a_file_of_keras_2_does_not_run(made: Path, suffix: str) -> None:
    with pytest.raises(UsageError, match="Lambda layer with Python code in it"):
        find(made / f"lambda{suffix}")
    assert not (made / "trace").exists()
    with pytest.raises(UsageError, match=r"needs Twice, which is not Keras' own\. Give --custom-objects MODULE"):
        find(made / f"twice{suffix}")


@reading
@pytest.mark.usefixtures("reader")
def test_modules_that_a_file_names_are_not_imported(tmp_path: Path) -> None:
    def edit(config: Any) -> Any:
        config["config"]["layers"][-1].update(module="antigravity", registered_name="fly", class_name="fly")
        return config

    with pytest.raises(UsageError, match="needs fly, which is not Keras' own"):
        find(edited(DATA / "small.keras", tmp_path / "a.keras", edit))


@reading
@pytest.mark.usefixtures("reader")
def test_an_operator_that_removes_files_is_not_called(tmp_path: Path) -> None:
    def edit(config: Any) -> Any:
        (operator,) = [layer for layer in config["config"]["layers"] if layer["class_name"] == "TFOpLambda"]
        operator["config"]["function"] = "io.gfile.rmtree"
        operator["inbound_nodes"] = [["_CONSTANT_VALUE", -1, str(tmp_path / "precious"), {}]]
        return config

    (tmp_path / "precious").mkdir()
    with pytest.raises(UsageError, match=r"calls 'tf\.io\.gfile\.rmtree', which may do more than compute"):
        find(edited(DATA / "small.keras", tmp_path / "a.keras", edit))
    assert (tmp_path / "precious").is_dir()


def edited(source: Path, target: Path, edit: Callable[[Any], Any]) -> Path:
    with zipfile.ZipFile(source) as read, zipfile.ZipFile(target, "w") as write:
        for name in read.namelist():
            data = read.read(name)
            write.writestr(name, json.dumps(edit(json.loads(data))) if name == "config.json" else data)
    return target


@reading
@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(("module", "suffix"), [("tensorflow.keras", ".h5"), ("keras", ".keras")])
def test_layers_of_the_users_own_are_those_of_keras_2(made: Path, tmp_path: Path, module: str, suffix: str) -> None:
    text = f"from {module} import layers\nclass Twice(layers.Layer):\n    def call(self, x):\n        return 2 * x\n"
    (tmp_path / "mine.py").write_text(text)
    source = find(made / f"twice{suffix}", custom_objects=str(tmp_path / "mine.py"))
    np.testing.assert_allclose(source.original().run(PIXELS), np.load(made / "twice.npy"), rtol=1e-5)


@reading
@pytest.mark.usefixtures("reader")
def test_what_is_no_classifier_is_refused_as_of_keras_3(made: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"two\.h5 cannot be used: it has 2 inputs"):
        find(made / "two.h5")
    (tmp_path / "cut.keras").write_bytes((DATA / "small.keras").read_bytes()[:-100])
    with pytest.raises(UsageError, match=r"cut\.keras is not a whole \.keras file"):
        find(tmp_path / "cut.keras")
