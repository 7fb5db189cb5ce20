"""Artifacts into the folder of an app and out of it again: all that a command asks for, or nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.artifact.folder import MANIFEST, Artifact
from edge_squeeze.artifact.manifest import Manifest
from edge_squeeze.bundling import asset_names, contents, index as indexes
from edge_squeeze.bundling.index import INDEX, Entry, Index
from edge_squeeze.bundling.replacement import Replacement
from edge_squeeze.errors import UsageError, unknown
from edge_squeeze.files import atomic
from edge_squeeze.proof.parity import PASS

ADDED, REPLACED = "added", "replaced"
READABLE = "Check that you may read it"
WRITABLE = "Make room there, or check that you may write there"


@dataclass(frozen=True)
class Bundled:
    """One artifact that was copied."""

    folder: Path
    manifest: Manifest
    size_bytes: int  # of all copied files
    change: str  # added | replaced

    def __repr__(self) -> str:
        return f"<Bundled {self.manifest.name}: {self.change}, {self.size_bytes / 1e6:.2f} MB in {self.folder}>"

    @property
    def warning(self) -> str | None:
        """What speaks against it, where it was bundled by force."""
        name, parity = self.manifest.name, self.manifest.parity
        return None if parity.verdict == PASS else f"{name} was bundled by --force: {parity.verdict}, {parity.reason}"


@dataclass(frozen=True)
class Found:
    """One artifact that `index.json` names, as it is on disk."""

    entry: Entry
    manifest: Manifest | None  # None where it cannot be read
    problem: str | None  # None where it is whole


def add(paths: Sequence[Path], folder: Path, *, force: bool = False) -> list[Bundled]:
    """The artifacts at `paths`, copied below `folder` and into its index.json; those of the same names replaced.

    Everything is checked before anything is written. UsageError for what cannot be bundled or written,
    FailedParityError for an artifact that failed its parity, unless `force`.
    """
    with _told("Not everything can be read", READABLE):
        found = [artifacts.load(path) for path in paths]
        _check_paths(found, folder)
        for one in found:
            contents.check_verdict(one, force=force)
            contents.read(one)
        made = [path for path in (folder, *folder.absolute().parents) if not path.exists()]
    try:
        with _told(f"{folder} cannot be written", WRITABLE):
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder):
                return _put(found, folder)
    finally:
        atomic.remove_empty(made)  # where nothing came to be in them


def check_sizes(paths: Sequence[Path]) -> None:
    """Raise UsageError for an artifact that takes pictures of any size: the app in android_demo resizes no input."""
    with _told("Not everything can be read", READABLE):
        for one in map(artifacts.load, paths):
            if one.manifest.any_size:
                size = "x".join(map(str, one.manifest.input_size))
                raise UsageError(
                    f"{one.folder} takes pictures of any size, for which the app in android_demo makes no room. Export "
                    f"the network with --input-size {size}, or use `bundle files` for an app that resizes its input."
                )


def remove(names: Sequence[str], folder: Path) -> list[Entry]:
    """The entries of the artifacts `names`, once they are gone from `folder`; UsageError if one is not there."""
    with _told(f"{folder} cannot be changed", WRITABLE):
        if not indexes.read(folder).artifacts:
            raise UsageError(f"No artifact is bundled in {folder}, so there is none to remove.")
        with _alone(folder):
            return _take_away(names, folder)


def listing(folder: Path) -> list[Found]:
    """Every artifact that index.json in `folder` names, and whether it is whole; UsageError if that cannot be read."""
    with _told(f"{folder} cannot be read", READABLE):
        return [_examine(folder, entry) for entry in indexes.read(folder).artifacts]


def _check_paths(found: Sequence[Artifact], folder: Path) -> None:
    """Raise UsageError for artifacts that are in each other's way, or in that of their copies."""
    target = folder.resolve()
    if not found:
        raise UsageError("No ARTIFACT was named. Required: one or more folders that `edge-squeeze export` left.")
    if (folder / MANIFEST).exists():
        raise UsageError(f"{folder} is an artifact. Required as the last path: the folder that artifacts go into.")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder. Required as the last path: the folder that artifacts go into.")
    sources, names = set[Path](), dict[str, Path]()
    for one in found:
        source, name = one.folder.resolve(), one.manifest.name
        if source.is_relative_to(target):
            raise UsageError(f"{one.folder} lies in {folder} already. Give the folder that `edge-squeeze export` left.")
        if target.is_relative_to(source):
            raise UsageError(f"{folder} lies in the artifact {one.folder}, whose next export removes it.")
        if source in sources:
            raise UsageError(f"{one.folder} was given twice.")
        if name in names:
            raise UsageError(f"{names[name]} and {one.folder} are both called {name}. Bundle one of them.")
        sources.add(source)
        names[name] = one.folder


def _put(found: Sequence[Artifact], folder: Path) -> list[Bundled]:
    index, bundled = indexes.read(folder), []
    known = {entry.name for entry in index.artifacts}
    places = _places(found, index, folder)
    for one, place in zip(found, places, strict=True):
        _check_free(one, place, listed=one.manifest.name in known)
    with Replacement(folder / INDEX) as replacement:
        for one, place in zip(found, places, strict=True):
            files, name = contents.read(one), one.manifest.name
            replacement.prepare(place, files)
            size_bytes = sum(map(len, files.values()))
            bundled.append(Bundled(place, one.manifest, size_bytes, REPLACED if name in known else ADDED))
            index = index.having(Entry(place.name, name, size_bytes))
        replacement.put(index.to_json())
    return bundled


def _places(found: Sequence[Artifact], index: Index, folder: Path) -> list[Path]:
    """Where each of `found` goes: to where it is already, or to a folder of its own."""
    taken = {INDEX, *(entry.folder for entry in index.artifacts)}
    places = []
    for one in found:
        entry = index.find(one.manifest.name)
        name = entry.folder if entry else asset_names.folder(one.manifest.name, taken)
        taken.add(name)
        places.append(folder / name)
    return places


def _check_free(one: Artifact, place: Path, *, listed: bool) -> None:
    """Raise UsageError if something stands at `place` that was not bundled."""
    if not (place.exists() or place.is_symlink()):
        return
    if place.is_symlink() or not place.is_dir():
        raise UsageError(f"{place} is no folder of its own, so it will not be replaced. Move it away.")
    if not listed and not _holds(place, contents.read(one)):  # a killed command may have left what it did not list yet
        raise UsageError(f"{place} exists and {INDEX} does not name it, so it will not be replaced. Move it away.")


def _holds(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Whether `files` are all that is in `folder`."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    return names == files.keys() and all((folder / name).read_bytes() == data for name, data in files.items())


def _take_away(names: Sequence[str], folder: Path) -> list[Entry]:
    index = indexes.read(folder)
    gone = [_find(index, name) for name in dict.fromkeys(names)]
    with Replacement(folder / INDEX) as replacement:
        replacement.take_away([folder / entry.folder for entry in gone], index.without(gone).to_json())
    return gone


def _find(index: Index, name: str) -> Entry:
    if (entry := index.find(name)) is None:
        raise unknown("artifact", name, [known.name for known in index.artifacts])
    return entry


def _examine(folder: Path, entry: Entry) -> Found:
    manifest = None
    try:
        found = artifacts.load(folder / entry.folder)
        manifest = found.manifest
        got = sum(map(len, contents.read(found).values()))
    except (UsageError, OSError) as error:
        return Found(entry, manifest, str(error))
    if manifest.name != entry.name:
        return Found(entry, manifest, f"it is called {manifest.name}. Bundle it again.")
    if got != entry.size_bytes:
        return Found(entry, manifest, f"it has {got} bytes, {INDEX} says {entry.size_bytes}. Bundle it again.")
    return Found(entry, manifest, None)


@contextlib.contextmanager
def _told(what: str, remedy: str) -> Iterator[None]:
    """Turns what the system refuses into a UsageError."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{what}: {error}. Nothing was changed. {remedy}.") from error


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lets other commands that change `folder` wait: else, of two lists, the one that is written last would stay.

    Windows has no fcntl and no locks on folders: there nobody waits.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # not every network disk has locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
