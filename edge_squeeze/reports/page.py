"""The page of a report: HTML that holds its style, its charts and its pictures, and asks nobody for anything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_squeeze import packages
from edge_squeeze.errors import UsageError
from edge_squeeze.files import atomic
from edge_squeeze.proof.parity import FAIL
from edge_squeeze.reporting import megabytes
from edge_squeeze.reports import charts, choice
from edge_squeeze.reports.document import Accuracy, Candidate, Doubt, License, Parity, Picture, Report, Subject
from edge_squeeze.reports.parity import HIGHEST, LOWEST, REPORT, WORST

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
PAGE = "report.html.jinja"
TEMPLATE_ENGINE = "jinja2"
NOTHING = "\N{EN DASH}"
SMALL, LARGE = 1.0, 100.0  # milliseconds with three digits, and without any behind the point
TINY = 1e-3  # numbers below are written with an exponent
MOST_LAYERS = 12  # that are shown at once
NOTABLE = 1e-4  # divergence, in nats, from which on a picture is worth looking at


def render(report: Report, thumbnails: Mapping[str, Mapping[str, str]]) -> str:
    """The text of the page.

    Args:
        report: What it says.
        thumbnails: Data URIs of pictures by the sha256 of the model file and the picture's name.
    """
    times = choice.latencies(report.artifacts)
    return fill(
        PAGE,
        report=report,
        networks=list(dict.fromkeys(subject.network for subject in report.artifacts)),
        tool=report.tool,
        times=times,
        candidates={each.name: each for group in report.choices for each in group.candidates},
        shorts=short_names([subject.name for subject in report.artifacts]),
        timed=[(subject, each) for subject in report.artifacts for each in subject.latency],
        time_axis=time_axis(report.artifacts),
        worst=[(subject, notable(subject.parity)) for subject in report.artifacts],
        thumbnails=thumbnails,
        commands=commands(report),
        accuracies=accuracies(report),
        licenses=licenses(report),
        losses=[(subject, loss) for subject in report.artifacts for loss in subject.losses],
        most_layers=MOST_LAYERS,
        verdicts=verdicts(report),
        doubts=doubts(report),
        histogram_ends=(LOWEST, HIGHEST),
    )


def can_be_made() -> bool:
    """Whether there is something to make pages with."""
    return packages.is_installed(TEMPLATE_ENGINE)


def require(purpose: str) -> None:
    """Raise MissingDependencyError if there is nothing to make pages with, which is needed for `purpose`."""
    if not can_be_made():
        raise packages.missing(TEMPLATE_ENGINE, "report", purpose)


def fill(template: str, **context: Any) -> str:
    """The text of the page `template`."""
    text: str = _environment().get_template(template).render(nothing=NOTHING, **context)
    return text


def save(path: Path, text: str, option: str) -> None:
    """Write `text` to `path`, which `option` names; UsageError if the disk does not take it."""
    try:
        atomic.write_file(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error}. Give {option} another FILE.") from error


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ms": ms,
        "percent": percent,
        "percent_value": lambda share: percent(share).removesuffix(" %"),
        "number": number,
        "exact": lambda value: NOTHING if value is None else f"{value:.4g}",
        "times": times_interval,
        "percents": percents,
        "megabytes": megabytes,
        "short_sha": short_sha,
        "thousandths": thousandths,
        "minute": lambda text: (text or "")[:16].replace("T", " "),
        "day": lambda text: (text or "")[:10],
    }
    environment.globals |= {
        "scatters": charts.scatters,
        "letters": charts.letters,
        "trends": charts.trends,
        "layer_axis": charts.layer_axis,
        "gain_axis": charts.gain_axis,
        "frontier_charts": charts.frontier,
        "known_figures": known_figures,
    }
    return environment


def ms(value: float | None) -> str:
    """Milliseconds with three digits."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:.3g}" if value < SMALL else f"{value:.2f}" if value < LARGE else f"{value:,.0f}"


def times_interval(bounds: Sequence[float] | None) -> str:
    """An interval of milliseconds or ratios."""
    return NOTHING if bounds is None else "\N{EN DASH}".join(map(ms, bounds))


def percent(share: float | None) -> str:
    """A share as a percentage with one decimal."""
    return NOTHING if share is None or not math.isfinite(share) else f"{share:.1%}".replace("%", " %")


def percents(bounds: Sequence[float] | None) -> str:
    """An interval of shares, in percent."""
    return NOTHING if bounds is None else "\N{EN DASH}".join(f"{100 * bound:.0f}" for bound in bounds)


def number(value: float | None) -> str:
    """A number with two digits, with an exponent where it is small."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:.1e}" if 0 < abs(value) < TINY else f"{value:.2g}"


def thousandths(value: float | None, factor: float = 1e3, digits: int = 2) -> str:
    """What is added, in thousandths of a nat, with its sign; with a `factor` of 100, a share in points."""
    return NOTHING if value is None or not math.isfinite(value) else f"{factor * value:+.{digits}f}"


def short_sha(sha256: str | None) -> str:
    """The visible part of a sha256."""
    return NOTHING if sha256 is None else sha256[: choice.SHORT]


def short_names(names: Sequence[str]) -> dict[str, str]:
    """`names` without the words that all of them begin with, where something is left of each."""
    words = [name.split("-") for name in names]
    shared = 0
    while (
        len(names) > 1 and all(len(each) > shared + 1 for each in words) and len({each[shared] for each in words}) == 1
    ):
        shared += 1
    return {name: " ".join(each[shared:]) for name, each in zip(names, words, strict=True)}


def known_figures(candidates: Sequence[Candidate]) -> str:
    """Which figures of `candidates` are known, in words."""
    figures = ["size"]
    figures += ["latency"] if any(each.latency_ms is not None for each in candidates) else []
    figures += ["agreement"] if any(each.agreement is not None for each in candidates) else []
    return " and ".join(filter(None, (", ".join(figures[:-1]), figures[-1])))


def time_axis(subjects: Sequence[Subject]) -> charts.Axis:
    """The scale of all latencies."""
    times = [each for subject in subjects for each in subject.latency]
    values = [value for each in times for value in (each.p50_ms, *(each.p50_interval or []), *each.quantiles_ms)]
    return charts.from_zero(values)


def notable(parity: Parity) -> list[Picture]:
    """The worst pictures, as far as they differ from the original's by more than rounding."""
    return [each for each in parity.worst[:WORST] if each.kl is None or each.kl >= NOTABLE or each.agrees is False]


def verdicts(report: Report) -> list[tuple[str, list[str]]]:
    """What is said of the proofs, and of which files."""
    shorts = short_names([subject.name for subject in report.artifacts])
    said: dict[str, list[str]] = {}
    for subject in report.artifacts:
        said.setdefault(_verdict(subject.parity), []).append(shorts[subject.name])
    return list(said.items())


def _verdict(parity: Parity) -> str:
    parts = [
        parity.reason or "no reason was recorded",
        parity.basis and f"on {parity.basis}",
        parity.runtime and f"with {parity.runtime}",
        "computed for this report" if parity.origin == REPORT else "as it was exported",
    ]
    sizes = [
        f"at {' x '.join(map(str, size.size))}: {percent(size.agreement)} of {size.pictures} agree"
        for size in parity.sizes
    ]
    return "; ".join([", ".join(filter(None, parts)), *sizes])


def doubts(report: Report) -> list[tuple[str, str, str | None, list[str]]]:
    """The checks that warned or failed: which, whether one failed, what to do first, and for which files."""
    shorts = short_names([subject.name for subject in report.artifacts])
    kinds: dict[str, list[tuple[Doubt, str]]] = {}
    for subject in report.artifacts:
        for latency in subject.latency:
            for doubt in latency.doubts:
                kinds.setdefault(doubt.id, []).append((doubt, shorts[subject.name]))
    rows = []
    for name, pairs in kinds.items():
        worst, _ = min(pairs, key=lambda pair: pair[0].status != FAIL)
        rows.append((name, worst.status, worst.hint, list(dict.fromkeys(short for _, short in pairs))))
    return rows


def accuracies(report: Report) -> list[tuple[str, Accuracy]]:
    """The rows of the table of accuracies: the artifacts, then their originals; none without an evaluation."""
    shorts = short_names([subject.name for subject in report.artifacts])
    rows = [(shorts[subject.name], figures) for subject in report.artifacts for figures in subject.accuracy]
    return [*rows, *((figures.name, figures) for figures in report.originals)]


def licenses(report: Report) -> list[tuple[License, list[str]]]:
    """Each license, and the files that it concerns."""
    concerned: dict[License, list[str]] = {}
    for subject in report.artifacts:
        for each in subject.licenses:
            concerned.setdefault(each, []).append(subject.name)
    return list(concerned.items())


@dataclass(frozen=True)
class Command:
    """A command and what it made."""

    text: str
    made: list[str]


def commands(report: Report) -> list[Command]:
    """The commands behind the page, each once, in the order of the work."""
    made: dict[str, list[str]] = {}
    for subject in report.artifacts:
        made.setdefault(subject.command, []).append(subject.name)
    for source in report.sources:
        made.setdefault(source.command or "not recorded", []).append(source.file)
    made.setdefault(report.command, []).append("this report")
    return [Command(text, names) for text, names in made.items()]
