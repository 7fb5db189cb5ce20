"""What is sent to a board: the files that a command names, under names of their own there."""

from __future__ import annotations

import dataclasses
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from edge_squeeze.artifact.folder import MANIFEST, find_model
from edge_squeeze.errors import UsageError
from edge_squeeze.formats import FORMATS, of_name
from edge_squeeze.pictures.listing import is_list, list_pictures, listed

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

USUAL = "litert+onnx"


@dataclass(frozen=True)
class Job:
    """A command of edge-squeeze; those of its words that are paths are `Path`s.

    `models` are the files to run, by the engine `runtime`, or by several separated with commas.
    """

    argv: Sequence[str | Path]
    models: Sequence[Path]
    runtime: str | None = None
    names: dict[Path, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.names.update(_names([word for word in self.argv if isinstance(word, Path)]))

    @property
    def words(self) -> list[str]:
        """The command as a board is to run it, in the folder that receives the files."""
        return [self.names[word] if isinstance(word, Path) else word for word in self.argv]

    def as_here(self, text: str) -> str:
        """`text` from a board, with the names that the files have here."""
        text = re.sub(r"(?:^/.*|/\S*)/run-[^/\s]+/files/", "", text)
        for path, name in sorted(self.names.items(), key=lambda item: -len(item[1])):
            if name != str(path):
                text = re.sub(rf"(?<![\w./-]){re.escape(name)}(?![\w.-])", str(path).replace("\\", r"\\"), text)
        return text

    @property
    def extras(self) -> list[str]:
        """Our extras with the engines for `models`, joined by +: only the needed ones first, then more."""
        requested = [name.strip() for name in (self.runtime or "").split(",")]
        needed = "+".join(sorted({extra for path in self.models for extra in _extras(path, requested)}))
        return [needed] if set(needed.split("+")) - set(USUAL.split("+")) else list(dict.fromkeys([needed, USUAL]))


def option_words(options: DataclassInstance) -> Iterator[str | Path]:
    """`options`, whose fields are named like those of a command, as its words; paths stay paths.

    Those at their defaults are left out. A value of several is an option repeated.
    """
    for item in dataclasses.fields(options):
        value, name = getattr(options, item.name), item.name.replace("_", "-")
        if value == item.default:
            continue
        if isinstance(value, bool):
            yield f"--{name}" if value else f"--no-{name}"
            continue
        for part in value if isinstance(value, tuple) else [value]:
            yield f"--{name}"
            yield part if isinstance(part, Path) else ",".join(map(str, part if isinstance(part, tuple) else [part]))


def plain_name(path: Path) -> str:
    """The name of `path` on a board, always relative."""
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


def _extras(model: Path, requested: Sequence[str]) -> Sequence[str]:
    """The extras for `model` that are `requested` by name, else the first."""
    file, _ = find_model(model)
    able = list(FORMATS[of_name(file.name)].extras)
    return [extra for extra in able if extra in requested] or able[:1]


def files_of(path: Path) -> Iterator[tuple[Path, PurePosixPath]]:
    """The files that `path` stands for, each with its place relative to `path`.

    All files of an artifact, even if `path` is one of them; a single file; a list and its pictures; the pictures of a
    folder. UsageError if there are none.
    """
    folder = path if path.is_dir() else path.parent
    if (folder / MANIFEST).is_file() and (path.is_dir() or find_model(path)[1] is not None):
        up = PurePosixPath() if path.is_dir() else PurePosixPath("..")
        files = [file for file in sorted(folder.rglob("*")) if file.is_file() and not file.is_symlink()]
        yield from ((file, up / file.relative_to(folder).as_posix()) for file in files)
    elif path.is_dir():
        yield from ((picture, PurePosixPath(picture.relative_to(path).as_posix())) for picture in list_pictures(path))
    elif path.is_file():
        yield path, PurePosixPath()
        names = listed(path) if is_list(path) else []
        yield from ((path.parent / name, PurePosixPath("..") / name) for name in names)
    else:
        raise UsageError(f"No such file or folder: {path}.")


def pack(job: Job, file: IO[bytes]) -> int:
    """Write a tar archive of the files of `job` to `file`; return its size in bytes. UsageError as in `files_of`."""
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
            raise UsageError(
                f"{path} cannot be sent to a board: it is outside the folder. Pass the folder of the pictures instead."
            )
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
