"""A page for one picture: where a file's loss comes from, or what files with layers in float give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_squeeze import packages
from edge_squeeze.artifact.folder import FRONTIER
from edge_squeeze.files.reading import decode
from edge_squeeze.reports import page, subjects
from edge_squeeze.reports.document import Loss, finite
from edge_squeeze.reports.options import check_name
from edge_squeeze.version import __version__

PLOT = "plot.html.jinja"
OPTION = "--plot"


def check(path: Path) -> None:
    """Raise an error, before any work, if no plot can be drawn or it cannot be written to `path`."""
    page.require(OPTION)
    check_name(path, OPTION, "loss.html")


def save_loss(path: Path, document: Mapping[str, Any]) -> None:
    """Write the page of what `debug --json` prints, the `document`; UsageError if the disk does not take it."""
    loss = decode(Loss, finite(dict(document)), OPTION)
    loss = replace(loss, layers=[each for each in loss.layers if {each.kl_weights, each.kl_activations} != {None}])
    findings = [finding["text"] for finding in (*document["findings"], document.get("bisected")) if finding]
    text = _fill(loss.name, loss.sha256, loss=loss, findings=findings, points=[], most_layers=len(loss.layers))
    page.save(path, text, OPTION)


def frontier(name: str, sha256: str, document: Mapping[str, Any]) -> str:
    """The page of the files in `document`, the content of frontier.json, that led to the file `name`."""
    return _fill(name, sha256, points=subjects.mixed(document, FRONTIER))


def _fill(name: str, sha256: str, **context: Any) -> str:
    return page.fill(PLOT, name=name, sha256=sha256, tool={"name": packages.NAME, "version": __version__}, **context)
