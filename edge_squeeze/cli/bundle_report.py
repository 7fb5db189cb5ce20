"""What `edge-squeeze bundle` shows: a table or one JSON document, and how to go on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_squeeze.artifact.manifest import Manifest
from edge_squeeze.bundling import bundle, index
from edge_squeeze.bundling.bundle import Bundled, Found
from edge_squeeze.cli.console import print_json, print_next, print_prose, whole
from edge_squeeze.cli.tables import print_table
from edge_squeeze.files.documentation import page
from edge_squeeze.reporting import Column

COLUMNS = (
    Column("artifact", text=True), Column("format", 3, text=True), Column("precision", 2, text=True), Column("MB", 1),
    Column("parity"),
)  # fmt: skip
CHANGE, STATE = Column("change", text=True), Column("state", text=True)
MAKES_APK = "tools/apk.py"  # in the demo app of the checkout
AFTER_FILES = (f"{page('android')} shows how an app of yours reads them",)


def after_android(project: Path) -> Sequence[str]:
    """How to go on once `project` has its artifacts."""
    studio = f"open {whole(str(project))} in Android Studio"
    return (whole("make apk"), f"or {studio}") if (project / MAKES_APK).is_file() else (studio,)


def add(
    artifacts: Sequence[Path], folder: Path, *, force: bool, as_json: bool, verbose: bool, following: Sequence[str]
) -> None:
    """Bundle `artifacts` in `folder` and print what was done, and `following` as what to do next."""
    bundled = bundle.add(artifacts, folder, force=force)
    warnings = [one.warning for one in bundled if one.warning]
    if as_json:
        print_json({"artifacts": [_as_json(one) for one in bundled], **_all(folder), "warnings": warnings})
        return
    rows = [(*_cells(one.manifest.name, one.manifest, one.size_bytes), one.change) for one in bundled]
    print_table((*COLUMNS, CHANGE), rows, every=verbose)
    print_prose("", _total(folder), *(f"warning: {warning}." for warning in warnings))
    print_next(advice=following)


def remove(names: Sequence[str], folder: Path, *, as_json: bool) -> None:
    """Remove the artifacts `names` from `folder` and print what is left."""
    gone = bundle.remove(names, folder)
    if as_json:
        print_json({"removed": [dataclasses.asdict(entry) for entry in gone], **_all(folder)})
        return
    print_prose(f"Removed {', '.join(entry.name for entry in gone)}.", _total(folder))


def listing(folder: Path, *, as_json: bool, verbose: bool) -> bool:
    """Print what is bundled in `folder`, and whether each of it is whole; True if all is."""
    found = bundle.listing(folder)
    whole = not any(one.problem for one in found)
    if as_json:
        rows = [{**dataclasses.asdict(one.entry), "problem": one.problem} for one in found]
        print_json({"artifacts": rows, **_all(folder)})
        return whole
    if found:
        cells = [(*_found_cells(one), "NOT whole" if one.problem else "whole") for one in found]
        print_table((*COLUMNS, STATE), cells, every=verbose)
        print_prose("", *(f"{one.entry.name} is not whole: {one.problem}." for one in found if one.problem), later="  ")
    print_prose(_total(folder))
    return whole


def _found_cells(found: Found) -> tuple[str, ...]:
    return _cells(found.entry.name, found.manifest, found.entry.size_bytes)


def _cells(name: str, manifest: Manifest | None, size_bytes: int) -> tuple[str, ...]:
    size = f"{size_bytes / 1e6:.2f}"
    if manifest is None:
        return name, "-", "-", size, "-"
    return name, manifest.format, manifest.precision, size, manifest.parity.verdict


def _as_json(one: Bundled) -> dict[str, Any]:
    manifest = one.manifest
    return {
        "name": manifest.name,
        "folder": str(one.folder),
        "format": manifest.format,
        "precision": manifest.precision,
        "size_bytes": one.size_bytes,
        "parity": manifest.parity.verdict,
        "change": one.change,
    }


def _all(folder: Path) -> dict[str, Any]:
    return {"target": str(folder), "total_size_bytes": sum(entry.size_bytes for entry in index.read(folder).artifacts)}


def _total(folder: Path) -> str:
    entries = index.read(folder).artifacts
    count = f"{len(entries) or 'No'} artifact{'' if len(entries) == 1 else 's'}"
    return f"{count} in {whole(str(folder))}, {sum(entry.size_bytes for entry in entries) / 1e6:.2f} MB in all."
