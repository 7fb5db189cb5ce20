"""Commands as users type them, in a process of their own or in the tests' own, and what they say comes next."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from unittest import mock

from edge_squeeze.cli import app, exits
from edge_squeeze.process import output

CommandLine = Callable[..., subprocess.CompletedProcess[str]]
PROGRAM = [sys.executable, "-m", "edge_squeeze"]
MAIN = str(Path(app.__file__).parents[1] / "__main__.py")  # what sys.argv begins with there
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGPIPE") if hasattr(signal, name)]
SMALL = ("--input-size", "16", "--base-e", "32", "--incr-e", "32", "--batch-size", "8")
ENOUGH = (*SMALL, "--epochs", "10", "--learning-rate", "0.002")


def run(folder: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `edge-squeeze ...` in `folder` as a user does, in a process of its own."""
    command, own = [*PROGRAM, *map(str, arguments)], {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=own)


def run_here(folder: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `edge-squeeze ...` in `folder` within this process, which has loaded TensorFlow once for all such commands.

    What the process that supervises it does, what is loaded and what engines print themselves needs `run`.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        code = run_onto(stdout.fileno(), stderr.fileno(), folder, *arguments, **environment)
        return subprocess.CompletedProcess(arguments, code, _read(stdout), _read(stderr))


def run_onto(stdout: int, stderr: int, folder: Path, *arguments: object, **environment: str) -> int:
    """The exit code of `edge-squeeze ...`, run within this process, its output sent to two descriptors."""
    before, handlers = Path.cwd(), {number: signal.getsignal(number) for number in SIGNALS}
    with (
        _redirected(stdout, stderr),
        mock.patch.object(sys, "argv", [MAIN, *map(str, arguments)]),
        mock.patch.dict(os.environ, environment),
    ):
        os.chdir(folder)
        try:
            exits.run(app.app)
        except SystemExit as end:
            return int(end.code or 0)
        finally:
            os.chdir(before)
            output.visible(False)
            for number, handler in handlers.items():
                signal.signal(number, handler)


@contextmanager
def _redirected(*targets: int) -> Iterator[None]:
    """Standard output and error go to `targets`, also what is written to the descriptors themselves."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(number) for number in (1, 2)]
    try:
        for number, target in enumerate(targets, start=1):
            os.dup2(target, number)
        # They stay open: a logger that is set up meanwhile keeps them, and writes to what the descriptors then are.
        streams = [os.fdopen(number, "w", 1, "utf-8", closefd=False) for number in (1, 2)]
        with mock.patch.object(sys, "stdout", streams[0]), mock.patch.object(sys, "stderr", streams[1]):
            yield
        for stream in streams:
            stream.flush()
    finally:
        for number, descriptor in enumerate(saved, start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def next_command(stdout: str) -> list[str]:
    """The words of the command after "Next:", without the program's name."""
    program, *words = shlex.split(stdout.partition("Next:")[2])
    assert Path(program).name == "edge-squeeze"
    return words
