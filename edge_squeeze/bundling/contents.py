"""The files of an artifact that an app needs, checked, under names that Android's packager keeps."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import PurePosixPath

from edge_squeeze.artifact.folder import MANIFEST, Artifact
from edge_squeeze.artifact.manifest import Manifest
from edge_squeeze.errors import FailedParityError, UsageError
from edge_squeeze.pictures.loading import open_picture
from edge_squeeze.proof.parity import FAIL, PASS, UNPROVEN

CHANNELS, FLOAT32_BYTES = 3, 4
VERDICTS = (PASS, FAIL, UNPROVEN)

LONGEST = 100  # aapt's limit for one part of a path
# What aapt's default ignore pattern names, in any case; files that end in .gz it unpacks and renames.
DROPPED = {"cvs", "thumbs.db", "picasa.ini"}
DROPPED_STARTS, DROPPED_ENDS = (".",), ("~", ".scc", ".gz")
FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
REPLACED = re.compile(r"[^A-Za-z0-9._+-]+")


def read(artifact: Artifact) -> dict[str, bytes]:
    """The files that an app needs: relative path -> bytes; model.json is unchanged.

    UsageError if one is missing, is not what was exported, or has a name that Android's packager does not keep.
    """
    manifest = artifact.manifest
    if not manifest.name or not manifest.name.isprintable():
        raise UsageError(f"{artifact.folder / MANIFEST}: name must be printable text, got {manifest.name!r}.")
    for name in _names(manifest):
        _check_name(artifact, name)
    model = {manifest.file.name: artifact.model()}
    artifact.labels()
    _check_golden(artifact)
    return {name: model.get(name) or artifact.read(name) for name in _names(manifest)}


def check_verdict(artifact: Artifact, *, force: bool) -> None:
    """Raise FailedParityError or UsageError unless the export proved `artifact`, or `force` accepts any verdict."""
    verdict, reason = artifact.manifest.parity.verdict, artifact.manifest.parity.reason
    if verdict not in VERDICTS:
        raise UsageError(
            f"{artifact.folder / MANIFEST}: the parity verdict must be one of {', '.join(VERDICTS)}, got "
            f"{verdict[:40]!r}."
        )
    if verdict == FAIL and not force:
        raise FailedParityError(
            f"{artifact.folder} failed its parity check: its outputs differ from the original's ({reason}). "
            "Export it with other options, or pass --force to bundle it anyway."
        )
    if verdict == UNPROVEN and not force:
        raise UsageError(
            f"{artifact.folder} is unproven ({reason}): its outputs may be wrong. "
            "Pass --force to bundle it anyway, for example to try out an app."
        )


def _names(manifest: Manifest) -> list[str]:
    golden = manifest.golden
    scores = [entry.file for entry in golden.scores.values()]
    return [MANIFEST, manifest.file.name, manifest.labels.name, golden.picture, golden.pixels, *scores]


def _check_name(artifact: Artifact, name: str) -> None:
    artifact.path(name)
    path = PurePosixPath(name)
    if str(path) != name or ".." in path.parts:
        raise UsageError(f"{artifact.folder / MANIFEST}: required a plain path like golden/picture.png, got {name!r}.")
    if not is_kept(name):
        raise UsageError(
            f"{artifact.folder}: an app could not find {name!r}, since Android's packager drops, renames or refuses "
            "files of that name. Rename the model, using letters and digits only, and export it again."
        )


def _check_golden(artifact: Artifact) -> None:
    golden, (height, width) = artifact.manifest.golden, artifact.manifest.input_size
    if not golden.scores:
        raise UsageError(f"{artifact.folder / MANIFEST} names no golden scores, so an app could not check itself.")
    open_picture(artifact.path(golden.picture))
    _check_length(artifact, golden.pixels, height * width * CHANNELS, f"{height} x {width} RGB pixels")
    for entry in golden.scores.values():
        outputs = artifact.manifest.outputs
        _check_length(artifact, entry.file, outputs * FLOAT32_BYTES, f"{outputs} float32 scores")


def _check_length(artifact: Artifact, name: str, required: int, content: str) -> None:
    if (size := artifact.path(name).stat().st_size) != required:
        raise UsageError(
            f"{artifact.folder / name}: required {content}, {required} bytes, got {size} bytes. Export it again."
        )


def is_kept(path: str) -> bool:
    """Whether Android's packager keeps the file at the relative `path`, written with `/`, under that very path."""
    *folders, _ = parts = path.split("/")
    return all(map(_is_kept, parts)) and not any(folder.startswith("_") for folder in folders)


def _is_kept(part: str) -> bool:
    lower = part.lower()
    dropped = lower in DROPPED or lower.startswith(DROPPED_STARTS) or lower.endswith(DROPPED_ENDS)
    allowed = part.isascii() and part.isprintable() and not set(part) & set("\\:")
    return 0 < len(part) <= LONGEST and allowed and not dropped


def is_folder_name(name: str) -> bool:
    """Whether `name` is one that `folder_name` may return."""
    return FOLDER_NAME.fullmatch(name) is not None and _is_kept(name)


def folder_name(artifact: str, taken: Collection[str]) -> str:
    """A name, none of `taken`, for the folder of the artifact named `artifact`: that name, or the most similar one.

    Names that differ only in case count as equal, since many file systems treat them so.
    """
    unavailable = {name.lower() for name in taken}
    stem = REPLACED.sub("-", artifact).lstrip("._+-") or "artifact"
    number, name = 1, stem[:LONGEST]
    while name.lower() in unavailable or not is_folder_name(name):
        number += 1
        name = f"{stem[: LONGEST - len(str(number)) - 1]}-{number}"
    return name
