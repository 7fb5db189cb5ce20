"""How the program on a board and the desk talk: lines of JSON, some followed by as many bytes as the line says.

The desk sends an empty line from time to time: when that stops, or standard input ends, the desk is gone.
This module is sent to the board as text, so it needs the standard library alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from typing import IO, Any, NoReturn

MARK = "edge-squeeze "  # what a login shell prints lacks it
SILENCE_S = 120
CHUNK = 1 << 16
STDIN, STDOUT = 0, 1


# The desk imports this, too, and may be Windows.
ENDING = tuple(getattr(signal, name) for name in ("SIGHUP", "SIGTERM", "SIGINT") if hasattr(signal, name))


class CutError(Exception):
    """The desk is gone."""


def cut(*_: object) -> NoReturn:
    """Raise CutError, once: clearing up is not to be interrupted."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise CutError


def say(event: str, **values: Any) -> None:
    """Tell the desk; where it is gone nobody minds."""
    data = memoryview(f"{MARK}{json.dumps({'event': event, **values})}\n".encode())
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(STDOUT, data) :]


def _read(most: int) -> bytes:
    heard, _, _ = select.select([STDIN], [], [], SILENCE_S)
    data = os.read(STDIN, most) if heard else b""
    if not data:
        cut()
    return data


def receive() -> dict[str, Any]:
    """The next message."""
    line = b""
    while not line.strip():
        line = b""
        while not line.endswith(b"\n"):
            line += _read(1)
    message: dict[str, Any] = json.loads(line)
    return message


def receive_bytes(number: int, file: IO[bytes]) -> None:
    """Write the next `number` bytes to `file`."""
    while number:
        data = _read(min(number, CHUNK))
        file.write(data)
        number -= len(data)
    file.flush()


class Life:
    """When the desk was last heard of, while nothing but signs of life is expected from it."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def check(self, *, heard: bool) -> None:
        """Take a sign of life; CutError if the desk hung up, or was silent for too long."""
        now = time.monotonic()
        if heard:
            self._last = now
        if now - self._last > SILENCE_S or (heard and not os.read(STDIN, CHUNK)):
            cut()
