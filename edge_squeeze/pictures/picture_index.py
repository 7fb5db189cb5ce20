"""Pictures found by what tables call them: a path, a file name, or a file name without its ending."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from edge_squeeze.errors import UsageError


class PictureIndex:
    """The pictures of an evaluation, found by their names."""

    def __init__(self, files: Sequence[Path], names: Sequence[str]) -> None:
        """Take the paths of the pictures, and their `names` relative to their folder or list."""
        self.names = tuple(names)
        self._by_name: dict[str, list[int]] = defaultdict(list)
        self._by_file: dict[str, list[int]] = defaultdict(list)
        self._by_stem: dict[str, list[int]] = defaultdict(list)
        self._paths = [os.path.abspath(file).replace(os.sep, "/") for file in files]  # noqa: PTH100  (a third of the time)
        for row, (name, path) in enumerate(zip(names, self._paths, strict=True)):
            file = path.rpartition("/")[2]
            self._by_name[name.replace(os.sep, "/")].append(row)
            self._by_file[file].append(row)
            self._by_stem[file.rpartition(".")[0]].append(row)

    def __len__(self) -> int:
        return len(self.names)

    def find(self, text: str) -> list[int]:
        """The rows of the picture that `text` names, several if it is listed repeatedly; UsageError if it is open."""
        text = text.strip().replace("\\", "/").removeprefix("./")
        if rows := self._by_name.get(text):
            return rows
        file = text.rpartition("/")[2]
        if "/" in text:
            return self._only(self._ending(text, self._by_file.get(file, ())), text)
        return self._only(self._by_file.get(file) or self._by_stem.get(file, []), text)

    def _ending(self, text: str, rows: Sequence[int]) -> list[int]:
        """Those of `rows` whose paths end like the path `text`.

        A relative path must be an end of the picture's as a whole: of `train/1.png` and `val/1.png`, one is another
        picture. Absolute ones may be those of another machine, and must agree in the file's folder at least.
        """
        parts = [part for part in PurePosixPath(text).parts if part not in ("..", "/")]
        shared = {row: _shared(parts, self._paths[row].split("/")) for row in rows}
        needed = 2 if text.startswith("/") else len(parts)
        most = max(shared.values(), default=0)
        return [row for row, count in shared.items() if count == most >= needed]

    def _only(self, rows: list[int], text: str) -> list[int]:
        if len({self._paths[row] for row in rows}) > 1:
            raise UsageError(
                f"{text!r} may be {self.names[rows[0]]} or {self.names[rows[1]]}. Required: a name that one picture "
                "has. Write the paths relative to the folder of the pictures."
            )
        return rows


def _shared(parts: Sequence[str], others: Sequence[str]) -> int:
    """How many of the last `parts` of two paths are the same."""
    count = 0
    for part, other in zip(reversed(parts), reversed(others), strict=False):
        if part != other:
            break
        count += 1
    return count
