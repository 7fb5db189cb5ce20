"""Tables of labels: CSV and TSV with or without a header, whose cells name pictures and their right classes."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_squeeze.errors import UsageError
from edge_squeeze.pictures import classes as readings, imagenet
from edge_squeeze.pictures.classes import ClassNames, Reading
from edge_squeeze.pictures.listing import is_picture
from edge_squeeze.pictures.picture_index import PictureIndex

Classes = frozenset[int]
PICTURE_HEADERS = ("file", "filename", "file_name", "image", "image_id", "imageid", "picture", "path", "filepath")
WORDNET, NAME, ILSVRC, FROM_0, FROM_1, ANY = "WordNet id", "name", "ILSVRC2012 id", "from 0", "from 1", "any"
HEADERS = {
    WORDNET: ("wordnet_id", "wordnet", "wnid", "synset", "synset_id"),
    NAME: ("name", "class_name", "classname", "label_name"),
    ILSVRC: ("ilsvrc_id", "ilsvrc2012_id"),
    FROM_1: ("index_from_1", "class_index_from_1"),
    FROM_0: ("class_index", "index", "class_idx", "label_index", "index_from_0", "class_index_from_0"),
    ANY: ("label", "labels", "class", "classes", "class_id", "label_id", "target", "category", "ground_truth"),
}  # the surest first
KINDS = {header: kind for kind, headers in HEADERS.items() for header in headers}
SURENESS = list(HEADERS)
REMEDY = (
    "Use class names or WordNet ids, or a header that says it: class_index (from 0), index_from_1, or ilsvrc_id for "
    "the numbers of ILSVRC2012's development kit."
)
REQUIRED = (
    "Required: a line per picture with its name and its class, separated by commas, semicolons, tabs or spaces, as in "
    "`cat/1.jpg,tabby`"
)
BOXES = re.compile(r"(?:n[0-9]{8}(?: +-?[0-9]+){4} *)+")  # Kaggle's copy of ILSVRC: classes with their boxes
SEPARATORS = re.compile(r"\s*[|;]\s*")
SEPARATED = re.compile(r"[\s,]+")
LISTED = re.compile(r"(?:n?[0-9]+)(?:[\s,]+n?[0-9]+)+")


@dataclass(frozen=True)
class Table:
    """The cells of a table of labels, and which column names the pictures."""

    path: Path
    rows: Sequence[Sequence[str]]  # all of the same length
    lines: Sequence[int]  # where each row stands in the file
    column: int  # of the pictures
    header: Sequence[str] | None
    matches: int  # rows whose picture there is

    def cells(self, column: int) -> list[str]:
        """The cells of a column."""
        return [row[column].strip() for row in self.rows]


@dataclass(frozen=True)
class Column:
    """A column that names classes."""

    place: str  # for messages
    kind: str  # of HEADERS
    cells: Sequence[str]


def read(path: Path, text: str, index: PictureIndex, known: ClassNames) -> tuple[list[Classes], tuple[str, ...]]:
    """The right classes of each picture of `index` according to a table, and what to say of them.

    UsageError if it is not such a table, or its classes are not `known`, contradict each other or are open.

    Args:
        path: Where the table is from, for messages.
        text: Its content.
        index: The pictures.
        known: The classes of the model.
    """
    table = _parse(path, text, index)
    columns = _columns(table)
    if not columns:
        raise UsageError(f"{path} has no column of classes. {REQUIRED}.")
    cells, remarks = _read_columns(columns, known, table)
    return _by_picture(table, cells, index, remarks)


def _parse(path: Path, text: str, index: PictureIndex) -> Table:
    """The table in `text`, split by the mark that makes names of pictures appear; UsageError if none does."""
    tables, problems = [], []
    for split in _splits(text):
        try:
            tables.append(_table(path, split(text), index))
        except UsageError as error:
            problems.append(error)
        except csv.Error as error:
            problems.append(UsageError(f"{path} is not valid CSV: {error}. {REQUIRED}."))
    best = max((table for table in tables if table.matches), key=lambda table: table.matches, default=None)
    if best is not None:
        return best
    if problems:
        raise problems[0]
    start = next((line for line in text.splitlines() if line.strip()), "")[:60]
    raise UsageError(
        f"{path} names none of the {len(index):,} pictures, which are called {index.names[0]!r} and so on; its first "
        f"line is {start!r}. {REQUIRED}."
    )


Lines = Iterator[tuple[int, list[str]]]


def _splits(text: str) -> Iterator[Callable[[str], Lines]]:
    """The ways to split `text` into lines of cells that are worth trying."""
    for delimiter in "\t;,|":
        if delimiter in text:
            yield lambda text, mark=delimiter: _delimited(text, mark)  # type: ignore[misc]
    yield lambda text: ((n, line.split(None, 1)) for n, line in enumerate(text.splitlines(), start=1) if line.strip())
    yield lambda text: ((n, line.rsplit(None, 1)) for n, line in enumerate(text.splitlines(), start=1) if line.strip())


def _delimited(text: str, delimiter: str) -> Lines:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    for row in reader:
        if any(map(str.strip, row)):
            yield reader.line_num, row


def _table(path: Path, lines: Lines, index: PictureIndex) -> Table:
    """The table of `lines`, without matches if it is none; UsageError if it is one but for the number of cells."""
    numbered = list(lines)
    rows = [row for _, row in numbered]
    width = len(rows[0]) if rows else 0
    misfit = next(((line, row) for line, row in numbered if len(row) != width), None)
    if misfit and width > 1 and any(_find(index, row) for row in rows):
        raise UsageError(
            f"{path}: line {misfit[0]} has {len(misfit[1])} cells, the first has {width}. Put cells that contain the "
            "separator into quotes."
        )
    if misfit or width < 2:  # noqa: PLR2004  (a picture and a class)
        return Table(path, [], [], 0, None, 0)
    places = [_find(index, [row[column] for row in rows]) for column in range(width)]
    named = [row.strip().casefold() in PICTURE_HEADERS for row in rows[0]]
    files = [sum(is_picture(Path(row[column])) for row in rows) for column in range(width)]
    column = max(range(width), key=lambda i: (places[i] > 0, named[i], files[i] * 2 > len(rows), places[i], -i))
    header = None if _find(index, rows[0][column : column + 1]) or is_picture(Path(rows[0][column])) else rows[0]
    if header is not None:
        numbered = numbered[1:]
    return Table(path, [row for _, row in numbered], [line for line, _ in numbered], column, header, places[column])


def _find(index: PictureIndex, cells: Sequence[str]) -> int:
    """How many of `cells` name pictures, be it clearly or not."""
    count = 0
    for cell in cells:
        try:
            count += bool(index.find(cell))
        except UsageError:  # said later, if this is the column
            count += 1
    return count


def _columns(table: Table) -> list[Column]:
    """The columns that name classes, the surest first: by the header if it says so, by what is in them otherwise."""
    width = len(table.rows[0]) if table.rows else 0
    others = [i for i in range(width) if i != table.column]
    if table.header is not None:
        headers = [header.strip() for header in table.header]
        kinds = {i: KINDS.get(headers[i].casefold().replace(" ", "_").replace("-", "_")) for i in others}
        columns = [
            Column(f"{table.path}, column {headers[i]}", kind, table.cells(i)) for i, kind in kinds.items() if kind
        ]
        if columns:
            return sorted(columns, key=lambda column: SURENESS.index(column.kind))
    columns = [Column(f"{table.path}, column {i + 1}", ANY, table.cells(i)) for i in others]
    words = [column for column in columns if not all(cell.isdecimal() for cell in column.cells if cell)]
    return columns if len(columns) == 1 else words


def _read_columns(columns: Sequence[Column], known: ClassNames, table: Table) -> tuple[list[Classes], tuple[str, ...]]:
    """The classes in each row, read from the surest of `columns` that can be read; the others must agree."""
    problems, surest = [], None
    for column in columns:
        try:
            cells, remarks = _read_column(column, known)
        except UsageError as error:
            problems.append(error)
            continue
        if surest is None:
            unused = (f"not used: {str(problem).splitlines()[0]}" for problem in problems)
            surest = cells, (*remarks, *unused)
        else:
            _compare(surest[0], cells, table, column)
    if surest is None:
        raise problems[0]
    return surest


def _read_column(column: Column, known: ClassNames) -> tuple[list[Classes], tuple[str, ...]]:
    pieces = {cell: _pieces(cell, known) for cell in set(column.cells)}
    texts = {piece for several in pieces.values() for piece in several}
    if not texts:
        raise UsageError(f"{column.place} is empty. {REQUIRED}.")
    reading = _reading(column, texts, known)
    classes = {cell: frozenset(reading.classes[piece] for piece in several) for cell, several in pieces.items()}
    return [classes[cell] for cell in column.cells], reading.remarks


def _pieces(cell: str, known: ClassNames) -> list[str]:
    """The classes that a cell names, which may be several."""
    if BOXES.fullmatch(cell):
        return imagenet.WORDNET_ID.findall(cell)
    bare = cell.removeprefix("[").removesuffix("]").strip()
    if LISTED.fullmatch(bare):
        return SEPARATED.split(bare)
    if not SEPARATORS.search(bare) or bare in known.names:
        return [bare] if bare else []
    return [piece for piece in SEPARATORS.split(bare) if piece]


def _reading(column: Column, texts: set[str], known: ClassNames) -> Reading:
    """The classes of `texts` as the header of the column says to read them."""
    if column.kind not in {FROM_0, FROM_1, ILSVRC} or not all(map(str.isdecimal, texts)):
        return readings.read(texts, known, column.place, REMEDY)
    numbers = {text: int(text) for text in texts}
    if column.kind == ILSVRC:
        return ilsvrc(numbers, known, column.place)
    readings.check_range(numbers.values(), len(known), column.place)
    base = int(column.kind == FROM_1)
    if wrong := sorted(number for number in numbers.values() if not base <= number < len(known) + base):
        raise UsageError(
            f"{column.place}: required numbers from {base} to {len(known) - 1 + base:,}, got {wrong[0]:,}. {REMEDY}"
        )
    remarks = () if base or 0 in numbers.values() else (f"{column.place}: read as numbers that count from 0",)
    return Reading({text: number - base for text, number in numbers.items()}, remarks)


def ilsvrc(numbers: Mapping[str, int], known: ClassNames, place: str) -> Reading:
    """The classes that ILSVRC2012's ids stand for; UsageError unless the model has ImageNet's 1,000."""
    if not known.are_imagenet:
        raise UsageError(f"{place}: ILSVRC2012's ids need a model of its 1,000 classes; got one of {len(known):,}.")
    ids = imagenet.ilsvrc_ids()
    if wrong := sorted(number for number in numbers.values() if number not in ids):
        raise UsageError(f"{place}: required ILSVRC2012's ids, which are 1 to 1,000; got {wrong[0]:,}.")
    return Reading({text: ids[number] for text, number in numbers.items()})


def _compare(surest: Sequence[Classes], cells: Sequence[Classes], table: Table, column: Column) -> None:
    """Raise UsageError where `cells` contradict `surest`."""
    for line, cell, a, b in zip(table.lines, column.cells, surest, cells, strict=True):
        if b and a and a != b:
            raise UsageError(
                f"{column.place}: {cell!r} in line {line} is class {min(b)}, but the line's other label is class "
                f"{min(a)}. Correct it, or remove the column."
            )


def _by_picture(
    table: Table, cells: Sequence[Classes], index: PictureIndex, remarks: tuple[str, ...]
) -> tuple[list[Classes], tuple[str, ...]]:
    """The classes of each picture, from the rows that name it."""
    truth: list[Classes] = [frozenset()] * len(index)
    names: dict[int, set[str]] = defaultdict(set)
    absent = []
    for text, classes in zip(table.cells(table.column), cells, strict=True):
        rows = index.find(text)
        if not rows:
            absent.append(text)
        for row in rows:
            names[row].add(text)
            if len(names[row]) > 1 and truth[row] != classes:
                raise UsageError(f"{table.path}: {' and '.join(sorted(names[row]))} are read as the same picture.")
            truth[row] = truth[row] | classes
    several = sum(len(classes) > 1 for classes in truth)
    notes = (
        [f"{several:,} of {len(index):,} pictures {'has' if several == 1 else 'have'} several right classes"]
        if several
        else []
    )
    if absent:
        count = "1 line names a picture" if len(absent) == 1 else f"{len(absent):,} lines name pictures"
        notes.append(f"{table.path}: {count} not among the {len(index):,} to evaluate: {absent[0][:60]}")
    return truth, (*remarks, *notes)
