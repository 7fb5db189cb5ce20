"""A killed or interrupted export leaves every artifact whole: the new one, or the older one as it was."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_squeeze.artifact import folder as artifact

KILLS = 20
COMMAND = (
    *("export", "--weights", "random", "--classes", "10", "--input-size", "64", "--images", "pictures"),
    *("--format", "all", "--precision", "float32,int8", "--quantizer", "stock"),
)


def start(folder: Path, seed: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "edge_squeeze", *COMMAND, "--seed", str(seed)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def check_whole(out: Path, seeds: set[int]) -> int:
    """How many artifacts there are, each found whole and made with one of `seeds`."""
    folders = [folder for folder in out.iterdir() if not folder.name.startswith(".")]
    for folder in folders:
        loaded = artifact.load(folder)
        assert loaded.manifest.weights.seed in seeds
        assert loaded.model()
        assert loaded.labels()
        golden = loaded.manifest.golden
        for name in (golden.picture, golden.pixels, *(scores.file for scores in golden.scores.values())):
            assert loaded.read(name)
        assert json.loads((folder / "parity.json").read_text())["verdict"] == "unproven"
        assert (folder / "calibration.json").is_file() == (loaded.manifest.precision == "int8")
    return len(folders)


def names(out: Path) -> set[str]:
    return {path.name for path in out.iterdir()}


def wait_for_writes(process: subprocess.Popen[bytes], out: Path, changes: int) -> None:
    """Until `out` has changed that many times: what is half written has a name of its own there for a moment."""
    before = names(out)
    while process.poll() is None and changes:
        time.sleep(0.0005)
        now = names(out)
        changes, before = changes - (now != before), now


@pytest.mark.slow
def test_kills_at_random_moments_and_while_it_writes(tmp_path: Path, pictures: Path) -> None:
    rng, out = random.Random(0), tmp_path / "out"
    began = time.monotonic()
    assert start(tmp_path, 0).wait() == 0
    takes = time.monotonic() - began
    before = check_whole(out, {0})
    assert before == 4
    killed = 0
    for seed in range(1, KILLS + 1):
        process = start(tmp_path, seed)
        if seed % 2:
            time.sleep(rng.uniform(0, takes))
        else:
            wait_for_writes(process, out, rng.randint(1, 8))
            time.sleep(rng.uniform(0, 0.01))
        os.kill(process.pid, signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        time.sleep(0.1)  # its work is killed a moment after it
        assert check_whole(out, set(range(seed + 1))) == before
    assert killed >= KILLS // 2  # on a machine that has become faster some ends come first
    assert start(tmp_path, KILLS + 1).wait() == 0
    assert check_whole(out, {KILLS + 1}) == before
    assert len(list(out.iterdir())) == before, "what killed exports left is cleared by the next one"


# Before it has converted anything, while it converts, and while it converts after it has left an artifact.
@pytest.mark.parametrize(
    ("step", "seconds", "artifacts"),
    [
        pytest.param("[1]", 0.0, 0, marks=pytest.mark.slow),
        pytest.param("[1]", 0.2, 0, marks=pytest.mark.slow),
        ("[2]", 0.1, 1),
    ],
)
def test_an_interrupted_export_says_so_and_leaves_whole_artifacts_alone(
    tmp_path: Path, step: str, seconds: float, artifacts: int
) -> None:
    command = [sys.executable, "-m", "edge_squeeze", "export", "--precision", "float32,float16"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - a shell may have it ignored
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(step):
            break
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130
    assert "Interrupted" in stderr
    assert "Traceback" not in stderr
    assert not list((tmp_path / "out").glob(".*"))
    assert check_readable(tmp_path / "out") == artifacts


@pytest.mark.parametrize("milliseconds", [0, pytest.param(5, marks=pytest.mark.slow)])
def test_an_export_killed_while_it_writes_leaves_nothing_half_written(tmp_path: Path, milliseconds: int) -> None:
    command = [sys.executable, "-m", "edge_squeeze", "export", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (tmp_path / "out").exists():
        time.sleep(0.0005)
    time.sleep(milliseconds / 1000)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    check_readable(tmp_path / "out")


def check_readable(out: Path) -> int:
    """How many artifacts there are, each found whole."""
    folders = list(out.glob("squeezenet*"))
    for folder in folders:
        whole = artifact.load(folder)
        assert whole.model()
        assert whole.labels()
        assert (folder / "parity.json").is_file()
    return len(folders)
