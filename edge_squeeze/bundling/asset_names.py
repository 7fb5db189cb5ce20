"""Which names Android's packager keeps: some files it drops from an app without a word."""

from __future__ import annotations

import re
from collections.abc import Collection

LONGEST = 100  # aapt's limit for one part of a path
# What aapt's default ignore pattern names, whatever the case; files that end in .gz it unpacks and renames.
DROPPED = {"cvs", "thumbs.db", "picasa.ini"}
DROPPED_STARTS, DROPPED_ENDS = (".",), ("~", ".scc", ".gz")
FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
OTHERS = re.compile(r"[^A-Za-z0-9._+-]+")


def is_kept(path: str) -> bool:
    """Whether the file at the relative `path`, written with `/`, gets into an app under just that path."""
    *folders, _ = parts = path.split("/")
    return all(map(_is_kept, parts)) and not any(folder.startswith("_") for folder in folders)


def _is_kept(part: str) -> bool:
    lower = part.lower()
    dropped = lower in DROPPED or lower.startswith(DROPPED_STARTS) or lower.endswith(DROPPED_ENDS)
    allowed = part.isascii() and part.isprintable() and not set(part) & set("\\:")
    return 0 < len(part) <= LONGEST and allowed and not dropped


def is_folder(name: str) -> bool:
    """Whether `name` is one that `folder` may give."""
    return FOLDER.fullmatch(name) is not None and _is_kept(name)


def folder(name: str, taken: Collection[str]) -> str:
    """What the folder of the artifact `name` is called: its name if that can be, else the like; none of `taken`.

    Names that differ only in case count as one, since they are one folder on many computers.
    """
    known = {other.lower() for other in taken}
    stem = OTHERS.sub("-", name).lstrip("._+-") or "artifact"
    number, found = 1, stem[:LONGEST]
    while found.lower() in known or not is_folder(found):
        number += 1
        found = f"{stem[: LONGEST - len(str(number)) - 1]}-{number}"
    return found
