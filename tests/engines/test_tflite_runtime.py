"""Runs exported files as an older board does: tflite-runtime 2.14, the oldest NumPy and Pillow, and no TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from environments import install, run
from operator_models import middle, network

import edge_squeeze
from edge_squeeze.converters.export import Exported
from edge_squeeze.converters.targets import all_targets

pytestmark = pytest.mark.slow

OLDEST = {"numpy": "1.24.2", "pillow": "9.4.0"}  # Debian 12's, and the oldest that are let in
PACKAGES = ("tflite-runtime==2.14.0", "numpy<2", "pillow", "typer", "rich", "tflite", "packaging")
# What computes the convolutions: this engine's XNNPACK takes none with int8 weights.
KERNELS = {"float32": "xnnpack", "float16": "xnnpack", "dynamic": "builtin", "int8": "builtin", "int16x8": "builtin"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the programs of an environment that has what a board has."""
    return install(tmp_path_factory.mktemp("board"), PACKAGES, OLDEST)


def check(environment: Path, artifact: Path, kernels: str) -> None:
    done = run(environment / "edge-squeeze", "verify", artifact, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["golden"]["passed"]
    assert (document["golden"]["runtime"], document["golden"]["kernels"]) == ("tflite-runtime", kernels)
    assert (document["proof"], document["without_proof"]) == (None, "TensorFlow is not installed")


def test_every_target_of_tflite_is_listed_here() -> None:
    assert set(KERNELS) == {target.precision for target in all_targets() if target.format == "tflite"}


def test_the_environment_is_that_of_a_board(environment: Path) -> None:
    done = run(environment / "python", "-c", "import tensorflow")
    assert "ModuleNotFoundError: No module named 'tensorflow'" in done.stderr
    done = run(environment / "python", "-c", "import numpy, PIL; print(numpy.__version__, PIL.__version__)")
    assert done.stdout.split() == list(OLDEST.values()), done.stderr
    done = run(environment / "python", "-c", "import edge_squeeze; print(edge_squeeze.__file__)")
    assert str(environment.parent) in done.stdout, "the checkout is tested instead of what was installed"


@pytest.mark.parametrize("precision", KERNELS)
def test_golden_files_hold_with_tflite_runtime(
    environment: Path, exported_11: dict[str, Exported], precision: str
) -> None:
    check(environment, exported_11[f"tflite-{precision}"].folder, KERNELS[precision])


@pytest.mark.parametrize(("precision", "io"), [("int8", "float32"), ("float32", "uint8")])
def test_the_kernels_are_those_of_the_network_not_of_the_pixels(
    environment: Path, tmp_path: Path, precision: str, io: str
) -> None:
    (exported,) = edge_squeeze.export(precision=precision, io=io, out=tmp_path)
    check(environment, exported.folder, KERNELS[precision])


@pytest.mark.parametrize(
    ("kind", "precision"), [("dense", "dynamic"), ("dense", "int8"), ("elu", "int8"), ("elu", "int16x8")]
)
def test_models_of_the_user_load_in_tflite_runtime(
    environment: Path, tmp_path: Path, kind: str, precision: str
) -> None:
    operation = {"dense": middle("Dense", 256, activation="relu"), "elu": middle("Activation", "elu")}[kind]
    network(operation).save(tmp_path / "own.keras")
    (exported,) = edge_squeeze.export(tmp_path / "own.keras", preprocessing="raw", precision=precision, out=tmp_path)
    check(environment, exported.folder, KERNELS[precision])


@pytest.mark.parametrize("precision", KERNELS)
def test_tflite_runtime_classifies_the_golden_picture(
    environment: Path, exported_11: dict[str, Exported], precision: str
) -> None:
    folder = exported_11[f"tflite-{precision}"].folder
    done = run(environment / "edge-squeeze", "predict", folder, folder / "golden" / "picture.png", "--json")
    assert done.returncode == 0, done.stderr
    (classified,) = json.loads(done.stdout)
    assert classified["predictions"][0]["label"] == "Egyptian cat"


@pytest.mark.parametrize(("runtime", "kernels"), [("tflite-runtime", "xnnpack"), ("tflite-runtime:builtin", "builtin")])
def test_tflite_runtime_is_measured(
    environment: Path, exported_11: dict[str, Exported], runtime: str, kernels: str
) -> None:
    options = ("--profile", "quick", "--launches", 3, "--threads", 1, "--json")
    folder = exported_11["tflite-float32"].folder
    done = run(environment / "edge-squeeze", "benchmark", folder, "--runtime", runtime, *options)
    assert done.returncode == 0, done.stderr
    (arm,) = json.loads(done.stdout)["arms"]
    assert (arm["runtime"]["version"], arm["runtime"]["kernels"]) == ("2.14.0", kernels)
    assert 0.1 < arm["summary"]["p50_ms"] < 5000
    assert arm["correctness"]["gate"] == "pass"
