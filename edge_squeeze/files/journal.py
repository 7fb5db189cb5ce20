"""Lines of JSON that outlive a killed process: work that is resumed finds there what was finished before."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from edge_squeeze.errors import UsageError
from edge_squeeze.files import atomic

OLDEST_S = 24 * 3600  # older work is not resumed


class Journal:
    """The finished parts of one piece of work, in a file that exists as long as the work does.

    UsageError if the folder cannot be written, or with the text `busy` if another process is doing the same work.
    """

    def __init__(self, path: Path, busy: str, *, fresh: bool = False, durable_every_s: float = 0.0) -> None:
        """Open the file at `path`, emptied if `fresh` or too old, without a line that a kill cut off.

        Lines are on disk at least every `durable_every_s`; a killed process loses none in any case, a power cut may.
        """
        self._path, self._durable_every_s, self._durable = path, durable_every_s, time.monotonic()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
            _forget_old(path)
        except OSError as error:
            raise UsageError(
                f"{path.parent} cannot be written ({error}). Set EDGE_SQUEEZE_CACHE to another folder."
            ) from error
        try:
            atomic.lock(self._file.fileno(), wait=False)
        except OSError as error:
            raise UsageError(busy) from error
        age = time.time() - path.stat().st_mtime
        if fresh or age > OLDEST_S:
            self._file.truncate(0)
        self._file.truncate(sum(map(len, self._whole_lines())))
        self.resumed_after_s = age if path.stat().st_size else None

    def _whole_lines(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))

    def read(self) -> Iterator[Any]:
        """The values that an earlier process left, in the order in which it appended them."""
        yield from map(json.loads, self._whole_lines())

    def append(self, value: Any) -> None:
        """Keep `value`: once this returns, the end of the process does not lose it."""
        self._file.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        if (now := time.monotonic()) - self._durable >= self._durable_every_s:
            os.fsync(self._file.fileno())
            self._durable = now

    def finish(self) -> None:
        """Remove the file: the work is complete."""
        try:
            self._path.unlink(missing_ok=True)
        except PermissionError:  # Windows removes no open file
            self._file.close()
            with contextlib.suppress(PermissionError):  # another process has it open: it is forgotten after a day
                self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _forget_old(path: Path) -> None:
    """Remove the journals beside `path` of work that was never resumed."""
    for journal in path.parent.glob("*.jsonl"):
        if journal != path and time.time() - journal.stat().st_mtime > OLDEST_S:
            with contextlib.suppress(PermissionError):  # Windows removes no file that another process has open
                journal.unlink(missing_ok=True)
