"""Folders put in their places, or taken away, together with the file that lists them: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from edge_squeeze.files.atomic import discard, remove_leftovers, swap, temporary_beside, write_files


class Replacement:
    """Folders made ready beside their places until `put`; what is left beside them goes at the end of `with`.

    The list never names a folder that is not whole, whenever the process is killed: a folder is there before it is
    listed, and stays until it is not listed any more. All methods raise OSError, after having undone what they did.
    """

    def __init__(self, listing: Path) -> None:
        self._listing = listing
        self._places: list[Path] = []
        self._cleaning = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cleaning.close()

    def prepare(self, place: Path, files: Mapping[str, bytes]) -> None:
        """Make `files` (relative path -> bytes) ready to be the folder `place`."""
        write_files(self._beside(place), files)
        self._places.append(place)

    def put(self, listed: bytes) -> None:
        """Put every prepared folder in its place, then `listed` in the list's."""
        new = self._lists(new=listed) / "new"
        with ExitStack() as undoing:
            for place in self._places:
                swap(temporary_beside(place), place)
                undoing.callback(_swap_back, temporary_beside(place), place)
            new.replace(self._listing)
            undoing.pop_all()  # nothing to undo any more

    def take_away(self, places: Sequence[Path], listed: bytes) -> None:
        """Put `listed` in the list's place, then remove the folders `places`."""
        lists = self._lists(new=listed, old=self._listing.read_bytes())
        with ExitStack() as undoing:
            (lists / "new").replace(self._listing)
            undoing.callback((lists / "old").replace, self._listing)
            for place in places:
                if place.exists() or place.is_symlink():
                    temporary = place.rename(self._beside(place))
                    undoing.callback(temporary.rename, place)
            undoing.pop_all()

    def _lists(self, **contents: bytes) -> Path:
        """A folder beside the list with files to put in its place: for undoing, a full disk must be no hindrance."""
        folder = self._beside(self._listing)
        write_files(folder, contents)
        return folder

    def _beside(self, place: Path) -> Path:
        """A free path beside `place`, cleared at the end."""
        remove_leftovers(place)
        temporary = temporary_beside(place)
        discard(temporary)  # of a killed process that had our number
        self._cleaning.callback(discard, temporary)
        return temporary


def _swap_back(temporary: Path, place: Path) -> None:
    if temporary.exists():
        swap(temporary, place)
    else:
        place.rename(temporary)
