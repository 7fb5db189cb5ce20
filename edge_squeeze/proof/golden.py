"""Golden files: one picture, the pixels it must become, and the scores it must get, for apps and boards to re-check."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edge_squeeze.artifact.folder import Artifact
from edge_squeeze.artifact.manifest import Golden, GoldenScores
from edge_squeeze.engines.runner import Runner, RunOptions, open_runner
from edge_squeeze.errors import ConversionError, UsageError
from edge_squeeze.formats import FORMATS
from edge_squeeze.pictures.loading import open_picture, photograph
from edge_squeeze.pictures.preprocessing import Preprocessing
from edge_squeeze.proof.gates import Tolerance

PICTURE, PIXELS, SCORES = "golden/picture.png", "golden/pixels.rgb", "golden/scores-{family}.f32"
PHOTOGRAPH = "chelsea"  # CC0


@dataclass(frozen=True)
class GoldenCheck:
    """The result of re-checking an artifact's golden files."""

    runtime: str
    kernels: str
    pixels_equal: bool
    max_abs: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether pixels are equal to the byte and scores within the tolerance; NaN is not."""
        return self.pixels_equal and self.max_abs <= self.tolerance


def make(
    model: bytes, format_name: str, preprocessing: Preprocessing, tolerance: Tolerance, span: float
) -> tuple[Golden, dict[str, bytes]]:
    """The manifest's entry for golden files, and the files: relative path -> bytes.

    Args:
        model: The bytes of the model file.
        format_name: "tflite" or "onnx".
        preprocessing: What the golden picture goes through.
        tolerance: For scores from 0 to 1.
        span: How far the highest score can be from the lowest; above 1, the tolerance grows with it.
    """
    picture = photograph(PHOTOGRAPH)
    encoded = io.BytesIO()
    picture.save(encoded, "PNG", optimize=False)
    pixels = preprocessing.pixels(picture)
    files = {PICTURE: encoded.getvalue(), PIXELS: pixels.tobytes()}
    entries = {}
    for family in FORMATS[format_name].kernels:
        scores = open_runner(model, format_name, RunOptions(kernels=family)).run(pixels[None])[0]
        limit = tolerance.limit * max(1.0, span)
        name = SCORES.format(family=family)
        files[name] = scores.astype("<f4").tobytes()
        entries[family] = GoldenScores(name, limit, tolerance.reason)
    return Golden(PICTURE, PIXELS, entries), files


def check(artifact: Artifact, runner: Runner) -> GoldenCheck:
    """Preprocess the golden picture and run it again; UsageError if a golden file is missing or damaged.

    Args:
        artifact: The artifact to check.
        runner: The artifact's model, loaded.
    """
    manifest = artifact.manifest
    pixels = manifest.preprocessing.pixels(open_picture(artifact.path(manifest.golden.picture)))
    equal = pixels.tobytes() == artifact.read(manifest.golden.pixels)
    entry = _entry(manifest.golden.scores, runner.kernels)
    scores = runner.run(pixels[None])[0]
    data = artifact.read(entry.file)
    if len(data) != scores.nbytes:
        raise UsageError(f"{entry.file}: required {scores.size} float32 scores, got {len(data)} bytes.")
    expected = np.frombuffer(data, "<f4")
    difference = float(np.abs(scores - expected).max())
    return GoldenCheck(runner.runtime, runner.kernels, equal, difference, entry.tolerance)


def _entry(scores: Mapping[str, GoldenScores], family: str) -> GoldenScores:
    if family not in scores:
        raise ConversionError(f"There are no golden scores for {family} kernels, only for {', '.join(scores)}.")
    return scores[family]
