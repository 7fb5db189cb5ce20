"""Boards behind a real ssh server: from nothing to a table, and whatever can go wrong on the way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from boards import Board, own_environment, serving, wait_until
from environments import NO_NETWORK

from edge_squeeze.converters.export import Exported
from edge_squeeze.devices import wheel

pytestmark = pytest.mark.slow
Desk = Callable[..., subprocess.CompletedProcess[str]]
QUICK = ("--profile", "quick", "--threads", "1", "--device", "ssh:board")


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    """A board without an environment."""
    with serving(tmp_path) as found:
        yield found
        assert not found.left()


@pytest.fixture
def ready(board: Board) -> Board:
    """A board with an environment."""
    own_environment(board.cache, "litert-onnx", wheel.pack().stem)
    return board


@pytest.fixture
def int8(exported_11: dict[str, Exported]) -> Path:
    return exported_11["tflite-int8"].folder


def start(board: Board, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "edge_squeeze", *map(str, arguments)], cwd=board.folder, env=board.desk(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - a shell may have it ignored
    )  # fmt: skip


def run(board: Board, *arguments: object) -> tuple[int, str, str]:
    process = start(board, *arguments)
    stdout, stderr = process.communicate()
    assert "Traceback" not in stderr
    return process.returncode, stdout, stderr


def launches(board: Board) -> int:
    return sum(path.read_text().count("\n") for path in board.cache.rglob("*.jsonl"))


def _fields(line: str) -> list[str]:
    return line.split(None, 2)


def sessions(board: Board) -> list[int]:
    """The server's processes that serve a connection."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,comm"], capture_output=True, text=True, check=True).stdout
    rows = [(int(pid), int(parent)) for pid, parent, name in map(_fields, listed.splitlines()[1:]) if "sshd" in name]
    first = [pid for pid, parent in rows if parent == board.server]
    return first + [pid for pid, parent in rows if parent in first]


def test_from_a_fresh_board_to_a_table_in_one_command(board: Board, exported_11: dict[str, Exported]) -> None:
    files = [exported_11[name].folder for name in ("tflite-float32", "tflite-int8")]
    code, _, stderr = run(board, "benchmark", *files, *QUICK)
    assert code == 6
    assert "Make it, once, with --setup: edge-squeeze benchmark --setup" in stderr
    code, stdout, stderr = run(board, "benchmark", *files, *QUICK, "--setup", "--out", "r.json")
    if match := NO_NETWORK.search(stderr):
        pytest.skip(f"no package index can be reached: {match[0]}")
    assert code == 0, stderr
    assert "Setting up ssh:board, once:" in stderr
    assert re.search(r"^squeezenet1.1-tflite-int8 +litert +1 +[\d.]+ ", stdout, re.MULTILINE)
    (environment,) = (board.cache / "edge-squeeze" / "environments").iterdir()
    assert re.fullmatch(r"[\d.]+-[0-9a-f]{12}-litert-3\.\d+\.\d+", environment.name)
    code, stdout, stderr = run(board, "verify", files[1], "--device", "ssh:board", "--setup")
    assert code == 0, stderr
    assert "Golden files: PASS" in stdout
    assert "TensorFlow is not installed" in stdout
    assert "Setting up" not in stderr
    code, stdout, _ = run(board, "benchmark", "--replay", "r.json")
    assert code == 0


@pytest.mark.parametrize("end", ["the connection", "Ctrl-C", "kill -9"])
def test_what_is_cut_ends_there_and_is_gone_on_with(ready: Board, int8: Path, end: str) -> None:
    command = ("benchmark", int8, *QUICK, "--launches", 5)
    process = start(ready, *command)
    wait_until(lambda: launches(ready) >= 2)
    if end == "the connection":
        serving_it = sessions(ready)
        assert serving_it
        for pid in serving_it:
            os.kill(pid, signal.SIGKILL)
    else:
        process.send_signal(signal.SIGINT if end == "Ctrl-C" else signal.SIGKILL)
    _, stderr = process.communicate()
    assert not ready.left()
    if end == "the connection":
        assert process.returncode == 6
        assert "ssh:board: the connection was cut" in stderr
    elif end == "Ctrl-C":
        assert process.returncode == 130
        assert "finished launches are kept" in stderr
    code, stdout, stderr = run(ready, *command)
    assert code == 0, stderr
    assert re.search(r"Going on with [2-4] launches", stderr)
    assert "5 fresh processes" in stdout


def test_a_setup_that_is_interrupted_leaves_no_environment(board: Board, int8: Path) -> None:
    process = start(board, "verify", int8, "--device", "ssh:board", "--setup")
    wait_until(lambda: list(board.cache.glob("edge-squeeze/environments/.part-*/environment/bin")))
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert not board.left()
    assert not list((board.cache / "edge-squeeze" / "environments").iterdir())


def test_another_host_key_is_refused(ready: Board, int8: Path) -> None:
    ready.known_hosts.write_text(f"[127.0.0.1]:{ready.port} {(ready.folder / 'key.pub').read_text()}")
    code, _, stderr = run(ready, "verify", int8, "--device", "ssh:board")
    assert code == 6
    assert "its host key is not the one that is known" in stderr
    ready.known_hosts.unlink()
    code, _, stderr = run(ready, "verify", int8, "--device", "ssh:board")
    assert code == 6
    assert "Run ssh board once by hand" in stderr


def test_a_key_that_is_not_known_there_is_refused(ready: Board, int8: Path) -> None:
    (ready.folder / "authorized").write_text("")
    code, _, stderr = run(ready, "verify", int8, "--device", "ssh:board")
    assert code == 6
    assert "ssh-copy-id board" in stderr


def test_a_port_where_nobody_listens_and_a_name_that_nobody_has(ready: Board, int8: Path) -> None:
    code, _, stderr = run(ready, "verify", int8, "--device", "ssh:board:1")
    assert code == 6
    assert "no ssh server listens there" in stderr
    code, _, stderr = run(ready, "verify", int8, "--device", "ssh:nobody.invalid")
    assert code == 6
    assert "nobody knows a host of this name" in stderr


def test_a_board_without_python(tmp_path: Path, int8: Path) -> None:
    (tmp_path / "empty").mkdir()
    with serving(tmp_path, PATH=str(tmp_path / "empty")) as board:
        code, _, stderr = run(board, "verify", int8, "--device", "ssh:board")
        assert code == 6
        assert "ssh:board has no Python 3.11 or newer" in stderr
        assert not board.left()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """`folder` on a file system of its own, of that size."""
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize(("size", "setup"), [("60m", True), ("1m", False)])
def test_a_full_disk_is_told_and_left_clean(tmp_path: Path, int8: Path, size: str, setup: bool) -> None:
    with small_disk(tmp_path / "cache", size), serving(tmp_path) as board:
        if not setup:
            own_environment(board.cache, "litert", wheel.pack().stem)
        code, _, stderr = run(board, "verify", int8, "--device", "ssh:board", *(["--setup"] if setup else []))
        if match := NO_NETWORK.search(stderr):
            pytest.skip(f"no package index can be reached: {match[0]}")
        assert code == 6
        assert "its disk is full" in stderr
        assert not board.left()
