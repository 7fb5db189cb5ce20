"""What an int8 export learns its ranges from: pictures, or the ranges an earlier export wrote down."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze.converters.formats.to_tflite import FloatFile
from edge_squeeze.converters.options import FileOptions
from edge_squeeze.converters.quantization import lint, pixel_arrays, ranges
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

SCHEMA_VERSION = 1
SHIPPED = Path(__file__).with_name("shipped")  # records of pretrained networks; `make ranges` writes them
PARTS = 4  # of the pictures; `auto` measures on all but the last and judges on that
FEWEST_HELD_OUT = 4
CROPS_PER_PHOTOGRAPH = 20
SMALLEST_CROP = 0.35  # no measurable difference from 0.5, over four seeds and both networks
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


def load_source(path: Path | None, subject: Subject, drawn: Sample, *, skip_unreadable: bool = False) -> Source:
    """What `path` holds: pictures, or the record of a calibration.json made for `subject`.

    Where it is None, the record that this package brings for these weights, or crops of the built-in photographs; of
    other pictures those that `lint.screen` keeps. UsageError for what cannot be used.
    """
    if path is None and (record := shipped(subject)) is not None:
        return record
    if path is None:
        return photograph_crops(CROPS_PER_PHOTOGRAPH, subject.preprocessing.size, SEED, SMALLEST_CROP)
    if path.suffix == ".json":
        return _read(path, subject.identity())
    if pixel_arrays.is_array_file(path):
        return lint.screen(pixel_arrays.load(path, subject.preprocessing, drawn))
    return lint.screen(load_folder(path, subject.preprocessing, sample=drawn, skip_unreadable=skip_unreadable))


def shipped(subject: Subject) -> CalibrationRecord | None:
    """The record that this package brings for the weights of `subject`, at their own input size; else None."""
    path = SHIPPED / f"{subject.variant}.json"
    if not path.is_file():
        return None
    record = decode(CalibrationRecord, read_json(path), str(path))
    assert isinstance(record, CalibrationRecord)
    return record if _identity_of(record, subject.identity()) == subject.identity() else None


def _identity_of(record: CalibrationRecord, keys: Iterable[str]) -> dict[str, Any]:
    return {key: getattr(record, key) for key in keys}


def calibrate(
    subject: Subject, baked: Any, source: Source, rule: str, output: str, reporter: Reporter
) -> CalibrationRecord:
    """The ranges of the layers of `baked`, which takes raw pixels: those of a record, or measured on pictures.

    Args:
        subject: What is exported.
        baked: Its Keras model.
        source: What to take ranges from.
        rule: How to choose a range: one of `ranges.CHOICES`.
        output: What the scores are.
        reporter: Shows the progress.

    Raises:
        UsageError: The record has no ranges by that rule.
    """
    if isinstance(source, CalibrationRecord):
        return source if rule in (AUTO, source.range_rule) else _chosen(source, rule)
    cost = [_cost_of_photographs(subject)] if source.photographs else []
    file = FloatFile(baked)
    parts, bounds = _measure(file, source.pixels, reporter)
    halves = (Activations.merged(parts[i::2]).limits for i in (0, 1))
    differ = None if source.photographs else lint.halves_differ(*halves)
    groups, percentiles = file.groups(), ranges.percentiles(rule)
    held_out: dict[str, float] = {}
    if rule == AUTO:
        known = ranges.share(Activations.merged(parts[:-1]).statistics(bounds, percentiles), groups)
        held_out = _divergences(file, known, source.pixels[PARTS - 1 :: PARTS], output)
        rule = min(held_out, key=lambda name: held_out[name]) if held_out else MINMAX
    statistics = ranges.share(Activations.merged(parts).statistics(bounds, percentiles), groups)
    record = CalibrationRecord(
        **subject.identity(),
        source=source.description,
        seed=source.seed,
        count=len(source),
        pictures=leakage.records(source),
        lint=[*cost, *lint.lint(source), *([differ] if differ else [])],
        ranges={},
        held_out=held_out,
        statistics=statistics,
    )
    return _chosen(record, rule)


def widest(record: CalibrationRecord) -> CalibrationRecord:
    """`record` with the widest ranges that it has."""
    return _chosen(record, MINMAX) if record.statistics else record


def _chosen(record: CalibrationRecord, rule: str) -> CalibrationRecord:
    if not record.statistics:  # of version 0.3 or before
        raise UsageError(
            f"The calibration.json has ranges by {record.range_rule} alone, required {rule}. Calibrate with pictures."
        )
    return replace(record, ranges=ranges.choose(record.statistics, rule), range_rule=rule)


def _measure(file: FloatFile, pixels: Pixels, reporter: Reporter) -> tuple[list[Activations], dict[str, Range]]:
    """What the layers give in each of PARTS interleaved parts of the pictures, counted between the bounds of all."""
    parts = [Activations() for _ in range(PARTS)]
    for i, layers in enumerate(file.activations(reporter.track(pixels, "limits of the layers"))):
        parts[i % PARTS].widen(layers)
    bounds = Activations.merged(parts).limits
    for i, layers in enumerate(file.activations(reporter.track(pixels, "distribution between them"))):
        parts[i % PARTS].count(layers, bounds)
    return parts, bounds


def _divergences(
    file: FloatFile, statistics: Mapping[str, Statistics], pixels: Pixels, output: str
) -> dict[str, float]:
    """The mean KL divergence in nats, on `pixels`, of the integer file by each rule that `auto` tries."""
    if len(pixels) < FEWEST_HELD_OUT:
        return {}

    def scores(data: bytes) -> Scores:
        return comparable(open_runner(data, "tflite").run(pixels), output)

    expected = scores(file.data).astype(np.float64)
    files = {rule: file.quantize(ranges.choose(statistics, rule), FileOptions(), output) for rule in CANDIDATES}
    return {
        rule: float(kl_divergence(expected, scores(data).astype(np.float64)).mean()) for rule, data in files.items()
    }


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
    wanted = {**identity, "schema_version": SCHEMA_VERSION}
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
