"""`model.json` as typed values: everything an app, a board or a benchmark needs to know about an artifact."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import decode
from edge_squeeze.networks.architecture import Size, architecture
from edge_squeeze.networks.design import AS_IS, Design
from edge_squeeze.pictures.preprocessing import Preprocessing

SCHEMA_VERSION = 1
ONE_SCORE_VERSION = 2  # of files that give one score for two classes, which readers of version 1 would take for one
KERAS_MODEL, SAVED_MODEL = "keras_model", "saved_model"  # kinds of original, beside those of weights
FOLD_NORMALIZATION, PREPEND_NORMALIZATION = "fold_normalisation", "prepend_normalisation"  # rewrites


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
class Pretrained:
    """The weights that others were fine-tuned from."""

    source: str
    licence: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class WeightsRecord:
    """Where the weights came from: enough to find them again and to detect a change."""

    kind: str  # imagenet | file | random; for a user's own model: keras_model | saved_model
    source: str
    trained: bool
    path: str | None = None  # as the user wrote it
    sha256: str | None = None
    seed: int | None = None
    licence: str | None = None
    pretrained: Pretrained | None = None  # where `finetune` began; None: somewhere else, or not known

    @property
    def in_memory(self) -> bool:
        """Whether they were those of a Keras model that was given as an object, not as a file."""
        return self.kind == KERAS_MODEL and self.path is None


@dataclass(frozen=True)
class TensorSpec:
    """One input or output: real value = (stored value - zero_point) * scale where it is quantized."""

    name: str
    shape: tuple[int | None, ...]  # None: any batch size
    dtype: str  # float32 | uint8 | int8
    layout: str  # nhwc | nchw for pictures, nc for scores
    content: str  # pixels (raw RGB 0..255); probabilities | logits | scores (each class by itself) | probability
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class GoldenScores:
    """The scores one kernel family gave for the golden picture, and how far those of another machine may be off."""

    file: str
    tolerance: float
    reason: str


@dataclass(frozen=True)
class Golden:
    """Files that an app or a board checks its preprocessing and its runtime with."""

    picture: str  # a PNG, before any preprocessing
    pixels: str  # uint8 RGB [H,W,3], row by row: what preprocessing must make of the picture
    scores: dict[str, GoldenScores]  # by kernel family: xnnpack, builtin, onnxruntime


@dataclass(frozen=True)
class ParityRecord:
    """The result of the export's own proof; the figures are in parity.json."""

    verdict: str  # pass | fail | unproven
    reason: str
    file: str = "parity.json"


@dataclass(frozen=True)
class Graph:
    """What the finished file contains, as read back from it."""

    operators: dict[str, int]
    tensor_types: dict[str, int]
    transposes: int
    opset: int | None = None
    float_operators: dict[str, int] = field(default_factory=dict)  # that an integer file has before its head
    float_head: dict[str, int] = field(default_factory=dict)  # that it has after its last convolution or dense layer


@dataclass(frozen=True)
class Rejection:
    """When an app should answer "none of these": if the confidence, at this temperature, is below the threshold."""

    temperature: float  # probabilities are raised to the power of 1 / temperature, then sum to one again
    threshold: float  # of the highest of them


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
    design: Design = AS_IS  # what differs from the variant's row
    threshold: float | None = None  # of a file with one score for two classes: above it, the second is the best

    reject: Rejection | None = None  # None: the best class is always the answer

    @property
    def outputs(self) -> int:
        """How many scores the file gives: one for each class, or one for two."""
        return self.classes if self.threshold is None else 1

    @property
    def any_size(self) -> bool:
        """Whether the file takes pictures of any height and width; `input_size` is the usual one then."""
        return None in self.input.shape[1:]

    def preprocessing_at(self, size: Size) -> Preprocessing:
        """The preprocessing at `size`, for a file that takes any; UsageError if that is too small for the network."""
        # Checked here, since engines crash on such pictures, or time a network that computes nothing.
        checked = architecture(self.variant or "", self.classes, size, design=self.design)
        return self.preprocessing.at(checked.input_size)


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
    if version not in (SCHEMA_VERSION, ONE_SCORE_VERSION):
        raise UsageError(
            f"{where}: this version reads schema_version {SCHEMA_VERSION} and {ONE_SCORE_VERSION}, got {version!r}."
        )
    manifest = decode(Manifest, data, where)
    assert isinstance(manifest, Manifest)
    size, pixels = manifest.input_size, manifest.preprocessing.size
    if size != pixels:
        raise UsageError(f"{where}: input_size is {size}, but preprocessing gives {pixels}.")
    return manifest
