"""Finished launches on disk, a line each, so that whatever ends a session loses none of them."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from edge_squeeze.benchmarks.arms import Arm
from edge_squeeze.benchmarks.launches.records import Launch, as_json
from edge_squeeze.benchmarks.profiles import Profile
from edge_squeeze.errors import UsageError
from edge_squeeze.files import atomic, cache
from edge_squeeze.files.reading import decode, read_text
from edge_squeeze.version import __version__

FOLDER = "benchmarks"
LARGEST = 1 << 30
OLDEST_S = 24 * 3600  # an older session is not gone on with


def key(arms: Sequence[Arm], profile: Profile, seed: int, device_hash: str) -> str:
    """What the same measurement of the same files on the same device has in common."""
    files = [dataclasses.replace(arm, path="", inputs=dataclasses.replace(arm.inputs, path=None)) for arm in arms]
    plan = list(map(as_json, files)), as_json(profile), seed, device_hash, __version__
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:16]


def folder() -> Path:
    """Where journals and floors are kept."""
    return cache.cache_folder() / FOLDER


class Journal:
    """The launches of one session so far, in its file while the session lasts.

    UsageError if the cache cannot be written, or if the same session is under way in another process.
    """

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        self._path, self.launches = path, list[Launch]()
        self.resumed_after_s: float | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+", encoding="utf-8")
            _forget_old(path)
        except OSError as error:
            raise UsageError(
                f"{path.parent} cannot be written ({error}). Set EDGE_SQUEEZE_CACHE to another."
            ) from error
        _lock(self._file.fileno(), path)
        age = time.time() - path.stat().st_mtime
        if fresh or age > OLDEST_S:
            self._file.truncate(0)
        self._read(age)

    def _read(self, age: float) -> None:
        lines = [line for line in read_text(self._path, LARGEST).splitlines(keepends=True) if line.endswith("\n")]
        self._file.truncate(sum(len(line.encode()) for line in lines))  # a line that a kill cut off
        for line in lines:
            self.launches.append(decode(Launch, json.loads(line), str(self._path)))
        self.resumed_after_s = age if lines else None

    def append(self, launch: Launch) -> None:
        """Keep `launch`, on disk once this returns."""
        self.launches.append(launch)
        self._file.write(json.dumps(as_json(launch), separators=(",", ":")) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def has(self, arm: str, round_: int, kind: str) -> bool:
        """Whether that launch is done."""
        return any((one.arm, one.round, one.kind) == (arm, round_, kind) for one in self.launches)

    def finish(self) -> None:
        """Forget the file: its session is complete."""
        try:
            self._path.unlink(missing_ok=True)
        except PermissionError:  # Windows removes no open file
            self._file.close()
            with contextlib.suppress(PermissionError):  # another session has it open: it is forgotten after a day
                self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _forget_old(path: Path) -> None:
    """Remove the journals of other sessions that nobody went on with."""
    for other in path.parent.glob("*.jsonl"):
        if other != path and time.time() - other.stat().st_mtime > OLDEST_S:
            with contextlib.suppress(PermissionError):  # Windows removes no file that another process has open
                other.unlink(missing_ok=True)


def _lock(descriptor: int, path: Path) -> None:
    """Hold the file for this process; UsageError if another one does."""
    try:
        atomic.lock(descriptor, wait=False)
    except OSError as error:
        raise UsageError(
            f"The same benchmark of equal files is running already, and holds {path}. Wait for it, end it, or set "
            "EDGE_SQUEEZE_CACHE to another folder here."
        ) from error
