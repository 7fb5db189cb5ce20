"""What an int8 export learns its ranges from: pictures, or the ranges an earlier export wrote down."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze import manifest as manifests
from edge_squeeze.converters.options import Ranges
from edge_squeeze.converters.to_tflite import measure_ranges
from edge_squeeze.errors import UsageError
from edge_squeeze.original import Original
from edge_squeeze.pictures import PictureSet, list_pictures, load_folder, photograph_crops
from edge_squeeze.preprocessing import Pixels, Preprocessing
from edge_squeeze.reporting import Reporter

SCHEMA_VERSION = 1
CROPS_PER_PHOTOGRAPH = 20
SMALLEST_CROP = 0.35  # textures seen close widen the ranges: better than 0.5 and 0.8 for 1.1, no worse for 1.0
SEED = 1  # parity crops have another, so that no crop serves both
ENOUGH = 50
NOISE_RATIO = (
    0.8  # mean step between neighbours / standard deviation: 1.13 for white noise, 0.05 to 0.5 for photographs
)
BLANK_DEVIATION = 2.0  # of 255
FEW_PHOTOGRAPHS = (
    "calibrated on 5 photographs, which underestimate the ranges (agreement with float32 on 1,000 ImageNet pictures: "
    "89.4 % instead of 92.8 % for 1.0, 94.0 % instead of 94.4 % for 1.1): give --calibration DIR with 100 of yours"
)


@dataclass(frozen=True, kw_only=True)
class CalibrationRecord:
    """The content of calibration.json."""

    schema_version: int = SCHEMA_VERSION
    variant: str
    classes: int
    input_size: tuple[int, int]
    weights_sha256: str | None
    weights_seed: int | None
    source: str
    seed: int | None
    count: int
    pictures: list[dict[str, str]]  # name, sha256 of the pixels the network saw
    preprocessing: Preprocessing
    lint: list[str]
    ranges: dict[str, tuple[float, float]]


def check_source(source: Path | None) -> None:
    """Raise UsageError now, before any work, if `source` is neither pictures nor a calibration.json."""
    if source is not None and source.suffix != ".json":
        list_pictures(source)
    elif source is not None and not source.is_file():
        raise UsageError(f"No such calibration file: {source}.")


def calibrate(original: Original, baked: Any, source: Path | None, reporter: Reporter) -> CalibrationRecord:
    """The ranges of `baked`'s layers: read from a calibration.json, or measured on pictures or built-in crops."""
    if source is not None and source.suffix == ".json":
        return _read(source, original)
    if source is None:
        pictures = photograph_crops(CROPS_PER_PHOTOGRAPH, original.preprocessing.size, SEED, SMALLEST_CROP)
    else:
        pictures = load_folder(source, original.preprocessing)
    ranges = measure_ranges(baked, reporter.track(pictures.pixels, "calibrate"))
    return _record(original, pictures, ranges, seed=SEED if source is None else None)


def _record(original: Original, pictures: PictureSet, ranges: Ranges, seed: int | None) -> CalibrationRecord:
    return CalibrationRecord(
        **_identity(original),
        source=pictures.description,
        seed=seed,
        count=len(pictures),
        pictures=[{"name": n, "sha256": h} for n, h in zip(pictures.names, hashes(pictures.pixels), strict=True)],
        preprocessing=original.preprocessing,
        lint=lint(pictures),
        ranges={name: (low, high) for name, (low, high) in ranges.items()},
    )


def _identity(original: Original) -> dict[str, Any]:
    """What a calibration is only good for."""
    return {
        "variant": original.arch.variant,
        "classes": original.arch.classes,
        "input_size": original.arch.input_size,
        "weights_sha256": original.weights.sha256,
        "weights_seed": original.weights.seed,
    }


def hashes(pixels: Pixels) -> list[str]:
    """sha256 of each picture's pixels [H,W,3]."""
    return [hashlib.sha256(np.ascontiguousarray(picture).tobytes()).hexdigest() for picture in pixels]


def lint(pictures: PictureSet) -> list[str]:
    """What is wrong with `pictures` [N,H,W,3] as a calibration set, in words; empty if nothing."""
    findings = [FEW_PHOTOGRAPHS] if pictures.photographs else []
    if len(pictures) < ENOUGH:
        findings.append(f"calibrated on {len(pictures)} pictures, at least {ENOUGH} are wanted and 100 are better")
    named = list(zip(pictures.names, pictures.pixels, strict=True))
    findings += _finding("looks like noise, on which int8 collapses", [n for n, p in named if _is_noise(p)])
    findings += _finding("is blank", [n for n, p in named if p.std() < BLANK_DEVIATION])
    counts = Counter(hashes(pictures.pixels))
    repeated = [n for n, h in zip(pictures.names, hashes(pictures.pixels), strict=True) if counts[h] > 1]
    return findings + _finding("is there more than once", repeated)


def overlap(record: CalibrationRecord, pictures: PictureSet) -> list[str]:
    """What to say if some of `pictures`, which int8 is about to be judged on, are those it was calibrated on."""
    known = {picture["sha256"] for picture in record.pictures}
    shared = sum(digest in known for digest in hashes(pictures.pixels))
    if not shared:
        return []
    return [f"{shared} of the {len(pictures)} pictures of the proof were calibrated on, which flatters int8"]


def _finding(what: str, names: list[str]) -> list[str]:
    others = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return [f"calibration picture {names[0]}{others} {what}"] if names else []


def _is_noise(picture: Pixels) -> bool:
    values = picture.astype(np.float32)
    steps = np.abs(np.diff(values, axis=1)).mean() + np.abs(np.diff(values, axis=0)).mean()
    return bool(steps / 2 > NOISE_RATIO * max(float(values.std()), BLANK_DEVIATION))


def to_json(record: CalibrationRecord) -> str:
    """The text of calibration.json."""
    return json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n"


def _read(path: Path, original: Original) -> CalibrationRecord:
    """The record in `path`; UsageError if it cannot be read or was made for another network or other weights."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not a readable calibration file: {error}.") from error
    record = manifests.decode(CalibrationRecord, data, str(path))
    assert isinstance(record, CalibrationRecord)
    wanted = {**_identity(original), "schema_version": SCHEMA_VERSION}
    got = {key: getattr(record, key) for key in wanted}
    if differing := [f"{key}: required {wanted[key]}, got {got[key]}" for key in wanted if wanted[key] != got[key]]:
        raise UsageError(f"{path} was made for another model. {'; '.join(differing)}. Calibrate with pictures.")
    if bad := [
        name for name, (low, high) in record.ranges.items() if not (np.isfinite([low, high]).all() and low <= high)
    ]:
        raise UsageError(f"{path}: the range of {bad[0]} is {record.ranges[bad[0]]}. Required: finite, smallest first.")
    return record
