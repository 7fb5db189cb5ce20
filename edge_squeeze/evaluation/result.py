"""The result of an evaluation: how good each file is, how sure that is, and how files compare picture by picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_squeeze.evaluation.table import Table
from edge_squeeze.proof.accuracy import Interval
from edge_squeeze.reporting import html_table

SCHEMA = "edge_squeeze.evaluation/1"  # of the document that it is saved as
COLUMNS = ("artifact", "top-1", "95 %", "top-5", "agreement", "of the original's", "verdict")


@dataclass(frozen=True)
class ClassFigure:
    """How many of the pictures of a class were classified correctly."""

    label: str
    index: int
    correct: int
    pictures: int


@dataclass(frozen=True)
class PictureFigure:
    """A picture that was answered badly: with which class, how confidently, and what would have been right."""

    picture: str
    answer: str
    confidence: float
    right: list[str]
    kl: float | None


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What the answers of one arm come to. Shares are from 0 to 1, intervals of 95 %; None for what is not known."""

    name: str
    sha256: str | None  # of the model file that these figures belong to; of an original, of its weights
    pictures: int
    labeled: int  # those of them that accuracy is measured on
    top1: float | None
    top1_interval: Interval | None
    top5: float | None  # None for five classes or fewer
    top5_interval: Interval | None
    agreement: float | None  # with the original, on the best class
    agreement_interval: Interval | None
    kl: float | None  # mean Kullback-Leibler divergence from the original's scores, in nats
    confidence: float  # mean score of the best class
    confidence_drift: float | None  # by how much that is above the original's
    ratio: float | None  # of top1 to the original's
    ratio_interval: Interval | None
    verdict: str | None  # pass | fail | unproven: whether 98 % of the original's accuracy is kept
    reason: str
    not_finite: int  # pictures whose scores are not finite numbers; they count as wrong
    worst_classes: list[ClassFigure] = field(default_factory=list)
    worst_pictures: list[PictureFigure] = field(default_factory=list)

    def __repr__(self) -> str:
        accuracy = "no labels" if self.top1 is None else f"top-1 {self.top1:.1%}"
        verdict = f", {self.verdict.upper()}" if self.verdict else ""
        return f"<Figures of {self.name} on {self.pictures:,} pictures: {accuracy}{verdict}>"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The accuracy of `cand` minus that of `base`, on the same pictures.

    `p_adjusted` is McNemar's exact p-value, corrected for the number of comparisons. `verdict` is better, worse, equal
    (surely within one percentage point) or unclear; incomparable if `reason` says so.
    """

    base: str
    cand: str
    base_sha256: str | None
    cand_sha256: str | None
    verdict: str
    pictures: int = 0
    difference: float | None = None
    interval: Interval | None = None
    base_only: int = 0  # pictures that only the one classified correctly
    cand_only: int = 0
    p: float | None = None
    p_adjusted: float | None = None
    reason: str | None = None

    def __repr__(self) -> str:
        difference = "" if self.difference is None else f" by {100 * self.difference:+.1f} points"
        return f"<Comparison of {self.cand} with {self.base}: {self.verdict}{difference}>"


@dataclass(frozen=True)
class Rates:
    """Pictures per second of the evaluation, and of decoding and of running alone on as many cores."""

    pictures: int
    seconds: float
    per_s: float
    decode_per_s: float
    run_per_s: float

    @property
    def bound_per_s(self) -> float:
        """What the two rates allow together."""
        return 1 / (1 / self.decode_per_s + 1 / self.run_per_s)


@dataclass(frozen=True)
class Evaluation:
    """A whole evaluation. `unreadable` has the message for each picture that could not be used."""

    source: str
    artifacts: list[Figures]
    originals: list[Figures]
    comparisons: list[Comparison]
    unreadable: dict[str, str]
    calibrated: int  # pictures that were left out since a file was calibrated on them
    notes: list[str]
    executor: str
    workers: int
    resumed: int  # pictures that an interrupted evaluation had finished
    rates: Rates | None  # None if nothing was left to do
    table: Table = field(repr=False, compare=False)
    created_utc: str = ""
    against: list[Comparison] | None = None  # with an earlier evaluation, if there is one
    count: int = 0  # of all pictures that are there, before some were left out; of the sample, if one was drawn
    learned: int = 0  # pictures that were left out since a network has learned from them
    remarks: list[str] = field(default_factory=list)  # those of the notes that the figures must not be read without

    def __repr__(self) -> str:
        best = "; ".join(repr(figures)[1:-1] for figures in self.artifacts)
        return f"<Evaluation on {self.source}: {best}>"

    def _repr_html_(self) -> str:
        return html_table(COLUMNS, [cells(figures) for figures in (*self.artifacts, *self.originals)])

    @property
    def columns(self) -> list[str]:
        """The names of the values in each of `rows`."""
        return self.table.columns()

    def rows(self) -> Iterator[dict[str, Any]]:
        """A dictionary for each picture, as `pandas.DataFrame(list(evaluation.rows()))` takes them."""
        names = self.columns
        return (dict(zip(names, row, strict=True)) for row in self.table.rows())


def cells(figures: Figures) -> tuple[str, ...]:
    """The figures of an arm as text, in the order of COLUMNS."""
    return (
        figures.name,
        _percent(figures.top1),
        _percents(figures.top1_interval),
        _percent(figures.top5),
        _percent(figures.agreement),
        _percent(figures.ratio) + (f" ({_percents(figures.ratio_interval)})" if figures.ratio_interval else ""),
        (figures.verdict or "").upper(),
    )


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _percents(interval: Sequence[float] | None) -> str:
    return "" if interval is None else "{:.1f}-{:.1f}".format(*(100 * bound for bound in interval))
