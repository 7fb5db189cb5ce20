"""The kernels of a board: its scores, golden files and times come back, and all figures are made here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boards import fake_ssh, left, own_environment, path_with
from commands import run_here

from edge_squeeze.converters.debugging import machines, symptoms
from edge_squeeze.converters.debugging.machines import Answer
from edge_squeeze.converters.export import Exported
from edge_squeeze.devices import wheel
from edge_squeeze.errors import UsageError
from edge_squeeze.proof.golden import GoldenCheck

pytestmark = pytest.mark.usefixtures("own_cache")
Desk = Callable[..., subprocess.CompletedProcess[str]]
OTHER_SCORES = """
from edge_squeeze.engines.runner import Runner
sound = Runner.run
Runner.run = lambda self, pixels: sound(self, pixels)[:, ::-1]
"""
NO_PROFILE = """
from edge_squeeze.errors import ConversionError
from edge_squeeze.inspection import operator_times
def measure(*_):
    raise ConversionError("no profile")
operator_times.measure = measure
"""


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """The folder of modules that the board's Python loads first."""
    return own_environment(tmp_path / "board", "litert+onnx", wheel.pack().stem).parents[1] / "without"


@pytest.fixture
def desk(tmp_path: Path, environment: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk whose board is this machine, without TensorFlow and under another path."""
    script = f'unset EDGE_SQUEEZE_CACHE; export XDG_CACHE_HOME={tmp_path / "board"}\nexec sh -c "$command"'
    monkeypatch.setenv("PATH", path_with(fake_ssh(tmp_path / "bin", script)))

    def command(*arguments: object) -> subprocess.CompletedProcess[str]:
        done = run_here(tmp_path, "debug", *arguments)
        assert "Traceback" not in done.stderr
        assert not left(tmp_path / "board")
        return done

    return command


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def test_a_board_is_debugged_like_this_machine(desk: Desk, modules_exports: dict[str, Exported]) -> None:
    folder = modules_exports["tflite"].folder
    here = document(desk(folder, "--samples", "6", "--json"))
    there = document(desk(folder, "--samples", "6", "--device", "ssh:board", "--json"))
    assert (here["device"], here["timed_on"]) == (None, None)
    assert (there["device"], there["timed_on"]) == ("ssh:board", "ssh:board")
    for leg in there["legs"]:
        leg["way"] = leg["way"].removesuffix(" on ssh:board")
    for key in ("legs", "preprocessing", "runtime", "kernels", "simulated", "findings"):
        assert there[key] == here[key]
    costs = [{layer["layer"] for layer in each["layers"] if layer["cost_us"] is not None} for each in (here, there)]
    assert costs[0] == costs[1]
    assert "squeeze" in costs[0]


def test_what_other_kernels_add_is_theirs(desk: Desk, environment: Path, modules_exports: dict[str, Exported]) -> None:
    folder = modules_exports["tflite"].folder
    sound = document(desk(folder, "--samples", "6", "--json"))
    with (environment / "sitecustomize.py").open("a") as file:
        file.write(OTHER_SCORES + NO_PROFILE)
    options = ("--samples", "6", "--device", "ssh:board")
    faulty = document(desk(folder, *options, "--json"))
    assert faulty["legs"][:2] == sound["legs"][:2]
    assert faulty["legs"][2]["kl"] > 0.1
    assert symptoms.OTHER_KERNELS in [finding["symptom"] for finding in faulty["findings"]]
    assert not faulty["preprocessing"]["golden"]["max_abs"] <= faulty["preprocessing"]["golden"]["tolerance"]
    assert faulty["timed_on"] is None
    text = " ".join(desk(folder, *options).stdout.split())
    assert "on ssh:board" in text
    assert "ssh:board does not tell what operators take: us are of this machine." in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nowhere", "--device", "ssh:board"), 2, "nowhere"),
        (("nowhere", "--device", "ssh:a", "--device", "ssh:b"), 2, "at most 1 --device"),
        (("nowhere", "--setup"), 2, "--setup creates an environment on a board. Pass --device"),
    ],
)
def test_mistakes_are_named_before_a_board_is_asked(
    desk: Desk, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = desk(*arguments)
    assert done.returncode == code
    assert message in " ".join(done.stderr.split())


def test_answers_are_read_as_they_were_sent_and_others_refused() -> None:
    scores = np.random.default_rng(0).random((3, 5)).astype(np.float32)
    made = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    gold = GoldenCheck("litert", "xnnpack", True, 0.1, 0.2)
    sent = json.dumps(machines.pack(Answer("litert 2", "xnnpack", scores, gold, made, [{"conv1": 2.5}, {}])))
    answer = machines.unpack(json.loads(sent), 3)
    assert np.array_equal(answer.scores, scores)
    assert np.array_equal(answer.made, made)
    assert (answer.golden, answer.times) == (gold, [{"conv1": 2.5}, {}])
    with pytest.raises(ValueError, match="for 4 pictures"):
        machines.unpack(json.loads(sent), 4)
    for changes, error in (({"times": 3}, UsageError), ({"golden": {}}, UsageError), ({"scores": {}}, KeyError)):
        with pytest.raises(error):
            machines.unpack({**json.loads(sent), **changes}, 3)
