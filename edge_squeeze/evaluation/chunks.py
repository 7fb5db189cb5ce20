"""The unit of an evaluation: a chunk of pictures, decoded once and shown to every arm.

`answer` is a pure function of a chunk and the arms: whichever process or machine runs it, in whatever order, its rows
are the same. Arms and pictures are named by their hashes, so that what was computed for one file is never taken for
another.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.engines.runner import RunOptions, open_runner
from edge_squeeze.errors import UsageError
from edge_squeeze.models import source as subjects
from edge_squeeze.pictures.loading import decode_picture, read_picture
from edge_squeeze.pictures.preprocessing import Pixels, Preprocessing
from edge_squeeze.proof import leakage
from edge_squeeze.proof.parity import kl_divergence
from edge_squeeze.scores import Scores, comparable, top_k

SIZE = 16  # pictures: a few chunks for every core even of a few hundred, and little memory
TOP = 5  # classes that are kept of each answer
DIGITS = 6  # behind the point, of confidences and divergences
MOST_OPEN = 64  # arms that a process keeps loaded


@dataclass(frozen=True)
class Arm:
    """What pictures are shown to: the artifact in `folder`, or the original that it was made from.

    `sha256` is that of the model file; of an original, that of the file of its weights, if there is one.
    """

    name: str
    folder: str
    sha256: str | None
    original: int | None = None  # position of its original among the arms
    is_original: bool = False
    runtime: str | None = None
    source: str | None = None  # of an original: where it is, if no longer where the manifest records it
    custom_objects: str | None = None
    trust_file: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture to show: its name for messages, and its file."""

    name: str
    path: str


@dataclass(frozen=True)
class Chunk:
    """Neighboring pictures of an evaluation."""

    number: int
    pictures: tuple[Picture, ...]

    @classmethod
    def decode(cls, content: dict[str, Any]) -> Self:
        """The chunk that `dataclasses.asdict` turned into `content`."""
        return cls(content["number"], tuple(Picture(**picture) for picture in content["pictures"]))


class Answer(NamedTuple):
    """What an arm says of a picture: its best classes, the score of the first, its divergence from the original.

    `top` is empty if the scores are not finite numbers.
    """

    top: list[int]
    confidence: float
    kl: float | None  # Kullback-Leibler, in nats


class Row(NamedTuple):
    """A picture: the sha256 of its file, why it cannot be used, whether an arm was calibrated on it, and the answers.

    There is an answer of each arm, or none if the picture cannot be used.
    """

    sha256: str | None
    error: str | None
    calibrated: bool
    answers: list[Answer]


class Rows(NamedTuple):
    """The rows of a chunk, and the seconds that decoding and running took."""

    number: int
    rows: list[Row]
    decode_s: float
    run_s: float

    @classmethod
    def decode(cls, content: Sequence[Any]) -> Self:
        """The rows that were turned into the JSON `content`."""
        number, rows, decode_s, run_s = content
        kept = [Row(sha, error, leaked, [Answer(*answer) for answer in each]) for sha, error, leaked, each in rows]
        return cls(number, kept, decode_s, run_s)


@dataclass(frozen=True)
class Opened:
    """An arm that is loaded: pixels [N,H,W,3] in, scores [N,classes] from 0 to 1 out."""

    preprocessing: Preprocessing
    run: Callable[[Pixels], Scores]
    calibrated: frozenset[str]  # sha256 of files and pixels


@functools.lru_cache(maxsize=MOST_OPEN)
def open_arm(arm: Arm) -> Opened:
    """`arm`, loaded once in each process; UsageError if its file is no longer the one that was meant."""
    artifact = artifacts.load(Path(arm.folder))
    manifest = artifact.manifest
    kind = manifest.output.content
    if arm.is_original:
        path = None if arm.source is None else Path(arm.source)
        subject = subjects.find_again(manifest, path, arm.custom_objects, trust_file=arm.trust_file)
        original = subject.original()
        return Opened(manifest.preprocessing, lambda pixels: comparable(original.run(pixels), kind), frozenset())
    if manifest.file.sha256 != arm.sha256:
        raise UsageError(f"{artifact.folder} has changed during the evaluation. Evaluate it again.")
    runner = open_runner(artifact.model(), manifest.format, RunOptions(1, arm.runtime))
    records = leakage.read(artifact)
    digests = frozenset(digest for picture in records for digest in (picture.sha256, picture.file_sha256) if digest)
    return Opened(manifest.preprocessing, lambda pixels: comparable(runner.run(pixels), kind), digests)


def answer(chunk: Chunk, arms: Sequence[Arm]) -> Rows:
    """What each of `arms` says of each picture of `chunk`.

    Raises:
        UsageError: An artifact or an original cannot be used, or has changed.
        ConversionError: An engine refuses a file.
    """
    opened = [open_arm(arm) for arm in arms]
    sizes = list(dict.fromkeys(each.preprocessing for each in opened))
    begun = time.perf_counter()
    seen = [_see(picture, sizes, opened) for picture in chunk.pictures]
    decoded = time.perf_counter()
    usable = [pixels for pixels, _ in seen if pixels]
    batches = {size: np.stack([pixels[at] for pixels in usable]) for at, size in enumerate(sizes) if usable}
    answers = _run(arms, opened, batches) if usable else []
    done = time.perf_counter()
    of_picture = iter(zip(*answers, strict=True))
    rows = [row._replace(answers=list(next(of_picture))) if pixels else row for pixels, row in seen]
    return Rows(chunk.number, rows, decoded - begun, done - decoded)


def _see(picture: Picture, sizes: Sequence[Preprocessing], arms: Sequence[Opened]) -> tuple[list[Pixels], Row]:
    """The pixels of `picture` as each of `sizes` prepares it, none if it cannot be used; and its row so far."""
    path = Path(picture.path)
    digest = None
    try:
        data = read_picture(path)
        digest = hashlib.sha256(data).hexdigest()
        decoded = decode_picture(data, path)
        pixels = [size.pixels(decoded) for size in sizes]
    except UsageError as error:
        reason = str(error) if picture.path in str(error) else f"{picture.path}: {error}"
        return [], Row(digest, reason, False, [])
    return pixels, Row(digest, None, any(_is_calibrated(arm, digest, pixels, sizes) for arm in arms), [])


def _is_calibrated(arm: Opened, digest: str, pixels: Sequence[Pixels], sizes: Sequence[Preprocessing]) -> bool:
    if not arm.calibrated:
        return False
    shown = pixels[sizes.index(arm.preprocessing)]
    return not arm.calibrated.isdisjoint((digest, hashlib.sha256(shown.tobytes()).hexdigest()))


def _run(arms: Sequence[Arm], opened: Sequence[Opened], batches: dict[Preprocessing, Pixels]) -> list[list[Answer]]:
    """The answers of each arm for the pictures in `batches`."""
    scores = [each.run(batches[each.preprocessing]) for each in opened]
    answers = []
    for arm, own in zip(arms, scores, strict=True):
        reference = None if arm.original is None else scores[arm.original]
        divergences = None if reference is None else _divergences(reference, own)
        answers.append([_answer(row, None if divergences is None else divergences[i]) for i, row in enumerate(own)])
    return answers


def _divergences(original: Scores, artifact: Scores) -> list[float]:
    values: list[float] = kl_divergence(original.astype(np.float64), artifact.astype(np.float64)).tolist()
    return values


def _answer(scores: Scores, kl: float | None) -> Answer:
    if not np.isfinite(scores).all():
        return Answer([], 0.0, None)
    best = top_k(scores, TOP)
    divergence = None if kl is None or not np.isfinite(kl) else round(float(kl), DIGITS)
    return Answer(best.tolist(), round(float(scores[best[0]]), DIGITS), divergence)


def as_json(chunk: Chunk) -> dict[str, Any]:
    """`chunk` for another process."""
    return dataclasses.asdict(chunk)
