"""What a report is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from edge_squeeze.errors import UsageError
from edge_squeeze.files import atomic
from edge_squeeze.files.reading import read_json
from edge_squeeze.proof.options import VerifyOptions
from edge_squeeze.reports import document

ENDINGS = (".html", ".htm")
Paths = str | Path | Sequence[str | Path] | None


@dataclass(frozen=True)
class ReportOptions:
    """What a report is asked for; `edge_squeeze.report` says what each option means."""

    out: Path = Path("report.html")
    benchmark: tuple[Path, ...] = ()
    evaluation: tuple[Path, ...] = ()
    debug_result: tuple[Path, ...] = ()
    verify: VerifyOptions = field(
        default_factory=VerifyOptions
    )  # `images` of it decides whether parity is computed again
    history: Path | None = None
    command: str = "edge_squeeze.report"

    @classmethod
    def of(cls, words: Mapping[str, Any]) -> Self:
        """Those that a command or a function was called with; UsageError if they contradict each other."""
        names = ("images", "original", "custom_objects", "trust_file", "runtime", "skip_unreadable")
        verify = {name: words[name] for name in names}
        for name in ("images", "original"):
            verify[name] = None if words[name] is None else Path(words[name])
        if words["images"] is None and (useless := [name for name in names if words[name]]):
            option = useless[0].replace("_", "-")
            raise UsageError(f"--{option} is only used to compute parity again. Add --images DIR, or leave it out.")
        return cls(
            out=Path(words["out"]),
            benchmark=_paths(words["benchmark"]),
            evaluation=_paths(words["evaluation"]),
            debug_result=_paths(words["debug_result"]),
            verify=VerifyOptions(**verify),
            history=words["history"] and Path(words["history"]),
            command=words["command"],
        )

    @property
    def data(self) -> Path:
        """Where the report's document is saved: beside the page."""
        return self.out.with_suffix(".json")

    def check(self) -> None:
        """Raise UsageError, before any work, if the page or its document cannot be written."""
        out = self.out
        check_name(out, "--out", "report.html")
        if self.data.exists() and not _is_report(self.data):
            raise UsageError(
                f"--out {out} would save its data in {self.data}, which exists and is not a report. Give --out another "
                "name."
            )


def check_name(page: Path, option: str, example: str) -> None:
    """Raise UsageError if `page`, the value of `option`, is not the name of a page, like `example`, or not writable."""
    if page.is_dir() or page.suffix.lower() not in ENDINGS:
        what = "is a folder" if page.is_dir() else "is not the name of a page"
        such_as = page / example if page.is_dir() else page.with_suffix(".html")
        raise UsageError(f"{option} {page} {what}. Required: a file that ends in .html, such as {such_as}.")
    atomic.check_file(page, option)


def _paths(paths: Paths) -> tuple[Path, ...]:
    several = [paths] if isinstance(paths, str | Path) else paths or []
    return tuple(map(Path, several))


def _is_report(path: Path) -> bool:
    try:
        content = read_json(path, document.LARGEST)
    except UsageError:
        return False
    return isinstance(content, dict) and str(content.get("schema")).startswith(document.FAMILY)
