"""Folders and processes on a board that end with whoever made them.

This module is sent to the board as text, so it needs the standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_squeeze.devices.ssh.agent_link import CHUNK, SILENCE_S, STDIN, Life

GRACE_S = 10
LAST_LINES = 20
PR_SET_PDEATHSIG = 1  # from Linux' prctl.h
Sink = Callable[[bytes], object]


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process."""
    import fcntl  # not at the top: the desk reads this module's text, and may be Windows

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def own_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder that is removed at the end, as are those of others that were killed."""
    parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        with locked(parent):
            sweep(parent, prefix)
            folder = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
            held.callback(shutil.rmtree, folder, ignore_errors=True)
            held.enter_context(locked(folder))
        yield folder


def sweep(parent: Path, prefix: str) -> None:
    """Remove the folders that nobody holds any more."""
    import fcntl

    for folder in parent.glob(f"{prefix}*"):
        descriptor = os.open(folder, os.O_RDONLY)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


class Lines:
    """Passes on whole lines, and keeps the last ones."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._rest = tell, b""
        self.last: deque[str] = deque(maxlen=LAST_LINES)

    def __call__(self, data: bytes) -> None:
        """Take what was printed next, or nothing at its end."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if not data and self._rest:
            lines, self._rest = [self._rest], b""
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip()
            self.last.append(text)
            self._tell(text)


def supervise(command: Sequence[str], out: Sink, err: Sink, **options: Any) -> int:
    """The exit code of `command`, whose output goes to `out` and `err` as it comes; it ends with the desk."""
    process = subprocess.Popen(  # noqa: S603 - what the desk asked for
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        preexec_fn=_die_with_parent, **options,  # noqa: PLW1509 - there are none
    )  # fmt: skip
    assert process.stdout
    assert process.stderr
    try:
        _pump({process.stdout.fileno(): out, process.stderr.fileno(): err})
        return process.wait()
    finally:
        _stop(process, {process.stdout.fileno(): out, process.stderr.fileno(): err})


def _pump(sinks: Mapping[int, Sink]) -> None:
    left, life = dict(sinks), Life()
    while left:
        heard, _, _ = select.select([STDIN, *left], [], [], SILENCE_S)
        life.check(heard=STDIN in heard)
        for descriptor in set(heard) & set(left):
            data = os.read(descriptor, CHUNK)
            left[descriptor](data)
            if not data:
                del left[descriptor]


def _stop(process: subprocess.Popen[bytes], sinks: Mapping[int, Sink]) -> None:
    """End the process and all that it started, gently at first: a benchmark says what it keeps."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
        for descriptor, sink in sinks.items():
            os.set_blocking(descriptor, False)
            with contextlib.suppress(BlockingIOError):
                sink(os.read(descriptor, CHUNK))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _die_with_parent() -> None:
    import ctypes

    if prctl := getattr(ctypes.CDLL(None), "prctl", None):
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
