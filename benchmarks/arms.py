"""What is to be measured: every combination of a file, an engine and a number of threads is an arm."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from edge_squeeze import formats
from edge_squeeze.artifact.folder import find_model
from edge_squeeze.artifact.manifest import Manifest
from edge_squeeze.benchmarks import networks
from edge_squeeze.benchmarks.launches.records import PIXELS, VALUES, InputSet
from edge_squeeze.engines.catalogue import OTHERS, RUNTIMES, choose, formats_of
from edge_squeeze.engines.engine import BUILTIN, ONNXRUNTIME
from edge_squeeze.engines.runner import CHANNELS, check_threads
from edge_squeeze.errors import UsageError, unknown
from edge_squeeze.packages import is_installed

SLOW_TO_LOAD = "tf.lite"  # loads TensorFlow, which would be measured along; LiteRT is the same engine
ENGINES = {name: row for name, row in (RUNTIMES | OTHERS).items() if name != SLOW_TO_LOAD}
VARIATIONS = {BUILTIN: ("litert", "tflite-runtime")}  # kernels that can be asked for -> the engines that have them
ALL = "all"
LARGEST_FILE = 1 << 31


@dataclass(frozen=True)
class Ask:
    """What the user wants measured; `threads` and `runtimes` are swept, None stands for the default."""

    paths: Sequence[Path]
    runtimes: Sequence[str] | None = None
    threads: Sequence[int] = (1,)
    spin: bool = True
    policy: str = "big"
    cpus: tuple[int, ...] = ()
    usable_cores: int = 1
    shapes: Sequence[Sequence[int]] = ()
    inputs: Path | None = None
    seed: int = 0
    across_networks: bool = False  # whether the first file is everybody's baseline


@dataclass(frozen=True)
class Arm:
    """One thing measured."""

    id: str
    name: str
    path: str
    format: str
    sha256: str
    size_bytes: int
    precision: str | None  # None where nobody says: a file that no artifact describes
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

    @property
    def engine_name(self) -> str:
        """The engine as the user writes it."""
        return f"{self.engine}:{self.kernels}" if self.kernels else self.engine


@dataclass(frozen=True)
class ModelFile:
    """A model file that was found, and what its artifact says of it."""

    shown: str
    path: Path
    format: str
    sha256: str
    size_bytes: int
    manifest: Manifest | None


def resolve(ask: Ask, faults: Mapping[str, str] = MappingProxyType({})) -> list[Arm]:
    """The arms that `ask` means, in its order; `all` means no engine with `faults`.

    UsageError or MissingDependencyError for what cannot be measured.
    """
    for threads in ask.threads:
        check_threads(threads)
    files = _named([read(path) for path in ask.paths])
    names = _engine_names(ask.runtimes, files, faults)
    numbers = [0] * len(files) if ask.across_networks else groups(list(files.values()))
    return [
        dataclasses.replace(_arm(ask, name, file, engine, threads), group=group)
        for group, (name, file) in zip(numbers, files.items(), strict=True)
        for engine in _engines_of(file, names)
        for threads in ask.threads
    ]


def groups(files: Sequence[ModelFile]) -> list[int]:
    """The number of the network of each of `files`; files are inspected where there are several."""
    if len({file.sha256 for file in files}) == 1:
        return [0] * len(files)
    return networks.groups([networks.traits(file.path, file.format, file.manifest) for file in files])


def faults(ask: Ask) -> dict[str, str]:
    """What is wrong with installed engines that `all` would mean, as `edge-squeeze doctor` finds it; takes seconds."""
    if ALL not in (ask.runtimes or ()):
        return {}
    from edge_squeeze.doctor import examination

    return examination.engine_faults(name for name, row in ENGINES.items() if _ready(name, row.installed))


def left_out(ask: Ask, faults: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
    """Which engines `all` does not mean, since they are not installed, or have `faults`."""
    if ALL in (ask.runtimes or ()):
        for name, row in ENGINES.items():
            if name in faults:
                yield f"Left out: {name}, which cannot work here ({faults[name]})."
            if not _ready(name, row.installed):
                packages = " ".join(dict.fromkeys([row.package, "pnnx" if name == "ncnn" else row.package]))
                yield f"Left out: {name}, which is not installed (pip install {packages})."


def read(path: Path) -> ModelFile:
    """The model file that `path` means; UsageError if it is none, or no longer the one that was exported."""
    file, manifest = find_model(path)
    try:
        size = file.stat().st_size
        if size > LARGEST_FILE:
            raise UsageError(f"{file} is too large: required at most {LARGEST_FILE:,} bytes, got {size:,}.")
        with file.open("rb") as opened:
            head = opened.read(formats.HEAD)
            opened.seek(0)
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error}.") from error
    if manifest is not None and manifest.file.sha256 != sha256:
        raise UsageError(f"{file} is not the file that was exported: its sha256 has changed. Export it again.")
    return ModelFile(str(path), file, _format(file, head), sha256, size, manifest)


def _format(file: Path, head: bytes) -> str:
    if kind := formats.of_head(head, file.name):
        return kind
    required = ", or ".join(
        row.description if row.magic else f"a file called {row.suffix}" for row in formats.FORMATS.values()
    )
    raise UsageError(f"{file} is not a model file that can be run. Required: {required}. Got: {head!r}.")


def _named(files: Iterable[ModelFile]) -> dict[str, ModelFile]:
    """`files` by a name that tells them apart: the artifact's or the file's, else the path, else a number besides."""
    listed = list(files)
    short = [file.manifest.name if file.manifest else file.path.name for file in listed]
    count = Counter(short)
    named: dict[str, ModelFile] = {}
    for name, file in zip(short, listed, strict=True):
        full = name if count[name] == 1 else file.shown.rstrip("/")
        number = 2
        chosen = full
        while chosen in named:
            chosen, number = f"{full} ({number})", number + 1
        named[chosen] = file
    return named


def _engine_names(
    wanted: Sequence[str] | None, files: dict[str, ModelFile], faults: Mapping[str, str]
) -> list[str] | None:
    """The engines asked for, `all` spelled out, each known and of use for one of `files`; None for the default."""
    if wanted is None:
        return None
    variations = [f"{name}:{kernels}" for kernels, names in VARIATIONS.items() for name in names]
    names: list[str] = []
    for name in wanted:
        if name == SLOW_TO_LOAD:
            raise UsageError(
                f"{name} would load TensorFlow and measure it along. Use litert, which is the same engine."
            )
        if name not in (*ENGINES, *variations, ALL):
            raise unknown("runtime", name, [*ENGINES, *variations, ALL])
        able = [key for key, row in ENGINES.items() if _ready(key, row.installed) and key not in faults]
        names += able if name == ALL else [name]
    formats = {file.format for file in files.values()}
    for name in names:
        reads = formats_of(name.partition(":")[0])
        if ALL not in wanted and not formats & set(reads):
            raise UsageError(f"--runtime {name} runs {' and '.join(reads)} files, and there is none.")
    return list(dict.fromkeys(names))


def _ready(name: str, installed: bool) -> bool:  # noqa: FBT001 - of a row
    return installed and (name != "ncnn" or is_installed("pnnx"))


def _engines_of(file: ModelFile, names: Sequence[str] | None) -> list[str]:
    if names is None:
        proven = {name: row for name, row in ENGINES.items() if name in RUNTIMES}
        return [choose(file.format, None, proven)]
    able = [name for name in names if file.format in formats_of(name.partition(":")[0])]
    for name in able:
        choose(file.format, name.partition(":")[0], ENGINES)
    if not able:
        raise UsageError(
            f"{file.shown} is {formats.a_file(file.format)}, which none of "
            f"{', '.join(names) or 'the engines here'} runs. Name an engine for it, too, or leave it out."
        )
    return able


def _arm(ask: Ask, name: str, file: ModelFile, engine_name: str, threads: int) -> Arm:
    engine, _, kernels = engine_name.partition(":")
    manifest = file.manifest
    shapes = _shapes(ask, manifest)
    about = {} if manifest is None else _about(manifest, shapes)
    return Arm(
        id=f"{name} {engine_name} {threads}", name=name, path=str(file.path), format=file.format, sha256=file.sha256,
        size_bytes=file.size_bytes, engine=engine, kernels=kernels or None, threads=threads,
        spin=ask.spin and engine == ONNXRUNTIME, policy=ask.policy, cpus=list(ask.cpus), usable_cores=ask.usable_cores,
        inputs=InputSet(PIXELS if manifest else VALUES, seed=ask.seed), shapes=shapes,
        **{"precision": None, "parity": None, **about},
    )  # fmt: skip


def _about(manifest: Manifest, shapes: Sequence[Sequence[int]]) -> dict[str, Any]:
    weights = manifest.weights
    return {
        "precision": manifest.precision,
        "parity": manifest.parity.verdict,
        "network": f"{manifest.variant} {weights.sha256 or weights.seed}",
        "pixels": _sides(manifest, shapes),
    }


def _shapes(ask: Ask, manifest: Manifest | None) -> list[list[int]]:
    """The shapes asked for; those of the usual size where none were and the file leaves its own open."""
    if ask.shapes or manifest is None or not manifest.any_size:
        return [list(one) for one in ask.shapes]
    sides = manifest.input_size
    return [[1, CHANNELS, *sides] if manifest.input.layout == "nchw" else [1, *sides, CHANNELS]]


def _sides(manifest: Manifest, shapes: Sequence[Sequence[int]]) -> list[int]:
    """Height and width of the pictures that are fed: those of `shapes` where the file takes any.

    Raises UsageError for sizes of which nothing is left to pool.
    """
    if not manifest.any_size or len(shapes[0]) != len(manifest.input.shape):
        return list(manifest.input_size)
    height, width = shapes[0][2:] if manifest.input.layout == "nchw" else shapes[0][1:3]
    return list(manifest.preprocessing_at((height, width)).size)
