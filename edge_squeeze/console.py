"""What the terminal shows: steps and progress on standard error, results on standard output."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

T = TypeVar("T")
PROGRESS, LINES = "EDGE_SQUEEZE_PROGRESS", "lines"  # for somebody far away: a line each, in place of a bar
TABLE_WIDTH = 200  # a narrow terminal wraps a line; rich would drop columns, the verdict first
STYLES = {"PASS": "green", "FAIL": "bold red", "UNPROVEN": "yellow"}


class ConsoleReporter:
    """Tells steps with their time, parts of steps only when `verbose`, and progress where there is a terminal.

    Without `animated`, nothing moves between two items of progress: a thread that draws would disturb a measurement.
    """

    def __init__(self, *, verbose: bool = False, animated: bool = True) -> None:
        # A descriptor of its own: what converters print is captured by redirecting the process's standard error.
        stream = os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8")
        self._console = Console(file=stream, highlight=False, markup=False, soft_wrap=True)
        self._verbose, self._animated, self._steps, self._depth = verbose, animated, 0, 0
        self._notes: list[str] = []

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Name a numbered step when it begins; when it ends, add the seconds it took and the notes made meanwhile."""
        self._steps += 1
        start = time.perf_counter()
        label, moving = f"[{self._steps}] {title}", self._console.is_terminal
        # Where other lines come in between, a line that is still to be completed would be torn apart.
        alone = not self._verbose and not self._depth and os.environ.get(PROGRESS) != LINES
        self._depth += 1
        try:
            if alone:
                self._console.print(f"{label} ..." if moving else f"{label:<64}", end="\r" if moving else "")
            yield
        except BaseException:
            if alone:
                self._console.print()
            raise
        finally:
            self._depth -= 1
        seconds = f" {time.perf_counter() - start:6.1f} s"
        self._console.print(seconds if alone and not moving else f"{label:<64}{seconds}")
        self._flush()

    @contextmanager
    def part(self, title: str) -> Iterator[None]:
        """Time a part of a step."""
        start = time.perf_counter()
        yield
        if self._verbose:
            self._console.print(f"      {title:<58} {time.perf_counter() - start:6.2f} s")

    def track(self, items: Iterable[T], title: str) -> Iterator[T]:
        """`items`, with a bar that disappears when they are through."""
        if os.environ.get(PROGRESS) == LINES:
            yield from self._told(list(items), title)
            return
        columns = TextColumn(f"    {title}"), BarColumn(), MofNCompleteColumn()
        hidden, moving = not self._console.is_terminal, self._animated
        with Progress(*columns, console=self._console, transient=True, disable=hidden, auto_refresh=moving) as bar:
            yield from bar.track(items, total=len(items) if isinstance(items, Sized) else None)

    def _told(self, items: Sequence[T], title: str) -> Iterator[T]:
        for number, item in enumerate(items, start=1):
            self._console.print(f"      {title} {number}/{len(items)}")
            yield item

    def note(self, text: str) -> None:
        """A remark, shown below the step that is under way."""
        self._notes.append(text)
        if not self._depth:
            self._flush()

    def _flush(self) -> None:
        for text in self._notes:
            self._console.print(f"      {text}")
        self._notes.clear()


def print_json(value: Any) -> None:
    """Print `value` as the one JSON document of this command, in ASCII where standard output is not UTF-8."""
    escaped = (sys.stdout.encoding or "utf-8").lower() not in ("utf-8", "utf8")
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=escaped, allow_nan=False) + "\n")


def print_text(*lines: str) -> None:
    """Print `lines` as they are."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1, right: int = 1) -> None:
    """Print an aligned table; the first `left` and the last `right` columns are text, the others figures."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        is_text = i < left or i >= len(columns) - right
        table.add_column(column, justify="left" if is_text else "right", no_wrap=not is_text or i < left)
    for row in rows:
        table.add_row(*row, style=STYLES.get(row[-1]))
    console = Console(highlight=False, markup=False, width=TABLE_WIDTH)
    with console.capture() as capture:
        console.print(table)
    print_text(*(line.rstrip() for line in capture.get().splitlines()))
