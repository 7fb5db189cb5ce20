"""Files and folders written whole or not at all, and swapped in one step where the system can."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import read_json
from edge_squeeze.process import systems

TEMPORARY = ".{name}.partial-{pid}"

OLD = ".old"

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # from Linux' fcntl.h and fs.h


@dataclass(frozen=True)
class Kind:
    """A kind of folder that is written here: what it is called, and the JSON file and its keys by which it is known."""

    words: str
    file: str
    keys: frozenset[str]


def check_target(folder: Path, kind: Kind) -> None:
    """Raise UsageError now, before any work, if a folder of `kind` could not be written to `folder`."""
    if folder.is_symlink() or (folder.exists() and not _is(folder, kind)):
        raise UsageError(f"{folder} exists and is no {kind.words}, so it will not be replaced. Move it, or give --out.")
    parent = next(p for p in folder.absolute().parents if p.exists())
    probe = parent / TEMPORARY.format(name=folder.name, pid=f"probe-{os.getpid()}")  # cleared if a kill leaves it
    try:
        probe.mkdir(exist_ok=True)
        probe.rmdir()
    except OSError as error:
        message = f"{folder} cannot be written: {parent} is not a folder you may write to. Give --out DIR."
        raise UsageError(message) from error


def _is(folder: Path, kind: Kind) -> bool:
    """Whether `folder` is one of `kind` that `write` made."""
    try:
        content = read_json(folder / kind.file)
    except UsageError:
        return False
    return isinstance(content, dict) and kind.keys <= content.keys()


def write(folder: Path, files: Mapping[str, bytes], kind: Kind) -> None:
    """Leave `files` (relative path -> bytes) as `folder`, replacing one of `kind` there in one step.

    They are written to a hidden folder beside it first, so that a killed process leaves the old artifact or the
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
        raise UsageError(f"{folder} cannot be written: {error}. Make room, or give another --out DIR.") from error
    finally:
        discard(temporary)


def temporary_beside(path: Path) -> Path:
    """Where this process makes ready what is to stand at `path`: hidden, and on the same disk."""
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
    """Remove what was made for something that could not be written, innermost first, as far as it is empty."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes made ready to stand at `path`, unless they still run."""
    for leftover in path.parent.glob(TEMPORARY.format(name=path.name, pid="*")):
        pid = leftover.name.removesuffix(OLD).rpartition("-")[2]
        if not (pid.isdigit() and systems.process_runs(int(pid))):
            discard(leftover)


def swap(temporary: Path, folder: Path) -> None:
    """Put `temporary` in the place of `folder`; what stood there, if anything did, is `temporary` from then on."""
    if not folder.exists():
        temporary.rename(folder)
    elif not _exchange(temporary, folder):  # no such call here: there is an instant without the artifact
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
    renameat2 = systems.c_function("renameat2")
    return renameat2 is not None and renameat2(AT_FDCWD, bytes(a), AT_FDCWD, bytes(b), RENAME_EXCHANGE) == 0
