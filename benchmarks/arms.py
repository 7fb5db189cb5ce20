"""What is to be measured: every combination of a file, an engine and a number of threads is an arm."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from edge_squeeze import formats
from edge_squeeze.artifact.manifest import Manifest
from edge_squeeze.benchmarks import model_files
from edge_squeeze.benchmarks.launch_records import PIXELS, VALUES, InputSet
from edge_squeeze.benchmarks.model_files import ModelFile
from edge_squeeze.benchmarks.options import BenchmarkOptions
from edge_squeeze.engines.catalogue import OTHERS, RUNTIMES, choose, formats_of
from edge_squeeze.engines.engine import BUILTIN, ONNXRUNTIME, fits
from edge_squeeze.engines.runner import CHANNELS, check_threads, has_channels_first
from edge_squeeze.errors import UsageError, unknown
from edge_squeeze.packages import is_installed

SLOW_TO_LOAD = "tf.lite"  # loads TensorFlow, which would be measured along; LiteRT is the same engine
ENGINES = {name: row for name, row in (RUNTIMES | OTHERS).items() if name != SLOW_TO_LOAD}
VARIATIONS = {BUILTIN: ("litert", "tflite-runtime")}  # kernels that can be asked for -> the engines that have them
ALL = "all"
NO_FAULTS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Placement:
    """The cores that arms run on: `usable_cores` of `cpus` can be busy at once, `threads` are used by default."""

    cpus: tuple[int, ...] = ()
    usable_cores: int = 1
    threads: int = 1


@dataclass(frozen=True)
class Arm:
    """What is measured: a file on an engine with a number of threads."""

    id: str
    name: str
    path: str
    format: str
    sha256: str
    size_bytes: int
    precision: str | None  # None for a file that no artifact describes
    parity: str | None  # an artifact's verdict
    engine: str
    kernels: str | None
    threads: int
    spin: bool
    policy: str
    cpus: list[int]
    usable_cores: int
    inputs: InputSet
    shapes: list[list[int]] = field(default_factory=list)
    network: str | None = None  # what artifacts of the same weights share
    pixels: list[int] = field(default_factory=list)  # height and width of an artifact's pictures
    group: int = 0  # arms of a number are compared with each other: those of one network
    model: ModelFile | None = field(default=None, compare=False, repr=False)  # None in a result that was saved

    @property
    def engine_name(self) -> str:
        """The engine as the user writes it."""
        return f"{self.engine}:{self.kernels}" if self.kernels else self.engine


def resolve(
    models: Sequence[ModelFile], options: BenchmarkOptions, placement: Placement, faults: Mapping[str, str] = NO_FAULTS
) -> list[Arm]:
    """The arms that `options` ask for, in the order of `models`; `all` leaves out engines with `faults`.

    UsageError or MissingDependencyError for what cannot be measured.
    """
    for threads in options.threads:
        check_threads(threads)
    engines = _engine_names(options, models, faults)
    groups = [0] * len(models) if options.across_networks else model_files.groups(models)
    return [
        dataclasses.replace(_arm(name, model, engine, threads, options, placement), group=group)
        for name, model, group in zip(_distinct_names(models), models, groups, strict=True)
        for engine in _engines_of(model, engines)
        for threads in options.threads or (placement.threads,)
    ]


def faults(options: BenchmarkOptions) -> dict[str, str]:
    """What is wrong with installed engines of `--runtime all`, as `edge-squeeze doctor` finds it; takes seconds."""
    if ALL not in options.runtime:
        return {}
    from edge_squeeze.doctor import examination

    return examination.engine_faults(name for name, row in ENGINES.items() if _ready(name, row.installed))


def left_out(options: BenchmarkOptions, faults: Mapping[str, str] = NO_FAULTS) -> Iterator[str]:
    """A sentence for each engine that `--runtime all` leaves out: it is not installed, or has `faults`."""
    if ALL in options.runtime:
        for name, row in ENGINES.items():
            if name in faults:
                yield f"Left out: {name}, which cannot work here ({faults[name]})."
            if not _ready(name, row.installed):
                packages = " ".join(dict.fromkeys([row.package, "pnnx" if name == "ncnn" else row.package]))
                yield f"Left out: {name}, which is not installed (pip install {packages})."


def check_runtimes(names: Sequence[str]) -> None:
    """Raise UsageError for an engine that cannot be asked for."""
    known = [*ENGINES, *(f"{name}:{kernels}" for kernels, names in VARIATIONS.items() for name in names), ALL]
    for name in names:
        if name == SLOW_TO_LOAD:
            raise UsageError(
                f"{name} would load TensorFlow and measure it along. Use litert, which is the same engine."
            )
        if name not in known:
            raise unknown("runtime", name, known)


def _distinct_names(models: Sequence[ModelFile]) -> list[str]:
    """A name for each of `models`: the artifact's or the file's, else the path, else the path and a number."""
    count = Counter(model.name for model in models)
    names: list[str] = []
    for model in models:
        full = model.name if count[model.name] == 1 else model.shown.rstrip("/")
        name, number = full, 2
        while name in names:
            name, number = f"{full} ({number})", number + 1
        names.append(name)
    return names


def _engine_names(
    options: BenchmarkOptions, models: Sequence[ModelFile], faults: Mapping[str, str]
) -> list[str] | None:
    """The engines asked for, `all` spelled out, each known and able to run one of `models`; None for the default."""
    if not options.runtime:
        return None
    check_runtimes(options.runtime)
    able = [name for name, row in ENGINES.items() if _ready(name, row.installed) and name not in faults]
    formats = {model.format for model in models}
    for name in options.runtime:
        reads = formats_of(name.partition(":")[0]) if name != ALL else ()
        if ALL not in options.runtime and not formats & set(reads):
            raise UsageError(f"--runtime {name} runs {' and '.join(reads)} files, but none was given.")
    names = [engine for name in options.runtime for engine in (able if name == ALL else [name])]
    return list(dict.fromkeys(names))


def _ready(name: str, installed: bool) -> bool:  # noqa: FBT001 - of a row
    return installed and (name != "ncnn" or is_installed("pnnx"))


def _engines_of(model: ModelFile, names: Sequence[str] | None) -> list[str]:
    if names is None:
        proven = {name: row for name, row in ENGINES.items() if name in RUNTIMES}
        return [choose(model.format, None, proven)]
    able = [name for name in names if model.format in formats_of(name.partition(":")[0])]
    for name in able:
        choose(model.format, name.partition(":")[0], ENGINES)
    if not able:
        raise UsageError(
            f"{model.shown} is {formats.a_file(model.format)}, which none of "
            f"{', '.join(names) or 'the engines here'} runs. Name an engine for it, too, or leave it out."
        )
    return able


def _arm(
    name: str, model: ModelFile, engine_name: str, threads: int, options: BenchmarkOptions, placement: Placement
) -> Arm:
    engine, _, kernels = engine_name.partition(":")
    manifest = model.manifest
    shapes = _shapes(options, model)
    facts = {"precision": None, "parity": None} if manifest is None else _facts(manifest, shapes)
    return Arm(
        id=f"{name} {engine_name} {threads}",
        name=name,
        path=str(model.path),
        format=model.format,
        sha256=model.sha256,
        size_bytes=model.size_bytes,
        engine=engine,
        kernels=kernels or None,
        threads=threads,
        spin=options.spin and engine == ONNXRUNTIME,
        policy=options.cores,
        cpus=list(placement.cpus),
        usable_cores=placement.usable_cores,
        inputs=InputSet(PIXELS if manifest else VALUES, seed=options.seed),
        shapes=shapes,
        model=model,
        **facts,
    )


def _facts(manifest: Manifest, shapes: Sequence[Sequence[int]]) -> dict[str, Any]:
    weights = manifest.weights
    return {
        "precision": manifest.precision,
        "parity": manifest.parity.verdict,
        "network": f"{manifest.variant} {weights.sha256 or weights.seed}",
        "pixels": _pixels(manifest, shapes),
    }


def _shapes(options: BenchmarkOptions, model: ModelFile) -> list[list[int]]:
    """The shapes asked for; those of the usual size where none were and the file leaves its own open."""
    manifest = model.manifest
    if options.input_shape:
        declared = _declared(model)
        shapes = [
            _turned(shape, declared[at] if at < len(declared) else None) for at, shape in enumerate(options.input_shape)
        ]
        for sides, shape in zip(declared, shapes, strict=False):
            _check_shape(model, sides, shape)
        return shapes
    if manifest is None or not manifest.any_size:
        return []
    return [_turned((1, *manifest.input_size, CHANNELS), manifest.input.shape)]


def _check_shape(model: ModelFile, declared: Sequence[int | None] | None, shape: Sequence[int]) -> None:
    """Raise UsageError, before anything is measured, if `shape` changes a side that the file has fixed."""
    sides = [side if side and side > 0 else None for side in declared or ()]
    if sides and not fits(sides, shape):
        required, actual = (",".join("?" if side is None else str(side) for side in each) for each in (sides, shape))
        raise UsageError(
            f"{model.shown} takes inputs of the shape {required}. Required: an --input-shape that keeps these sides "
            f"(any number for ?). Got: {actual}. Leave --input-shape out, or export with --input-size any."
        )


def _declared(model: ModelFile) -> list[Sequence[int | None] | None]:
    """The shapes that a file declares for its inputs, as far as it can be inspected."""
    if model.manifest is not None:
        return [model.manifest.input.shape]
    inspection = model.try_inspection()
    return [tensor.shape for tensor in inspection.inputs] if inspection else []


def _turned(shape: Sequence[int], declared: Sequence[int | None] | None) -> list[int]:
    """`shape`, its channels moved if only so it fits what a file declares: one shape is for files of both layouts."""
    if declared is None or len(declared) != 4 or len(shape) != 4 or fits(declared, shape):  # noqa: PLR2004 - [N,H,W,C]
        return list(shape)
    batch, *sides = shape
    turned = [batch, sides[2], *sides[:2]] if has_channels_first(declared) else [batch, *sides[1:], sides[0]]
    return turned if fits(declared, turned) else list(shape)


def _pixels(manifest: Manifest, shapes: Sequence[Sequence[int]]) -> list[int]:
    """Height and width of the pictures that are fed: those of `shapes` where the file takes any.

    Raises UsageError for sizes of which nothing is left to pool.
    """
    if not manifest.any_size or len(shapes[0]) != len(manifest.input.shape):
        return list(manifest.input_size)
    height, width = shapes[0][2:] if manifest.input.layout == "nchw" else shapes[0][1:3]
    return list(manifest.preprocessing_at((height, width)).size)
