from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import os, signal, sys, time
from edge_squeeze.process import supervision
def work():
    print("working", flush=True)
    {work}
    sys.exit(7)
supervision.run(work, lambda text: sys.stderr.write(text + '\\n'))
"""


def start(work: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM.format(work=work)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_it_ends_as_its_work_ends() -> None:
    process = start("pass")
    process.communicate()
    assert process.returncode == 7


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGILL", "SIGBUS", "SIGFPE"])
def test_a_crash_is_told_and_ends_with_4(name: str) -> None:
    process = start(f"os.kill(os.getpid(), signal.{name})")
    _, stderr = process.communicate()
    assert process.returncode == 4
    assert stderr.count("Error: ") == 1
    assert f"An engine crashed ({name})" in stderr


def test_want_of_memory_is_told() -> None:
    process = start("os.kill(os.getpid(), signal.SIGKILL)")
    _, stderr = process.communicate()
    assert process.returncode == 4
    assert "ran out of memory" in stderr


def test_signals_reach_the_work() -> None:
    process = start("signal.signal(signal.SIGTERM, lambda *_: sys.exit(9)); print('ready', flush=True); time.sleep(60)")
    assert process.stdout is not None
    while process.stdout.readline() != "ready\n":
        pass
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 9


def test_it_dies_of_the_signal_that_its_work_died_of() -> None:
    process = start("os.kill(os.getpid(), signal.SIGTERM)")
    process.communicate()
    assert process.returncode == -signal.SIGTERM


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_killing_it_kills_its_work(tmp_path: Path) -> None:
    process = start(
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); print('ready', flush=True); time.sleep(60)"
    )
    assert process.stdout is not None
    while process.stdout.readline() != "ready\n":
        pass
    worker = int((tmp_path / "pid").read_text())
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while runs(worker) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not runs(worker)


def runs(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return Path(f"/proc/{pid}").exists()


def test_a_pipe_that_breaks_while_sigpipe_is_ignored_ends_as_it_does_otherwise() -> None:
    code = """if True:
        import signal
        from edge_squeeze.cli import exits
        def work():
            before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            try:
                raise BrokenPipeError
            finally:
                signal.signal(signal.SIGPIPE, before)
        exits.run(work)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, "")
