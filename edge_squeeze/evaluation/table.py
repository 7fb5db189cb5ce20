"""The answers of an evaluation in memory: some forty bytes for each picture and arm, in the order of the pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.evaluation.chunks import SIZE, TOP, Answer, Arm, Row, Rows
from edge_squeeze.pictures.labeled import LabeledPicture

Outcomes = NDArray[np.bool_]
NONE = -1  # where there is no class
OF_PICTURE = ("picture", "sha256", "classes", "error", "calibrated")
OF_ARM = ("top1", "correct", "top5_correct", "confidence", "agrees", "kl")


@dataclass
class Answers:
    """What one arm said of each picture [N]."""

    top: NDArray[np.int32]  # [N,5], -1 behind the last class
    confidence: NDArray[np.float64]
    kl: NDArray[np.float64]  # NaN where it is not known

    @classmethod
    def empty(cls, count: int) -> Answers:
        """Room for `count` pictures."""
        return cls(np.full((count, TOP), NONE, np.int32), np.zeros(count), np.full(count, np.nan))

    def put(self, at: int, answer: Answer) -> None:
        """Keep the answer for the picture `at`."""
        self.top[at, : len(answer.top)] = answer.top
        self.confidence[at] = answer.confidence
        self.kl[at] = np.nan if answer.kl is None else answer.kl

    def answer(self, at: int) -> Answer:
        """The answer for the picture `at` that was `put`."""
        kl = None if np.isnan(self.kl[at]) else float(self.kl[at])
        return Answer([best for best in self.top[at].tolist() if best != NONE], float(self.confidence[at]), kl)


@dataclass
class Table:
    """Pictures with their right classes, and what each arm said of them."""

    pictures: Sequence[LabeledPicture]
    arms: Sequence[Arm]
    errors: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.pictures)
        self.digests = np.zeros((count, 32), np.uint8)
        self.answered = np.zeros(count, np.bool_)
        self.calibrated = np.zeros(count, np.bool_)
        self.answers = [Answers.empty(count) for _ in self.arms]

    def put(self, rows: Rows) -> None:
        """Keep the rows of a chunk."""
        for at, row in enumerate(rows.rows, start=rows.number * SIZE):
            if row.sha256 is not None:
                self.digests[at] = np.frombuffer(bytes.fromhex(row.sha256), np.uint8)
            if row.error is not None:
                self.errors[at] = row.error
                continue
            self.answered[at], self.calibrated[at] = True, row.calibrated
            for answers, answer in zip(self.answers, row.answers, strict=True):
                answers.put(at, answer)

    @cached_property
    def counted(self) -> Outcomes:
        """Which pictures figures are made of: those that were answered, and that no arm was calibrated on."""
        return self.answered & ~self.calibrated

    @cached_property
    def labeled(self) -> Outcomes:
        """Which of those have a right class."""
        return self.counted & np.array([bool(picture.classes) for picture in self.pictures], np.bool_)

    def correct(self, arm: int, top: int = 1) -> Outcomes:
        """For each picture, whether a right class is among the `top` best of `arm`."""
        named = self.answers[arm].top[:, :top].tolist()
        pairs = zip(self.pictures, named, strict=True)
        return np.array([not picture.classes.isdisjoint(best) for picture, best in pairs], np.bool_)

    def agrees(self, arm: int) -> Outcomes | None:
        """For each picture, whether `arm` and its original name the same class; None without an original."""
        original = self.arms[arm].original
        if original is None:
            return None
        named = self.answers[arm].top[:, 0]
        agrees: Outcomes = (named == self.answers[original].top[:, 0]) & (named != NONE)
        return agrees

    def columns(self) -> list[str]:
        """The names of what `rows` gives of each picture."""
        return [*OF_PICTURE, *(f"{arm.name} {name}" for arm in self.arms for name in OF_ARM)]

    def of_pictures(self) -> Iterator[list[Any]]:
        """What is known of each picture without the arms, in the order of OF_PICTURE."""
        for at, picture in enumerate(self.pictures):
            digest = self.digests[at].tobytes().hex() if self.digests[at].any() else None
            classes = " ".join(map(str, sorted(picture.classes)))
            yield [picture.name, digest, classes, self.errors.get(at), bool(self.calibrated[at])]

    def packed(self) -> Iterator[Row]:
        """The rows that were `put`, in order."""
        for at, (_, digest, _, error, calibrated) in enumerate(self.of_pictures()):
            answers = [each.answer(at) for each in self.answers] if self.answered[at] else []
            yield Row(digest, error, calibrated, answers)

    def rows(self) -> Iterator[list[Any]]:
        """Each picture as a list of plain values, None for what is not known, in the order of `columns`."""
        outcomes = [(self.correct(arm), self.correct(arm, TOP), self.agrees(arm)) for arm in range(len(self.arms))]
        for at, row in enumerate(self.of_pictures()):
            cells = [None] * (len(OF_ARM) * len(self.arms))
            if self.answered[at]:
                pairs = zip(self.answers, outcomes, strict=True)
                cells = [cell for answers, outcome in pairs for cell in self._cells(at, answers, outcome)]
            yield [*row, *cells]

    def _cells(self, at: int, answers: Answers, outcome: tuple[Outcomes, Outcomes, Outcomes | None]) -> list[Any]:
        correct, top5, agrees = outcome
        labeled = bool(self.pictures[at].classes)
        return [
            None if answers.top[at, 0] == NONE else int(answers.top[at, 0]),
            bool(correct[at]) if labeled else None,
            bool(top5[at]) if labeled else None,
            float(answers.confidence[at]),
            None if agrees is None else bool(agrees[at]),
            None if np.isnan(answers.kl[at]) else float(answers.kl[at]),
        ]
