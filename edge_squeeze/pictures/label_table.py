"""Tables that give the right classes of pictures: CSV and TSV, with a header."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import read_text
from edge_squeeze.pictures import classes as readings
from edge_squeeze.pictures.classes import ClassNames

PICTURE = ("file", "filename", "file_name", "image", "picture", "path")
CLASS = ("wordnet_id", "class_name", "name", "label", "class", "class_index", "index")  # the surest first
REMEDY = "Use class names or WordNet ids."


def read(table: Path, names: Sequence[str], known: ClassNames) -> tuple[list[frozenset[int]], tuple[str, ...]]:
    """The right classes of each of the pictures `names` according to `table`, and what to say of them.

    UsageError if it is not such a table, or names classes that are not `known`.
    """
    rows = list(csv.DictReader(read_text(table).splitlines()))
    fields = list(rows[0]) if rows else []
    picture = next((name for name in PICTURE if name in fields), None)
    label = next((name for name in CLASS if name in fields), None)
    if picture is None or label is None:
        raise UsageError(
            f"{table} is not a table of labels. Required: a header with one of {', '.join(PICTURE)}, and one of "
            f"{', '.join(CLASS)}; got {', '.join(map(str, fields)) or 'an empty file'}."
        )
    reading = readings.read({row[label] for row in rows}, known, f"{table}, {label}", REMEDY)
    truth = {row[picture]: frozenset({reading.classes[row[label]]}) for row in rows}
    return [truth.get(name, frozenset()) for name in names], reading.remarks
