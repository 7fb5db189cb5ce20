"""`model.json` as typed values: everything an app, a board or a benchmark needs to know about an artifact."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass
from typing import Any

from edge_squeeze.errors import UsageError
from edge_squeeze.preprocessing import Preprocessing

SCHEMA_VERSION = 1
KERAS_MODEL, SAVED_MODEL = "keras_model", "saved_model"  # kinds of original, beside those of weights
FOLD_NORMALISATION, PREPEND_NORMALISATION = "fold_normalisation", "prepend_normalisation"  # rewrites


@dataclass(frozen=True)
class ModelFile:
    """The model file beside `model.json`."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class LabelsFile:
    """The file of class names."""

    name: str
    sha256: str


@dataclass(frozen=True)
class WeightsRecord:
    """Where the weights came from: enough to find them again, and to know whether they are the same."""

    kind: str  # imagenet | file | random; for a user's own model: keras_model | saved_model
    source: str
    trained: bool
    path: str | None = None  # as the user wrote it
    sha256: str | None = None
    seed: int | None = None
    licence: str | None = None


@dataclass(frozen=True)
class TensorSpec:
    """One input or output: real value = (stored value - zero_point) * scale where it is quantised."""

    name: str
    shape: tuple[int | None, ...]  # None: any batch size
    dtype: str  # float32 | uint8 | int8
    layout: str  # nhwc | nchw for pictures, nc for scores
    content: str  # pixels (raw RGB 0..255); probabilities | logits | scores (each class by itself, 0..1)
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class GoldenScores:
    """The scores one kernel family gave for the golden picture, and how far another machine's may be from them."""

    file: str
    tolerance: float
    reason: str


@dataclass(frozen=True)
class Golden:
    """Files with which an app or a board proves its preprocessing and its runtime."""

    picture: str  # a PNG, before any preprocessing
    pixels: str  # uint8 RGB [H,W,3], row by row: what preprocessing must make of the picture
    scores: dict[str, GoldenScores]  # by kernel family: xnnpack, builtin, onnxruntime


@dataclass(frozen=True)
class ParityRecord:
    """What the export's own proof said; the figures are in parity.json."""

    verdict: str  # pass | fail | unproven
    reason: str
    file: str = "parity.json"


@dataclass(frozen=True)
class Graph:
    """What the finished file holds, as read back from it."""

    operators: dict[str, int]
    tensor_types: dict[str, int]
    transposes: int
    opset: int | None = None


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of `model.json`; docs/artifact.md explains each key."""

    schema_version: int = SCHEMA_VERSION
    name: str
    variant: str | None
    format: str
    precision: str
    options: dict[str, Any]
    file: ModelFile
    weights: WeightsRecord
    parameters: int
    classes: int
    input_size: tuple[int, int]
    labels: LabelsFile
    input: TensorSpec
    output: TensorSpec
    preprocessing: Preprocessing
    rewrites: list[str]
    quantizer: str | None
    gates: dict[str, list[dict[str, Any]]]
    golden: Golden
    parity: ParityRecord
    graph: Graph
    tools: dict[str, str]
    command: str


def to_json(manifest: Manifest) -> str:
    """The text of `model.json`."""
    return json.dumps(dataclasses.asdict(manifest), indent=2, ensure_ascii=False) + "\n"


def from_json(text: str, where: str) -> Manifest:
    """The manifest written in `text`; UsageError names the key of `where` that is missing or of the wrong type."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not valid JSON: {error}.") from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise UsageError(f"{where}: this version reads schema_version {SCHEMA_VERSION}, got {version!r}.")
    manifest = decode(Manifest, data, where)
    assert isinstance(manifest, Manifest)
    size, pixels = manifest.input_size, manifest.preprocessing.size
    if size != pixels:
        raise UsageError(f"{where}: input_size is {size}, but preprocessing gives {pixels}.")
    return manifest


def decode(kind: Any, value: Any, where: str) -> Any:
    """`value`, parsed from JSON, as the annotated type `kind`; UsageError names what does not fit."""
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(typing.cast("type", kind), value, where)
    if typing.get_origin(kind) is not None:
        return _decode_generic(kind, value, where)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise _mismatch(kind.__name__, value, where)
    return value


def _mismatch(required: str, value: Any, where: str) -> UsageError:
    return UsageError(f"{where} must be {required}, got {json.dumps(value)[:60]}.")


def _decode_generic(kind: Any, value: Any, where: str) -> Any:
    """A list, tuple or dict of something, or something | None."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return None if value is None else decode(arguments[0], value, where)
    if origin is dict and isinstance(value, dict):
        return {key: decode(arguments[1], item, f"{where}: {key}") for key, item in value.items()}
    if origin in (list, tuple) and isinstance(value, list):
        return _decode_sequence(origin, arguments, value, where)
    raise _mismatch("an object" if origin is dict else "a list", value, where)


def _decode_sequence(origin: Any, arguments: tuple[Any, ...], value: list[Any], where: str) -> Any:
    fixed = origin is tuple and arguments[-1] is not Ellipsis
    if fixed and len(value) != len(arguments):
        raise UsageError(f"{where} must have {len(arguments)} entries, got {len(value)}.")
    kinds = arguments if fixed else [arguments[0]] * len(value)
    return origin(decode(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True)))


def _decode_dataclass(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _mismatch("an object", value, where)
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    required = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING]
    if missing := [name for name in required if name not in value]:
        raise UsageError(f"{where} lacks {', '.join(missing)}.")
    known = [f.name for f in fields if f.name in value]
    decoded = {name: decode(hints[name], value[name], f"{where}: {name}") for name in known}
    try:
        return kind(**decoded)
    except UsageError as error:  # a type that checks its own values
        raise UsageError(f"{where}: {error}") from error
