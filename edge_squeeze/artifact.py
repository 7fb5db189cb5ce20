"""The folder that an export leaves: read with its hashes checked, written whole or not at all."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edge_squeeze import manifest as manifests
from edge_squeeze.errors import UsageError
from edge_squeeze.manifest import Manifest

MANIFEST, LABELS, PARITY, CALIBRATION = "model.json", "labels.txt", "parity.json", "calibration.json"
TEMPORARY = ".{name}.partial-{pid}"
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # from Linux' fcntl.h and fs.h


@dataclass(frozen=True)
class Artifact:
    """An artifact on disk whose manifest could be read."""

    folder: Path
    manifest: Manifest

    def model(self) -> bytes:
        """The bytes of the model file; UsageError if they are not those of the manifest's sha256."""
        data = self.read(self.manifest.file.name)
        digest = hashlib.sha256(data).hexdigest()
        if digest != self.manifest.file.sha256:
            raise UsageError(
                f"{self.folder / self.manifest.file.name} is not the file that was exported: required sha256 "
                f"{self.manifest.file.sha256}, got {digest}. Export it again."
            )
        return data

    def read(self, name: str) -> bytes:
        """The bytes of the artifact's file `name`; UsageError if it is missing or lies outside the folder."""
        return self.path(name).read_bytes()

    def path(self, name: str) -> Path:
        """Where the artifact's file `name` is; UsageError if it is missing or lies outside the folder."""
        path = (self.folder / name).resolve()
        if PurePosixPath(name).is_absolute() or not path.is_relative_to(self.folder.resolve()):
            raise UsageError(f"{self.folder / MANIFEST} names a file outside its folder: {name!r}.")
        if not path.is_file():
            raise UsageError(f"{self.folder} lacks {name}, which its {MANIFEST} names.")
        return path

    def labels(self) -> list[str]:
        """The class names; UsageError if there are not as many as classes."""
        names = self.read(self.manifest.labels).decode("utf-8", "replace").splitlines()
        if len(names) != self.manifest.classes:
            raise UsageError(
                f"{self.folder / self.manifest.labels}: required {self.manifest.classes} names, got {len(names)}."
            )
        return names


def load(folder: Path) -> Artifact:
    """The artifact in `folder` (or the folder of the file given); UsageError if it is none."""
    folder = folder.parent if folder.is_file() else folder
    if not folder.is_dir():
        raise UsageError(f"No such artifact: {folder}. Required: a folder that `edge-squeeze export` left.")
    path = folder / MANIFEST
    if not path.is_file():
        raise UsageError(f"{folder} is no artifact: it has no {MANIFEST}. Run `edge-squeeze export` to make one.")
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error
    return Artifact(folder, manifests.from_json(text, str(path)))


def check_target(folder: Path) -> None:
    """Raise UsageError now, before any work, if an artifact could not be written to `folder`."""
    if folder.is_symlink() or (folder.exists() and not (folder / MANIFEST).is_file()):
        raise UsageError(f"{folder} exists and is no artifact, so it will not be replaced. Move it, or give --out.")
    parent = next(p for p in folder.absolute().parents if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise UsageError(f"{folder} cannot be written: {parent} is not a folder you may write to. Give --out DIR.")


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Leave `files` (relative path -> bytes) as `folder`, replacing an artifact there in one step.

    They are written to a hidden folder beside it first, so that a killed process leaves the old artifact or the
    new one. UsageError if the disk does not take them.
    """
    check_target(folder)
    temporary = folder.parent / TEMPORARY.format(name=folder.name, pid=os.getpid())
    created = next((p for p in reversed(folder.absolute().parents) if not p.exists()), None)
    try:
        _remove_leftovers(folder)
        for name, data in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_durably(path, data)
        _put_in_place(temporary, folder)
    except OSError as error:
        _forget(created)
        raise UsageError(f"{folder} cannot be written: {error}. Free some space or give another --out DIR.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _forget(created: Path | None) -> None:
    """Remove the parents that were made for an artifact that could not be written."""
    if created is not None:
        shutil.rmtree(created, ignore_errors=True)


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed exports to `folder` left, unless their process still runs."""
    for path in folder.parent.glob(TEMPORARY.format(name=folder.name, pid="*")):
        pid = path.name.rpartition("-")[2]
        if not (pid.isdigit() and _runs(int(pid))):
            shutil.rmtree(path, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _put_in_place(temporary: Path, folder: Path) -> None:
    if not folder.exists():
        temporary.rename(folder)
    elif not _exchange(temporary, folder):  # no such call here: there is an instant without the artifact
        old = temporary.with_name(temporary.name + ".old")
        folder.rename(old)
        temporary.rename(folder)
        shutil.rmtree(old, ignore_errors=True)


def _exchange(a: Path, b: Path) -> bool:
    """Swap two folders in one step (Linux' renameat2); False where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return renameat2 is not None and renameat2(AT_FDCWD, bytes(a), AT_FDCWD, bytes(b), RENAME_EXCHANGE) == 0
