"""Progress of long work, reported without knowing who listens; and tables, with what their cells share."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")
SMALL_BYTES = 100_000


class Reporter(Protocol):
    """Receives steps, parts of a step, and progress through many pictures."""

    def step(self, title: str) -> AbstractContextManager[None]:
        """A numbered step of the work."""
        ...

    def part(self, title: str) -> AbstractContextManager[None]:
        """A part of a step, shown only if details are requested."""
        ...

    def track(self, items: Iterable[T], title: str) -> Iterable[T]:
        """`items`, with a progress bar during the iteration."""
        ...

    def note(self, text: str) -> None:
        """A remark on the current step."""
        ...


class Silent:
    """The Reporter that reports nothing."""

    def step(self, title: str) -> AbstractContextManager[None]:
        """Nothing happens."""
        return nullcontext()

    part = step

    def track(self, items: Iterable[T], title: str) -> Iterator[T]:
        """`items` as they are."""
        return iter(items)

    def note(self, text: str) -> None:
        """Nothing happens."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    If not all columns fit, the one with the highest `rank` is dropped first; rank 0 always stays. Text is aligned
    left, numbers right. Cells of a column that may be `cut` lose their middle if dropping columns is not enough.
    """

    title: str
    rank: int = 0
    text: bool = False
    cut: bool = False


def megabytes(size_bytes: int) -> str:
    """The size of a file in megabytes, as tables and sentences have it: with a third digit where it is small."""
    return f"{size_bytes / 1e6:.{2 if size_bytes >= SMALL_BYTES else 3}f}"


def html_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table; names of files and classes come from outside, so every cell is escaped."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return "\n".join(["<table>", line(columns, "th"), *(line(row, "td") for row in rows), "</table>"])
