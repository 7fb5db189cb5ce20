"""MediaPipe reads exported files as they are: in an environment of its own, as an app's author would install it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from environments import INSTALL_TIMEOUT_S, must, run, uv
from PIL import Image
from shared_exports import Exports

from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.artifact.folder import Artifact
from edge_squeeze.converters.export import Exported
from edge_squeeze.converters.formats import tflite_edits
from edge_squeeze.engines.runner import open_runner

pytestmark = pytest.mark.slow

VERSION = "1.2.3"
PRECISIONS = ("float32", "float16", "int8")
# As its documentation shows it. Prints, of each file, every name with its score, or why it is refused.
CLASSIFY = """
import json, sys
import mediapipe as mp
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.vision import ImageClassifier, ImageClassifierOptions

answers = []
for picture, path in zip(sys.argv[1::2], sys.argv[2::2]):
    options = ImageClassifierOptions(base_options=BaseOptions(model_asset_path=path), max_results=-1)
    try:
        with ImageClassifier.create_from_options(options) as classifier:
            (head,) = classifier.classify(mp.Image.create_from_file(picture)).classifications
        answers.append({c.index: (c.category_name, c.score) for c in head.categories})
    except Exception as error:  # of a class that differs between versions
        answers.append(str(error))
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with MediaPipe; skips where that cannot be installed or loaded."""
    tool, folder = uv(), tmp_path_factory.mktemp("mediapipe") / "venv"
    if tool is None:
        pytest.skip("uv is not installed, which makes the environment for MediaPipe")
    must(run(tool, "venv", "--python", "3.11", folder))
    installed = folder / "bin" / "python"
    done = run(tool, "pip", "install", "--python", installed, f"mediapipe=={VERSION}", timeout_s=INSTALL_TIMEOUT_S)
    if "has no wheels with a matching" in done.stderr:
        pytest.skip(f"MediaPipe {VERSION} has no wheel for this machine")
    must(done)
    done = run(installed, "-c", "from mediapipe.tasks.python.vision import ImageClassifier")
    if "cannot open shared object file" in done.stderr:
        pytest.skip(f"MediaPipe wants libEGL.so.1 and libGLESv2.so.2: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return installed


def classify(python: Path, files: Sequence[tuple[Path, Path]]) -> list[Any]:
    """What MediaPipe answers for each picture and file: index -> name and score, or its error."""
    done = run(python, "-c", CLASSIFY, *(path for pair in files for path in pair), timeout_s=300)
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return answers


def golden_picture(artifact: Artifact, folder: Path) -> tuple[np.ndarray, Path]:
    """The golden pixels, and a picture of them: exactly as large as the network's input, so nobody resizes it."""
    height, width = artifact.manifest.input_size
    raw = (artifact.folder / artifact.manifest.golden.pixels).read_bytes()
    pixels = np.frombuffer(raw, np.uint8).reshape(height, width, 3)
    path = folder / f"{artifact.manifest.name}.png"
    Image.fromarray(pixels).save(path)
    return pixels, path


def check(python: Path, exports: Sequence[Exported], folder: Path) -> None:
    loaded = [artifacts.load(exported.folder) for exported in exports]
    pictures = [golden_picture(artifact, folder) for artifact in loaded]
    files = [(picture, a.folder / a.manifest.file.name) for a, (_, picture) in zip(loaded, pictures, strict=True)]
    for artifact, (pixels, _), answer in zip(loaded, pictures, classify(python, files), strict=True):
        scores = open_runner(artifact.model(), "tflite").run(pixels[None])[0]
        assert isinstance(answer, dict), f"{artifact.manifest.name}: {answer}"
        names, received = zip(*(answer[str(i)] for i in range(len(scores))), strict=True)
        assert list(names) == artifact.labels()
        np.testing.assert_allclose(received, scores, atol=1e-5, err_msg=artifact.manifest.name)
        assert np.argmax(received) == np.argmax(scores)


def test_names_and_scores_are_those_of_the_file(python: Path, exported_11: Exports, tmp_path: Path) -> None:
    check(python, [exported_11[f"tflite-{precision}"] for precision in PRECISIONS], tmp_path)


def test_those_of_the_other_network_too(python: Path, exported_10: Exports, tmp_path: Path) -> None:
    check(python, [exported_10[f"tflite-{precision}"] for precision in PRECISIONS], tmp_path)


def without_metadata(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        model = tflite_edits.unpack(data[: archive.infolist()[0].header_offset])
    model.metadata = [entry for entry in model.metadata if entry.name != b"TFLITE_METADATA"]
    return tflite_edits.pack(model)


def test_without_the_metadata_a_float_file_is_refused_and_an_int8_file_has_no_names(
    python: Path, exported_11: Exports, tmp_path: Path
) -> None:
    files = []
    for precision in PRECISIONS:
        artifact = artifacts.load(exported_11[f"tflite-{precision}"].folder)
        (tmp_path / f"{precision}.tflite").write_bytes(without_metadata(artifact.model()))
        files.append((golden_picture(artifact, tmp_path)[1], tmp_path / f"{precision}.tflite"))
    float32, float16, int8 = classify(python, files)
    for answer in (float32, float16):
        assert "NormalizationOptions" in answer
    assert {name for name, _ in int8.values()} <= {None, ""}
