"""What a fine-tuning is worth: figures of the test pictures, and warnings about what they are based on."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.proof.parity import wilson
from edge_squeeze.scores import Scores
from edge_squeeze.training.collection import Rows

FEWEST_TESTED = 10  # of a class: with fewer, all of them right gives an interval that begins below 72 %
DOMINANT = 0.8  # of all pictures
WIDEST = 12  # classes of a matrix that is shown as text
MOST_NAMED = 8  # classes in a warning


@dataclass(frozen=True)
class ClassFigures:
    """How well the test pictures of one class are told from others; None where nothing was counted."""

    label: str
    tested: int
    precision: float | None  # of the pictures that get this class, the share that are of it
    recall: float | None  # of its pictures, the share that get it
    recall_interval: tuple[float, float]  # Wilson's, of 95 %


@dataclass(frozen=True)
class Report:
    """The answers for the test pictures, and the figures that follow from them."""

    labels: tuple[str, ...]
    truth: Rows  # [N]
    scores: Scores  # [N,classes]

    @cached_property
    def matrix(self) -> NDArray[np.intp]:
        """How many pictures of each true class get each class [true,predicted]."""
        count = len(self.labels)
        flat = np.bincount(self.truth * count + self.scores.argmax(axis=1), minlength=count * count)
        return flat.reshape(count, count)

    @property
    def right(self) -> int:
        """How many pictures get their class."""
        return int(self.matrix.trace())

    @property
    def tested(self) -> int:
        """How many pictures there are."""
        return len(self.truth)

    @property
    def accuracy(self) -> float:
        """The share that gets its class."""
        return self.right / self.tested

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy."""
        return wilson(self.right, self.tested)

    @property
    def chance(self) -> float:
        """The accuracy of always giving the most frequent class."""
        return float(self.matrix.sum(axis=1).max() / self.tested)

    @property
    def is_dead(self) -> bool:
        """Whether every picture gets the same scores."""
        return bool(np.ptp(self.scores, axis=0).max() < 1e-5)  # noqa: PLR2004 - of a batch's order

    def classes(self) -> tuple[ClassFigures, ...]:
        """The figures of each class."""
        figures = []
        for number, label in enumerate(self.labels):
            hits, tested = int(self.matrix[number, number]), int(self.matrix[number].sum())
            given = int(self.matrix[:, number].sum())
            precision, recall = (hits / count if count else None for count in (given, tested))
            figures.append(
                ClassFigures(label, tested, precision, recall, wilson(hits, tested) if tested else (0.0, 1.0))
            )
        return tuple(figures)

    def worst(self, most: int) -> list[int]:
        """The mistakes, most confident first, as positions among the test pictures."""
        predicted = self.scores.argmax(axis=1)
        wrong = np.flatnonzero(predicted != self.truth)
        order = np.argsort(-self.scores[wrong, predicted[wrong]], kind="stable")
        return [int(at) for at in wrong[order][:most]]

    def warnings(self, counts: Sequence[int]) -> tuple[str, ...]:
        """What to know before the accuracy is believed; `counts` are the pictures of each class in all parts."""
        texts = []
        few = [figures.label for figures in self.classes() if figures.tested < FEWEST_TESTED]
        if few:
            more = ", ..." if len(few) > MOST_NAMED else ""
            texts.append(
                f"Too few test pictures for a figure of their own: {', '.join(few[:MOST_NAMED])}{more} (below "
                f"{FEWEST_TESTED} each). Collect at least {FEWEST_TESTED * 5} pictures of each class."
            )
        largest = int(np.argmax(counts))
        if counts[largest] >= DOMINANT * sum(counts):
            texts.append(
                f"{counts[largest] / sum(counts):.0%} of all pictures are {self.labels[largest]}: look at the recall "
                "of the other classes, not at the accuracy."
            )
        if self.is_dead:
            texts.append(
                "Every test picture gets the same scores: the network is dead. Pass a lower --learning-rate, or "
                "another --seed."
            )
        elif self.interval[0] <= self.chance:
            texts.append(
                f"That is not significantly better than always giving the most frequent class ({self.chance:.1%}). "
                "Pass more pictures, or more --epochs."
            )
        return tuple(texts)

    def text(self) -> str:
        """The matrix as a table of text: a row for each true class, a column for each predicted one."""
        wide = max(len(str(self.matrix.max())), 3)
        first = [f"{number + 1:>3}  {label}" for number, label in enumerate(self.labels)]
        head = "true, then predicted"
        widest = max(len(head), *map(len, first))
        lines = [head.ljust(widest) + "".join(f" {number + 1:>{wide}}" for number in range(len(self.labels)))]
        for name, row in zip(first, self.matrix.tolist(), strict=True):
            lines.append(name.ljust(widest) + "".join(f" {count or '.':>{wide}}" for count in row))
        return "\n".join(lines) + "\n"

    def csv(self) -> str:
        """The matrix as a table with the names of the classes."""
        stream = io.StringIO(newline="")
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["true \\ predicted", *self.labels])
        for label, row in zip(self.labels, self.matrix.tolist(), strict=True):
            writer.writerow([label, *row])
        return stream.getvalue()
