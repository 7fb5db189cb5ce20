"""The commands in a real terminal of 40, 80 and 120 columns, and on a pipe."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import commands
import pytest
from commands import PROGRAM, run_onto
from small_artifacts import make

from edge_squeeze.doctor.examination import Installation

fcntl = pytest.importorskip("fcntl")
pty = pytest.importorskip("pty")
termios = pytest.importorskip("termios")

TERMINAL = {"TERM": "xterm-256color"}
OVER = b"\0"
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLORS = re.compile(r"\x1b\[[0-9;]*m")
SMALL = ("--weights", "random", "--classes", "10", "--input-size", "48")
NAME = "squeezenet1.1-tflite-float32-random-classes-10-input-size-48"


@pytest.fixture(autouse=True)
def as_after_login(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    loadable = functools.partial(Installation, why_not_loadable=lambda _: None)  # without loading every engine
    monkeypatch.setattr("edge_squeeze.doctor.examination.Installation", loadable)


def in_terminal(folder: Path, columns: int, *arguments: str, **environment: str) -> tuple[int, str]:
    """The exit code and the output of a command in this process whose standard output and error are a terminal."""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with ThreadPoolExecutor() as pool:
        output = pool.submit(_read_all, terminal)
        try:
            code = run_onto(end, end, folder, *arguments, **{**TERMINAL, **environment})
        finally:
            os.write(end, OVER)  # not by closing it, which the command's own copies of it would outlast
            os.close(end)
    return code, output.result()


def process_in_terminal(folder: Path, columns: int, *arguments: str, **environment: str) -> tuple[int, str]:
    """`in_terminal` as a user has it: in a process of its own, which the terminal belongs to."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvpe(PROGRAM[0], [*PROGRAM, *arguments], {**os.environ, **TERMINAL, **environment})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    output = _read_all(terminal)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), output


def _read_all(terminal: int) -> str:
    """What is written to a terminal until it is over, or the last program has closed it."""
    output = b""
    with contextlib.suppress(OSError):  # how it is closed on Linux
        while not output.endswith(OVER) and (data := os.read(terminal, 1 << 16)):
            output += data
    os.close(terminal)
    return output.removesuffix(OVER).decode().replace("\r\n", "\n")


def shown(output: str) -> list[str]:
    """The lines that are left standing: without codes, and without what was written over."""
    return [CODES.sub("", line.rpartition("\r")[2]) for line in output.splitlines()]


def to_copy(line: str) -> bool:
    """Whether a line is a command or a path by itself, which is never broken."""
    return bool(re.match(r"\s*(\S*edge-squeeze \S|Run: |make )", line)) or len(line.split()) == 1


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `export` leaves, an artifact that fails, and one in an app."""
    folder = tmp_path_factory.mktemp("terminal")
    for name, verdict in (("fails", "fail"), ("holds", "pass")):
        make(folder / "made", name, verdict=verdict)
    assert f"  out/{NAME}" in commands.run_here(folder, "export", *SMALL).stdout.splitlines()
    assert commands.run_here(folder, "bundle", "files", "made/holds", "app").returncode == 0
    (folder / "app" / "holds" / "labels.txt").unlink()
    return folder


COMMANDS = {
    "export": (0, ("export", *SMALL, "--format", "all", "--out", "again")),
    "verify": (0, ("verify", f"out/{NAME}")),
    "predict": (0, ("predict", f"out/{NAME}", f"out/{NAME}/golden/picture.png")),
    "inspect": (0, ("inspect", f"out/{NAME}")),
    "models": (0, ("models",)),
    "models show": (0, ("models", "show", "squeezenet-composable", "--bypass", "complex")),
    "doctor": (0, ("doctor",)),
    "bundle": (0, ("bundle", "files", "made/holds", "made/fails", "new-app", "--force")),
    "bundle --list": (2, ("bundle", "files", "app", "--list")),
    "unproven": (2, ("bundle", "files", f"out/{NAME}", "app")),
    "no folder": (2, ("bundle", "files", "no-such-folder", "--list")),
    "benchmark": (0, ("benchmark", f"out/{NAME}", "--profile", "quick", "--launches", "1", "--threads", "1,2")),
}
WIDTHS = {"export": (40,), "verify": (40, 80), "benchmark": (80,)}
IN_PROCESSES = ("models", "benchmark")  # of their own, also on a pipe


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        pytest.param(name, columns, marks=[pytest.mark.slow] if name == "export" else [])
        for name in COMMANDS
        for columns in WIDTHS.get(name, (40, 80, 120))
    ],
)
def test_nothing_is_wider_than_the_terminal_but_what_is_to_be_copied(
    home: Path, tmp_path: Path, name: str, columns: int
) -> None:
    expected, arguments = COMMANDS[name]
    run = process_in_terminal if name == "benchmark" else in_terminal
    code, output = run(home, columns, *arguments, EDGE_SQUEEZE_CACHE=str(tmp_path))
    assert code == expected, output
    broad = [line for line in shown(output) if len(line) > min(columns, 100) and not to_copy(line)]
    if columns == 40:  # figures that do not fit beside each other even alone are no prose
        broad = [line for line in broad if "  " not in line.strip()]
    assert broad == []


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "benchmark" else name for name in COMMANDS]
)
def test_a_pipe_gets_no_codes_and_no_progress(home: Path, tmp_path: Path, name: str) -> None:
    expected, arguments = COMMANDS[name]
    run = commands.run if name in IN_PROCESSES else commands.run_here
    done = run(home, *arguments, **TERMINAL, EDGE_SQUEEZE_CACHE=str(tmp_path))
    assert done.returncode == expected, done.stderr
    assert not re.search(r"[\x1b\r\b]", done.stdout + done.stderr)
    lines = done.stdout.splitlines()
    assert [line for line in lines if len(line) > 100 and not to_copy(line)] == []


def test_a_terminal_shows_progress_and_colors_unless_told_not_to(home: Path) -> None:
    _, output = in_terminal(home, 80, "verify", f"out/{NAME}")
    assert "\r" in output
    assert "prove" in output
    _, listed = process_in_terminal(home, 80, "models")
    assert COLORS.search(listed)
    _, plain = in_terminal(home, 80, "models", NO_COLOR="1")
    assert "\x1b" not in plain
    assert [line.rstrip() for line in shown(plain)] == [line.rstrip() for line in shown(listed)]
    _, dumb = in_terminal(home, 80, "verify", f"out/{NAME}", TERM="dumb")
    assert not re.search(r"[\x1b\r]", dumb)


def test_the_next_commands_work_as_they_are_printed(home: Path) -> None:
    done = commands.run_here(home, "export", *SMALL)
    (command, _) = done.stdout.partition("Next:\n")[2].splitlines()
    picture = f"out/{NAME}/golden/picture.png"
    predicted = subprocess.run(
        command.replace("PICTURE", picture), shell=True, cwd=home, capture_output=True, text=True, check=False
    )
    assert predicted.returncode == 0, predicted.stderr
    assert picture in predicted.stdout
