"""Fixtures shared by all tests: real exports, made once, and data that a plain install does not bring."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import CommandLine
from PIL import Image

import edge_squeeze
from edge_squeeze.artifact import folder as artifact
from edge_squeeze.converters.export import Exported
from edge_squeeze.models import original, source

ROOT = Path(__file__).resolve().parent.parent
# More weights and labeled pictures than a plain install brings: tests that want them skip without.
TEST_DATA = Path(os.environ.get("EDGE_SQUEEZE_TEST_DATA", ROOT.parent / "shared"))


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
def exported_11(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    """Every target of SqueezeNet 1.1 with its ImageNet weights, by name without the variant."""
    out = tmp_path_factory.mktemp("out-1.1")
    exported = edge_squeeze.export("squeezenet1.1", format="all", precision="all", out=out)
    return {one.manifest.name.removeprefix("squeezenet1.1-"): one for one in exported}


@pytest.fixture(scope="session")
def exported_10(tmp_path_factory: pytest.TempPathFactory, deep_compression_file: Path) -> dict[str, Exported]:
    """Every target of SqueezeNet 1.0 with its ImageNet weights, by name without the variant."""
    out = tmp_path_factory.mktemp("out-1.0")
    exported = edge_squeeze.export(
        "squeezenet1.0", format="all", precision="all", weights=deep_compression_file, out=out
    )
    return {one.manifest.name.removeprefix("squeezenet1.0-"): one for one in exported}


@pytest.fixture
def float32_11(exported_11: dict[str, Exported]) -> artifact.Artifact:
    """The float32 .tflite artifact of SqueezeNet 1.1."""
    return artifact.load(exported_11["tflite-float32"].folder)


@pytest.fixture
def command_line(tmp_path: Path) -> CommandLine:
    """Runs `edge-squeeze ...` as a user does, in a process of its own, inside an empty folder."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "edge_squeeze", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=tmp_path, env={**os.environ, **environment}
        )

    return run


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with three small, different pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i, size in enumerate([(40, 60), (61, 40), (50, 50)]):
        small = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        small.resize(size, Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the test's own, also for the commands that it runs."""
    monkeypatch.setenv("EDGE_SQUEEZE_CACHE", str(tmp_path / "cache"))
