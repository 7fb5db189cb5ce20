"""The program that runs on a board: what it takes, what it leaves, and when it ends."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from boards import wait_until

from edge_squeeze.devices import agent
from edge_squeeze.devices.agent import CutError, Life, Lines, own_folder, supervise
from edge_squeeze.devices.connection import program


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in agent.ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[IO[bytes]]:
    """The desk's end of what the program reads."""
    reading, writing = os.pipe()
    monkeypatch.setattr(agent, "STDIN", reading)
    with os.fdopen(writing, "wb", buffering=0) as file:
        yield file
    os.close(reading)


def archive(name: str, **changes: Any) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = 4
    for key, value in changes.items():
        setattr(member, key, value)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as packed:
        packed.addfile(member, io.BytesIO(b"data"))
    return file.getvalue()


def test_files_are_unpacked(desk: IO[bytes], tmp_path: Path) -> None:
    data = archive("out/it's $HOME/a.tflite")
    desk.write(data)
    agent.unpack({"bytes": len(data)}, tmp_path)
    assert [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()] == [b"data"]
    assert (tmp_path / "out" / "it's $HOME" / "a.tflite").is_file()


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("../evil", {}),
        ("a/../../evil", {}),
        ("/tmp/evil", {}),
        ("evil", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("evil", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"}),
        ("evil", {"type": tarfile.FIFOTYPE}),
        ("evil", {"type": tarfile.CHRTYPE}),
    ],
)
def test_only_plain_files_below_the_folder_are_unpacked(
    desk: IO[bytes], tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    data = archive(name, **changes)
    desk.write(data)
    with pytest.raises(ValueError, match="is not a regular file inside the folder"):
        agent.unpack({"bytes": len(data)}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_signs_of_life_are_no_messages(desk: IO[bytes]) -> None:
    desk.write(b'\n\n\n{"argv": []}\n')
    assert agent.receive() == {"argv": []}


@pytest.mark.parametrize("sent", [b"", b"{", b"\n"])
def test_a_desk_that_hangs_up_is_noticed(desk: IO[bytes], sent: bytes) -> None:
    desk.write(sent)
    desk.close()
    with pytest.raises(CutError):
        agent.receive()


def test_a_desk_that_falls_silent_is_noticed(desk: IO[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(agent.time, "monotonic", lambda: now[0])
    life = Life()
    for at, heard in ((100.0, True), (219.0, False)):
        now[0] = at
        desk.write(b"\n")
        life.check(heard=heard)
    now[0] = 221.0
    with pytest.raises(CutError):
        life.check(heard=False)


def test_a_folder_of_ones_own_goes_with_its_owner_and_with_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "run-left").mkdir()
    (tmp_path / "run-left" / "file").write_text("left by one that was killed")
    (tmp_path / "other").mkdir()
    with own_folder(tmp_path, "run-") as first:
        assert not (tmp_path / "run-left").exists()
        with own_folder(tmp_path, "run-") as second:
            assert first.is_dir()
            assert second != first
        assert not second.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["other"]


def test_lines_come_whole() -> None:
    received: list[str] = []
    lines = Lines(received.append)
    for part in (b"a", b"b\nc\n\xff", b"d", b"", b""):
        lines(part)
    assert received == ["ab", "c", "\ufffdd"]
    assert list(lines.last) == received


def test_what_a_command_says_and_ends_with_comes_back(desk: IO[bytes]) -> None:
    said: list[bytes] = []
    stderr: list[str] = []
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"
    assert supervise([sys.executable, "-c", code], said.append, Lines(stderr.append)) == 7
    assert b"".join(said).split() == [b"out"]
    assert stderr == ["err"]


def test_a_command_and_its_children_end_with_the_desk(desk: IO[bytes], tmp_path: Path) -> None:
    child = f"import time; open({str(tmp_path / 'child')!r}, 'w'); time.sleep(600)"
    start = f"subprocess.Popen([sys.executable, '-c', {child!r}]).pid"
    code = f"import subprocess, sys, time; print({start}, flush=True); time.sleep(600)"
    said: list[bytes] = []

    def hang_up(data: bytes) -> None:
        said.append(data)
        wait_until((tmp_path / "child").exists)
        desk.close()

    with pytest.raises(CutError):
        supervise([sys.executable, "-c", code], hang_up, print)
    pid = int(said[0])
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text(), 10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_program_needs_nothing_of_ours_and_ends_when_told(tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", program()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path
    )
    assert process.stdout
    assert b'"event": "hello"' in process.stdout.readline()
    time.sleep(0.1)
    process.send_signal(number)
    assert process.stdout.readline() == b'edge-squeeze {"event": "cut"}\n'
    assert process.wait() == 0
