"""Class names, one per line, in the order of a network's outputs."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import read_text

LARGEST_FILE = 16 << 20


def imagenet() -> list[str]:
    """The names of the 1,000 ImageNet classes, in WordNet order (class 0 is tench)."""
    return (resources.files("edge_squeeze") / "data" / "imagenet_labels.txt").read_text("utf-8").splitlines()


def default(classes: int) -> list[str]:
    """The ImageNet names for 1,000 classes, numbered names for any other count."""
    names = imagenet()
    return names if classes == len(names) else [f"class {i}" for i in range(classes)]


def load(path: Path | None, classes: int) -> list[str]:
    """The names in the file at `path`, by default those of `default`; UsageError unless it has one per class."""
    if path is None:
        return default(classes)
    names = [line.strip() for line in read_text(path, LARGEST_FILE).splitlines()]
    while names and not names[-1]:
        names.pop()
    if len(names) != classes:
        raise UsageError(
            f"{path}: required {classes} names, one per line in the order of the outputs, got {len(names)}."
        )
    for number, name in enumerate(names, start=1):
        if not name or not name.isprintable():
            raise UsageError(f"{path}: line {number} is not a name: {name[:40]!r}.")
    return names
