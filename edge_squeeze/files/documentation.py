"""The place of the documentation: beside the packages in a checkout, inside edge_squeeze once installed."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def folder() -> Path:
    """The folder of the pages."""
    installed = PACKAGE / "docs"
    return installed if installed.is_dir() else PACKAGE.parent / "docs"


def page(name: str) -> str:
    """The path of the page `name`, as in "commands", for a message that sends the user there."""
    return str(folder() / f"{name}.md")
