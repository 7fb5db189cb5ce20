"""The user's global Keras settings do not decide what is computed, in a process of ours or in a program of theirs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import edge_squeeze
from edge_squeeze.errors import UsageError

SCORES = """
import numpy as np
import edge_squeeze
model = edge_squeeze.build("squeezenet-lab", weights="random")
scores = model(np.linspace(0, 1, 32 * 32 * 3, dtype=np.float32).reshape(1, 32, 32, 3))
print(model.input_shape, np.asarray(scores).dtype, np.asarray(scores).tobytes().hex())
"""
PLAIN = "import keras; print(keras.config.backend(), keras.config.floatx(), keras.config.image_data_format())"
ODD = {"floatx": "float16", "epsilon": 1e-3, "backend": "torch", "image_data_format": "channels_first"}


def run(code: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("KERAS")}
    environment = {**own, "HOME": str(home), **variables}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def expected() -> str:
    """What SCORES prints in this process, which has no settings of its own."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(SCORES, {})
    assert printed.getvalue().startswith("(None, 32, 32, 3) float32 ")
    return printed.getvalue()


# As the command line loads it: without Keras' wrappers, and so that scikit-learn can be imported afterwards.
WITHOUT_WRAPPERS = f"""
from edge_squeeze.process import keras_environment
keras_environment.leave_wrappers_out()
{SCORES}
import sys
from keras.src.wrappers import fixes
assert fixes.sklearn is None
assert "sklearn" not in sys.modules
"""
VARIABLES = {"KERAS_BACKEND": "jax", "TF_USE_LEGACY_KERAS": "1", "KERAS_MAX_EPOCHS": "x"}
OFTEN = [(json.dumps(ODD), VARIABLES)]
RARE = [("no JSON", {}), (json.dumps(ODD), {}), ('{"floatx": "bfloat16"}', {}), ("[1]", {}), ("", VARIABLES)]


@pytest.mark.parametrize(
    ("content", "variables"), [*OFTEN, *(pytest.param(*case, marks=pytest.mark.slow) for case in RARE)]
)
def test_keras_json_and_variables_have_no_effect(
    tmp_path: Path, expected: str, content: str, variables: dict[str, str]
) -> None:
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(content)
    done = run(WITHOUT_WRAPPERS, tmp_path, **variables)
    assert (done.stdout, done.returncode) == (expected, 0), done.stderr
    assert (tmp_path / ".keras" / "keras.json").read_text() == content


def test_without_us_keras_json_decides_and_a_program_that_has_such_settings_keeps_them(
    tmp_path: Path, expected: str
) -> None:
    """Also the control of the test above."""
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps({**ODD, "backend": "tensorflow"}))
    done = run(f"{PLAIN}\n{SCORES}\n{PLAIN}", tmp_path)
    settings = "tensorflow float16 channels_first\n"
    assert done.stdout == f"{settings}{expected}{settings}", done.stderr


def test_keras_on_another_backend_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    from keras.src.backend import config

    monkeypatch.setattr(config, "_BACKEND", "jax")
    with pytest.raises(UsageError, match="Keras was imported on the backend jax") as refusal:
        edge_squeeze.build("squeezenet-lab", weights="random")
    assert "Set KERAS_BACKEND=tensorflow before the first import" in str(refusal.value)
