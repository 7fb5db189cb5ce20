"""The table of clients and files: its cells, its Markdown, and what an older one says that no longer holds."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# How far the scores of a right answer may be from those of the file's own reference engine. Engines differ in the order
# of sums; in int8 they round otherwise, by up to 0.09 with LiteRT's own builtin kernels (docs/parity.md).
LIMITS = {"float32": 1e-4, "float16": 5e-3, "dynamic": 0.15, "int8": 0.12, "int16x8": 0.05}
NAMED, NAMELESS = "names", "no names"
RIGHT = re.compile(r"[\d.]")  # what a right answer begins with: its difference
COLUMN = "client"


@dataclass(frozen=True)
class Outcome:
    """What one client made of one file."""

    model: str
    precision: str
    difference: float = math.nan  # of a score, the largest
    names: bool | None = None  # whether it shows those of the classes; None: it shows none of any file
    error: str = ""

    @property
    def text(self) -> str:
        """The outcome without its difference: empty for a right one."""
        if self.error:
            return "crashed" if self.error.startswith("signal") else "refused"
        if not self.difference <= LIMITS[self.precision]:
            return "**wrong**"
        return {True: NAMED, False: NAMELESS, None: ""}[self.names]


def cell(outcomes: Sequence[Outcome]) -> str:
    """Several models' outcomes of the same kind of file: "2e-6, names; own refused"."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.text, []).append(outcome)
    parts = []
    for text, group in groups.items():
        who = "" if len(group) == len(outcomes) else " ".join(outcome.model for outcome in group) + ": "
        right = text in ("", NAMED, NAMELESS)
        words = [_short(max(outcome.difference for outcome in group))] if right else []
        parts.append(who + ", ".join([*words, *([text] if text else [])]))
    return "; ".join(parts) or "-"


def _short(difference: float) -> str:
    return f"{difference:.0e}".replace("e-0", "e-") if difference else "0"


def holds(text: str, models: Sequence[str]) -> dict[str, tuple[bool, bool]]:
    """What a cell says of each model: whether it is read right, and whether names are shown."""
    said = {}
    for part in text.split("; "):
        who, _, words = part.rpartition(": ")
        for model in who.split() or models:
            said[model] = (bool(RIGHT.match(words)), words.endswith(f", {NAMED}"))
    return said


def markdown(columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """A table with a row for each client."""
    lines = [(COLUMN, *columns), ("---",) * (len(columns) + 1), *((name, *cells) for name, cells in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def read(text: str) -> dict[tuple[str, str], str]:
    """The cells of all tables in `text`, by client and column; clients without their version."""
    cells, columns = {}, []
    for line in text.splitlines():
        first, *others = [part.strip() for part in line.strip().strip("|").split(" | ")]
        if not line.startswith("| ") or first.startswith("---"):
            continue
        if first == COLUMN:
            columns = others
        else:
            cells |= {(first, column): content for column, content in zip(columns, others, strict=True)}
    return cells


def lost(before: str, after: str, models: Iterable[str]) -> list[str]:
    """What a client read right, or showed names of, in the text `before`, and does not in the text `after`."""
    names, now, sentences = list(models), read(after), []
    for (client, column), content in read(before).items():
        if (client, column) not in now or now[client, column] == "-":
            continue  # another version, or not tried this time
        kept = holds(now[client, column], names)
        for model, (right, named) in holds(content, names).items():
            if right and not kept.get(model, (True, True))[0]:
                sentences.append(f"{client}, {column}: {model} was read right, now: {now[client, column]}")
            elif named and not kept.get(model, (True, True))[1]:
                sentences.append(f"{client}, {column}: {model} had names, now: {now[client, column]}")
    return sentences
