"""Classifies pictures with an artifact, knowing nothing about it but its manifest."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from edge_squeeze.artifact.folder import Artifact
from edge_squeeze.engines.runner import RunOptions, open_runner
from edge_squeeze.errors import UsageError
from edge_squeeze.networks.architecture import ANY, Size
from edge_squeeze.pictures.listing import list_pictures
from edge_squeeze.pictures.loading import as_rgb, open_picture
from edge_squeeze.pictures.preprocessing import Pixels, Preprocessing
from edge_squeeze.reporting import html_table
from edge_squeeze.scores import comparable, confidence, top_k

SHOWN = 3  # classes in a line
Picture = str | Path | Image.Image | Pixels


@dataclass(frozen=True)
class Prediction:
    """One class and its score from 0 to 1: its probability, unless classes do not exclude each other."""

    label: str
    index: int
    score: float


@dataclass(frozen=True)
class Classification:
    """The best classes of one picture, best first, and the time it took."""

    predictions: list[Prediction]
    preprocess_ms: float  # decoding included, where the picture was a file
    inference_ms: float
    rejected: bool = False  # whether the confidence is too low: none of these, according to `reject` of model.json
    confidence: float | None = None  # the best score at the temperature of `reject`; None if model.json has none
    threshold: float | None = None  # what `confidence` must reach

    def __repr__(self) -> str:
        best = ", ".join(f"{p.label} {p.score:.1%}" for p in self.predictions[:SHOWN])
        best = f"none of these ({best})" if self.rejected else best
        if self.confidence is not None:
            best = f"{best}; confidence {self.confidence:.1%}, threshold {self.threshold:.1%}"
        return f"<Classification: {best}; {self.inference_ms:.1f} ms>"

    def _repr_html_(self) -> str:
        rows = [(p.label, str(p.index), f"{p.score:.1%}") for p in self.predictions]
        return html_table(("class", "index", "score"), rows)


class Classifier:
    """An artifact, loaded into an engine."""

    def __init__(self, artifact: Artifact, options: RunOptions) -> None:
        """Load the model file, after checking its hash, and the labels."""
        self.artifact = artifact
        self.labels = artifact.labels()
        self.runner = open_runner(artifact.model(), artifact.manifest.format, options)

    def __repr__(self) -> str:
        manifest, runner = self.artifact.manifest, self.runner
        engine = f"{runner.runtime} {runner.version} ({runner.kernels} kernels)"
        return f"<Classifier {manifest.name}: {manifest.classes:,} classes, with {engine}>"

    def predict(self, picture: Picture, top: int = 5, *, input_size: Size | None = None) -> list[Prediction]:
        """The `top` best classes of a picture file, a PIL image or raw RGB pixels [H,W,3] uint8 of any size.

        The network is shown it at its usual size, or at `input_size`, a side or (height, width) in pixels, if it was
        exported with --input-size any; UsageError if it was not, or if the size is too small for it.
        """
        return self.classify(picture, top, input_size=input_size).predictions

    def classify(self, picture: Picture, top: int = 5, *, input_size: Size | None = None) -> Classification:
        """As `predict`, with the times."""
        if top < 1:
            raise UsageError(f"top must be at least 1, got {top}.")
        preprocessing = self._preprocessing(input_size)
        start = time.perf_counter()
        pixels = preprocessing.pixels(_opened(picture))[None]
        ready = time.perf_counter()
        scores = comparable(self.runner.run(pixels)[0], self.artifact.manifest.output.content)
        done = time.perf_counter()
        best = [Prediction(self.labels[i], int(i), float(scores[i])) for i in top_k(scores, top)]
        reject = self.artifact.manifest.reject
        times = (ready - start) * 1e3, (done - ready) * 1e3
        if reject is None:
            return Classification(best, *times)
        compared = confidence(scores, reject.temperature)
        return Classification(best, *times, compared < reject.threshold, compared, reject.threshold)

    def warm_up(self, picture: Picture | None = None, *, input_size: Size | None = None) -> None:
        """Run once untimed, on `picture` or a white one: a first inference also allocates and packs."""
        Image.preinit()  # so that the first file does not pay for PIL's readers
        white = Image.new("RGB", self._preprocessing(input_size).size[::-1], "white")
        self.classify(white if picture is None else picture, input_size=input_size)

    def classify_each(
        self, paths: Sequence[Path], top: int = 5, *, input_size: Size | None = None
    ) -> Iterator[tuple[Path, Classification | UsageError]]:
        """The best classes of each picture at `paths` (pictures, folders and lists of them), or why it cannot be read.

        The engine is warmed up first. UsageError if `paths` is one path, with no picture or a single unreadable one.
        """
        pictures = list(_find(paths))
        self.warm_up(input_size=input_size)
        for file, unreadable in pictures:
            outcome: Classification | UsageError
            try:
                outcome = unreadable or self.classify(file, top, input_size=input_size)
            except UsageError as error:
                if len(pictures) == 1:
                    raise
                outcome = error if str(file) in str(error) else UsageError(f"{file}: {error}")
            yield file, outcome

    def _preprocessing(self, input_size: Size | None) -> Preprocessing:
        manifest = self.artifact.manifest
        if input_size is None:
            return manifest.preprocessing
        if not manifest.any_size or manifest.variant is None:
            height, width = manifest.input_size
            raise UsageError(
                f"{self.artifact.folder} takes pictures of {height} x {width} pixels; --input-size cannot change that. "
                "Leave it out, or export the network with --input-size any."
            )
        if input_size == ANY:
            raise UsageError(
                "--input-size any is for export; predict needs one size. Required: a number of pixels, or HEIGHTxWIDTH."
            )
        return manifest.preprocessing_at(input_size)


def _find(paths: Sequence[Path]) -> Iterator[tuple[Path, UsageError | None]]:
    """The picture files at `paths`, and with its error each path without any, unless it is the only one."""
    for path in paths:
        try:
            yield from ((file, None) for file in list_pictures(path))
        except UsageError as error:
            if len(paths) == 1:
                raise
            yield path, error


def _opened(picture: Picture) -> Image.Image:
    if isinstance(picture, str | Path):
        return open_picture(Path(picture))
    if isinstance(picture, Image.Image):
        try:
            return as_rgb(picture)
        except Exception as error:  # a file of it that is damaged is read only now
            raise UsageError(f"The PIL image cannot be used: {error}.") from error
    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:  # noqa: PLR2004 - RGB
        actual = f"{list(array.shape)} {array.dtype}"
        raise UsageError(f"Required: a file, a PIL image or pixels [H,W,3] uint8. Got: {actual}.")
    return Image.fromarray(array)
