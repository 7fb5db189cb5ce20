"""Runs the lines of docs/formats.md for OpenCV, as they are, in environments that have OpenCV 4 and 5."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from environments import install, run
from PIL import Image
from places import ROOT

import edge_squeeze
from edge_squeeze.converters.export import Exported

pytestmark = pytest.mark.slow

VERSIONS = {"4": "opencv-python-headless<5", "5": "opencv-python-headless>=5,<6"}
# Largest difference from ONNX Runtime's scores: 4e-6 and 1e-3 were measured, wrong pictures give 0.9.
TOLERANCES = {"float32": 1e-5, "float16": 5e-3}


@pytest.fixture(scope="module", params=VERSIONS)
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python with that version of OpenCV."""
    python = install(tmp_path_factory.mktemp("opencv"), (VERSIONS[request.param], "numpy"), {}) / "python"
    done = run(python, "-c", "import cv2; print(cv2.__version__)")
    assert done.stdout.startswith(f"{request.param}."), done.stderr
    return python


def lines() -> str:
    """The lines for users, and one that keeps the scores."""
    (text,) = re.findall(r"```python\n(import cv2\n.*?)```", (ROOT / "docs/formats.md").read_text(), re.DOTALL)
    return f"import numpy as np\n{text}np.save('scores.npy', scores)\n"


def run_lines(python: Path, exported: Exported, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The scores that OpenCV gives when users follow the docs, and those of ONNX Runtime; RuntimeError if refused."""
    named = folder / "out/squeezenet1.1-onnx-float32/squeezenet1.1-float32.onnx"
    named.parent.mkdir(parents=True)
    shutil.copy(exported.folder / exported.manifest.file.name, named)
    golden, size = exported.folder / "golden", exported.manifest.input_size
    pixels = np.frombuffer((golden / "pixels.rgb").read_bytes(), np.uint8).reshape(*size, 3)
    Image.fromarray(pixels).save(folder / "cat.jpg", "PNG")  # nothing is resized; imread goes by the content
    (folder / "lines.py").write_text(lines())
    done = run(python, "-c", f"import os; os.chdir({str(folder)!r}); exec(open('lines.py').read())")
    if done.returncode:
        assert "cv2.error" in done.stderr, done.stderr
        raise RuntimeError(done.stderr)
    return np.load(folder / "scores.npy"), np.fromfile(golden / "scores-onnxruntime.f32", np.float32)


@pytest.mark.parametrize("precision", TOLERANCES)
def test_the_lines_of_the_docs_give_the_scores_of_onnx_runtime(
    python: Path, exported_11: dict[str, Exported], tmp_path: Path, precision: str
) -> None:
    scores, expected = run_lines(python, exported_11[f"onnx-{precision}"], tmp_path)
    assert scores.shape == (1, 1000)
    np.testing.assert_allclose(scores[0], expected, atol=TOLERANCES[precision])
    assert scores[0].argmax() == expected.argmax()


def test_the_other_layout_would_be_refused_or_wrong(python: Path, tmp_path: Path) -> None:
    (nhwc,) = edge_squeeze.export(format="onnx", layout="nhwc", out=tmp_path / "exported")
    try:
        scores, expected = run_lines(python, nhwc, tmp_path)
    except RuntimeError:
        return
    assert not np.abs(scores[0] - expected).max() < 0.1, "NaN, or wrong by far"
