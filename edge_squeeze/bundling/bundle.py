"""Copying artifacts into the folder of an app, listing and removing them: everything that was asked for, or nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_squeeze.artifact import folder as artifact_folder
from edge_squeeze.artifact.folder import MANIFEST, Artifact
from edge_squeeze.artifact.manifest import Manifest
from edge_squeeze.bundling import contents, index as indexes
from edge_squeeze.bundling.index import INDEX, Entry, Index
from edge_squeeze.errors import UsageError, unknown
from edge_squeeze.files import atomic
from edge_squeeze.proof.parity import PASS
from edge_squeeze.reporting import megabytes

ADDED, REPLACED = "added", "replaced"
READABLE = "Check that you may read it"
WRITABLE = "Free disk space, or check that you may write there"


@dataclass(frozen=True)
class Bundled:
    """One artifact that was copied."""

    folder: Path
    manifest: Manifest
    size_bytes: int  # of all copied files
    change: str  # added | replaced

    def __repr__(self) -> str:
        return f"<Bundled {self.manifest.name}: {self.change}, {megabytes(self.size_bytes)} MB in {self.folder}>"

    @property
    def warning(self) -> str | None:
        """The verdict against an artifact that was bundled by force; None for one that passed."""
        name, parity = self.manifest.name, self.manifest.parity
        return None if parity.verdict == PASS else f"{name} was bundled by --force: {parity.verdict}, {parity.reason}"


@dataclass(frozen=True)
class ListedArtifact:
    """One artifact that `index.json` names, as it is on disk."""

    entry: Entry
    manifest: Manifest | None  # None if it cannot be read
    problem: str | None  # None if it is complete


def add(paths: Sequence[Path], folder: Path, *, force: bool = False) -> list[Bundled]:
    """Copy the artifacts at `paths` below `folder` and list them in its index.json, replacing those of the same names.

    Everything is checked before anything is written.

    Args:
        paths: Folders that `export` wrote.
        folder: The folder; it need not exist.
        force: Accept artifacts whose parity failed or is unproven, too.

    Raises:
        UsageError: An artifact cannot be bundled, or the folder cannot be written.
        FailedParityError: The parity of an artifact failed.
    """
    with _os_errors("Cannot read everything", READABLE):
        sources = [artifact_folder.load(path) for path in paths]
        _check_paths(sources, folder)
        for artifact in sources:
            contents.check_verdict(artifact, force=force)
            contents.read(artifact)
        created = [path for path in (folder, *folder.absolute().parents) if not path.exists()]
    try:
        with _os_errors(f"Cannot write {folder}", WRITABLE):
            folder.mkdir(parents=True, exist_ok=True)
            with atomic.locked(folder):
                return _copy(sources, folder)
    finally:
        atomic.remove_empty(created)  # if nothing was copied


def check_supported(paths: Sequence[Path]) -> None:
    """Raise UsageError for an artifact that the app in android_demo cannot run.

    It resizes no input, and takes each score for that of a class.
    """
    with _os_errors("Cannot read everything", READABLE):
        for artifact in map(artifact_folder.load, paths):
            if artifact.manifest.any_size:
                size = "x".join(map(str, artifact.manifest.input_size))
                raise UsageError(
                    f"{artifact.folder} takes pictures of any size, which the app in android_demo does not support. "
                    f"Export the network with --input-size {size}, or use `bundle files` for an app that resizes its "
                    "input."
                )
            if artifact.manifest.threshold is not None:
                raise UsageError(
                    f"{artifact.folder} gives one score for two classes, which the app in android_demo does not "
                    "support. Export the model with a score for each: keras.layers.Concatenate()([1 - p, p]) at its "
                    "end. Or use `bundle files` for an app that reads `threshold` in model.json."
                )


def remove(names: Sequence[str], folder: Path) -> list[Entry]:
    """Remove the artifacts `names` from `folder`; their entries. UsageError if one is not there."""
    with _os_errors(f"Cannot change {folder}", WRITABLE):
        if not indexes.read(folder).artifacts:
            raise UsageError(f"No artifact is bundled in {folder}, so there is nothing to remove.")
        with atomic.locked(folder):
            return _remove(names, folder)


def listing(folder: Path) -> list[ListedArtifact]:
    """Every artifact that index.json in `folder` names, and whether it is complete; UsageError for a damaged index."""
    with _os_errors(f"Cannot read {folder}", READABLE):
        return [_examine(folder, entry) for entry in indexes.read(folder).artifacts]


def _check_paths(sources: Sequence[Artifact], folder: Path) -> None:
    """Raise UsageError for artifacts that conflict with one another, or with `folder`."""
    target = folder.resolve()
    if not sources:
        raise UsageError("No ARTIFACT was passed. Required: one or more folders written by `edge-squeeze export`.")
    if (folder / MANIFEST).exists():
        raise UsageError(f"{folder} is an artifact. Required as the last path: the folder to copy artifacts into.")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder. Required as the last path: the folder to copy artifacts into.")
    resolved, names = set[Path](), dict[str, Path]()
    for artifact in sources:
        source, name = artifact.folder.resolve(), artifact.manifest.name
        if source.is_relative_to(target):
            raise UsageError(f"{artifact.folder} is in {folder} already. Pass the folder that `export` wrote.")
        if target.is_relative_to(source):
            raise UsageError(f"{folder} is inside the artifact {artifact.folder}, and the next export would remove it.")
        if source in resolved:
            raise UsageError(f"{artifact.folder} was passed twice.")
        if name in names:
            raise UsageError(f"{names[name]} and {artifact.folder} are both named {name}. Bundle only one of them.")
        resolved.add(source)
        names[name] = artifact.folder


def _copy(sources: Sequence[Artifact], folder: Path) -> list[Bundled]:
    index, bundled = indexes.read(folder), []
    listed = {entry.name for entry in index.artifacts}
    places = _places(sources, index, folder)
    for artifact, place in zip(sources, places, strict=True):
        _check_free(artifact, place, listed=artifact.manifest.name in listed)
    with atomic.Replacement(folder / INDEX) as replacement:
        for artifact, place in zip(sources, places, strict=True):
            files, name = contents.read(artifact), artifact.manifest.name
            replacement.prepare(place, files)
            size_bytes = sum(map(len, files.values()))
            bundled.append(Bundled(place, artifact.manifest, size_bytes, REPLACED if name in listed else ADDED))
            index = index.having(Entry(place.name, name, size_bytes))
        replacement.put(index.to_json())
    return bundled


def _places(sources: Sequence[Artifact], index: Index, folder: Path) -> list[Path]:
    """The target folder of each artifact: the one it already has, or a new one."""
    taken = {INDEX, *(entry.folder for entry in index.artifacts)}
    places = []
    for artifact in sources:
        entry = index.find(artifact.manifest.name)
        name = entry.folder if entry else contents.folder_name(artifact.manifest.name, taken)
        taken.add(name)
        places.append(folder / name)
    return places


def _check_free(artifact: Artifact, place: Path, *, listed: bool) -> None:
    """Raise UsageError if `place` holds something that was not bundled."""
    if not (place.exists() or place.is_symlink()):
        return
    if place.is_symlink() or not place.is_dir():
        raise UsageError(f"{place} is a link or a file, not a folder, so it will not be replaced. Move it away.")
    # A killed command may have left a folder that it did not list yet.
    if not listed and not _holds(place, contents.read(artifact)):
        raise UsageError(f"{place} exists but {INDEX} does not list it, so it will not be replaced. Move it away.")


def _holds(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Whether `files` are all that is in `folder`."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    return names == files.keys() and all((folder / name).read_bytes() == data for name, data in files.items())


def _remove(names: Sequence[str], folder: Path) -> list[Entry]:
    index = indexes.read(folder)
    removed = [_find(index, name) for name in dict.fromkeys(names)]
    with atomic.Replacement(folder / INDEX) as replacement:
        replacement.take_away([folder / entry.folder for entry in removed], index.without(removed).to_json())
    return removed


def _find(index: Index, name: str) -> Entry:
    if (entry := index.find(name)) is None:
        raise unknown("artifact", name, [entry.name for entry in index.artifacts])
    return entry


def _examine(folder: Path, entry: Entry) -> ListedArtifact:
    manifest = problem = None
    try:
        artifact = artifact_folder.load(folder / entry.folder)
        manifest = artifact.manifest
        size_bytes = sum(map(len, contents.read(artifact).values()))
        if manifest.name != entry.name:
            problem = f"its name is {manifest.name}. Bundle it again."
        elif size_bytes != entry.size_bytes:
            problem = f"it has {size_bytes} bytes, but {INDEX} says {entry.size_bytes}. Bundle it again."
    except (UsageError, OSError) as error:
        problem = str(error)
    return ListedArtifact(entry, manifest, problem)


@contextlib.contextmanager
def _os_errors(failure: str, remedy: str) -> Iterator[None]:
    """Turn an OSError into a UsageError."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{failure}: {error}. Nothing was changed. {remedy}.") from error
