"""Folders that only one build at a time may work in."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from building.console import say


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other builds out of the folder, which is made if need be, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Another build works in {folder}; waiting for it to end.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
