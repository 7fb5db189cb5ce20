"""Runs exported files on emulated boards as they are installed there: ARM64 without and with dot products, 32 bits."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from arm64 import locked
from board_installations import PI2, PI4, PI5, Installation, Wanted, folder_of_boards, install, needing_boards
from environments import install as install_here, run
from small_artifacts import change

from edge_squeeze.artifact import folder as artifact
from edge_squeeze.converters.export import Exported
from edge_squeeze.pictures.loading import photograph

pytestmark = pytest.mark.slow

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee")
STEP = 1 / 256  # of int8 scores
SCORES = """
import sys
from pathlib import Path
import numpy as np
from edge_squeeze.artifact import folder as artifact
from edge_squeeze.engines.runner import open_runner
pixels, out, *folders = map(Path, sys.argv[1:])
for folder in folders:
    loaded = artifact.load(folder)
    runner = open_runner(loaded.model(), loaded.manifest.format)
    np.save(out / folder.name, runner.run(np.load(pixels)))
    print(runner.runtime, runner.version, runner.kernels)
"""


@dataclass(frozen=True)
class Extra:
    """What one of our extras runs, with which kernels, and how large an environment with it may be (as `du -m`)."""

    kernels: dict[str, str]
    largest_mb: int
    pins: dict[str, str]


EXTRAS = {
    "litert": Extra({"tflite-float32": "xnnpack", "tflite-int8": "xnnpack"}, 145, {}),
    "tflite-runtime": Extra({"tflite-float32": "xnnpack", "tflite-int8": "builtin"}, 100, {"numpy": "1.26.4"}),
    "onnx": Extra({"onnx-float32": "onnxruntime"}, 155, {}),
}
CASES = [(extra, name) for extra, row in EXTRAS.items() for name in row.kernels]
HALVES = ("onnx", "onnx-float16")  # a core with dot products also adds in half precision
Install = Callable[[Wanted], Installation]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def installed(shared: Path, pytestconfig: pytest.Config) -> Install:
    """Installs the checkout on a board."""

    def installing(wanted: Wanted) -> Installation:
        with needing_boards():
            return install(folder_of_boards(pytestconfig), shared, wanted)

    return installing


@pytest.fixture
def there(installed: Install, extra: str) -> Installation:
    """What is installed on a board of 64 bits with the `extra` of the test."""
    return installed(Wanted(extra, EXTRAS[extra].pins))


@pytest.mark.parametrize("cpu", [PI4, PI5])
@pytest.mark.parametrize(("extra", "name"), [*CASES, HALVES])
def test_golden_files_hold_on_a_board(
    there: Installation, exported_11: dict[str, Exported], extra: str, name: str, cpu: str
) -> None:
    document = there.json("verify", exported_11[name].folder, cpu=cpu)
    assert document["golden"]["passed"]
    assert document["golden"]["pixels_equal"]
    assert document["golden"]["kernels"] == EXTRAS[extra].kernels.get(name, "onnxruntime")
    assert document["without_proof"] == "TensorFlow is not installed"


@pytest.fixture(scope="session")
def pixels(shared: Path, exported_11: dict[str, Exported]) -> Path:
    """A file with photographs [N,H,W,3] as the network sees them."""
    preprocessing = exported_11["tflite-float32"].manifest.preprocessing
    with locked(shared / "pixels.lock"):
        if not (shared / "pixels.npy").exists():
            np.save(shared / "pixels.npy", np.stack([preprocessing.pixels(photograph(name)) for name in PHOTOGRAPHS]))
    return shared / "pixels.npy"


@pytest.fixture(scope="session")
def python_with_tflite_runtime(shared: Path) -> Path:
    """A Python on this machine with tflite-runtime, which is not among the tests' own packages."""
    with locked(shared / "here.lock"):
        folder = shared / "here"
        if not folder.exists():
            folder.mkdir()
            packages = ("tflite-runtime", "numpy", "pillow", "typer", "rich", "tflite", "packaging")
            install_here(folder, packages, EXTRAS["tflite-runtime"].pins)
    return folder / "venv" / "bin" / "python"


def scores_here(request: pytest.FixtureRequest, extra: str, arguments: list[Path]) -> str:
    """What SCORES prints on this machine with the engine of `extra`."""
    python = Path(sys.executable)
    if extra == "tflite-runtime":
        python = request.getfixturevalue("python_with_tflite_runtime")
    done = run(python, "-c", SCORES, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("cpu", [PI4, PI5])
@pytest.mark.parametrize("extra", EXTRAS)
def test_all_scores_are_those_of_the_same_engine_on_x86(
    request: pytest.FixtureRequest,
    there: Installation,
    exported_11: dict[str, Exported],
    pixels: Path,
    tmp_path: Path,
    extra: str,
    cpu: str,
) -> None:
    folders = [exported_11[name].folder for name in EXTRAS[extra].kernels]
    for machine in ("board", "here"):
        (tmp_path / machine).mkdir()
    done = there.run("python", "-c", SCORES, pixels, tmp_path / "board", *folders, cpu=cpu)
    assert done.returncode == 0, done.stderr
    assert done.stdout == scores_here(request, extra, [pixels, tmp_path / "here", *folders])
    for name, folder in zip(EXTRAS[extra].kernels, folders, strict=True):
        board, here = (np.load(tmp_path / machine / f"{folder.name}.npy") for machine in ("board", "here"))
        if "int8" in name:
            np.testing.assert_allclose(board, here, rtol=0, atol=STEP)
        else:  # logarithms of softmax scores differ as the logits do
            np.testing.assert_allclose(np.log(board), np.log(here), rtol=0, atol=1e-4)
        np.testing.assert_array_equal(board.argmax(axis=1), here.argmax(axis=1))


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_board_does_all_it_is_for_and_stays_small(
    there: Installation, exported_11: dict[str, Exported], extra: str
) -> None:
    folder = exported_11[next(reversed(EXTRAS[extra].kernels))].folder
    diagnosis = there.json("doctor", cpu=PI4)
    assert (diagnosis["ready"], diagnosis["main_job"]) == (True, "run")
    assert (diagnosis["machine"]["machine"], diagnosis["machine"]["emulated"]) == ("aarch64", True)
    assert diagnosis["machine"]["cpu"]["name"] == "Cortex-A72"
    (classified,) = there.json("predict", folder, folder / "golden" / "picture.png", cpu=PI4)
    assert (classified["predictions"][0]["label"], classified["emulated"]) == ("Egyptian cat", True)
    zeros = 576 * ("tflite-int8" in folder.name)  # those of a column, so that pixels come in pairs
    assert there.json("inspect", folder, cpu=PI4)["parameters"] == 1_235_496 + zeros
    assert not [path.name for path in there.folder.rglob("tensorflow*")]
    assert there.size_mb() < EXTRAS[extra].largest_mb


@pytest.mark.parametrize("extra", ["litert"])
def test_an_emulated_speed_is_none(there: Installation, exported_11: dict[str, Exported], tmp_path: Path) -> None:
    folder, out = exported_11["tflite-int8"].folder, tmp_path / "result.json"
    options = ("--profile", "quick", "--launches", 1, "--threads", 1, "--strict", "--out", out)
    done = there.run("edge-squeeze", "benchmark", folder, *options, cpu=PI5)
    assert done.returncode == 7, done.stderr
    assert done.stdout.startswith("No arm is called fast or slow here. Trust: invalid (emulated")
    (arm,) = json.loads(out.read_text())["arms"]
    assert arm["validity"] == "invalid"
    assert next(check for check in arm["checks"] if check["id"] == "emulated")["status"] == "fail"
    assert arm["correctness"]["gate"] == "pass"


def use_scores_of_other_kernels(folder: Path) -> None:
    shutil.copy(folder / "golden" / "scores-builtin.f32", folder / "golden" / "scores-xnnpack.f32")


def resize_otherwise(folder: Path) -> None:
    short_side = artifact.load(folder).manifest.preprocessing.short_side
    change(folder, preprocessing__short_side=short_side + 1)


@pytest.mark.parametrize("extra", ["litert"])
@pytest.mark.parametrize(("spoil", "pixels_equal"), [(use_scores_of_other_kernels, True), (resize_otherwise, False)])
def test_a_difference_is_found_on_a_board(
    there: Installation,
    exported_11: dict[str, Exported],
    tmp_path: Path,
    spoil: Callable[[Path], None],
    pixels_equal: bool,
) -> None:
    folder = shutil.copytree(exported_11["tflite-int8"].folder, tmp_path / "net")
    spoil(folder)
    golden = there.json("verify", folder, cpu=PI5, code=3)["golden"]
    assert (golden["passed"], golden["pixels_equal"]) == (False, pixels_equal)
    assert golden["max_abs"] > golden["tolerance"]


def test_a_board_of_32_bits_runs_tflite_files_and_says_that_no_engine_for_others_can_be_had(
    installed: Install, exported_11: dict[str, Exported]
) -> None:
    there = installed(Wanted("tflite-runtime", architecture="armhf"))
    diagnosis = there.json("doctor", cpu=PI2)
    assert (diagnosis["ready"], diagnosis["machine"]["machine"]) == (True, "armv7l")
    for name in EXTRAS["tflite-runtime"].kernels:
        assert there.json("verify", exported_11[name].folder, cpu=PI2)["golden"]["passed"]
    done = there.run("edge-squeeze", "verify", exported_11["onnx-float32"].folder, cpu=PI2)
    assert done.returncode == 5
    assert "onnxruntime has no wheels for armv7l, only for x86_64 and aarch64" in done.stderr
