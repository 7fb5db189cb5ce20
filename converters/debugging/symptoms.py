"""Symptoms of a faulty file, what causes them, and what to do: a table, and what of it fits a file.

Each row was tested by planting its fault in a file or its manifest (tests/converters/debugging/test_symptoms.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_squeeze.artifact.folder import Artifact
from edge_squeeze.converters.debugging.layers import LayerLoss
from edge_squeeze.converters.debugging.legs import KERNELS, Leg, divergence_of
from edge_squeeze.converters.quantization.network import ACTIVATIONS, CONVOLUTION, DENSE, DEPTHWISE
from edge_squeeze.pictures.filters import FILTERS
from edge_squeeze.pictures.loading import open_picture
from edge_squeeze.pictures.preprocessing import Normalization, Pixels
from edge_squeeze.proof.golden import GoldenCheck
from edge_squeeze.proof.verification import Reference
from edge_squeeze.scores import Scores, comparable

ORDER, MEAN, RANGE, FILTER = "channel order", "mean", "pixel range", "resize filter"
NOISE, LOGIT, CONCAT = "calibration", "clipped scores", "unbalanced concatenation"
DYING, DEPTHWISE_WEIGHTS, OTHER_KERNELS = "dying channels", "depthwise weights", "kernels"

# What sound files are below: SqueezeNet 1.0 and 1.1 in int8, stock and tuned, .tflite and .onnx, on 12 pictures.
LARGE = 0.1  # nats: stock 1.0 diverges by 0.04, a file of another preprocessing by 1.2 and more
EXPLAINED = 0.25  # of a divergence may be left where the original does the same; 0.01 was
DIFFERENT = 0.02  # nats that kernels add: 0.006 at most
DYING_SHARE, FEWEST_DYING = 0.1, 4  # of a layer's channels: 1 of 256
FAR = 3.0  # steps that weights are moved: 0.29 by nearest rounding, 0.93 by second-order rounding
CLIPPED, FEWEST_CLIPPING = 0.0005, 3  # of a layer's values, in how many layers: 0.0001 at most; 6 by ranges of noise
CUT_SCORES = 0.001  # of what the last layer gives: 0.00007 on 50 pictures
# How far what is cut off goes, by the range: 2.0 to 5.3 times in ranges of noise. Sound networks other than SqueezeNets
# (tests/helpers/measure_symptoms.py) clip up to 3.2 % of what a layer gives, in up to 10 of 54 layers, but no value
# goes beyond 1.45 times its range.
OVERFULL = 1.7
UNBALANCED = 20.0  # the largest input of a concatenation by the smallest: 1.9


@dataclass(frozen=True)
class Row:
    """A cause, and what to do about it."""

    cause: str
    command: str


TABLE = {
    FILTER: Row(
        "pictures are resized with another filter than the one that the golden pixels were made with",
        "Export again with the --filter of the training.",
    ),
    ORDER: Row(
        "the file takes red for blue: its channels are in another order than model.json says",
        "Export again with the --preprocessing of the training.",
    ),
    MEAN: Row(
        "the mean is not subtracted, or subtracted twice: the file computes what the original does without it",
        "Export again with the --preprocessing of the training.",
    ),
    RANGE: Row(
        "pixels have another range: 0 to 1 where 0 to 255 is expected, or the reverse",
        "Export again with the --preprocessing of the training.",
    ),
    OTHER_KERNELS: Row(
        "the engine's kernels compute something else than those that the file was proven with",
        "Run `edge-squeeze doctor`, and try another --runtime.",
    ),
    DYING: Row(
        "channels that carry something in float give a single number in integers",
        "Calibrate again with pictures of the kind that it will see: --calibration DIR.",
    ),
    DEPTHWISE_WEIGHTS: Row(
        "the weights of depthwise convolutions are far from the float ones: their rounding broke down",
        "Export again with --quantizer stock.",
    ),
    NOISE: Row(
        "the ranges fit other values than these pictures give: int8 was calibrated on something else, such as noise",
        "Calibrate again with pictures of the kind that it will see: --calibration DIR.",
    ),
    LOGIT: Row(
        "the highest scores are cut off: several classes get the same score",
        "Calibrate with more pictures, or export with --calibration-range minmax.",
    ),
    CONCAT: Row(
        "inputs of very unequal size meet in a concatenation and share one range, so the smaller ones have few steps",
        "Export again with --quantizer tuned, or keep the layers before it in float: --keep-float LAYER.",
    ),
}


@dataclass(frozen=True)
class Finding:
    """A row of TABLE that fits, and what shows it."""

    symptom: str
    evidence: str

    def __str__(self) -> str:
        row = TABLE[self.symptom]
        return f"Likely cause: {row.cause} ({self.evidence}). {row.command}"


@dataclass(frozen=True)
class Case:
    """What is known of a file."""

    artifact: Artifact
    reference: Reference
    scores: Scores  # of the engine, for the pictures of the reference, from 0 to 1
    legs: Sequence[Leg]
    golden: GoldenCheck
    pixels: Pixels  # the golden ones [H,W,3]
    layers: Sequence[LayerLoss]


def find(case: Case) -> list[Finding]:
    """The rows that fit, the likeliest first: what is wrong before the network explains what is odd inside it."""
    for early in (_resized, _normalized):
        if findings := list(early(case)):
            return findings
    later = (_kernels, _dying, _depthwise, _calibration, _scores, _concats)
    return [finding for each in later for finding in each(case)] or [*_golden(case)]


def _resized(case: Case) -> Iterator[Finding]:
    """Which filter gives the golden pixels, if the recorded one does not."""
    if case.golden.pixels_equal:
        return
    picture = open_picture(case.artifact.path(case.artifact.manifest.golden.picture))
    recorded = case.artifact.manifest.preprocessing
    for name in FILTERS:
        if np.array_equal(replace(recorded, filter=name).pixels(picture), case.pixels):
            yield Finding(FILTER, f"{name} gives the golden pixels, {recorded.filter} does not")


def _normalized(case: Case) -> Iterator[Finding]:
    """What the file does to pixels, if the original does the same with another preprocessing."""
    original = case.reference.original
    present = float(divergence_of(case.reference.scores, case.scores).mean())
    if present < LARGE:
        return
    left: dict[str, list[float]] = {}
    for name, baked in _others(original.preprocessing.baked):
        other = replace(original, preprocessing=replace(original.preprocessing, baked=baked))
        scores = comparable(other.run(case.reference.pictures.pixels), case.reference.content)
        left.setdefault(name, []).append(float(divergence_of(scores, case.scores).mean()))
    name = min(left, key=lambda each: min(left[each]), default="")
    if name and min(left[name]) < EXPLAINED * present:
        yield Finding(name, f"it diverges by {present:.2g} nats, by {min(left[name]):.2g} from the original with that")


def _others(baked: Normalization) -> Iterator[tuple[str, Normalization]]:
    """Other preprocessings, with what is wrong with them."""
    mean, scale = np.array(baked.mean), np.array(baked.scale)

    def other(factor: float = 1.0, **changes: object) -> Normalization:
        return replace(baked, **{"scale": tuple(scale * factor), **changes})  # type: ignore[arg-type]

    if baked.order in (reverse := {"rgb": "bgr", "bgr": "rgb"}):
        yield ORDER, other(order=reverse[baked.order])
        yield ORDER, other(order=reverse[baked.order], mean=baked.mean[::-1], scale=baked.scale[::-1])
    if any(baked.mean):
        yield MEAN, other(mean=tuple(0 * mean))
        yield MEAN, other(mean=tuple(2 * mean))
    for factor in (255.0, 127.5):
        yield RANGE, other(factor)
        yield RANGE, other(1 / factor)
        yield RANGE, other(factor, mean=tuple(mean / factor))
        yield RANGE, other(1 / factor, mean=tuple(mean * factor))


def _kernels(case: Case) -> Iterator[Finding]:
    (leg,) = (leg for leg in case.legs if leg.name == KERNELS)
    if leg.kl_interval[0] > DIFFERENT:
        yield Finding(OTHER_KERNELS, f"they add {leg.kl:.2g} nats to what reference kernels give")


def _golden(case: Case) -> Iterator[Finding]:
    """Whether an engine gives other golden scores than its kernels gave, though nothing is wrong with the file."""
    gold, diverges = case.golden, case.legs[-1].kl_after
    if gold.pixels_equal and not gold.max_abs <= gold.tolerance and diverges < LARGE:
        off = f"{gold.max_abs:.2g} off, allowed {gold.tolerance:.2g}"
        yield Finding(OTHER_KERNELS, f"the golden scores of {gold.kernels} are {off}; those of the pictures are right")


def _dying(case: Case) -> Iterator[Finding]:
    worst = max(case.layers, key=lambda layer: layer.dying / layer.channels, default=None)
    if worst is not None and worst.dying >= max(FEWEST_DYING, DYING_SHARE * worst.channels):
        yield Finding(DYING, f"{worst.dying} of {worst.channels} in {worst.layer}")


def _depthwise(case: Case) -> Iterator[Finding]:
    moved = {layer.layer: layer.weight_moves or 0.0 for layer in case.layers if layer.kind == DEPTHWISE}
    if moved and max(moved.values()) > FAR:
        name = max(moved, key=lambda each: moved[each])
        yield Finding(DEPTHWISE_WEIGHTS, f"those of {name} are {moved[name]:.1f} steps away")


def _calibration(case: Case) -> Iterator[Finding]:
    ranged = [layer for layer in case.layers if layer.clipped is not None and computes(layer)]
    clipping = [layer for layer in ranged if (layer.clipped or 0) > CLIPPED and (layer.filled or 0) > OVERFULL]
    if len(clipping) >= FEWEST_CLIPPING:
        worst = max(clipping, key=lambda layer: layer.clipped or 0)
        yield Finding(
            NOISE, f"{len(clipping)} of {len(ranged)} layers cut values off, {worst.layer} {worst.clipped:.1%}"
        )


def _scores(case: Case) -> Iterator[Finding]:
    """Whether the last layer's range is too small for its highest values, though others' are not."""
    ranged = [layer for layer in case.layers if layer.clipped is not None and computes(layer)]
    if not ranged or list(_calibration(case)):
        return
    last = ranged[-1]
    if (last.clipped or 0) > CUT_SCORES and (last.filled or 0) > OVERFULL:
        cut = f"{last.clipped:.2%} of what {last.layer} gives is"
        yield Finding(LOGIT, f"{cut}, which goes up to {last.filled:.1f} times its range")


def _concats(case: Case) -> Iterator[Finding]:
    ratios: Mapping[str, float] = {layer.layer: layer.imbalance for layer in case.layers if layer.imbalance is not None}
    worst = max(ratios, key=lambda name: ratios[name], default="")
    if worst and ratios[worst] > UNBALANCED:
        yield Finding(CONCAT, f"the largest input of {worst} is {ratios[worst]:.0f} times the smallest")


def computes(layer: LayerLoss) -> bool:
    """Whether a range is that of what a layer computes; one for the activation may have it in its place."""
    return layer.kind in (CONVOLUTION, DEPTHWISE, DENSE, *ACTIVATIONS)
