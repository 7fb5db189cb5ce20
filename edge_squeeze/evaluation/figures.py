"""From the answers to the figures: accuracy, agreement, drift, verdicts, the worst classes and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edge_squeeze.evaluation.chunks import TOP
from edge_squeeze.evaluation.result import ClassFigure, Comparison, Figures, PictureFigure
from edge_squeeze.evaluation.table import NONE, Outcomes, Table
from edge_squeeze.proof import accuracy
from edge_squeeze.proof.accuracy import EQUAL, MLPERF_RATIO, Pairs, share
from edge_squeeze.proof.parity import FAIL, UNPROVEN, wilson

WORST = 5
NO_LABELS = "no picture has a label"


def of_arm(table: Table, at: int, labels: Sequence[str], without_original: str | None = None) -> Figures:
    """The figures of the arm `at`.

    Args:
        table: The answers.
        at: Position of the arm.
        labels: The names of the classes.
        without_original: Why its original is no arm, if so.
    """
    arm, answers, counted, labeled = table.arms[at], table.answers[at], table.counted, table.labeled
    correct = table.correct(at)
    top1, top1_interval = share(correct[labeled])
    many = len(labels) > TOP  # of five classes or fewer, all are among the best five
    top5, top5_interval = share(table.correct(at, TOP)[labeled]) if many else (None, None)
    agrees, original = table.agrees(at), arm.original
    agreement, agreement_interval = (None, None) if agrees is None else share(agrees[counted])
    divergences = answers.kl[counted & ~np.isnan(answers.kl)]
    confidence = float(answers.confidence[counted].mean())
    drift = None if original is None else confidence - float(table.answers[original].confidence[counted].mean())
    figures = Figures(
        name=arm.name,
        sha256=arm.sha256,
        pictures=int(counted.sum()),
        labeled=int(labeled.sum()),
        top1=top1,
        top1_interval=top1_interval,
        top5=top5,
        top5_interval=top5_interval,
        agreement=agreement,
        agreement_interval=agreement_interval,
        kl=float(divergences.mean()) if len(divergences) else None,
        confidence=confidence,
        confidence_drift=drift,
        ratio=None,
        ratio_interval=None,
        verdict=None,
        reason=without_original or "",
        not_finite=int((answers.top[counted, 0] == NONE).sum()),
        worst_classes=_worst_classes(table, correct, labels),
        worst_pictures=_worst_pictures(table, at, correct, agrees, labels),
    )
    return figures if original is None else _judged(figures, table, correct, original)


def _judged(figures: Figures, table: Table, correct: Outcomes, original: int) -> Figures:
    """`figures` with the share of the original's accuracy that is kept, and what that proves."""
    if not table.labeled.any():
        return replace(figures, verdict=UNPROVEN, reason=NO_LABELS)
    pairs = Pairs.of(correct[table.labeled], table.correct(original)[table.labeled])
    verdict, interval = accuracy.ratio_verdict(pairs), pairs.ratio_interval
    reason = "the original classifies no picture correctly"
    if interval is not None:
        bounds = f"{interval[0]:.1%} to {interval[1]:.1%} of the original's accuracy, required {MLPERF_RATIO:.0%}"
        few = f"; more than {len(correct[table.labeled]):,} labeled pictures are needed to be sure"
        reason = f"{bounds}{few if verdict == UNPROVEN else ''}"
    return replace(figures, ratio=pairs.ratio, ratio_interval=interval, verdict=verdict, reason=reason)


def compare(table: Table, artifacts: int) -> list[Comparison]:
    """The first artifact with each of the others, on the labeled pictures."""
    labeled = table.labeled
    if not labeled.any():
        return []
    base = table.correct(0)[labeled]
    pairs = [Pairs.of(table.correct(at)[labeled], base) for at in range(1, artifacts)]
    first, others = table.arms[0], table.arms[1:artifacts]
    names = [(first.name, arm.name, first.sha256, arm.sha256) for arm in others]
    return judge(names, pairs)


def judge(names: Sequence[tuple[str, str, str | None, str | None]], every: Sequence[Pairs]) -> list[Comparison]:
    """A comparison of each of `every` pair of outcomes, corrected for their number.

    Args:
        names: The baseline, the candidate, and the sha256 of both.
        every: Their outcomes.
    """
    corrected = accuracy.holm([pairs.p_value for pairs in every])
    return [
        Comparison(
            base=base,
            cand=cand,
            base_sha256=base_sha256,
            cand_sha256=cand_sha256,
            verdict=EQUAL if _is_same(pairs, base_sha256, cand_sha256) else accuracy.verdict(pairs, p_value),
            pictures=pairs.pictures,
            difference=pairs.difference,
            interval=pairs.difference_interval,
            base_only=pairs.base_only,
            cand_only=pairs.cand_only,
            p=pairs.p_value,
            p_adjusted=p_value,
        )
        for (base, cand, base_sha256, cand_sha256), pairs, p_value in zip(names, every, corrected, strict=True)
    ]


def _is_same(pairs: Pairs, base: str | None, cand: str | None) -> bool:
    """Whether two files with the hashes `base` and `cand` are one that answered alike: nothing is left to prove."""
    return base is not None and base == cand and not pairs.base_only and not pairs.cand_only


def _worst_classes(table: Table, correct: Outcomes, labels: Sequence[str]) -> list[ClassFigure]:
    """The classes that are surest to be bad: by the upper end of the interval of their accuracy."""
    counts: dict[int, list[int]] = {}
    for at in np.flatnonzero(table.labeled).tolist():
        for index in table.pictures[at].classes:
            count = counts.setdefault(index, [0, 0])
            count[0] += bool(correct[at])
            count[1] += 1
    bad = [(wilson(*count)[1], index) for index, count in counts.items() if count[0] < count[1]]
    return [ClassFigure(labels[index], index, *counts[index]) for _, index in sorted(bad)[:WORST]]


def _worst_pictures(
    table: Table, at: int, correct: Outcomes, agrees: Outcomes | None, labels: Sequence[str]
) -> list[PictureFigure]:
    """The wrong answers that are most confident; without labels, those that differ most from the original's."""
    answers = table.answers[at]
    if table.labeled.any():
        bad, badness = table.labeled & ~correct, answers.confidence
    elif agrees is not None:
        bad, badness = table.counted & ~agrees, np.nan_to_num(answers.kl)
    else:
        return []
    rows = np.flatnonzero(bad & (answers.top[:, 0] != NONE))
    order = rows[np.lexsort((rows, -badness[rows]))][:WORST]
    return [
        PictureFigure(
            table.pictures[row].name,
            labels[answers.top[row, 0]],
            float(answers.confidence[row]),
            [labels[index] for index in sorted(table.pictures[row].classes)],
            None if np.isnan(answers.kl[row]) else float(answers.kl[row]),
        )
        for row in order.tolist()
    ]


def failed(figures: Sequence[Figures]) -> bool:
    """Whether one of `figures` has surely lost too much of its original's accuracy."""
    return any(each.verdict == FAIL for each in figures)
