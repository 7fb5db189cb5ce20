"""Files and folders written whole or not at all, swapped in one step if the system can, and locks on them."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import read_json
from edge_squeeze.process.supervision import c_function, process_runs

TEMPORARY, OLD = ".{name}.partial-{pid}", ".old"
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # from Linux' fcntl.h and fs.h


@dataclass(frozen=True)
class Kind:
    """A kind of folder that is written here: its name, and the JSON file and keys by which it is recognized."""

    words: str
    file: str
    keys: frozenset[str]


def check_target(folder: Path, kind: Kind) -> None:
    """Raise UsageError now, before any work, if a folder of `kind` could not be written to `folder`."""
    if folder.is_symlink() or (folder.exists() and not _is(folder, kind)):
        raise UsageError(
            f"{folder} exists and is not {kind.words}, so it will not be replaced. Move it, or pass --out."
        )
    parent = next(p for p in folder.absolute().parents if p.exists())
    probe = parent / TEMPORARY.format(name=folder.name, pid=f"probe-{os.getpid()}")  # removed later if a kill leaves it
    try:
        probe.mkdir(exist_ok=True)
        probe.rmdir()
    except OSError as error:
        message = f"{folder} cannot be written: {parent} is not a folder you may write to. Pass --out DIR."
        raise UsageError(message) from error


def check_file(path: Path, option: str) -> None:
    """Raise UsageError now, before any work, if the file `path`, the value of `option`, could not be written."""
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise UsageError(
            f"{option} {path} cannot be written: {error.strerror} in {parent}. Give another FILE."
        ) from error


def _is(folder: Path, kind: Kind) -> bool:
    """Whether `folder` is one of `kind` that `write` made."""
    try:
        content = read_json(folder / kind.file)
    except UsageError:
        return False
    return isinstance(content, dict) and kind.keys <= content.keys()


def write(folder: Path, files: Mapping[str, bytes], kind: Kind) -> None:
    """Leave `files` (relative path -> bytes) as `folder`, replacing a folder of `kind` there in one step.

    They are written to a hidden folder beside it first, so that a killed process leaves either the old folder or the
    new one. UsageError if the disk does not take them.
    """
    check_target(folder, kind)
    temporary = temporary_beside(folder)
    made = [parent for parent in folder.absolute().parents if not parent.exists()]
    try:
        remove_leftovers(folder)
        write_files(temporary, files)
        swap(temporary, folder)
    except OSError as error:
        discard(temporary)
        remove_empty(made)
        raise UsageError(f"{folder} cannot be written: {error}. Free some space, or pass another --out DIR.") from error
    finally:
        discard(temporary)


def temporary_beside(path: Path) -> Path:
    """Where this process prepares the content of `path`: hidden, and on the same disk."""
    return path.parent / TEMPORARY.format(name=path.name, pid=os.getpid())


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Leave `files` (relative path -> bytes), and nothing else, in `folder`; OSError if the disk does not take them."""
    discard(folder)  # of a killed process that had our number
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_durably(path, data)


def discard(path: Path) -> None:
    """Remove the file, link or folder `path`, as far as that is possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def remove_empty(folders: Sequence[Path]) -> None:
    """Remove those of `folders`, innermost first, that are empty: they were made for a file that was not written."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def write_file(path: Path, data: bytes) -> None:
    """Leave `data` as the file `path`, replacing a file there in one step; OSError if the disk does not take it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    temporary = path.parent / TEMPORARY.format(name=path.name, pid=f"{threading.get_ident()}-{os.getpid()}")
    try:
        _write_durably(temporary, data)
        temporary.replace(path)
    finally:
        discard(temporary)


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes prepared for `path`; what running ones prepare stays."""
    for leftover in path.parent.glob(TEMPORARY.format(name=path.name, pid="*")):
        pid = leftover.name.removesuffix(OLD).rpartition("-")[2]
        if not (pid.isdigit() and process_runs(int(pid))):
            discard(leftover)


def swap(temporary: Path, folder: Path) -> None:
    """Put `temporary` in the place of `folder`; a folder that was there becomes `temporary`."""
    if not folder.exists():
        temporary.rename(folder)
    elif not _exchange(temporary, folder):  # the system has no such call: for an instant there is no folder
        old = temporary.with_name(temporary.name + OLD)
        with contextlib.ExitStack() as undoing:
            folder.rename(old)
            undoing.callback(old.rename, folder)
            temporary.rename(folder)
            undoing.callback(folder.rename, temporary)
            old.rename(temporary)
            undoing.pop_all()


def _exchange(a: Path, b: Path) -> bool:
    """Swap two folders in one step (Linux' renameat2); False where the system cannot."""
    renameat2 = c_function("renameat2")
    return renameat2 is not None and renameat2(AT_FDCWD, bytes(a), AT_FDCWD, bytes(b), RENAME_EXCHANGE) == 0


class Replacement:
    """Folders and the file that lists them, replaced all together or not at all.

    Folders are prepared beside their places until `put`; leftovers are removed at the end of `with`. Even if the
    process is killed, the list never names an incomplete folder: a folder is there before it is listed, and stays
    until it is no longer listed. All methods raise OSError, after undoing what they did.
    """

    def __init__(self, listing: Path) -> None:
        self._listing = listing
        self._places: list[Path] = []
        self._cleaning = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cleaning.close()

    def prepare(self, place: Path, files: Mapping[str, bytes]) -> None:
        """Prepare `files` (relative path -> bytes) to become the folder `place`."""
        write_files(self._beside(place), files)
        self._places.append(place)

    def put(self, listed: bytes) -> None:
        """Put every prepared folder in its place, then `listed` in that of the list."""
        new = self._lists(new=listed) / "new"
        with contextlib.ExitStack() as undoing:
            for place in self._places:
                swap(temporary_beside(place), place)
                undoing.callback(_swap_back, temporary_beside(place), place)
            new.replace(self._listing)
            undoing.pop_all()  # nothing to undo any more

    def take_away(self, places: Sequence[Path], listed: bytes) -> None:
        """Put `listed` in the place of the list, then remove the folders `places`."""
        lists = self._lists(new=listed, old=self._listing.read_bytes())
        with contextlib.ExitStack() as undoing:
            (lists / "new").replace(self._listing)
            undoing.callback((lists / "old").replace, self._listing)
            for place in places:
                if place.exists() or place.is_symlink():
                    temporary = place.rename(self._beside(place))
                    undoing.callback(temporary.rename, place)
            undoing.pop_all()

    def _lists(self, **contents: bytes) -> Path:
        """A folder beside the list with its new and old contents: a full disk must not prevent undoing."""
        folder = self._beside(self._listing)
        write_files(folder, contents)
        return folder

    def _beside(self, place: Path) -> Path:
        """A free path beside `place`, removed at the end."""
        remove_leftovers(place)
        temporary = temporary_beside(place)
        discard(temporary)  # of a killed process that had our number
        self._cleaning.callback(discard, temporary)
        return temporary


def _swap_back(temporary: Path, place: Path) -> None:
    if temporary.exists():
        swap(temporary, place)
    else:
        place.rename(temporary)


def has_locks() -> bool:
    """Whether the system has locks that leave readers alone: Windows has none, and there nothing is held."""
    return importlib.util.find_spec("fcntl") is not None


def lock(descriptor: int, *, wait: bool) -> None:
    """Hold the open file or folder `descriptor` for this process until it is closed.

    OSError if another process holds it and this one is not to `wait`, or if the disk has no locks.
    """
    if has_locks():
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make other processes wait that want to enter such a block for `folder`."""
    if not has_locks():
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # not every network disk has locks
            lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)
