"""`index.json`, which lists the artifacts of an app in the order in which they were added."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_squeeze.bundling import contents
from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import decode, read_json

INDEX = "index.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Entry:
    """One artifact of an app."""

    folder: str  # beside index.json
    name: str  # from its model.json
    size_bytes: int  # of all its files


@dataclass(frozen=True, kw_only=True)
class Index:
    """The content of `index.json`."""

    schema_version: int = SCHEMA_VERSION
    artifacts: list[Entry]

    def find(self, name: str) -> Entry | None:
        """The entry of the artifact `name`, if there is one."""
        return next((entry for entry in self.artifacts if entry.name == name), None)

    def having(self, new: Entry) -> Index:
        """The same index with `new`, which replaces the entry of the same name or is added at the end."""
        if (old := self.find(new.name)) is None:
            return Index(artifacts=[*self.artifacts, new])
        return Index(artifacts=[new if entry == old else entry for entry in self.artifacts])

    def without(self, removed: list[Entry]) -> Index:
        """The same index without the entries `removed`."""
        return Index(artifacts=[entry for entry in self.artifacts if entry not in removed])

    def to_json(self) -> bytes:
        """The bytes of `index.json`."""
        return (json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n").encode()


def read(folder: Path) -> Index:
    """The content of `index.json` in `folder`, empty without such a file; UsageError if it is damaged or not ours."""
    path = folder / INDEX
    if not path.exists():
        return Index(artifacts=[])
    try:
        return _decode(read_json(path), str(path))
    except UsageError as error:
        raise UsageError(f"{error} Required: an index that `edge-squeeze bundle` wrote. Move it away.") from error


def _decode(data: Any, where: str) -> Index:
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise UsageError(f"{where}: this version reads schema_version {SCHEMA_VERSION}, got {version!r}.")
    index = decode(Index, data, where)
    assert isinstance(index, Index)
    for entry in index.artifacts:
        if not contents.is_folder_name(entry.folder) or entry.folder.lower() == INDEX:
            raise UsageError(f"{where}: {entry.folder[:60]!r} is not a valid folder name.")
        if not entry.name or not entry.name.isprintable():
            raise UsageError(f"{where}: {entry.name[:60]!r} is not a valid artifact name.")
    folders, names = {entry.folder for entry in index.artifacts}, {entry.name for entry in index.artifacts}
    if not len(folders) == len(names) == len(index.artifacts):
        raise UsageError(f"{where} lists an artifact twice.")
    return index
