"""What an int8 export learns its ranges from: pictures, or the ranges an earlier export wrote down."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.converters.formats.to_tflite import HEAD_ROOM, FloatFile
from edge_squeeze.converters.options import STOCK, TUNED, FileOptions, Ranges
from edge_squeeze.converters.quantization import lint, pixel_arrays, ranges
from edge_squeeze.converters.quantization.adjustments import Adjustments
from edge_squeeze.converters.quantization.ranges import AUTO, CANDIDATES, MINMAX, Activations, Range, Statistics
from edge_squeeze.engines.runner import open_runner
from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import decode, read_json
from edge_squeeze.models.source import Subject
from edge_squeeze.networks.design import AS_IS, Design
from edge_squeeze.pictures.loading import PictureSet, Sample, check as check_pictures, load_folder, photograph_crops
from edge_squeeze.pictures.preprocessing import Pixels, Preprocessing
from edge_squeeze.pictures.presets import describe
from edge_squeeze.proof import leakage
from edge_squeeze.proof.leakage import CalibrationPicture
from edge_squeeze.proof.parity import kl_divergence
from edge_squeeze.reporting import Reporter
from edge_squeeze.scores import Scores, comparable

SCHEMA_VERSION = 2  # 1: without the tuned quantizer, whose ranges are of other weights
SHIPPED = Path(__file__).with_name("shipped")  # records of pretrained networks; `make ranges` writes them
PARTS = 4  # of the pictures; `auto` measures on all but the last and judges on that
FEWEST_HELD_OUT = 4
CROPS_PER_PHOTOGRAPH = 20
SMALLEST_CROP = 0.35  # no measurable difference from 0.5, over four seeds and both networks
SMALLEST_VIEW = 0.6  # of the longest sides that fit
SEED = 1  # parity crops have another, so that no crop serves both
MOST_OF_A_LIST = 200  # lists of training pictures may be long, and each picture is a run of the network
LARGEST_VALUE = float(np.finfo(np.float32).max)
# Agreement with float32 on 1,000 ImageNet pictures in percent: with the five photographs, with 100 ImageNet pictures.
# Taken before this code, with other crops of the same photographs; docs/parity.md has what this code gives.
PHOTOGRAPHS_COST = {"squeezenet1.0": (89.4, 92.8), "squeezenet1.1": (94.0, 94.4)}


@dataclass(frozen=True, kw_only=True)
class CalibrationRecord:
    """The content of calibration.json."""

    schema_version: int = SCHEMA_VERSION
    variant: str | None
    design: Design = AS_IS
    classes: int
    input_size: tuple[int, int]
    weights_sha256: str | None
    weights_seed: int | None
    preprocessing: Preprocessing
    source: str
    seed: int | None
    count: int
    pictures: list[CalibrationPicture]
    lint: list[str]
    ranges: dict[str, Range]  # those that files are made with
    range_rule: str = MINMAX  # by which they were chosen
    held_out: dict[str, float] = field(default_factory=dict)  # rule -> divergence in nats, where `auto` chose
    statistics: dict[str, Statistics] = field(default_factory=dict)  # of each layer
    quantizer: str = STOCK
    effort: str | None = None  # of the tuned quantizer
    quantizers: dict[str, float] = field(default_factory=dict)  # quantizer -> divergence, where `auto` chose
    output_errors: dict[str, tuple[float, float]] = field(default_factory=dict)  # layer -> nearest, second order
    adjustments: Adjustments | None = None  # of the tuned quantizer


Source = PictureSet | CalibrationRecord


def sample(count: int | None, seed: int) -> Sample:
    """How to draw `count` pictures from more; by default 200, and those from lists and .npz files alone.

    UsageError if they are fewer than a calibration needs.
    """
    if count is not None and count < lint.FEWEST:
        raise UsageError(f"--calibration-samples must be {lint.FEWEST} or more, got {count}.")
    if seed < 0:
        raise UsageError(f"--calibration-seed must be 0 or more, got {seed}.")
    return Sample(MOST_OF_A_LIST if count is None else count, seed, lists_only=count is None)


def check(path: Path, drawn: Sample, *, skip_unreadable: bool = False) -> list[str]:
    """What to say of the pictures at `path` that will not be used, found out without a model.

    UsageError if it holds neither pictures nor a calibration.json, or unreadable pictures, unless those are skipped.
    """
    if path.suffix == ".json":
        decode(CalibrationRecord, read_json(path), str(path))
        return []
    if pixel_arrays.is_array_file(path):
        pixel_arrays.read(path)
        return []
    return check_pictures(path, skip_unreadable=skip_unreadable, sample=drawn)


def load_source(
    path: Path | None, subject: Subject, drawn: Sample, quantizer: str = STOCK, *, skip_unreadable: bool = False
) -> Source:
    """What `path` holds: pictures, or the record of a calibration.json made for `subject`.

    Where it is None, the record that this package brings for these weights, or crops of the built-in photographs; of
    other pictures those that `lint.screen` keeps. UsageError for what cannot be used.
    """
    if path is None and (record := shipped(subject, quantizer)) is not None:
        return record
    if path is None:
        return photograph_crops(CROPS_PER_PHOTOGRAPH, subject.preprocessing.size, SEED, SMALLEST_CROP)
    if path.suffix == ".json":
        return _read(path, subject.identity())
    if pixel_arrays.is_array_file(path):
        return lint.screen(pixel_arrays.load(path, subject.preprocessing, drawn))
    return lint.screen(load_folder(path, subject.preprocessing, sample=drawn, skip_unreadable=skip_unreadable))


def shipped(subject: Subject, quantizer: str = STOCK) -> CalibrationRecord | None:
    """The record that this package brings for the weights of `subject`, at their own input size; else None."""
    path = SHIPPED / f"{subject.variant}-{TUNED if quantizer != STOCK else STOCK}.json"
    if not path.is_file():
        return None
    record = decode(CalibrationRecord, read_json(path), str(path))
    assert isinstance(record, CalibrationRecord)
    return record if _identity_of(record, subject.identity()) == subject.identity() else None


def _identity_of(record: CalibrationRecord, keys: Iterable[str]) -> dict[str, Any]:
    return {key: getattr(record, key) for key in keys}


@dataclass(frozen=True)
class Measurement:
    """What the layers of a model give on calibration pictures, and the rule that suits them."""

    file: FloatFile
    statistics: dict[str, Statistics]  # of all pictures
    early: dict[str, Statistics]  # of those that were not held out
    rule: str
    held_out: dict[str, float]  # rule -> divergence in nats of the integer file by it
    halves_differ: str | None  # what to say if half of the pictures have other limits

    @property
    def ranges(self) -> Ranges:
        """The range of each layer, by the rule."""
        return ranges.choose(self.statistics, self.rule)


@dataclass(frozen=True)
class Samples:
    """What is shown to a network: pictures, or several views of each."""

    pixels: Pixels  # [M,H,W,3]
    pictures: NDArray[np.intp]  # [M]: the number of the picture that each is a view of

    @classmethod
    def of(cls, source: PictureSet, views: int = 1) -> Samples:
        """The pictures of `source`, and further views of each: seeded crops, if there are files to take them from."""
        rows = np.arange(len(source))
        if views == 1 or source.files is None:
            return cls(source.pixels, rows)
        crops = source.crops(views - 1, SEED, SMALLEST_VIEW)
        return cls(np.concatenate([source.pixels, crops]), np.tile(rows, views))

    @property
    def is_held_out(self) -> NDArray[np.bool_]:
        """Those of every fourth picture, which choices are judged on."""
        return np.equal(self.pictures % PARTS, PARTS - 1)

    @property
    def held_out(self) -> Pixels:
        """Those that choices are judged on."""
        return self.pixels[self.is_held_out]

    @property
    def early(self) -> Pixels:
        """The others."""
        return self.pixels[~self.is_held_out]


def measure(model: Any, samples: Samples, rule: str, output: str, reporter: Reporter) -> Measurement:
    """What the layers of `model`, which takes raw pixels, give on pictures.

    Args:
        model: A Keras model.
        samples: The pictures.
        rule: How to choose a range: one of `ranges.CHOICES`.
        output: What the scores are.
        reporter: Shows the progress.
    """
    file = FloatFile(model)
    parts, bounds = _measure(file, samples, reporter)
    halves = [Activations.merged(parts[i::2]).limits for i in (0, 1)]
    early = _statistics(file, parts[:-1], bounds, rule)
    divergences: dict[str, float] = {}
    if rule == AUTO:
        divergences = _divergences(file, early, samples.held_out, output)
        rule = min(divergences, key=lambda name: divergences[name]) if divergences else MINMAX
    statistics = _statistics(file, parts, bounds, rule)
    return Measurement(file, statistics, early, rule, divergences, lint.halves_differ(*halves))


def record(subject: Subject, source: PictureSet, measurement: Measurement) -> CalibrationRecord:
    """What calibration.json holds after `measurement` on the pictures of `source`."""
    if source.photographs:
        special = [_cost_of_photographs(subject)]
    else:
        special = [measurement.halves_differ] if measurement.halves_differ else []
    return CalibrationRecord(
        **subject.identity(),
        source=source.description,
        seed=source.seed,
        count=len(source),
        pictures=leakage.records(source),
        lint=[*lint.lint(source), *special],
        ranges=dict(measurement.ranges),
        range_rule=measurement.rule,
        held_out=measurement.held_out,
        statistics=measurement.statistics,
    )


def by_rule(kept: CalibrationRecord, rule: str) -> CalibrationRecord:
    """The record of an earlier calibration with the ranges by `rule`; UsageError if it has none by it."""
    return kept if rule in (AUTO, kept.range_rule) else _chosen(kept, rule)


def widest(record: CalibrationRecord) -> CalibrationRecord:
    """`record` with the widest ranges that it has."""
    return _chosen(record, MINMAX) if record.statistics else record


def _chosen(record: CalibrationRecord, rule: str) -> CalibrationRecord:
    if not record.statistics:  # of version 0.3 or before
        raise UsageError(
            f"The calibration.json has ranges by {record.range_rule} alone, required {rule}. Calibrate with pictures."
        )
    return replace(record, ranges=ranges.choose(record.statistics, rule), range_rule=rule)


def _measure(file: FloatFile, samples: Samples, reporter: Reporter) -> tuple[list[Activations], dict[str, Range]]:
    """What the layers give in each of PARTS interleaved parts of the pictures, counted between the bounds of all."""
    parts = [Activations() for _ in range(PARTS)]
    numbers = samples.pictures % PARTS
    for i, layers in zip(
        numbers, file.activations(reporter.track(samples.pixels, "limits of the layers")), strict=True
    ):
        parts[i].widen(layers)
    bounds = Activations.merged(parts).limits
    shown = reporter.track(samples.pixels, "distribution between them")
    for i, layers in zip(numbers, file.activations(shown), strict=True):
        parts[i].count(layers, bounds)
    return parts, bounds


def _statistics(
    file: FloatFile, parts: Iterable[Activations], bounds: Mapping[str, Range], rule: str
) -> dict[str, Statistics]:
    """The statistics of `parts` of the pictures together, as integers need them: shared, and with room for logits."""
    each = Activations.merged(parts).statistics(bounds, ranges.percentiles(rule))
    logits, is_sigmoid = file.logits()
    return ranges.with_room(ranges.share(each, file.groups()), logits, HEAD_ROOM, both=is_sigmoid)


def _divergences(
    file: FloatFile, statistics: Mapping[str, Statistics], pixels: Pixels, output: str
) -> dict[str, float]:
    """The mean KL divergence in nats, on `pixels`, of the integer file by each rule that `auto` tries.

    None where there are too few pictures.
    """
    if len(pixels) < FEWEST_HELD_OUT:
        return {}
    expected = scores_of(file.data, pixels, output)
    files = {rule: file.quantize(ranges.choose(statistics, rule), FileOptions(), output) for rule in CANDIDATES}
    return {rule: divergence(expected, scores_of(data, pixels, output)) for rule, data in files.items()}


def scores_of(data: bytes, pixels: Pixels, output: str) -> Scores:
    """The scores that a .tflite file gives `pixels` [N,H,W,3], on a scale of 0 to 1."""
    return comparable(open_runner(data, "tflite").run(pixels), output)


def divergence(expected: Scores, scores: Scores) -> float:
    """The mean KL divergence of `scores` [N,classes] in nats."""
    return float(kl_divergence(expected.astype(np.float64), scores.astype(np.float64)).mean())


def _cost_of_photographs(subject: Subject) -> str:
    cost, variant = "", subject.variant if subject.weights.trained else None
    if variant in PHOTOGRAPHS_COST:
        few, many = PHOTOGRAPHS_COST[variant]
        cost = f" ({few} % agreement with float32 instead of {many} % on 1,000 ImageNet pictures)"
    return (
        f"calibrated on 5 photographs, which underestimate the ranges{cost}: give --calibration DIR with 100 of yours"
    )


def measured_on(source: Source | None) -> list[CalibrationPicture]:
    """The pictures whose ranges `source` holds or will be asked for, which no proof may use."""
    if source is None:
        return []
    return source.pictures if isinstance(source, CalibrationRecord) else leakage.records(source)


def to_json(record: CalibrationRecord) -> str:
    """The text of calibration.json."""
    return json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n"


def _words(value: Any) -> str:
    return describe(value) if isinstance(value, Preprocessing) else str(value)


def _read(path: Path, identity: dict[str, Any]) -> CalibrationRecord:
    """The record in `path`; UsageError if it cannot be read or was made for another network or other weights."""
    record = decode(CalibrationRecord, read_json(path), str(path))
    assert isinstance(record, CalibrationRecord)
    if record.schema_version not in range(1, SCHEMA_VERSION + 1):
        raise UsageError(
            f"{path} has schema version {record.schema_version}, required: {SCHEMA_VERSION} or less. "
            "Update edge-squeeze."
        )
    wanted = identity
    got = _identity_of(record, wanted)
    if differing := [key for key in wanted if wanted[key] != got[key]]:
        differences = "; ".join(f"{key}: required {_words(wanted[key])}, got {_words(got[key])}" for key in differing)
        raise UsageError(f"{path} was made for another model or preprocessing. {differences}. Calibrate with pictures.")
    for name, (low, high) in record.ranges.items():
        if not -LARGEST_VALUE <= low <= high <= LARGEST_VALUE:
            raise UsageError(
                f"{path}: the range of {name} is {low} to {high}. Required: finite float32, smallest first."
            )
    return record
