"""Fixtures shared by all tests: real exports, made once, and data that a plain install does not bring."""

from __future__ import annotations

import functools
import os
import random
from pathlib import Path

import commands
import pytest
from colored_pictures import blotches
from commands import CommandLine
from shared_exports import Exports, export_once

from edge_squeeze.artifact import folder as artifact
from edge_squeeze.converters.export import Exported
from edge_squeeze.models import original, source

ROOT = Path(__file__).resolve().parent.parent
# More weights and labeled pictures than a plain install brings: tests that want them skip without.
TEST_DATA = Path(os.environ.get("EDGE_SQUEEZE_TEST_DATA", ROOT.parent / "shared"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Gives Keras' layers the same first weights at each run: their seeds are drawn from `random`."""
    random.seed(0)


def data_file(name: str) -> Path:
    path = TEST_DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not among the test data (set EDGE_SQUEEZE_TEST_DATA)")
    return path


@pytest.fixture(scope="session")
def deep_compression_file() -> Path:
    """The published weights of SqueezeNet 1.0."""
    return data_file("weights/compressed_SqueezeNet.net")


@pytest.fixture(scope="session")
def imagenet_pictures() -> Path:
    """200 labeled ImageNet pictures, with labels.csv."""
    return data_file("images")


@pytest.fixture(scope="session")
def original_11() -> original.Original:
    """SqueezeNet 1.1 with its ImageNet weights."""
    return source.of_variant(*source.find_weights("squeezenet1.1", "imagenet")).original()


@pytest.fixture(scope="session")
def exported_11(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """Every target of SqueezeNet 1.1 with its ImageNet weights, by name without the variant."""
    return export_once(tmp_path_factory, "squeezenet1.1")


@pytest.fixture(scope="session")
def exported_10(tmp_path_factory: pytest.TempPathFactory, deep_compression_file: Path) -> Exports:
    """Every target of SqueezeNet 1.0 with its ImageNet weights, by name without the variant."""
    return export_once(tmp_path_factory, "squeezenet1.0", weights=deep_compression_file)


@pytest.fixture(scope="session")
def float32_10(tmp_path_factory: pytest.TempPathFactory, deep_compression_file: Path) -> Exports:
    """The float32 .tflite target of SqueezeNet 1.0 alone, as `exported_10` has it."""
    return export_once(tmp_path_factory, "squeezenet1.0", "tflite float32", weights=deep_compression_file)


@pytest.fixture(scope="session")
def int8_head_11(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The .tflite of SqueezeNet 1.1 that is in integers to its end."""
    (exported,) = export_once(tmp_path_factory, "squeezenet1.1", "tflite int8", head="int8").values()
    return exported


@pytest.fixture
def float32_11(exported_11: Exports) -> artifact.Artifact:
    """The float32 .tflite artifact of SqueezeNet 1.1."""
    return artifact.load(exported_11["tflite-float32"].folder)


@pytest.fixture
def command_line(tmp_path: Path) -> CommandLine:
    """Runs `edge-squeeze ...` inside an empty folder, within this process: it has loaded TensorFlow already."""
    return functools.partial(commands.run_here, tmp_path)


@pytest.fixture
def command_process(tmp_path: Path) -> CommandLine:
    """Runs `edge-squeeze ...` inside an empty folder, in a process of its own."""
    return functools.partial(commands.run, tmp_path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with three small, different pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, size in enumerate([(40, 60), (61, 40), (50, 50)]):
        blotches(i, size).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the test's own, also for the commands that it runs."""
    monkeypatch.setenv("EDGE_SQUEEZE_CACHE", str(tmp_path / "cache"))
