"""A report, made: artifacts and saved documents read and held against each other, the page and its data written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from edge_squeeze import packages
from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.artifact.folder import Artifact
from edge_squeeze.errors import UsageError
from edge_squeeze.evaluation.arms import distinct_names
from edge_squeeze.reporting import Reporter
from edge_squeeze.reports import choice, document, history, page, parity, saved, subjects
from edge_squeeze.reports.document import Report, Subject
from edge_squeeze.reports.options import ReportOptions
from edge_squeeze.reports.saved import Dealt, Known
from edge_squeeze.version import __version__


@dataclass
class Gathered:
    """What was read: the artifacts, the documents, and thumbnails by sha256 and name of the picture."""

    subjects: list[Subject]
    dealt: list[Dealt]
    thumbnails: dict[str, Mapping[str, str]] = field(default_factory=dict)


def report(folders: Sequence[Path], options: ReportOptions, reporter: Reporter) -> Report:
    """The report of the artifacts in `folders`, whose page and data are written as `options` say.

    UsageError if an artifact, a picture or a document cannot be used, or has figures of other files.
    """
    page.require("the page of a report")
    options.check()
    loaded = _load(folders)
    names = distinct_names(loaded)
    with reporter.step("saved figures"):
        known = Known(dict(zip(names, (each.manifest.file.sha256 for each in loaded), strict=True)))
        dealt = [saved.read_benchmark(path, known) for path in options.benchmark]
        dealt += [saved.read_evaluation(path, known) for path in options.evaluation]
        dealt += [saved.read_debugged(path, known) for path in options.debug_result]
        earlier = [] if options.history is None else history.read(options.history, options.data)
    gathered = Gathered([], dealt)
    for artifact, name in zip(loaded, names, strict=True):
        _add(gathered, artifact, name, options, reporter)
    made = _report(gathered, options)
    if earlier:
        made = replace(made, history=history.courses(earlier, made))
    for note in made.notes:
        reporter.note(note)
    with reporter.step("page"):
        page.save(options.data, document.dumps(made), "--out")
        page.save(options.out, page.render(made, gathered.thumbnails), "--out")
    return made


def _load(folders: Sequence[Path]) -> list[Artifact]:
    """The artifacts, whose files are those that were exported and proven."""
    if not folders:
        raise UsageError("Nothing to report on. Required: folders that `edge-squeeze export` left.")
    loaded = [artifacts.load(folder) for folder in folders]
    for artifact in loaded:
        artifact.model()
        artifact.check_parity()
    return loaded


def _add(gathered: Gathered, artifact: Artifact, name: str, options: ReportOptions, reporter: Reporter) -> None:
    """Add the artifact with its proof and its figures to what was gathered."""
    labels = artifact.labels()
    shown = parity.show(artifact, labels, options.verify, reporter)
    sha256 = artifact.manifest.file.sha256
    subject = subjects.describe(artifact, name, labels, shown.parity)
    latency = [figures for each in gathered.dealt for figures in each.latency.get(sha256, [])]
    accuracy = [figures for each in gathered.dealt for figures in each.accuracy.get(sha256, [])]
    losses = [figures for each in gathered.dealt for figures in each.losses.get(sha256, [])]
    gathered.subjects.append(replace(subject, latency=latency, accuracy=accuracy, losses=losses))
    gathered.thumbnails[sha256] = shown.thumbnails


def _report(gathered: Gathered, options: ReportOptions) -> Report:
    sources = [each.source for each in gathered.dealt]
    return Report(
        tool={"name": packages.NAME, "version": __version__},
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        command=options.command,
        artifacts=gathered.subjects,
        originals=[figures for each in gathered.dealt for figures in each.originals],
        choices=choice.choose(gathered.subjects, sources),
        sources=sources,
        notes=[each.note for each in gathered.dealt if each.note],
    )
