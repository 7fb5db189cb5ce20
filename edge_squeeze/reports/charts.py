"""The geometry of the charts: positions in percent of their width, so that text keeps its size on every screen."""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from edge_squeeze.reports.document import Candidate, Choice, Course, Loss, Mixed, Moment

LEFT, RIGHT = 2.0, 98.0  # percent of the width that values are drawn between
STEPS = (1, 2, 2.5, 5, 10)
MOST_TICKS = 6
CLOSE_X, CLOSE_Y = 6.0, 9.0  # percent, within which letters would cover each other
LETTER = 15  # pixels
ALPHABET = string.ascii_uppercase
MB = 1e6
Figure = Callable[[Candidate], tuple[float, list[float] | None]]  # a value and its interval


@dataclass(frozen=True)
class Axis:
    """A linear scale from `low` to `high`; positions are percentages of the width, or of the height from below."""

    low: float
    high: float
    start: float = LEFT
    end: float = RIGHT

    def at(self, value: float) -> float:
        """Where `value` is, kept within the chart."""
        share = (value - self.low) / ((self.high - self.low) or 1)
        return round(self.start + min(max(share, 0.0), 1.0) * (self.end - self.start), 2)

    def width(self, low: float, high: float) -> float:
        """How wide the stretch from `low` to `high` is."""
        return round(self.at(high) - self.at(low), 2)

    @property
    def ticks(self) -> list[float]:
        """A few round values within the scale."""
        span = self.high - self.low
        if not span > 0:
            return [self.low]
        rough = span / (MOST_TICKS - 1)
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in STEPS if power * factor >= rough)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def from_zero(values: Iterable[float | None]) -> Axis:
    """A scale from zero to a little above the highest of `values`."""
    return Axis(0.0, 1.04 * max((value for value in values if value is not None), default=1.0) or 1.0)


def around(
    values: Iterable[float | None], *, at_most: float = math.inf, start: float = LEFT, end: float = RIGHT
) -> Axis:
    """A scale around `values`, wider by a tenth, that does not go above `at_most`."""
    there = [value for value in values if value is not None] or [0.0, 1.0]
    low, high = min(there), max(there)
    margin = 0.1 * (high - low) or 0.05 * abs(high) or 1.0
    return Axis(low - margin, min(high + margin, max(at_most, high)), start, end)


@dataclass(frozen=True)
class Mark:
    """A file in a chart of two figures; positions are percentages, `shift` is of its letter, in pixels."""

    letter: str
    x: float
    y: float
    x_interval: list[float] | None
    y_interval: list[float] | None
    shift: int
    kind: str  # recommended | front | dominated | excluded
    title: str


@dataclass(frozen=True)
class Scatter:
    """A chart of agreement, or of another figure, over latency or size."""

    title: str
    unit: str
    x: Axis
    y: Axis
    marks: list[Mark]
    y_unit: str = "% agree"
    y_factor: float = 100  # from the figure to what is written at its scale


def scatters(choice: Choice) -> list[Scatter]:
    """Agreement over latency, and over size, as far as they are known."""
    known = [each for each in choice.candidates if each.agreement is not None]
    y = around(
        [bound for each in known for bound in (each.agreement, *(each.agreement_interval or []))],
        at_most=1,
        start=8,
        end=78,
    )
    timed = [each for each in known if each.latency_ms is not None]
    charts = []
    if timed:
        x = from_zero([bound for each in timed for bound in (each.latency_ms, *(each.latency_interval or []))])
        charts.append(Scatter("Latency and agreement", "ms", x, y, _marks(choice, timed, x, y, _latency)))
    if known:
        x = from_zero([each.size_bytes / MB for each in known])
        charts.append(Scatter("Size and agreement", "MB", x, y, _marks(choice, known, x, y, _size)))
    return charts


def letters(choice: Choice) -> dict[str, str]:
    """A letter for each file of `choice`, by its name."""
    return {each.name: _letter(at) for at, each in enumerate(choice.candidates)}


def _letter(at: int) -> str:
    return ALPHABET[at] if at < len(ALPHABET) else str(at + 1)


def _marks(choice: Choice, candidates: Sequence[Candidate], x: Axis, y: Axis, figure: Figure) -> list[Mark]:
    named, marks = letters(choice), []
    points = [(x.at(figure(each)[0]), y.at(each.agreement or 0)) for each in candidates]
    for each, point, shift in zip(candidates, points, shifts(points), strict=True):
        _, interval = figure(each)
        mark = Mark(
            letter=named[each.name],
            x=point[0],
            y=100 - point[1],
            x_interval=interval and [x.at(bound) for bound in interval],
            y_interval=each.agreement_interval and [100 - y.at(bound) for bound in each.agreement_interval],
            shift=shift,
            kind=_kind(each, choice),
            title=each.name,
        )
        marks.append(mark)
    return marks


def _latency(candidate: Candidate) -> tuple[float, list[float] | None]:
    return candidate.latency_ms or 0, candidate.latency_interval


def _size(candidate: Candidate) -> tuple[float, list[float] | None]:
    return candidate.size_bytes / MB, None


def _kind(candidate: Candidate, choice: Choice) -> str:
    if candidate.name == choice.recommended:
        return "recommended"
    if candidate.against is not None:
        return "excluded"
    return "front" if candidate.on_front else "dominated"


def shifts(points: Sequence[tuple[float, float]]) -> list[int]:
    """How far each point's letter is moved up, in pixels, so that letters of points close to each other stay apart."""
    placed: list[tuple[float, float, int]] = []
    for x, y in points:
        level = 0
        while any(
            abs(x - there) < CLOSE_X and abs(y - height) < CLOSE_Y and level == at for there, height, at in placed
        ):
            level += 1
        placed.append((x, y, level))
    return [level * LETTER for *_, level in placed]


@dataclass(frozen=True)
class Point:
    """One report's figure in a trend; positions are percentages."""

    x: float
    y: float
    interval: list[float] | None
    changed: bool
    value: float


@dataclass(frozen=True)
class Trend:
    """One figure of a file over time."""

    title: str
    unit: str
    points: list[Point]


def trends(course: Course) -> list[Trend]:
    """The figures of a file that at least two reports have, latencies only under the condition of the last one."""
    moments = course.moments
    condition = next((each.condition for each in reversed(moments) if each.condition), None)
    same = [each.condition == condition for each in moments]
    made = [
        _trend(
            "p50",
            "ms",
            moments,
            [
                (each.latency_ms, each.latency_interval) if kept else (None, None)
                for each, kept in zip(moments, same, strict=True)
            ],
        ),
        _trend("Size", "MB", moments, [(each.size_bytes / MB, None) for each in moments]),
        _trend("Agreement", "%", moments, [_percent(each.agreement, each.agreement_interval) for each in moments]),
        _trend("Top-1", "%", moments, [_percent(each.top1, each.top1_interval) for each in moments]),
    ]
    return [trend for trend in made if len(trend.points) > 1]


def _percent(share: float | None, interval: list[float] | None) -> tuple[float | None, list[float] | None]:
    return None if share is None else 100 * share, interval and [100 * bound for bound in interval]


def _trend(
    title: str, unit: str, moments: Sequence[Moment], figures: Sequence[tuple[float | None, list[float] | None]]
) -> Trend:
    x = Axis(0, len(moments) - 1, 4, 96)
    most = 100 if unit == "%" else math.inf
    y = around([bound for value, interval in figures for bound in (value, *(interval or []))], at_most=most)
    points = []
    for at, (moment, (value, interval)) in enumerate(zip(moments, figures, strict=True)):
        if value is not None:
            bounds = interval and [100 - y.at(bound) for bound in interval]
            points.append(Point(x.at(at), 100 - y.at(value), bounds, moment.changed, value))
    return Trend(title, unit, points)


def layer_axis(loss: Loss) -> Axis:
    """The scale of what layers cost, in thousandths of a nat."""
    return from_zero(
        [1e3 * value for each in loss.layers for value in (each.kl_weights, each.kl_activations) if value is not None]
    )


def gain_axis(loss: Loss) -> Axis:
    """The scale of what keeping layers in float gives back, in thousandths of a nat; it may be negative."""
    bounds = [1e3 * bound for each in loss.layers for bound in (each.gain, *(each.gain_interval or [])) if bound]
    return Axis(1.04 * min(bounds, default=0.0) if min(bounds, default=0.0) < 0 else 0.0, from_zero(bounds).high)


def frontier(points: Sequence[Mixed]) -> list[Scatter]:
    """Agreement and divergence over latency by the number of layers in float, if two files are known at least."""
    files = next((f", measured as .{each.format} files" for each in points if each.format), "")
    title = f"{{}} by the number of layers in float{files}".format
    known = [each for each in points if each.latency_us is not None]
    of_integers = next((each.agreement for each in points if not each.kept), None)
    agreements = [(each.agreement, _agreement_interval(each, of_integers)) for each in known]
    divergences = [(None if each.kl is None else 1e3 * each.kl, None) for each in known]
    charts = [
        _frontier(title("Latency and agreement"), known, agreements),
        _frontier(title("Latency and mean KL"), known, divergences, "thousandths of a nat", 1),
    ]
    return [chart for chart in charts if len(chart.marks) > 1]


def _agreement_interval(each: Mixed, of_integers: float | None) -> list[float] | None:
    """The agreement with integers alone, plus the interval of the gain, as far as a share can go."""
    if not each.kept or each.gain_interval is None or of_integers is None:
        return None
    return [min(max(of_integers + bound, 0.0), 1.0) for bound in each.gain_interval]


def _frontier(
    title: str,
    files: Sequence[Mixed],
    figures: Sequence[tuple[float | None, list[float] | None]],
    unit: str = "% agree",
    factor: float = 100,
) -> Scatter:
    known = [
        (str(len(each.kept)), each.latency_us / 1e3, value, interval)
        for each, (value, interval) in zip(files, figures, strict=True)
        if each.latency_us is not None and value is not None
    ]
    most = 1 if factor > 1 else math.inf  # of shares
    values = [bound for *_, value, interval in known for bound in (value, *(interval or []))]
    x, y = from_zero([ms for _, ms, *_ in known]), around(values, at_most=most, start=8, end=78)
    points = [(x.at(ms), y.at(value)) for _, ms, value, _ in known]
    marks = [
        Mark(
            number,
            left,
            100 - up,
            None,
            interval and [100 - y.at(bound) for bound in interval],
            shift,
            "front",
            f"{number} layers in float",
        )
        for (number, *_, interval), (left, up), shift in zip(known, points, shifts(points), strict=True)
    ]
    return Scatter(title, "ms", x, y, marks, unit, factor)
