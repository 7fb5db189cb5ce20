"""The proof of an artifact for the page: as it was exported, or computed again on the user's pictures."""

from __future__ import annotations

import base64
import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from PIL import Image

from edge_squeeze.artifact.folder import PARITY, Artifact
from edge_squeeze.errors import MissingDependencyError, UsageError
from edge_squeeze.files.reading import decode, read_json
from edge_squeeze.pictures.loading import PictureSet
from edge_squeeze.proof import verification
from edge_squeeze.proof.options import VerifyOptions
from edge_squeeze.proof.parity import FAIL, Tops
from edge_squeeze.reporting import Reporter
from edge_squeeze.reports.document import Best, Gate, Parity, Picture, Size, finite

WORST = 6  # pictures that are shown of each artifact
MOST_ROWS = 500  # pictures that are listed of each, the worst
THUMBNAIL = 144  # pixels of the longer side; shown at half of that on a sharp screen
QUALITY = 82
LOWEST, HIGHEST = -8, 1  # decimal logarithms of divergences that the histogram tells apart
EXPORT, REPORT = "export", "report"


@dataclass(frozen=True)
class SavedFigures:
    """The figures in parity.json that a report shows; None where they are missing or not finite."""

    pictures: int | None = None
    max_abs: float | None = None
    psnr_db: float | None = None
    cosine: float | None = None
    kl: float | None = None
    top1_agreement: float | None = None
    top1_interval: list[float] | None = None
    per_picture: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class SavedSet:
    """One set of pictures in parity.json."""

    pictures: str = ""
    size: list[int] = field(default_factory=list)
    photographs: bool = False
    figures: SavedFigures = SavedFigures()
    gates: list[Gate] = field(default_factory=list)


@dataclass(frozen=True)
class SavedProof:
    """The content of parity.json, of which older and bundled artifacts may lack anything."""

    verdict: str | None = None
    reason: str | None = None
    runtime: str | None = None
    sets: list[SavedSet] = field(default_factory=list)


@dataclass(frozen=True)
class Shown:
    """What the page shows of a proof: its figures, and a data URI for each worst picture that is at hand."""

    parity: Parity
    thumbnails: Mapping[str, str]


def show(artifact: Artifact, labels: Sequence[str], options: VerifyOptions, reporter: Reporter) -> Shown:
    """The proof of `artifact`, computed again where `options` has pictures.

    UsageError if they or the original cannot be used, or if parity.json is not what `export` writes.
    """
    if options.images is None:
        return _saved(artifact)
    verified = verification.verify(artifact.folder, options, reporter)
    proof, gold = verified.proof, verified.golden
    assert proof is not None, "without an original, verify refuses --images"
    saved = decode(SavedProof, finite(proof.to_dict(artifact.manifest.file.sha256)), "the proof")
    parity = _with_answers(_parity(artifact, saved, REPORT), proof.tops, proof.pictures.names, labels)
    if not gold.passed:
        pixels = "equal" if gold.pixels_equal else "different"
        reason = f"golden files: pixels {pixels}, scores within {gold.max_abs:.1e}, allowed {gold.tolerance:.1e}"
        parity = replace(parity, verdict=FAIL, reason=f"{reason}; {parity.reason}")
    return Shown(parity, thumbnails(proof.pictures, parity.worst))


def _saved(artifact: Artifact) -> Shown:
    path = artifact.folder / PARITY
    content = read_json(path) if path.is_file() else {}
    saved: SavedProof = decode(SavedProof, finite(content), str(path))
    parity = _parity(artifact, saved, EXPORT)
    if not (saved.sets and saved.sets[0].photographs):
        return Shown(parity, {})
    try:  # crops of built-in photographs are drawn again
        (pictures,) = verification.load_pictures(None, artifact.manifest.preprocessing)
    except (MissingDependencyError, UsageError):
        return Shown(parity, {})
    return Shown(parity, thumbnails(pictures, parity.worst))


def _parity(artifact: Artifact, saved: SavedProof, origin: str) -> Parity:
    manifest, first = artifact.manifest, (saved.sets or [SavedSet()])[0]
    figures = first.figures
    rows = decode(list[Picture], [_row(row) for row in figures.per_picture], str(artifact.folder / PARITY))
    divergences = [row.kl for row in rows if row.kl is not None]
    return Parity(
        sha256=manifest.file.sha256,
        origin=origin,
        verdict=saved.verdict or manifest.parity.verdict,
        reason=saved.reason or manifest.parity.reason,
        runtime=saved.runtime,
        basis=first.pictures or None,
        pictures=figures.pictures,
        agreement=figures.top1_agreement,
        agreement_interval=figures.top1_interval,
        kl=figures.kl,
        kl_highest=max(divergences, default=None),
        cosine=figures.cosine,
        max_abs=figures.max_abs,
        psnr_db=figures.psnr_db,
        histogram=histogram(divergences),
        worst=sorted(rows, key=_badness, reverse=True)[:MOST_ROWS],
        gates=first.gates,
        sizes=[_size(each) for each in saved.sets[1:]],
    )


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of parity.json in the words of a report."""
    agreement = row.get("top1_agreement")
    return {**row, "agrees": None if agreement is None else bool(agreement), "original": None, "artifact": None}


def _size(saved: SavedSet) -> Size:
    figures = saved.figures
    return Size(size=saved.size, pictures=figures.pictures, agreement=figures.top1_agreement, kl=figures.kl)


def _badness(row: Picture) -> float:
    return math.inf if row.kl is None else row.kl


def histogram(divergences: Iterable[float]) -> list[int]:
    """How many of `divergences` there are in each half decade from below 1e-8 to above 10."""
    last = 2 * (HIGHEST - LOWEST)
    logarithms = (2 * (math.log10(max(value, 10**LOWEST)) - LOWEST) for value in divergences)
    counts = Counter(min(int(position), last - 1) for position in logarithms)
    return [counts[at] for at in range(last)] if counts else []


def _with_answers(parity: Parity, tops: Tops | None, names: Sequence[str], labels: Sequence[str]) -> Parity:
    """`parity` with the best classes of its pictures."""
    if tops is None:
        return parity
    rows = {name: at for at, name in enumerate(names)}
    worst = [
        replace(each, original=_best(tops.original[row], labels), artifact=_best(tops.artifact[row], labels))
        for each in parity.worst
        for row in [rows[each.picture]]
    ]
    return replace(parity, worst=worst)


def _best(top: tuple[int, float], labels: Sequence[str]) -> Best:
    index, score = top
    return Best(labels[index] if index < len(labels) else f"class {index}", finite(score))


def thumbnails(pictures: PictureSet, worst: Sequence[Picture]) -> dict[str, str]:
    """A small picture, as a data URI, for the first of `worst` that are in `pictures`: what the network sees."""
    rows = {name: at for at, name in enumerate(pictures.names)}
    return {
        each.picture: data_uri(Image.fromarray(pictures.pixels[rows[each.picture]]))
        for each in worst[:WORST]
        if each.picture in rows
    }


def data_uri(picture: Image.Image) -> str:
    """`picture`, made small, as text that a page can hold."""
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode()}"
