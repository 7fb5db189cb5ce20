"""Output on the terminal: steps and progress on standard error, results on standard output.

Prose wraps between words; commands and paths, which users copy, are never broken. Escape codes go to terminals only.
"""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import IO, Any, TypeVar

from edge_squeeze.packages import NAME, program

T = TypeVar("T")
PROGRESS, LINES = "EDGE_SQUEEZE_PROGRESS", "lines"  # for a remote reader: a line each instead of a bar
NO_NEXT = "EDGE_SQUEEZE_NO_NEXT"  # set by scripts that print their own next steps
WIDEST = 100  # columns of prose, whatever the terminal has
INDENT = " " * 6  # below the number of a step
KEPT = "\0"  # a space at which no line is broken
CODE, RUN, PERCENT = re.compile(r"`[^`\n]+`"), re.compile(r"(?<=\S) (?=Run: )"), re.compile(r"(?<=\d) (?=%)")


def width(stream: IO[str] | None = None) -> int:
    """The columns for prose on `stream` (default: standard output): those of the terminal, at most 100, or 100.

    COLUMNS of the environment takes precedence.
    """
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return min(int(columns), WIDEST)
    try:
        return min(os.get_terminal_size((stream or sys.stdout).fileno()).columns or WIDEST, WIDEST)
    except (OSError, ValueError):
        return WIDEST


def whole(text: str) -> str:
    """`text` in a form that `wrap` never breaks: a command or a path within prose."""
    return text.replace(" ", KEPT)


def wrap(text: str, columns: int, start: str = "", later: str | None = None) -> list[str]:
    """The lines of `text` after `start`, later lines indented by `later`, by default as far as the first.

    Lines are broken between words only; text between backticks, text made `whole` and percentages stay in one piece.
    """
    lines = textwrap.wrap(
        PERCENT.sub(KEPT, CODE.sub(lambda match: whole(match[0]), text)),
        columns,
        initial_indent=start,
        subsequent_indent=" " * len(start) if later is None else later,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(KEPT, " ") for line in lines] or [start.rstrip()]


def cut(text: str, longest: int) -> str:
    """`text` without its middle if it is longer than `longest`."""
    left = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[:left]}…{text[len(text) - (longest - 1 - left) :]}"


def message(text: str, stream: IO[str] | None = None) -> str:
    """`text` for standard error: wrapped on a terminal, unchanged elsewhere, where programs read it.

    A command after "Run:" gets a line of its own, and output of another program (after "|") keeps its lines.
    """
    out = stream or sys.stderr
    if not out.isatty():
        return text
    lines: list[str] = []
    for line in RUN.sub("\n", text).splitlines():
        start = line[: len(line) - len(line.lstrip())]
        alone = line.lstrip().startswith(("Run: ", "| "))
        lines += [line] if alone else wrap(line.strip(), width(out), start, f"{start}  ")
    return "\n".join(lines)


class ConsoleReporter:
    """Reports steps with their time, parts of steps only if `verbose`, and progress only on a terminal.

    Without `animated`, nothing moves between two items of progress: a thread that draws would disturb a measurement.
    """

    def __init__(self, *, verbose: bool = False, animated: bool = True) -> None:
        from rich.console import Console

        # A descriptor of its own: what converters print is captured by redirecting the process's standard error.
        encoding = sys.stderr.encoding or "utf-8"
        self._stream = os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding=encoding, errors="backslashreplace")
        self._moving = self._stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
        self._console = Console(
            file=self._stream, highlight=False, markup=False, soft_wrap=True, force_terminal=self._moving
        )
        self._verbose, self._animated, self._steps, self._depth = verbose, animated, 0, 0
        self._notes: list[str] = []

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Print a numbered step when it begins; when it ends, add its duration and the notes made meanwhile."""
        self._steps += 1
        start = time.perf_counter()
        label, moving, filled = f"[{self._steps}] {title}", self._moving, self._label(64)
        # Other lines in between would tear apart a line that is still to be completed.
        alone = not self._verbose and not self._depth and os.environ.get(PROGRESS) != LINES
        self._depth += 1
        try:
            if alone:
                begun = cut(f"{label} ...", width(self._stream) - 1) if moving else f"{label:<{filled}}"
                self._console.print(begun, end="\r" if moving else "")
            yield
        except BaseException:
            if alone:
                self._console.print()
            self._flush()  # a note may say how to go on
            raise
        finally:
            self._depth -= 1
        seconds = f" {time.perf_counter() - start:6.1f} s"
        self._console.print(seconds if alone and not moving else f"{label:<{filled}}{seconds}")
        self._flush()

    @contextmanager
    def part(self, title: str) -> Iterator[None]:
        """Time a part of a step."""
        start = time.perf_counter()
        yield
        if self._verbose:
            label = f"{INDENT}{title}"
            self._console.print(f"{label:<{self._label(64)}} {time.perf_counter() - start:6.2f} s")

    def _label(self, widest: int) -> int:
        """How far labels are padded, so that the seconds after them fit as well."""
        return max(0, min(widest, width(self._stream) - len(" 9999.9 s")))

    def track(self, items: Iterable[T], title: str) -> Iterator[T]:
        """`items`, with a bar that disappears at the end."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        if os.environ.get(PROGRESS) == LINES:
            yield from self._as_lines(list(items), title)
            return
        columns = TextColumn(f"    {title}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True)
        hidden, moving = not self._moving, self._animated
        with Progress(*columns, console=self._console, transient=True, disable=hidden, auto_refresh=moving) as bar:
            yield from bar.track(items, total=len(items) if isinstance(items, Sized) else None)

    def _as_lines(self, items: Sequence[T], title: str) -> Iterator[T]:
        for number, item in enumerate(items, start=1):
            self._console.print(f"{INDENT}{title} {number}/{len(items)}")
            yield item

    def note(self, text: str) -> None:
        """A remark, shown below the current step."""
        self._notes.append(text)
        if not self._depth:
            self._flush()

    def _flush(self) -> None:
        for text in self._notes:
            for line in text.splitlines():
                self._console.print(message(f"{INDENT}{line}", self._stream))
        self._notes.clear()


def print_json(value: Any) -> None:
    """Print `value` as the one JSON document of this command, in ASCII where standard output is not UTF-8."""
    escaped = (sys.stdout.encoding or "utf-8").lower() not in ("utf-8", "utf8")
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=escaped, allow_nan=False) + "\n")


def print_text(*lines: str) -> None:
    """Print `lines` unchanged: commands, paths, and tables."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def print_prose(*texts: str, start: str = "", later: str | None = None) -> None:
    """Print each of `texts` after `start`, wrapped by `wrap`; an empty text is an empty line."""
    for text in texts:
        print_text(*(wrap(text, width(), start, later) if text else [""]))


def print_next(*commands: str, advice: Sequence[str] = (), title: str = "Next:") -> None:
    """Print `advice`, then `commands` as they work from here: with the path of this program if PATH lacks it."""
    if os.environ.get(NO_NEXT):
        return
    print_text("", title)
    print_prose(*advice, start="  ", later="    ")
    for command in commands:
        name, _, rest = command.partition(" ")
        print_text(f"  {program()} {rest}" if name == NAME and rest else f"  {command}")
