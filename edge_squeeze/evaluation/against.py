"""A saved evaluation, read again, and what a new one says against it, paired picture by picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze.errors import ExitCode, UsageError
from edge_squeeze.evaluation import figures
from edge_squeeze.evaluation.result import SCHEMA, Comparison, Figures
from edge_squeeze.evaluation.table import OF_PICTURE, Table
from edge_squeeze.files.reading import decode, read_json
from edge_squeeze.proof.accuracy import UNCLEAR, WORSE, Pairs

LARGEST = 1 << 30
INCOMPARABLE = "incomparable"
CORRECT = "{} correct"
NO_LABELS = "no picture with a label counts in both"
ROUNDING = 1e-3  # pictures
Key = tuple[str, int]  # a picture's name, and which of several of that name it is


@dataclass(frozen=True)
class SavedFigures:
    """What a saved evaluation says of one artifact, as far as it is read again."""

    name: str
    sha256: str
    labeled: int
    top1: float | None


@dataclass(frozen=True)
class SavedPicture:
    """A picture of a saved evaluation: its file, its right classes, and which artifacts classified it correctly."""

    sha256: str | None
    classes: str
    correct: tuple[bool | None, ...]  # None where it does not count


@dataclass(frozen=True)
class SavedEvaluation:
    """A document of `evaluate --json`."""

    where: str
    artifacts: list[SavedFigures]
    pictures: dict[Key, SavedPicture]


def load(path: Path) -> SavedEvaluation:
    """The evaluation in the file at `path`.

    UsageError if it is not one, or if its figures are not those of its pictures, and so of another file.
    """
    return parse(read_json(path, LARGEST), path)


def parse(document: Any, path: Path) -> SavedEvaluation:
    """The evaluation in the `document` that `path` holds, as `load`."""
    schema = document.get("schema") if isinstance(document, Mapping) else None
    if schema != SCHEMA:
        got = str(schema)[:60]
        raise UsageError(
            f"{path} is not an evaluation. Required: what `edge-squeeze evaluate --json` printed (schema {SCHEMA}). "
            f"Got: {got}."
        )
    artifacts: list[SavedFigures] = decode(list[SavedFigures], document.get("artifacts"), f"{path}: artifacts")
    columns = decode(list[str], document.get("columns"), f"{path}: columns")
    rows = decode(list[list[Any]], document.get("rows"), f"{path}: rows")
    saved = SavedEvaluation(str(path), artifacts, _pictures(artifacts, columns, rows, path))
    for at, artifact in enumerate(artifacts):
        _check(artifact, [picture.correct[at] for picture in saved.pictures.values()], path)
    return saved


def _pictures(
    artifacts: Sequence[SavedFigures], columns: Sequence[str], rows: Sequence[Sequence[Any]], path: Path
) -> dict[Key, SavedPicture]:
    wanted = [*OF_PICTURE, *(CORRECT.format(artifact.name) for artifact in artifacts)]
    if missing := [name for name in wanted if name not in columns]:
        raise UsageError(f"{path} lacks the columns {', '.join(missing)}.")
    name, sha256, classes, _, calibrated, *outcomes = (columns.index(column) for column in wanted)
    for row in rows:
        if len(row) != len(columns) or not isinstance(row[name], str) or not isinstance(row[classes], str):
            raise UsageError(f"{path}: a row must have {len(columns)} values, as its columns say.")
    pictures = []
    for row in rows:
        correct = tuple(None if row[calibrated] or row[at] is None else bool(row[at]) for at in outcomes)
        pictures.append(SavedPicture(row[sha256], row[classes], correct))
    return dict(zip(_keys(row[name] for row in rows), pictures, strict=True))


def _keys(names: Iterable[str]) -> Iterator[Key]:
    """Each of `names` with how often it came before: a list may have a picture twice."""
    count: Counter[str] = Counter()
    for name in names:
        yield name, count[name]
        count[name] += 1


def _check(artifact: SavedFigures, outcomes: Sequence[bool | None], path: Path) -> None:
    """Raise UsageError if the figures of `artifact` are not those of the `outcomes` of its pictures."""
    counted = [outcome for outcome in outcomes if outcome is not None]
    right = None if artifact.top1 is None else artifact.top1 * artifact.labeled
    if len(counted) != artifact.labeled or abs(sum(counted) - (right or 0)) > ROUNDING:
        raise UsageError(
            f"{path}: the figures of {artifact.name} are not those of its pictures: {right or 0:.0f} of "
            f"{artifact.labeled:,} are correct by its top1, {sum(counted):,} of {len(counted):,} by its rows. They are "
            "of different files. Evaluate it again."
        )


def compare(table: Table, artifacts: Sequence[Figures], saved: SavedEvaluation) -> list[Comparison]:
    """Each of `artifacts`, the first arms of `table`, with the one of `saved` that has its name.

    Where there is only one on either side, names do not matter. An artifact without a counterpart is incomparable, and
    all are if the pictures or their labels differ.
    """
    names = [figure.name for figure in artifacts]
    before = {artifact.name: at for at, artifact in enumerate(saved.artifacts)}
    if len(names) == len(before) == 1:  # a renamed file is still the successor of the other
        before = {names[0]: 0}
    different = _difference(table, saved)
    comparisons: list[Comparison] = []
    ready: list[tuple[tuple[str, str, str | None, str | None], Pairs]] = []
    for at, figure in enumerate(artifacts):
        position = before.get(figure.name)
        if position is None or different:
            reason = different or f"{saved.where} has no artifact of this name"
            comparisons.append(_incomparable(figure.name, figure.sha256, reason, saved, position))
            continue
        base = saved.artifacts[position]
        keys = _keys(picture.name for picture in table.pictures)
        pairs = _pairs(table, at, [saved.pictures[key].correct[position] for key in keys])
        if pairs is None:
            comparisons.append(_incomparable(figure.name, figure.sha256, NO_LABELS, saved, position))
        else:
            ready.append(((f"{base.name} of {saved.where}", figure.name, base.sha256, figure.sha256), pairs))
    gone = [name for name in before if name not in names]
    comparisons += [_incomparable(name, None, "it was not evaluated now", saved, before[name]) for name in gone]
    judged = figures.judge([who for who, _ in ready], [pairs for _, pairs in ready])
    return [*judged, *comparisons]


def _pairs(table: Table, at: int, before: Sequence[bool | None]) -> Pairs | None:
    both = table.labeled & np.array([outcome is not None for outcome in before], np.bool_)
    if not both.any():
        return None
    return Pairs.of(table.correct(at)[both], np.array([bool(outcome) for outcome in before])[both])


def _difference(table: Table, saved: SavedEvaluation) -> str | None:
    """How the pictures of two evaluations differ, if they do."""
    keys = _keys(picture.name for picture in table.pictures)
    now = {key: (row[1], row[2]) for key, row in zip(keys, table.of_pictures(), strict=True)}
    then = {key: (picture.sha256, picture.classes) for key, picture in saved.pictures.items()}
    if alone := sorted(now.keys() ^ then.keys()):
        return f"pictures are in one of the evaluations alone ({len(alone):,}): {alone[0][0]}, ..."
    for what, part in (("files", 0), ("labels", 1)):
        if unlike := [key for key in now if now[key][part] != then[key][part]]:
            return f"the {what} of pictures differ ({len(unlike):,} of {len(now):,}): {unlike[0][0]}, ..."
    return None


def _incomparable(
    name: str, sha256: str | None, reason: str, saved: SavedEvaluation, position: int | None
) -> Comparison:
    base = None if position is None else saved.artifacts[position]
    return Comparison(
        base=f"{base.name if base else name} of {saved.where}",
        cand=name,
        base_sha256=base.sha256 if base else None,
        cand_sha256=sha256,
        verdict=INCOMPARABLE,
        reason=reason,
    )


def exit_code(comparisons: Sequence[Comparison]) -> ExitCode:
    """What a comparison with an earlier evaluation ends with: 8, 10, 9 or 0, the worst first."""
    verdicts = {each.verdict for each in comparisons}
    codes = {WORSE: ExitCode.REGRESSION, INCOMPARABLE: ExitCode.INCOMPARABLE, UNCLEAR: ExitCode.INCONCLUSIVE}
    return next((code for verdict, code in codes.items() if verdict in verdicts), ExitCode.OK)
