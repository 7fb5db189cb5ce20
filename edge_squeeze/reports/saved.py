"""Saved benchmarks and evaluations: read again, refused where they are about other files, and dealt to artifacts."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from edge_squeeze.errors import UsageError
from edge_squeeze.evaluation import against
from edge_squeeze.evaluation.result import SCHEMA as EVALUATION
from edge_squeeze.files import reading
from edge_squeeze.files.reading import decode, read_json
from edge_squeeze.reports.document import Accuracy, Doubt, Latency, Loss, Source, finite

DEBUG_VERSION = 1  # of `debug --json`
BENCHMARK = "edge_squeeze.bench/1"  # the schema of `benchmark --out`
LARGEST = 1 << 30
MADE_BY = {
    BENCHMARK: ("--benchmark", "`edge-squeeze benchmark ARTIFACT... --out FILE.json`"),
    EVALUATION: ("--evaluation", "`edge-squeeze evaluate ARTIFACT... --images DIR --json > FILE.json`"),
}
DOUBTFUL = ("warn", "fail")
BASELINE = "baseline"  # the verdict of what others are compared with
MEMORY, P50 = "memory", "p50"  # a kind of launch without samples; the metric of latencies
NS_PER_MS = 1e6
ROUNDING = 1e-6
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FEWEST = 5  # samples of a launch that quantiles are taken of


@dataclass(frozen=True)
class Known:
    """The artifacts of a report: sha256 of the model file by name."""

    hashes: Mapping[str, str]

    def matches(self, name: str, sha256: str | None, path: Path, remedy: str) -> bool:
        """Whether these figures are of one of the artifacts.

        UsageError if they are of one of the same name that is another file.
        """
        if sha256 in self.hashes.values():
            return True
        if name in self.hashes:
            raise UsageError(
                f"{path} has figures of another file: its {name} has the sha256 {str(sha256)[:12]}, the artifact's "
                f"model {self.hashes[name][:12]}. {remedy}"
            )
        return False


@dataclass(frozen=True)
class SavedArmModel:
    """The file of an arm."""

    name: str
    sha256: str


@dataclass(frozen=True)
class SavedRuntime:
    """The engine of an arm."""

    name: str
    threads: int
    kernels: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class SavedLaunch:
    """The samples of one process."""

    kind: str = ""
    samples_ns: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class SavedSummary:
    """The figures of an arm that a report shows."""

    p50_ms: float | None = None
    p50_ci95: list[float] | None = None
    p90_ms: float | None = None
    p95_ms: float | None = None
    first_ms: float | None = None
    load_init_ms: float | None = None
    peak_rss_bytes: int | None = None
    n_launches: int | None = None


@dataclass(frozen=True)
class SavedArm:
    """An arm of a benchmark, as far as a report shows it."""

    id: str
    model: SavedArmModel
    runtime: SavedRuntime
    launches: list[SavedLaunch]
    summary: SavedSummary | None = None
    checks: list[Doubt] = field(default_factory=list)
    validity: str | None = None
    failure: str | None = None


@dataclass(frozen=True)
class SavedComparison:
    """An arm against the first of its network."""

    base: str
    cand: str
    metric: str
    verdict: str
    ratio: float | None = None
    ci95: list[float] | None = None


@dataclass(frozen=True)
class SavedSystem:
    """The machine of a benchmark."""

    id_hash: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class SavedProcessor:
    """Its processor."""

    arch: str
    name: str | None = None


@dataclass(frozen=True)
class SavedProfile:
    """How it was measured."""

    name: str


@dataclass(frozen=True)
class SavedBenchmark:
    """The document of `benchmark --out`, as far as a report shows it."""

    created_utc: str
    session_id: str
    profile: SavedProfile
    argv: list[str]
    device: SavedSystem
    cpu: SavedProcessor
    arms: list[SavedArm]
    comparisons: list[SavedComparison] = field(default_factory=list)


@dataclass(frozen=True)
class SavedEvaluation:
    """The document of `evaluate --json`, as far as a report shows it, with figures as in the report's own."""

    artifacts: list[dict[str, Any]]
    originals: list[dict[str, Any]] = field(default_factory=list)
    created_utc: str | None = None
    command: str | None = None


@dataclass(frozen=True)
class SavedDebug:
    """What the document of `debug --json` says of how it was made; older ones say nothing."""

    created_utc: str | None = None
    command: str | None = None


@dataclass(frozen=True)
class Dealt:
    """The figures of one document for the artifacts, by sha256, and what to say of others that it has."""

    source: Source
    note: str | None
    latency: dict[str, list[Latency]] = field(default_factory=dict)
    accuracy: dict[str, list[Accuracy]] = field(default_factory=dict)
    originals: list[Accuracy] = field(default_factory=list)
    losses: dict[str, list[Loss]] = field(default_factory=dict)


def read_benchmark(path: Path, known: Known) -> Dealt:
    """The latencies in the file `path`; UsageError if it is another kind of document, or about other files."""
    document, sha256 = _read(path, BENCHMARK)
    saved: SavedBenchmark = decode(SavedBenchmark, document, str(path))
    remedy = f"Run `edge-squeeze benchmark` on the artifact again, or leave out --benchmark {path}."
    figures: dict[str, list[Latency]] = {}
    strangers = []
    for arm in saved.arms:
        if known.matches(arm.model.name, arm.model.sha256, path, remedy):
            _check(arm, path)
            figures.setdefault(arm.model.sha256, []).append(_latency(arm, saved, sha256))
        else:
            strangers.append(arm.model.name)
    command = f"edge-squeeze {shlex.join(saved.argv)}"
    source = Source(kind="benchmark", file=str(path), sha256=sha256, created_utc=saved.created_utc, command=command)
    return Dealt(source, _note(path, figures, strangers), latency=figures)


def read_evaluation(path: Path, known: Known) -> Dealt:
    """The accuracies in the file `path`; UsageError if it is another kind of document, or about other files."""
    document, sha256 = _read(path, EVALUATION)
    against.parse(document, path)  # refuses figures that are not those of its pictures
    saved: SavedEvaluation = decode(SavedEvaluation, document, str(path))
    remedy = f"Run `edge-squeeze evaluate` on the artifact again, or leave out --evaluation {path}."
    figures: dict[str, list[Accuracy]] = {}
    strangers = []
    for each in saved.artifacts:
        accuracy = _accuracy(each, sha256, path)
        if known.matches(accuracy.name, accuracy.sha256, path, remedy):
            figures.setdefault(str(accuracy.sha256), []).append(accuracy)
        else:
            strangers.append(accuracy.name)
    source = Source(
        kind="evaluation", file=str(path), sha256=sha256, created_utc=saved.created_utc, command=saved.command
    )
    originals = [_accuracy(each, sha256, path) for each in saved.originals]
    return Dealt(source, _note(path, figures, strangers), accuracy=figures, originals=originals)


def read_debugged(path: Path, known: Known) -> Dealt:
    """The legs and layers in the file `path`; UsageError if it is another kind of document, or about another file."""
    document = finite(read_json(path, LARGEST))
    version = document.get("schema_version") if isinstance(document, dict) and "legs" in document else None
    if version != DEBUG_VERSION:
        raise UsageError(
            f"--debug-result {path} is another document. Required: what `edge-squeeze debug ARTIFACT --json` prints "
            f"(schema_version {DEBUG_VERSION}). Got: {str(version)[:60]}. Make it with that command."
        )
    sha256 = reading.sha256(path)
    loss: Loss = decode(Loss, {**document, "source": sha256}, str(path))
    remedy = f"Run `edge-squeeze debug` on the artifact again, or leave out --debug-result {path}."
    figures = {loss.sha256: [loss]} if known.matches(loss.name, loss.sha256, path, remedy) else {}
    note = _note(path, figures, [] if figures else [loss.name])
    made: SavedDebug = decode(SavedDebug, document, str(path))
    source = Source(kind="debug", file=str(path), sha256=sha256, created_utc=made.created_utc, command=made.command)
    return Dealt(source, note, losses=figures)


def _read(path: Path, schema: str) -> tuple[dict[str, Any], str]:
    """The document in the file `path`, without NaN, and the sha256 of the file; UsageError for another schema."""
    option, made_by = MADE_BY[schema]
    document = finite(read_json(path, LARGEST))
    got = document.get("schema") if isinstance(document, dict) else None
    if got != schema:
        known = MADE_BY.get(str(got))
        remedy = f"Pass it with {known[0]}" if known else f"Make it with {made_by}"
        raise UsageError(
            f"{option} {path} is another document. Required: schema {schema}. Got: {str(got)[:60]}. {remedy}."
        )
    return document, reading.sha256(path)


def _note(path: Path, figures: Mapping[str, object], strangers: Sequence[str]) -> str | None:
    """What to say of files in `path` that are none of the artifacts; UsageError if none of them is one."""
    names = ", ".join(dict.fromkeys(strangers))
    if not figures:
        raise UsageError(
            f"{path} has no figures of these artifacts, only of {names or 'nothing'}. Name the artifacts that it is "
            "about, or leave it out."
        )
    return f"{path} is also about files that are not in this report: {names}" if names else None


def _check(arm: SavedArm, path: Path) -> None:
    """Raise UsageError if the p50 of `arm` is not that of its launches."""
    medians, p50 = _medians_ms(arm), arm.summary.p50_ms if arm.summary else None
    if p50 is None:
        return
    expected = math.exp(fmean(map(math.log, medians))) if medians and min(medians) > 0 else math.nan
    if not math.isclose(p50, expected, rel_tol=ROUNDING):
        raise UsageError(
            f"{path}: the p50 of {arm.id} is {p50:.4g} ms, that of its launches {expected:.4g} ms. They are of "
            "different measurements. Benchmark it again."
        )


def _samples_ns(arm: SavedArm) -> list[list[int]]:
    return [launch.samples_ns for launch in arm.launches if launch.kind != MEMORY and launch.samples_ns]


def _medians_ms(arm: SavedArm) -> list[float]:
    return [median(samples) / NS_PER_MS for samples in _samples_ns(arm)]


def _quantiles_ms(arm: SavedArm) -> list[float]:
    """QUANTILES of all samples; none of a result that was saved without them."""
    launches = _samples_ns(arm)
    if not launches or max(map(len, launches)) < FEWEST:
        return []
    quantiles: list[float] = (np.quantile(np.concatenate(launches), QUANTILES) / NS_PER_MS).tolist()
    return quantiles


def _latency(arm: SavedArm, saved: SavedBenchmark, source: str) -> Latency:
    figures, runtime = arm.summary or SavedSummary(), arm.runtime
    pair = next((pair for pair in saved.comparisons if pair.cand == arm.id and pair.metric == P50), None)
    base = next((each.model.name for each in saved.arms if pair and each.id == pair.base), None)
    return Latency(
        sha256=arm.model.sha256,
        source=source,
        session=saved.session_id,
        created_utc=saved.created_utc,
        device=", ".join(filter(None, (saved.device.model, saved.cpu.name))) or saved.cpu.arch,
        device_id=saved.device.id_hash,
        profile=saved.profile.name,
        engine=runtime.name,
        version=runtime.version,
        kernels=runtime.kernels,
        threads=runtime.threads,
        p50_ms=figures.p50_ms,
        p50_interval=figures.p50_ci95,
        p90_ms=figures.p90_ms,
        p95_ms=figures.p95_ms,
        first_ms=figures.first_ms,
        load_ms=figures.load_init_ms,
        peak_bytes=figures.peak_rss_bytes,
        launches=figures.n_launches,
        medians_ms=_medians_ms(arm),
        quantiles_ms=_quantiles_ms(arm),
        validity=arm.validity,
        doubts=[check for check in arm.checks if check.status in DOUBTFUL],
        failure=arm.failure,
        ratio=pair.ratio if pair else None,
        ratio_interval=pair.ci95 if pair else None,
        verdict=pair.verdict if pair else BASELINE if any(each.base == arm.id for each in saved.comparisons) else None,
        baseline=base,
    )


def _accuracy(figures: Mapping[str, Any], source: str, path: Path) -> Accuracy:
    accuracy: Accuracy = decode(Accuracy, {**figures, "source": source}, f"{path}: figures")
    return accuracy
