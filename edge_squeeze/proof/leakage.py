"""Keeps pictures that int8 was calibrated on out of its proof, which they would flatter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from edge_squeeze.artifact.folder import CALIBRATION, MANIFEST, Artifact
from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import decode, read_json
from edge_squeeze.pictures.loading import PictureSet

FEWEST = 8  # pictures that a proof needs if others were left out


@dataclass(frozen=True)
class CalibrationPicture:
    """A picture that ranges were measured on."""

    name: str
    sha256: str  # of the pixels the network saw
    file_sha256: str | None = None  # of the file; None where there was none, and in records of version 1.2 and before


def records(pictures: PictureSet) -> list[CalibrationPicture]:
    """What calibration.json records of each of `pictures`."""
    files = pictures.file_digests or [None] * len(pictures)
    return [CalibrationPicture(*row) for row in zip(pictures.names, pictures.digests, files, strict=True)]


def read(artifact: Artifact) -> list[CalibrationPicture]:
    """The pictures that `artifact` was calibrated on; UsageError if its calibration.json cannot be read."""
    pictures: list[CalibrationPicture] = _read(artifact, "pictures", list[CalibrationPicture], [])
    return pictures


def held_out(artifact: Artifact) -> dict[str, float]:
    """How far files by each quantizer diverged, in nats, on held-out calibration pictures, if `export` compared them.

    UsageError if calibration.json cannot be read.
    """
    quantizers: dict[str, float] = _read(artifact, "quantizers", dict[str, float], {})
    return quantizers


def _read(artifact: Artifact, key: str, kind: Any, default: Any) -> Any:
    """What calibration.json has under `key`, or else `default`."""
    path = artifact.folder / CALIBRATION
    if not path.exists():  # not quantized, or bundled without it
        return default
    content = read_json(path)
    if not isinstance(content, dict):
        raise UsageError(f"{path} must be an object. Export it again: {artifact.folder / MANIFEST} says how.")
    return decode(kind, content.get(key, default), str(path))


def leave_out(pictures: PictureSet, calibrated: Iterable[CalibrationPicture]) -> PictureSet:
    """`pictures` without those in `calibrated`, by the sha256 of the file or of the pixels; `remarks` says how many.

    UsageError if fewer than 8 remain of more.
    """
    digests = {digest for picture in calibrated for digest in (picture.sha256, picture.file_sha256) if digest}
    files = pictures.file_digests or [None] * len(pictures)
    both = zip(pictures.digests, files, strict=True)
    rows = [row for row, (pixels, file) in enumerate(both) if pixels not in digests and file not in digests]
    shared = len(pictures) - len(rows)
    if shared and len(rows) < FEWEST:
        raise UsageError(
            f"int8 was calibrated on {shared:,} of the {len(pictures):,} pictures to prove it on, which leaves "
            f"{len(rows)}. Required: at least {FEWEST}, better 100, that it was not calibrated on. Give others with "
            "--images."
        )
    of_all = f"{shared:,} of the {len(pictures):,} pictures of the proof"
    remark = f"left out {of_all}: int8 was calibrated on them, which would flatter it"
    return pictures.subset(rows, f"{shared:,} that int8 was calibrated on", [remark])
