"""Tables that fit a terminal: columns are dropped before a line gets too wide, and rows are never wrapped."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Literal

from edge_squeeze.cli.console import cut, print_text, whole, width, wrap
from edge_squeeze.reporting import Column

WIDEST = 80  # columns, however wide the terminal is
SHORTEST = 16  # characters that a cell is cut to
STYLES = {"PASS": "green", "FAIL": "bold red", "UNPROVEN": "yellow"}


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]], *, every: bool = False) -> None:
    """Print an aligned table, a line for each row, with the columns that fit the terminal (at most 80), or `every` one.

    If the first column is so wide that the others do not fit beside it, its cells get lines of their own.
    """
    cells, room = [list(row) for row in rows], min(WIDEST, width())
    kept = range(len(columns)) if every else _kept(columns, cells, room)
    if every or len(kept) == 1 or _wide(columns, cells, kept) <= room:
        print_text(*_lines(columns, cells, kept))
    elif any(columns[at].cut for at in kept):
        print_text(*_lines(columns, _shortened(columns, cells, kept, room), kept))
    else:
        kept = [0, *_kept(columns, cells, room - 2, first=1)]
        head, *lines = _lines(columns, cells, kept[1:])
        print_text(columns[0].title, f"  {head}")
        print_text(*(text for row, line in zip(cells, lines, strict=True) for text in (row[0], f"  {line}")))
    out = [column.title for at, column in enumerate(columns) if at not in kept]
    if out:
        print_text(*wrap(f"Not shown: {', '.join(map(whole, out))}. See all columns with -v or --json.", room))


def fits(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> bool:
    """Whether all columns that must not be dropped fit the terminal (at most 80)."""
    room = min(WIDEST, width())
    return _wide(columns, rows, _kept(columns, rows, room)) <= room


def _kept(columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int, first: int = 0) -> list[int]:
    """The columns from the `first` on that are shown if there is `room` for so many characters."""
    kept = list(range(first, len(columns)))
    while _wide(columns, rows, kept) > room and (least := max(kept, key=lambda at: columns[at].rank, default=-1)) >= 0:
        if not columns[least].rank:
            break
        kept.remove(least)
    return kept


def _wide(columns: Sequence[Column], rows: Sequence[Sequence[str]], kept: Sequence[int]) -> int:
    from rich.cells import cell_len

    return sum(max(cell_len(text) for text in (columns[at].title, *(row[at] for row in rows))) + 2 for at in kept) - 2


def _shortened(columns: Sequence[Column], rows: Sequence[list[str]], kept: Sequence[int], room: int) -> list[list[str]]:
    """`rows` with those cells shortened that may be cut, until the columns `kept` fit."""
    able = [at for at in kept if columns[at].cut]
    longest = max((len(row[at]) for row in rows for at in able), default=0)
    shorter = [list(row) for row in rows]
    while longest > SHORTEST and _wide(columns, shorter, kept) > room:
        longest -= 1
        shorter = [[cut(text, longest) if at in able else text for at, text in enumerate(row)] for row in rows]
    return shorter


def _lines(columns: Sequence[Column], rows: Sequence[Sequence[str]], kept: Sequence[int]) -> list[str]:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for at in kept:
        table.add_column(columns[at].title, justify="left" if columns[at].text else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(row[at] for at in kept), style=STYLES.get(row[kept[-1]]))
    terminal = sys.stdout.isatty()
    colors: Literal["auto"] | None = "auto" if terminal and not os.environ.get("NO_COLOR") else None
    wide = _wide(columns, rows, kept) + 1
    console = Console(highlight=False, markup=False, width=wide, force_terminal=terminal, color_system=colors)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]
