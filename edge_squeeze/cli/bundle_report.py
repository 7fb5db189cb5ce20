"""What `edge-squeeze bundle` prints: a table or one JSON document, and the next step."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_squeeze.artifact.manifest import Manifest
from edge_squeeze.bundling import bundle, index
from edge_squeeze.bundling.bundle import Bundled
from edge_squeeze.cli.console import print_json, print_next, print_prose, whole
from edge_squeeze.cli.tables import print_table
from edge_squeeze.files.documentation import page
from edge_squeeze.reporting import Column, megabytes

COLUMNS = (
    Column("artifact", text=True),
    Column("format", 3, text=True),
    Column("precision", 2, text=True),
    Column("MB", 1),
    Column("parity"),
)
CHANGE, STATE = Column("change", text=True), Column("state", text=True)
MAKES_APK = "tools/apk.py"  # in the demo app of the checkout
AFTER_FILES = (f"{page('android')} shows how your app reads them",)


def after_android(project: Path) -> Sequence[str]:
    """The next step once `project` has its artifacts."""
    studio = f"open {whole(str(project))} in Android Studio"
    return (whole("make apk"), f"or {studio}") if (project / MAKES_APK).is_file() else (studio,)


def add(
    artifacts: Sequence[Path], folder: Path, *, force: bool, as_json: bool, verbose: bool, following: Sequence[str]
) -> None:
    """Bundle `artifacts` in `folder`, then print the copies and the `following` steps."""
    copies = bundle.add(artifacts, folder, force=force)
    warnings = [copy.warning for copy in copies if copy.warning]
    if as_json:
        print_json({"artifacts": [_as_json(copy) for copy in copies], **_total_as_json(folder), "warnings": warnings})
        return
    rows = [(*_cells(copy.manifest.name, copy.manifest, copy.size_bytes), copy.change) for copy in copies]
    print_table((*COLUMNS, CHANGE), rows, every=verbose)
    print_prose("", _total(folder), *(f"warning: {warning}." for warning in warnings))
    print_next(advice=following)


def remove(names: Sequence[str], folder: Path, *, as_json: bool) -> None:
    """Remove the artifacts `names` from `folder`, then print what is left."""
    removed = bundle.remove(names, folder)
    if as_json:
        print_json({"removed": [dataclasses.asdict(entry) for entry in removed], **_total_as_json(folder)})
        return
    print_prose(f"Removed {', '.join(entry.name for entry in removed)}.", _total(folder))


def listing(folder: Path, *, as_json: bool, verbose: bool) -> bool:
    """Print what is bundled in `folder` and whether each artifact is complete; True if all of them are."""
    artifacts = bundle.listing(folder)
    damaged = [artifact for artifact in artifacts if artifact.problem]
    if as_json:
        rows = [{**dataclasses.asdict(artifact.entry), "problem": artifact.problem} for artifact in artifacts]
        print_json({"artifacts": rows, **_total_as_json(folder)})
        return not damaged
    if artifacts:
        cells = [
            (
                *_cells(artifact.entry.name, artifact.manifest, artifact.entry.size_bytes),
                "DAMAGED" if artifact.problem else "complete",
            )
            for artifact in artifacts
        ]
        print_table((*COLUMNS, STATE), cells, every=verbose)
        print_prose("", *(f"{artifact.entry.name} is damaged: {artifact.problem}" for artifact in damaged), later="  ")
    print_prose(_total(folder))
    return not damaged


def _cells(name: str, manifest: Manifest | None, size_bytes: int) -> tuple[str, ...]:
    size = megabytes(size_bytes)
    if manifest is None:
        return name, "-", "-", size, "-"
    return name, manifest.format, manifest.precision, size, manifest.parity.verdict


def _as_json(copy: Bundled) -> dict[str, Any]:
    manifest = copy.manifest
    return {
        "name": manifest.name,
        "folder": str(copy.folder),
        "format": manifest.format,
        "precision": manifest.precision,
        "size_bytes": copy.size_bytes,
        "parity": manifest.parity.verdict,
        "change": copy.change,
    }


def _total_as_json(folder: Path) -> dict[str, Any]:
    return {"target": str(folder), "total_size_bytes": sum(entry.size_bytes for entry in index.read(folder).artifacts)}


def _total(folder: Path) -> str:
    entries = index.read(folder).artifacts
    count = f"{len(entries) or 'No'} artifact{'' if len(entries) == 1 else 's'}"
    return f"{count} in {whole(str(folder))}, {megabytes(sum(entry.size_bytes for entry in entries))} MB in total."
