"""What Keras is imported with in a process of ours, and that a program of the user's has all of it."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import pytest

from edge_squeeze.process import keras_environment

pytest.importorskip("sklearn")


@pytest.fixture(autouse=True)
def before_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    """As before the first import of Keras; what a test imports here is forgotten after it."""
    for name in [name for name in sys.modules if name == "keras" or name.partition(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    for name in (keras_environment.BACKEND, keras_environment.HOME):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(keras_environment, "_wrappers", True)


def test_a_command_imports_keras_as_if_scikit_learn_were_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    keras_environment.leave_wrappers_out()
    with keras_environment.neutral(), pytest.raises(ImportError):
        importlib.import_module("sklearn")
    assert "sklearn" not in sys.modules, "a training imports it for its digits"


def test_a_program_that_imports_us_has_the_wrappers() -> None:
    with keras_environment.neutral():
        assert sys.modules.get("sklearn", "not blocked") is not None
        assert importlib.util.find_spec("sklearn") is not None
