"""Class names, one per line, in the order of a network's outputs or with numbers of their own."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path

from edge_squeeze.artifact.manifest import Rejection
from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import decode, read_json, read_text
from edge_squeeze.pictures import imagenet

LARGEST_FILE = 16 << 20
# A number before a name, or behind it. Whitespace and - _ join words of names as well ("1 euro"), the others do not.
FIRST = re.compile(r"(?P<number>[0-9]{1,9})(?P<mark>\s*[,;:|=\t)]\s*|\s*\.\s+|[\s_-]+)(?P<name>\S.*)")
QUOTED = re.compile(r'(?:^|(?<=[,;|\t]))\s*"((?:[^"]|"")+)"\s*(?=$|[,;|\t])')  # a cell of CSV
LAST = re.compile(r"(?P<name>.*?\S)(?P<mark>\s*[,;:|=\t]\s*|[\s_-]+)(?P<number>[0-9]{1,9})")
REQUIRED = "Required: the names in the order of the outputs, or each after its output's number, as in `0,cat`"


REJECTION = "reject.json"  # beside a file of labels, where `finetune --reject` wrote both


def rejection(path: Path) -> Rejection | None:
    """When to answer "none of these", if that is said beside the labels at `path`; UsageError for a damaged file."""
    file = path.with_name(REJECTION)
    if not file.is_file():
        return None
    content = read_json(file)
    known = {field.name for field in dataclasses.fields(Rejection)}
    if not isinstance(content, dict) or not known <= content.keys():
        raise UsageError(
            f"{file} must have {', '.join(sorted(known))}. Write it with `finetune --reject`, or remove it."
        )
    rejection: Rejection = decode(Rejection, {name: content[name] for name in known}, str(file))
    if not (rejection.temperature > 0 and 0 <= rejection.threshold <= 1):
        raise UsageError(
            f"{file}: required a temperature above 0 and a threshold from 0 to 1, got {rejection.temperature} and "
            f"{rejection.threshold}. Write it with `finetune --reject`, or remove it."
        )
    return rejection


def default(classes: int) -> list[str]:
    """The ImageNet names for 1,000 classes, numbered names for any other count."""
    names = list(imagenet.names())
    return names if classes == len(names) else [f"class {i}" for i in range(classes)]


def load(path: Path | None, classes: int) -> list[str]:
    """The names in the file at `path`, by default those of `default`; UsageError unless it has one per class.

    A file that numbers its names from 0 is ordered by the numbers; one whose numbers cannot be outputs is refused. The
    quotation marks of CSV are removed.
    """
    if path is None:
        return default(classes)
    text = read_text(path, LARGEST_FILE)
    if _is_json(text):
        raise UsageError(f"{path} is JSON. Required: a text file with one class name per line.")
    lines = [_unquoted(line.strip()) for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) != classes:
        empty = f", line {lines.index('') + 1} being empty" if "" in lines else ""
        raise UsageError(
            f"{path}: required {classes} names, one per line in the order of the outputs, got {len(lines)}{empty}."
        )
    names = _ordered(lines, path)
    for number, name in enumerate(names, start=1):
        if not name or not name.isprintable():
            raise UsageError(f"{path}: line {number} is not a name: {name[:40]!r}.")
    return names


def to_text(names: Sequence[str]) -> str:
    """A file of `names` that `load` reads back in this order: numbered where numbers in the names would mislead it."""
    try:
        plain = _ordered(list(names), Path()) == list(names)
    except UsageError:
        plain = False
    cells = [name if _unquoted(name) == name else '"' + name.replace('"', '""') + '"' for name in names]
    return "".join(f"{cell}\n" if plain else f"{number},{cell}\n" for number, cell in enumerate(cells))


def _unquoted(line: str) -> str:
    """`line` without the quotation marks of cells of CSV; those within a name stay."""
    return QUOTED.sub(lambda cell: cell[1].replace('""', '"'), line)


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _ordered(lines: list[str], path: Path) -> list[str]:
    """The names in `lines` by the numbers that they carry, as they stand if these are part of the names.

    UsageError where the order of the lines and that of the numbers differ, and either may be that of the outputs.
    """
    matches = [match for pattern in (FIRST, LAST) if (match := _matches(pattern, lines))]
    if not matches:
        return lines
    parts = matches[0]
    names, numbers = [part["name"] for part in parts], [int(part["number"]) for part in parts]
    column = not any(part["mark"].isspace() or set(part["mark"]) <= set("_-") for part in parts)
    column = column or any("\t" in part["mark"] for part in parts)
    if len(set(numbers)) < len(numbers) or (not column and len(set(names)) < len(names)):
        return lines  # years, or "1 euro" and "2 euro": no numbers of outputs
    ascending, leading = numbers == sorted(numbers), parts[0].re is FIRST
    shown = names if column else lines
    if sorted(numbers) == list(range(len(numbers))):
        if not ascending and leading and lines == sorted(lines):  # of folders: 0, 1, 10, 2
            raise _ambiguous(path, numbers)
        return [shown[numbers.index(number)] for number in range(len(numbers))]
    if ascending:
        return shown if column and numbers[0] == 1 and numbers[-1] == len(numbers) else lines
    if not column and not (leading and all(part["mark"].isspace() for part in parts)):
        return lines  # "boeing 747", "737-800": part of the names
    raise _ambiguous(path, numbers)


def _matches(pattern: re.Pattern[str], lines: list[str]) -> list[re.Match[str]]:
    """The match of `pattern` with each of `lines`, none if one does not match."""
    matches = [match for line in lines if (match := pattern.fullmatch(line))]
    return matches if len(matches) == len(lines) else []


def _ambiguous(path: Path, numbers: list[int]) -> UsageError:
    line = next(i for i in range(1, len(numbers)) if numbers[i] < numbers[i - 1])
    return UsageError(
        f"{path} numbers its names, but not from 0 to {len(numbers) - 1:,} in an order that tells which outputs they "
        f"are: line {line + 1} has {numbers[line]:,} after {numbers[line - 1]:,}. {REQUIRED}. If the numbers are part "
        "of the names, put the output's number and a comma before each line, as in `0,7 up`."
    )
