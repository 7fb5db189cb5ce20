"""What an app needs of an artifact, checked: the files that its model.json names, and no others."""

from __future__ import annotations

from pathlib import PurePosixPath

from edge_squeeze.artifact.folder import MANIFEST, Artifact
from edge_squeeze.artifact.manifest import Manifest
from edge_squeeze.bundling import asset_names
from edge_squeeze.errors import FailedParityError, UsageError
from edge_squeeze.pictures.loading import open_picture
from edge_squeeze.proof.parity import FAIL, PASS, UNPROVEN

CHANNELS, FLOAT32_BYTES = 3, 4
VERDICTS = (PASS, FAIL, UNPROVEN)


def read(artifact: Artifact) -> dict[str, bytes]:
    """The files that an app needs: relative path -> bytes; model.json is as it was.

    UsageError if one is missing, is not what was exported, or would not get into an app by its name.
    """
    manifest = artifact.manifest
    if not manifest.name or not manifest.name.isprintable():
        raise UsageError(f"{artifact.folder / MANIFEST}: name must be printable text, got {manifest.name!r}.")
    for name in _names(manifest):
        _check_name(artifact, name)
    model = artifact.model()
    artifact.labels()
    _check_golden(artifact)
    return {name: artifact.read(name) for name in _names(manifest)} | {manifest.file.name: model}


def check_verdict(artifact: Artifact, *, force: bool) -> None:
    """Raise FailedParityError or UsageError unless the export proved `artifact`, or `force` takes it as it is."""
    verdict, reason = artifact.manifest.parity.verdict, artifact.manifest.parity.reason
    if verdict not in VERDICTS:
        required = f"one of {', '.join(VERDICTS)}"
        raise UsageError(f"{artifact.folder / MANIFEST}: parity: required {required} as verdict, got {verdict[:40]!r}.")
    if verdict == FAIL and not force:
        raise FailedParityError(
            f"{artifact.folder} failed its parity: its answers are not those of the original ({reason}). "
            "Export it in another way, or give --force to bundle it all the same."
        )
    if verdict == UNPROVEN and not force:
        raise UsageError(
            f"{artifact.folder} is unproven ({reason}): nobody knows whether its answers are right. "
            "Give --force to bundle it all the same, to try an app for example."
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
    if not asset_names.is_kept(name):
        raise UsageError(
            f"{artifact.folder}: an app would not find {name!r}, since Android's packager drops, renames or refuses "
            "a file of that name. Give the model another name of letters and digits, and export it again."
        )


def _check_golden(artifact: Artifact) -> None:
    golden, (height, width) = artifact.manifest.golden, artifact.manifest.input_size
    if not golden.scores:
        raise UsageError(f"{artifact.folder / MANIFEST} names no golden scores, so an app could not check itself.")
    open_picture(artifact.path(golden.picture))
    _check_length(artifact, golden.pixels, height * width * CHANNELS, f"{height} x {width} RGB pixels")
    for entry in golden.scores.values():
        classes = artifact.manifest.classes
        _check_length(artifact, entry.file, classes * FLOAT32_BYTES, f"{classes} float32 scores")


def _check_length(artifact: Artifact, name: str, required: int, what: str) -> None:
    if (got := artifact.path(name).stat().st_size) != required:
        raise UsageError(
            f"{artifact.folder / name}: required {what}, {required} bytes, got {got} bytes. Export it again."
        )
