"""What a report says, as values and as JSON, which is saved beside the page and read again by later reports."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import decode, read_json

FAMILY = "edge_squeeze.report/"
SCHEMA = f"{FAMILY}1"
LARGEST = 64 << 20
INTERVALS = ("interval", "ci95")  # endings of keys


@dataclass(frozen=True, kw_only=True)
class Source:
    """A saved document that figures come from."""

    kind: str  # benchmark | evaluation | debug
    file: str
    sha256: str  # of the document itself
    created_utc: str | None = None
    command: str | None = None


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A limit of the proof, and the value that was held against it."""

    metric: str
    limit: float | None = None
    at_least: bool = False
    value: float | None = None
    passed: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Best:
    """The best class of a picture and its score from 0 to 1."""

    label: str
    score: float | None


@dataclass(frozen=True, kw_only=True)
class Picture:
    """How far the scores of one picture are from the original's; `original` and `artifact` are their best classes."""

    picture: str
    kl: float | None = None
    cosine: float | None = None
    max_abs: float | None = None
    agrees: bool | None = None
    original: Best | None = None
    artifact: Best | None = None


@dataclass(frozen=True, kw_only=True)
class Size:
    """The proof of a file that takes pictures of any size, at another size."""

    size: list[int]
    pictures: int | None = None
    agreement: float | None = None
    kl: float | None = None


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How far a file is from its original. `histogram` counts pictures by the decimal logarithm of their divergence."""

    sha256: str
    origin: str  # export | report: when it was computed
    verdict: str
    reason: str = ""
    runtime: str | None = None
    basis: str | None = None  # the pictures, in words
    pictures: int | None = None
    agreement: float | None = None
    agreement_interval: list[float] | None = None
    kl: float | None = None
    kl_highest: float | None = None
    cosine: float | None = None
    max_abs: float | None = None
    psnr_db: float | None = None
    histogram: list[int] = field(default_factory=list)
    worst: list[Picture] = field(default_factory=list)  # at most 500 pictures, the worst first
    gates: list[Gate] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """A check of a measurement that warned or failed."""

    id: str
    status: str
    hint: str | None = None


@dataclass(frozen=True, kw_only=True)
class Latency:
    """What one arm of a benchmark measured; `source` is the sha256 of its document."""

    sha256: str
    source: str
    session: str
    created_utc: str | None = None
    device: str
    device_id: str | None = None
    profile: str | None = None
    engine: str
    version: str | None = None
    kernels: str | None = None
    threads: int
    p50_ms: float | None = None
    p50_interval: list[float] | None = None
    p90_ms: float | None = None
    p95_ms: float | None = None
    first_ms: float | None = None
    load_ms: float | None = None
    peak_bytes: float | None = None
    launches: int | None = None
    medians_ms: list[float] = field(default_factory=list)  # of its launches
    quantiles_ms: list[float] = field(default_factory=list)  # 5, 25, 50, 75 and 95 % of all samples
    validity: str | None = None  # valid | suspect | invalid
    doubts: list[Doubt] = field(default_factory=list)
    failure: str | None = None
    ratio: float | None = None  # to the first file of its network in that session
    ratio_interval: list[float] | None = None
    verdict: str | None = None  # as `benchmark` gives it, or "baseline"
    baseline: str | None = None  # the name of that first file


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """What an evaluation said of one file; `source` is the sha256 of its document."""

    name: str
    sha256: str | None = None  # of an original, that of its weights
    source: str
    pictures: int | None = None
    labeled: int | None = None
    top1: float | None = None
    top1_interval: list[float] | None = None
    top5: float | None = None
    top5_interval: list[float] | None = None
    agreement: float | None = None
    agreement_interval: list[float] | None = None
    kl: float | None = None
    ratio: float | None = None
    ratio_interval: list[float] | None = None
    verdict: str | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Leg:
    """What a part of the way from the original to a file's scores adds to the divergence, and to the agreement."""

    name: str
    way: str = ""
    kl: float | None = None
    kl_interval: list[float] | None = None
    agreement: float | None = None
    agreement_interval: list[float] | None = None
    kl_after: float | None = None


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What rounding one layer of a file costs, in nats at the output, and what keeping it in float would give back."""

    layer: str
    kind: str = ""
    snr_db: float | None = None
    kl_weights: float | None = None
    kl_activations: float | None = None
    gain: float | None = None
    gain_interval: list[float] | None = None
    cost_us: float | None = None
    gain_per_us: float | None = None


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Where a file loses what its original computes; `source` is the sha256 of its document."""

    name: str
    sha256: str
    source: str = ""
    pictures: str = ""
    runtime: str | None = None
    legs: list[Leg]
    layers: list[Layer] = field(default_factory=list)  # those that pay best in float first
    without_layers: str | None = None  # why there are none


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """A file that was tried on the way to one with layers in float."""

    kept: list[str]
    kl: float | None = None
    agreement: float | None = None
    gain_interval: list[float] | None = None  # of the agreement less that of integers alone
    latency_us: float | None = None
    size_bytes: int | None = None
    format: str | None = None


@dataclass(frozen=True, kw_only=True)
class License:
    """What a part of an artifact may be used under; None where that is not recorded."""

    part: str
    origin: str
    license: str | None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One artifact with all that is known of it."""

    name: str
    folder: str
    sha256: str
    file: str
    size_bytes: int
    network: str
    format: str
    precision: str
    parameters: int
    classes: int
    input: str
    preprocessing: str
    quantizer: str | None = None
    rewrites: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)  # of the export, as far as they are set
    weights: str
    weights_sha256: str | None = None
    trained: bool = True
    licenses: list[License] = field(default_factory=list)
    tools: dict[str, str] = field(default_factory=dict)
    command: str
    parity: Parity
    latency: list[Latency] = field(default_factory=list)
    accuracy: list[Accuracy] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    frontier: list[Mixed] = field(default_factory=list)  # that `export --keep-float` left


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A file as a choice between files sees it; `against` says why it cannot be recommended."""

    name: str
    sha256: str
    size_bytes: int
    latency_ms: float | None = None
    latency_interval: list[float] | None = None
    validity: str | None = None
    agreement: float | None = None
    agreement_interval: list[float] | None = None
    on_front: bool = False  # no other is at least as good in size, latency and agreement, and better in one
    against: str | None = None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The files of one original held against each other, and which of them is recommended, if one can be."""

    network: str
    recommended: str | None
    sha256: str | None
    reason: str
    latency_basis: str | None  # what latencies are of, in words
    agreement_basis: str | None
    candidates: list[Candidate]
    title: str = ""  # the network, and what tells it from others of its name


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What one report says of a file; `changed` is whether the report before it has another sha256 for its name."""

    created_utc: str
    sha256: str
    changed: bool
    size_bytes: int
    latency_ms: float | None = None
    latency_interval: list[float] | None = None
    validity: str | None = None
    condition: str | None = None  # device, engine and threads: latencies of different ones are not compared
    agreement: float | None = None
    agreement_interval: list[float] | None = None
    top1: float | None = None
    top1_interval: list[float] | None = None


@dataclass(frozen=True, kw_only=True)
class Course:
    """A file over time, the oldest report first."""

    name: str
    moments: list[Moment]


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that the page shows but the thumbnails."""

    schema: str = SCHEMA
    tool: dict[str, str] = field(default_factory=dict)
    created_utc: str
    command: str
    artifacts: list[Subject]
    originals: list[Accuracy] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    history: list[Course] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        verdicts = ", ".join(f"{each.name} {each.parity.verdict.upper()}" for each in self.artifacts)
        return f"<Report of {self.created_utc[:10]}: {verdicts}>"


def to_json(report: Report) -> dict[str, Any]:
    """The document of `report`, with null for what is not a finite number."""
    document: dict[str, Any] = finite(dataclasses.asdict(report))
    return document


def dumps(report: Report) -> str:
    """The text of report.json."""
    return json.dumps(to_json(report), indent=1, allow_nan=False) + "\n"


def load(path: Path) -> Report | None:
    """The report saved in the file `path`, None if it is another kind of document.

    UsageError if it cannot be read, or if it is a report of another version.
    """
    document = read_json(path, LARGEST)
    schema = document.get("schema") if isinstance(document, Mapping) else None
    if not str(schema).startswith(FAMILY):
        return None
    if schema != SCHEMA:
        raise UsageError(
            f"{path} is a report of another version. Required: schema {SCHEMA}. Got: {str(schema)[:60]}. Make it again "
            "with this version, or move it away."
        )
    report: Report = decode(Report, finite(document), str(path))
    return report


def finite(value: Any) -> Any:
    """`value` from JSON with None in the place of NaN and infinities, and of intervals without two bounds."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        cleaned = {key: finite(item) for key, item in value.items()}
        return {key: None if key.endswith(INTERVALS) and _is_open(item) else item for key, item in cleaned.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def _is_open(interval: Any) -> bool:
    return isinstance(interval, list) and (len(interval) != 2 or None in interval)  # noqa: PLR2004 - two bounds
