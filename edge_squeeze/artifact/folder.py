"""The folder that an export leaves, its files read with their hashes checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edge_squeeze.artifact import manifest as manifests
from edge_squeeze.artifact.manifest import Manifest
from edge_squeeze.errors import UsageError
from edge_squeeze.files.atomic import Kind
from edge_squeeze.files.reading import read_json, read_text
from edge_squeeze.formats import suffixes

MANIFEST, LABELS, PARITY, CALIBRATION = "model.json", "labels.txt", "parity.json", "calibration.json"
FRONTIER, FRONTIER_PAGE = "frontier.json", "frontier.html"  # of layers that were kept in float


# Other tools have a model.json, too.
EXPORTED = Kind("an artifact", MANIFEST, frozenset({"schema_version", "variant", "precision", "golden"}))


@dataclass(frozen=True)
class Artifact:
    """An artifact on disk whose manifest could be read."""

    folder: Path
    manifest: Manifest

    def __repr__(self) -> str:
        return f"<Artifact {self.manifest.name} in {self.folder}>"

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
            is_file = path.is_file()
        except (OSError, ValueError, RuntimeError) as error:  # too long, with a NUL in it, links in a loop
            raise UsageError(f"{self.folder / MANIFEST} does not name a valid file: {name[:60]!r}.") from error
        if PurePosixPath(name).is_absolute() or not path.is_relative_to(self.folder.resolve()):
            raise UsageError(f"{self.folder / MANIFEST} names a file outside its folder: {name!r}.")
        if not is_file:
            raise UsageError(f"{self.folder} lacks {name[:60]}, which its {MANIFEST} lists.")
        return path

    def check_parity(self) -> None:
        """Raise UsageError if parity.json is there and has the figures of another model file."""
        path = self.folder / PARITY
        if not path.is_file():  # bundled without it
            return
        content = read_json(path)
        sha256 = content.get("sha256") if isinstance(content, dict) else None  # older ones do not say it
        if sha256 not in (None, self.manifest.file.sha256):
            raise UsageError(
                f"{path} has the figures of another file: its sha256 is {str(sha256)[:64]}, that of the model "
                f"{self.manifest.file.sha256}. Export it again, or remove {PARITY}."
            )

    def labels(self) -> list[str]:
        """The class names; UsageError if the file has changed, or does not have one per class."""
        record = self.manifest.labels
        names = self._checked(record.name, record.sha256).decode("utf-8", "replace").splitlines()
        if len(names) != self.manifest.classes:
            raise UsageError(f"{self.folder / record.name}: required {self.manifest.classes} names, got {len(names)}.")
        return names


def load(folder: Path) -> Artifact:
    """The artifact in `folder`, or in the folder of that file; UsageError if there is none."""
    folder = folder.parent if folder.is_file() else folder
    if not folder.is_dir():
        raise UsageError(f"No such artifact: {folder}. Required: a folder written by `edge-squeeze export`.")
    path = folder / MANIFEST
    if not path.is_file():
        raise UsageError(f"{folder} is not an artifact: it has no {MANIFEST}. Run `edge-squeeze export` to make one.")
    return Artifact(folder, manifests.from_json(read_text(path), str(path)))


def find_model(path: Path) -> tuple[Path, Manifest | None]:
    """The model file at `path` (a file, or an artifact's folder), and the manifest of its artifact, if any.

    UsageError if there is neither a file nor an artifact. A changed file is not an error here.
    """
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except OSError as error:  # too long
        raise UsageError(f"{path} cannot be read: {error}.") from error
    if is_folder or path.name == MANIFEST:
        loaded = load(path)
        return loaded.path(loaded.manifest.file.name), loaded.manifest
    if not is_file:
        raise UsageError(f"No such file: {path}. Required: a {suffixes()} file, or an artifact's folder.")
    try:
        manifest = load(path).manifest
    except UsageError:  # the file is not in an artifact
        return path, None
    return path, manifest if manifest.file.name == path.name else None
