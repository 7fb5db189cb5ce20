"""The model file that a user means by a path: a file, an artifact's folder, or a file in one."""

from __future__ import annotations

from pathlib import Path

from edge_squeeze.artifact import folder
from edge_squeeze.artifact.folder import MANIFEST
from edge_squeeze.artifact.manifest import Manifest
from edge_squeeze.errors import UsageError
from edge_squeeze.formats import suffixes


def find(path: Path) -> tuple[Path, Manifest | None]:
    """The model file at `path`, and the manifest of the artifact that it belongs to, if any.

    UsageError if there is neither a file nor an artifact. A file that was changed is no error here.
    """
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except OSError as error:  # too long
        raise UsageError(f"{path} cannot be read: {error}.") from error
    if is_folder or path.name == MANIFEST:
        loaded = folder.load(path)
        return loaded.path(loaded.manifest.file.name), loaded.manifest
    if not is_file:
        raise UsageError(f"No such file: {path}. Required: a {suffixes()} file, or an artifact's folder.")
    try:
        manifest = folder.load(path).manifest
    except UsageError:  # the file lies in no artifact
        return path, None
    return path, manifest if manifest.file.name == path.name else None
