"""Runs exported files as an older board does: tflite-runtime 2.14 and NumPy 1, in an environment without TensorFlow."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edge_squeeze
from edge_squeeze.converters.export import Exported
from edge_squeeze.converters.targets import TARGETS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("tflite-runtime==2.14.0", "numpy<2", "pillow", "typer", "rich", "tflite")
SOURCES = ("edge_squeeze", "converters", "benchmarks", "pyproject.toml", "README.md")
INSTALL_TIMEOUT_S = 900
# What computes the convolutions: this engine's XNNPACK takes none with int8 weights.
KERNELS = {"float32": "xnnpack", "float16": "xnnpack", "dynamic": "builtin", "int8": "builtin"}
# How pip and uv say that no index can be reached.
NO_NETWORK = re.compile(
    r"Failed to establish a new connection|NameResolutionError|Temporary failure in name resolution|ConnectTimeoutError"
    r"|ReadTimeoutError|Network is unreachable|Cannot connect to proxy"
    r"|error sending request|dns error|tcp connect error|network was disabled"
)


def run(*command: object, timeout_s: int = 120) -> subprocess.CompletedProcess[str]:
    """The command, run without what the tests' own environment would add to the other one."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    words = [str(word) for word in command]
    return subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=timeout_s, env=environment, cwd="/"
    )


def python_3_11() -> str:
    """A Python that tflite-runtime has wheels for."""
    if sys.version_info[:2] <= (3, 11):
        return sys.executable
    found = shutil.which("python3.11")
    if found is None or run(found, "--version").returncode:  # a version manager's shim answers without having it
        pytest.skip("tflite-runtime 2.14 has wheels up to Python 3.11, and there is no python3.11 on PATH")
    return found


def uv() -> str | None:
    beside = Path(sys.executable).parent / "uv"
    return str(beside) if beside.is_file() else shutil.which("uv")


def must(done: subprocess.CompletedProcess[str]) -> None:
    """Skip if an installation failed for want of a network; any other reason is a failure."""
    said = done.stdout + done.stderr
    if done.returncode and (match := NO_NETWORK.search(said)):
        pytest.skip(f"no package index can be reached: {match[0]}")
    assert done.returncode == 0, said


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the programs of an environment that has what a board has."""
    folder = tmp_path_factory.mktemp("board")
    pins, source, programs = folder / "constraints.txt", folder / "source", folder / "venv" / "bin"
    pins.write_text(re.sub(r"(?m)^numpy==.*$", "numpy==1.26.4", (ROOT / "constraints.txt").read_text()))
    source.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    if tool := uv():
        make = [tool, "venv", "--python", python_3_11(), programs.parent]
        install = [tool, "pip", "install", "--python", programs / "python"]
    else:
        make = [python_3_11(), "-m", "venv", programs.parent]
        install = [programs / "python", "-m", "pip", "install", "--retries", 2]  # pip tells why only when it retries
    must(run(*make))
    must(run(*install, "-c", pins, *PACKAGES, timeout_s=INSTALL_TIMEOUT_S))
    must(run(*install, "--no-deps", source, timeout_s=INSTALL_TIMEOUT_S))
    return programs


def check(environment: Path, artifact: Path, kernels: str) -> None:
    done = run(environment / "edge-squeeze", "verify", artifact, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["golden"]["passed"]
    assert (found["golden"]["runtime"], found["golden"]["kernels"]) == ("tflite-runtime", kernels)
    assert (found["proof"], found["without_proof"]) == (None, "TensorFlow is not installed")


def test_every_target_of_tflite_is_listed_here() -> None:
    assert set(KERNELS) == {target.precision for target in TARGETS if target.format == "tflite"}


def test_the_environment_is_that_of_a_board(environment: Path) -> None:
    done = run(environment / "python", "-c", "import tensorflow")
    assert "ModuleNotFoundError: No module named 'tensorflow'" in done.stderr
    done = run(environment / "python", "-c", "import numpy; print(numpy.__version__)")
    assert done.stdout.startswith("1."), done.stderr
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


@pytest.mark.parametrize("precision", KERNELS)
def test_tflite_runtime_classifies_the_golden_picture(
    environment: Path, exported_11: dict[str, Exported], precision: str
) -> None:
    folder = exported_11[f"tflite-{precision}"].folder
    done = run(environment / "edge-squeeze", "predict", folder, folder / "golden" / "picture.png", "--json")
    assert done.returncode == 0, done.stderr
    (classified,) = json.loads(done.stdout)
    assert classified["predictions"][0]["label"] == "Egyptian cat"
