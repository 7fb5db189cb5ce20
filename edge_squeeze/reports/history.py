"""Earlier reports, read again, and how each file changed from one to the next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import read_json
from edge_squeeze.reports import choice, document
from edge_squeeze.reports.document import Course, Latency, Moment, Report, Subject

REQUIRED = "Required: a folder with the .json files that `edge-squeeze report --out` saved beside its pages"


def read(folder: Path, leave_out: Path) -> list[Report]:
    """The reports saved below `folder` but that in the file `leave_out`, which is about to be replaced; oldest first.

    Documents of other kinds are passed over. UsageError without any report, or with one of another version.
    """
    if not folder.is_dir():
        raise UsageError(f"--history {folder} is not a folder. {REQUIRED}.")
    files = [path for path in sorted(folder.rglob("*.json")) if path.resolve() != leave_out.resolve()]
    reports = [report for path in files if _is_report(path) and (report := document.load(path)) is not None]
    if not reports:
        raise UsageError(f"--history {folder} has no reports. {REQUIRED}.")
    return sorted(reports, key=lambda report: report.created_utc)


def _is_report(path: Path) -> bool:
    try:
        content = read_json(path, document.LARGEST)
    except UsageError:
        return False
    return isinstance(content, dict) and str(content.get("schema")).startswith(document.FAMILY)


def courses(reports: Sequence[Report], now: Report) -> list[Course]:
    """For each file of the report `now`, by its name, what `reports` and that one say of it."""
    return [_course(subject.name, [*reports, now]) for subject in now.artifacts]


def _course(name: str, reports: Sequence[Report]) -> Course:
    moments: list[Moment] = []
    for report in reports:
        subject = next((each for each in report.artifacts if each.name == name), None)
        if subject is not None:
            before = moments[-1].sha256 if moments else subject.sha256
            moments.append(_moment(subject, report, changed=subject.sha256 != before))
    return Course(name=name, moments=moments)


def _moment(subject: Subject, report: Report, *, changed: bool) -> Moment:
    latency = choice.latencies(report.artifacts).get(subject.name)
    candidates = {each.name: each for group in report.choices for each in group.candidates}
    candidate = candidates.get(subject.name)
    accuracy = next((each for each in subject.accuracy if each.top1 is not None), None)
    return Moment(
        created_utc=report.created_utc,
        sha256=subject.sha256,
        changed=changed,
        size_bytes=subject.size_bytes,
        latency_ms=latency.p50_ms if latency else None,
        latency_interval=latency.p50_interval if latency else None,
        validity=latency.validity if latency else None,
        condition=_condition(latency) if latency else None,
        agreement=candidate.agreement if candidate else None,
        agreement_interval=candidate.agreement_interval if candidate else None,
        top1=accuracy.top1 if accuracy else None,
        top1_interval=accuracy.top1_interval if accuracy else None,
    )


def _condition(latency: Latency) -> str:
    """What has to be equal for two latencies to be compared, in words."""
    device = f"{latency.device} ({latency.device_id})" if latency.device_id else latency.device
    return f"{device}, {latency.engine}, {latency.threads} thread{'' if latency.threads == 1 else 's'}"
