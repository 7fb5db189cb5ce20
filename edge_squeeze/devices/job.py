"""What goes to a board: the files that a command names, at names of their own there."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from edge_squeeze.artifact.folder import MANIFEST, find_model
from edge_squeeze.errors import UsageError
from edge_squeeze.formats import FORMATS, of_name
from edge_squeeze.pictures.loading import is_list, list_pictures, listed

USUAL = "litert+onnx"


@dataclass(frozen=True)
class Job:
    """A command of edge-squeeze: its words, those that are paths as such.

    `models` are those among them to be run, by the engine `runtime`, or several with commas between them.
    """

    argv: Sequence[str | Path]
    models: Sequence[Path]
    runtime: str | None = None
    names: dict[Path, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.names.update(_names([word for word in self.argv if isinstance(word, Path)]))

    @property
    def words(self) -> list[str]:
        """The command as a board is to run it, below the folder that receives the files."""
        return [self.names[word] if isinstance(word, Path) else word for word in self.argv]

    def as_here(self, text: str) -> str:
        """`text` that a board said, with the names that its files have here."""
        text = re.sub(r"(?:^/.*|/\S*)/run-[^/\s]+/files/", "", text)
        for path, name in sorted(self.names.items(), key=lambda item: -len(item[1])):
            if name != str(path):
                text = re.sub(rf"(?<![\w./-]){re.escape(name)}(?![\w.-])", str(path).replace("\\", r"\\"), text)
        return text

    @property
    def extras(self) -> list[str]:
        """The extras of ours that bring the engines for `models`, joined by +: the needed ones, and more with them."""
        asked = [name.strip() for name in (self.runtime or "").split(",")]
        needed = "+".join(sorted({extra for path in self.models for extra in _extras(path, asked)}))
        return [needed] if set(needed.split("+")) - set(USUAL.split("+")) else list(dict.fromkeys([needed, USUAL]))


def plain_name(path: Path) -> str:
    """The name of `path` on a board: relative, whatever it is here."""
    parts = [part for part in path.parts if part not in (path.anchor, "..")]
    return str(PurePosixPath(*parts)) if parts else path.resolve().name or "files"


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """A name for each of `paths`, no two of them alike."""
    names: dict[Path, str] = {}
    for path in paths:
        name, number = plain_name(path), 2
        while path not in names and name in names.values():
            name, number = f"{number}/{plain_name(path)}", number + 1
        names.setdefault(path, name)
    return names


def _extras(model: Path, asked: Sequence[str]) -> Sequence[str]:
    """Those that are asked for by name, else the first."""
    file, _ = find_model(model)
    able = list(FORMATS[of_name(file.name)].extras)
    return [extra for extra in able if extra in asked] or able[:1]


def files_of(path: Path) -> Iterator[tuple[Path, PurePosixPath]]:
    """The files that `path` stands for, each with where it lies from there.

    All of an artifact, also where a file in it is meant; one file; a list and its pictures; the pictures of a folder.
    UsageError without any.
    """
    folder = path if path.is_dir() else path.parent
    if (folder / MANIFEST).is_file() and (path.is_dir() or _belongs(path)):
        up = PurePosixPath() if path.is_dir() else PurePosixPath("..")
        inside = [one for one in sorted(folder.rglob("*")) if one.is_file() and not one.is_symlink()]
        yield from ((one, up / one.relative_to(folder).as_posix()) for one in inside)
    elif path.is_dir():
        yield from ((one, PurePosixPath(one.relative_to(path).as_posix())) for one in list_pictures(path))
    elif path.is_file():
        yield path, PurePosixPath()
        names = listed(path) if is_list(path) else []
        yield from ((path.parent / name, PurePosixPath("..") / name) for name in names)
    else:
        raise UsageError(f"No such file or folder: {path}.")


def _belongs(path: Path) -> bool:
    return find_model(path)[1] is not None


def pack(job: Job, file: IO[bytes]) -> int:
    """Write a tar archive of the files of `job` to `file`; the number of its bytes comes back. UsageError as above."""
    packed: set[str] = set()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, name in job.names.items():
            for source, inside in files_of(path):
                where = _resolved(PurePosixPath(name) / inside)
                if where not in packed:
                    _add(archive, source, where)
                packed.add(where)
    return file.tell()


def _resolved(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == path.anchor or (part == ".." and not parts):
            raise UsageError(f"{path} cannot be sent to a board: it lies outside. Give the folder of the pictures.")
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def _add(archive: tarfile.TarFile, source: Path, name: str) -> None:
    try:
        with source.open("rb") as opened:
            about = tarfile.TarInfo(name)
            about.size = source.stat().st_size
            archive.addfile(about, opened)
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error}.") from error
