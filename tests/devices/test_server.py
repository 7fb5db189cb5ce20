"""Boards behind a real ssh server: from nothing to a table, and whatever can go wrong on the way."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from arm64 import make
from board_installations import PI5, folder_of_boards, needing_boards
from boards import Board, fake_ssh, own_environment, serving, wait_until
from environments import skip_without_network

from edge_squeeze.converters.export import Exported
from edge_squeeze.devices import wheel

pytestmark = pytest.mark.slow
Desk = Callable[..., subprocess.CompletedProcess[str]]
QUICK = ("--profile", "quick", "--threads", "1", "--device", "ssh:board")


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    """A board without an environment."""
    with serving(tmp_path) as server:
        yield server
        assert not server.left()


@pytest.fixture
def ready(board: Board) -> Board:
    """A board with an environment."""
    own_environment(board.cache, "litert+onnx", wheel.pack().stem)
    return board


@pytest.fixture
def int8(exported_11: dict[str, Exported]) -> Path:
    return exported_11["tflite-int8"].folder


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
    code, _, stderr = board.run("benchmark", *files, *QUICK)
    assert code == 6
    assert re.search(r"Create it once with --setup\. Run: \S*edge-squeeze benchmark --setup ", stderr)
    code, stdout, stderr = board.run("benchmark", *files, *QUICK, "--setup", "--out", "r.json")
    skip_without_network(stderr)
    assert code == 0, stderr
    assert "Setting up ssh:board, once:" in stderr
    assert re.search(r"^squeezenet1\.1-tflite-int8 +[\d.]+ +[\d.]+-[\d.]+ ", stdout, re.MULTILINE)
    (environment,) = (board.cache / "edge-squeeze" / "environments").iterdir()
    assert re.fullmatch(r"[\d.]+-[0-9a-f]{12}-litert-3\.\d+\.\d+", environment.name)
    code, stdout, stderr = board.run("verify", files[1], "--device", "ssh:board", "--setup")
    assert code == 0, stderr
    assert "Golden files: PASS" in stdout
    assert f"{files[1]} on ssh:board:" in " ".join(stdout.split())
    assert "TensorFlow is not installed" in " ".join(stdout.split())
    assert "Setting up" not in stderr
    next(environment.glob("lib/python*/site-packages/ai_edge_litert/*.so")).unlink()
    code, stdout, stderr = board.run("verify", files[1], "--device", "ssh:board", "--setup", "--json")
    assert "Setting up" in stderr
    document = json.loads(stdout)
    assert (code, document["device"], document["artifact"]) == (0, "ssh:board", str(files[1]))
    assert list(environment.parent.iterdir()) == [environment]
    code, stdout, _ = board.run("benchmark", "--replay", "r.json")
    assert code == 0


def test_the_divergence_of_a_file_is_split_over_a_boards_kernels(ready: Board, int8: Path) -> None:
    code, stdout, stderr = ready.run("debug", int8, "--samples", 6, "--device", "ssh:board", "--json")
    assert code == 0, stderr
    document = json.loads(stdout)
    assert document["timed_on"] == "ssh:board"
    assert document["legs"][2]["way"].endswith(" on ssh:board")
    assert document["legs"][2]["kl"] < 1e-3  # its processor is the one that would be measured here
    assert len([layer for layer in document["layers"] if layer["cost_us"]]) >= 26
    assert document["findings"] == []


@pytest.mark.parametrize("end", ["the connection", "Ctrl-C", "kill -9"])
def test_what_is_cut_ends_there_and_is_gone_on_with(ready: Board, int8: Path, end: str) -> None:
    command = ("benchmark", int8, *QUICK, "--launches", 5)
    process = ready.start(*command)
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
        assert "ssh:board: the connection was lost" in stderr
    elif end == "Ctrl-C":
        assert process.returncode == 130
        assert re.search("finished launch(es are| is) kept", stderr)
    code, stdout, stderr = ready.run(*command)
    assert code == 0, stderr
    assert re.search(r"Resuming with [2-4] launches", stderr)
    assert "5 fresh processes" in stdout


def test_a_setup_that_is_interrupted_leaves_no_environment(board: Board, int8: Path) -> None:
    process = board.start("verify", int8, "--device", "ssh:board", "--setup")
    wait_until(lambda: list(board.cache.glob("edge-squeeze/environments/.part-*/environment/bin")))
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert not board.left()
    assert not list((board.cache / "edge-squeeze" / "environments").iterdir())


def test_another_host_key_is_refused(ready: Board, int8: Path) -> None:
    ready.known_hosts.write_text(f"[127.0.0.1]:{ready.port} {(ready.folder / 'key.pub').read_text()}")
    code, _, stderr = ready.run("verify", int8, "--device", "ssh:board")
    assert code == 6
    assert "its host key has changed" in stderr
    ready.known_hosts.unlink()
    code, _, stderr = ready.run("verify", int8, "--device", "ssh:board")
    assert code == 6
    assert "Run `ssh board` once by hand" in stderr


def test_a_key_that_is_not_known_there_is_refused(ready: Board, int8: Path) -> None:
    (ready.folder / "authorized").write_text("")
    code, _, stderr = ready.run("verify", int8, "--device", "ssh:board")
    assert code == 6
    assert "ssh-copy-id board" in stderr


def test_a_port_where_nobody_listens_and_a_name_that_nobody_has(ready: Board, int8: Path) -> None:
    code, _, stderr = ready.run("verify", int8, "--device", "ssh:board:1")
    assert code == 6
    assert "no ssh server is listening" in stderr
    code, _, stderr = ready.run("verify", int8, "--device", "ssh:nobody.invalid")
    assert code == 6
    assert "the host name cannot be resolved" in stderr


def test_a_board_behind_another_host(ready: Board, int8: Path) -> None:
    (ready.folder / "ssh_config").open("a").write(f"""
        Host far
            HostName localhost
            HostKeyAlias [127.0.0.1]:{ready.port}
            Port {ready.port}
            ProxyJump board
        Host board far
            IdentityFile {ready.folder}/key
            UserKnownHostsFile {ready.folder}/known_hosts
    """)
    code, stdout, stderr = ready.run("verify", int8, "--device", "ssh:far")
    assert code == 0, stderr
    assert "Golden files: PASS" in stdout
    ready.known_hosts.unlink()
    code, _, stderr = ready.run("verify", int8, "--device", "ssh:far")
    assert code == 6
    assert "its host key is not known here" in stderr


def test_an_arm_board_from_nothing_to_a_table(tmp_path: Path, pytestconfig: pytest.Config, int8: Path) -> None:
    with needing_boards():
        emulated = make(folder_of_boards(pytestconfig))
    board = Board(tmp_path, port=0)  # a login on this machine would find this machine's Python
    variables = f"PATH={emulated.python.parent} QEMU_CPU={PI5} XDG_CACHE_HOME={board.cache}"
    fake_ssh(tmp_path / "bin", f'unset EDGE_SQUEEZE_CACHE; {variables} exec /bin/sh -c "$command"')
    code, stdout, stderr = board.run("benchmark", int8, *QUICK, "--launches", 3, "--setup", "--out", "r.json")
    skip_without_network(stderr)
    assert code == 0, stderr
    assert re.search(r"^squeezenet1\.1-tflite-int8 .* invalid +emulated$", stdout, re.MULTILINE)
    assert "of Cortex-A76. Times in ms." in " ".join(stdout.split())
    (arm,) = json.loads((tmp_path / "r.json").read_text())["arms"]
    assert arm["correctness"]["gate"] == "pass"
    code, stdout, stderr = board.run("debug", int8, "--samples", 6, "--device", "ssh:board", "--json")
    assert code == 0, stderr
    document = json.loads(stdout)
    assert document["timed_on"] is None
    assert document["legs"][2]["kl"] < 1e-3  # ARM's kernels round as the reference does
    assert document["findings"] == []
    assert not board.left()


def test_a_board_without_python(tmp_path: Path, int8: Path) -> None:
    (tmp_path / "empty").mkdir()
    with serving(tmp_path, PATH=str(tmp_path / "empty")) as board:
        code, _, stderr = board.run("verify", int8, "--device", "ssh:board")
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
        code, _, stderr = board.run("verify", int8, "--device", "ssh:board", *(["--setup"] if setup else []))
        skip_without_network(stderr)
        assert code == 6
        assert ("its disk is full" if setup else "its disk ran out of space") in stderr
        assert not board.left()
