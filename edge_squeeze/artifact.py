"""The folder that an export leaves: read with its hashes checked, written whole or not at all."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edge_squeeze import manifest as manifests
from edge_squeeze.errors import UsageError
from edge_squeeze.manifest import Manifest
from edge_squeeze.text_files import read_json, read_text

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
        return self._checked(self.manifest.file.name, self.manifest.file.sha256)

    def _checked(self, name: str, sha256: str) -> bytes:
        data = self.read(name)
        if (digest := hashlib.sha256(data).hexdigest()) != sha256:
            raise UsageError(
                f"{self.folder / name} is not the file that was exported: required sha256 {sha256}, got {digest}. "
                "Export it again."
            )
        return data

    def read(self, name: str) -> bytes:
        """The bytes of the artifact's file `name`; UsageError if it is missing or lies outside the folder."""
        return self.path(name).read_bytes()

    def path(self, name: str) -> Path:
        """Where the artifact's file `name` is; UsageError if it is missing or lies outside the folder."""
        try:
            path = (self.folder / name).resolve()
            found = path.is_file()
        except (OSError, ValueError) as error:  # too long, or with a NUL in it
            raise UsageError(f"{self.folder / MANIFEST} names no possible file: {name[:60]!r}.") from error
        if PurePosixPath(name).is_absolute() or not path.is_relative_to(self.folder.resolve()):
            raise UsageError(f"{self.folder / MANIFEST} names a file outside its folder: {name!r}.")
        if not found:
            raise UsageError(f"{self.folder} lacks {name[:60]}, which its {MANIFEST} names.")
        return path

    def labels(self) -> list[str]:
        """The class names; UsageError if the file has changed, or has not as many as classes."""
        record = self.manifest.labels
        names = self._checked(record.name, record.sha256).decode("utf-8", "replace").splitlines()
        if len(names) != self.manifest.classes:
            raise UsageError(f"{self.folder / record.name}: required {self.manifest.classes} names, got {len(names)}.")
        return names


def load(folder: Path) -> Artifact:
    """The artifact in `folder` (or the folder of the file given); UsageError if it is none."""
    folder = folder.parent if folder.is_file() else folder
    if not folder.is_dir():
        raise UsageError(f"No such artifact: {folder}. Required: a folder that `edge-squeeze export` left.")
    path = folder / MANIFEST
    if not path.is_file():
        raise UsageError(f"{folder} is no artifact: it has no {MANIFEST}. Run `edge-squeeze export` to make one.")
    return Artifact(folder, manifests.from_json(read_text(path), str(path)))


def check_target(folder: Path) -> None:
    """Raise UsageError now, before any work, if an artifact could not be written to `folder`."""
    if folder.is_symlink() or (folder.exists() and not _is_artifact(folder)):
        raise UsageError(f"{folder} exists and is no artifact, so it will not be replaced. Move it, or give --out.")
    parent = next(p for p in folder.absolute().parents if p.exists())
    probe = parent / TEMPORARY.format(name=folder.name, pid=f"probe-{os.getpid()}")  # cleared if a kill leaves it
    try:
        probe.mkdir(exist_ok=True)
        probe.rmdir()
    except OSError as error:
        message = f"{folder} cannot be written: {parent} is not a folder you may write to. Give --out DIR."
        raise UsageError(message) from error


def _is_artifact(folder: Path) -> bool:
    """Whether `folder` is one that `write` made: other tools have a model.json, too."""
    try:
        content = read_json(folder / MANIFEST)
    except UsageError:
        return False
    return isinstance(content, dict) and {"schema_version", "variant", "precision", "golden"} <= content.keys()


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Leave `files` (relative path -> bytes) as `folder`, replacing an artifact there in one step.

    They are written to a hidden folder beside it first, so that a killed process leaves the old artifact or the
    new one. UsageError if the disk does not take them.
    """
    check_target(folder)
    temporary = folder.parent / TEMPORARY.format(name=folder.name, pid=os.getpid())
    made = [parent for parent in folder.absolute().parents if not parent.exists()]
    try:
        _remove_leftovers(folder)
        for name, data in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_durably(path, data)
        _put_in_place(temporary, folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        _remove_empty(made)
        raise UsageError(f"{folder} cannot be written: {error}. Make room, or give another --out DIR.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove what was made for an artifact that could not be written, innermost first, as far as it is empty."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


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
