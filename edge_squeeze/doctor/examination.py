"""Finds out whether this installation can do its work: packages, engines, machine, weights."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edge_squeeze.doctor import remedies
from edge_squeeze.doctor.diagnosis import (
    DAMAGED,
    EXPORT,
    NOT_FETCHED,
    RUN,
    Diagnosis,
    Engine,
    Job,
    Package,
    Problem,
    WeightsFile,
)
from edge_squeeze.doctor.installation import MISSING, OK, Installation, judge
from edge_squeeze.engines.catalogue import OTHERS, RUNTIMES as ENGINES, default_kernels
from edge_squeeze.files import cache
from edge_squeeze.formats import FORMATS
from edge_squeeze.machine import host as machines
from edge_squeeze.machine.host import Machine
from edge_squeeze.models.weights import PUBLISHED, Published
from edge_squeeze.packages import own_requirements
from edge_squeeze.reporting import Reporter, Silent
from edge_squeeze.version import __version__

ENGINES_OF = {kind: tuple(name for name in ENGINES if name in row.engines) for kind, row in FORMATS.items()}
# What exporting needs and for what.
PURPOSES = {
    "tensorflow": "the original and .tflite files",
    "keras": "the original",
    "h5py": "Keras weights files",
    "tf2onnx": ".onnx files",
    "onnx": ".onnx files",
    "onnxruntime": "proving .onnx files",
    "ai-edge-litert": "proving .tflite files",
    "protobuf": "looking into .onnx files",
    "ndf": "the weights of SqueezeNet 1.1",
    "scikit-image": "the built-in photographs",
}
ONLY_EXPORTING = ("tensorflow", "keras", "tf2onnx", "ndf")
EMULATED = "this processor is emulated: results are as on a real one, times say nothing about one"


@dataclass(frozen=True)
class Needs:
    """Free memory and disk in bytes below which a warning is due, and why."""

    memory: int
    disk: int
    memory_reason: str
    disk_reason: str


NEEDS = {
    EXPORT: Needs(
        2 * 10**9,
        2 * 10**9,
        "exporting SqueezeNet 1.1 as int8 took 1.0 GB at its peak, in every format and precision 1.4 GB",
        "a network in every format and precision takes 20 MB, all that exporting needs 2.2 GB (2.7 with GPUs)",
    ),
    RUN: Needs(250 * 10**6, 100 * 10**6, "`predict` took 70 to 120 MB at its peak", "an artifact takes up to 5 MB"),
}


def examine(
    machine: Machine | None = None, installation: Installation | None = None, reporter: Reporter | None = None
) -> Diagnosis:
    """The state of this installation on this machine. It takes seconds, since every engine is imported."""
    machine = machine or machines.read()
    here = installation or Installation(own_requirements())
    engines = _engines(here, reporter or Silent())
    weights = [_weights(here, *item) for item in PUBLISHED.items()]
    base = [_package(here, name, None) for name in here.names(None)]
    jobs = [_export(here, machine, engines, weights), *(_run(here, machine, kind, engines) for kind in ENGINES_OF)]
    exporting = not engines or any(here.version_of(name) for name in ONLY_EXPORTING)
    main = [job for job in jobs if (job.name == EXPORT if exporting else job.engine)]
    problems = remedies.for_base(base, machine) + [problem for job in main for problem in job.problems]
    main_job = EXPORT if exporting else RUN
    told = {problem.what for job in jobs for problem in job.problems}
    return Diagnosis(
        version=__version__,
        ready=not problems,
        main_job=main_job,
        machine=machine,
        base=base,
        jobs=jobs,
        engines=engines,
        weights=weights,
        problems=problems,
        warnings=[
            *([EMULATED] if machine.emulated else []),
            *_little_room(machine, NEEDS[main_job]),
            *_unusable(engines, told),
        ],
    )


def _package(here: Installation, name: str, extra: str | None) -> Package:
    """`name` as it is installed, judged by what is always required of it and what `extra` adds."""
    stated = [one.specifiers for one in here.requirements if one.package == name and one.extra in (None, extra)]
    required = ",".join(sorted(filter(None, ",".join(stated).split(",")), reverse=True))  # >=2.21,<2.22
    version = here.version_of(name)
    state = MISSING if version is None else judge(version, required)
    return Package(name, version, required, state, PURPOSES.get(name, "") if extra == EXPORT else "")


def _engines(here: Installation, reporter: Reporter) -> list[Engine]:
    """The installed engines, imported side by side to save time."""
    found = {name: version for name, row in ENGINES.items() if (version := here.version_of(row.package))}
    with reporter.step(f"import {', '.join(found)}") if found else contextlib.nullcontext():
        reasons = _why_not_loadable(here, found)
    return [_engine(here, name, found[name], reason) for name, reason in reasons.items()]


def _why_not_loadable(here: Installation, names: Iterable[str]) -> dict[str, str | None]:
    modules = {name: (ENGINES | OTHERS)[name].module for name in names}
    with ThreadPoolExecutor() as pool:
        return dict(zip(modules, pool.map(here.why_not_loadable, modules.values()), strict=True))


def engine_faults(names: Iterable[str], installation: Installation | None = None) -> dict[str, str]:
    """What is wrong with the engines among `names`, which are installed, that cannot work here; each is imported."""
    here = installation or Installation(own_requirements())
    found = {}
    for name, reason in _why_not_loadable(here, names).items():
        package = (ENGINES | OTHERS)[name].package
        if name in ENGINES:
            faults = _engine(here, name, here.version_of(package) or "", reason).faults
        else:
            faults = [f"{package} is installed but does not load: {reason}"] if reason else []
        if faults:
            found[name] = "; ".join(faults)
    return found


def _engine(here: Installation, name: str, version: str, not_loadable: str | None) -> Engine:
    row = ENGINES[name]
    narrowed = [package for package in here.names(row.extra) if package in here.names(None)]
    packages = [_package(here, package, row.extra) for package in (row.package, *narrowed)]
    usable = not_loadable is None and all(package.state == OK for package in packages)
    kind = next(kind for kind, names in ENGINES_OF.items() if name in names)
    families = [default_kernels(name, quantized=quantized) for quantized in (False, True)]
    return Engine(name, kind, version, packages, not_loadable, usable, *families)


def _export(here: Installation, machine: Machine, engines: Sequence[Engine], weights: Sequence[WeightsFile]) -> Job:
    packages = [_package(here, name, EXPORT) for name in dict.fromkeys([*PURPOSES, *here.names(EXPORT)])]
    problems = remedies.for_export(packages, machine)
    for engine in engines:
        if engine.not_loadable and engine.packages[0].name in PURPOSES:
            problems.append(Problem(engine.faults[-1], None, remedies.reload(engine)))
    for one in weights:
        if one.path and one.state != OK and (package := PUBLISHED[one.variant].package_file):
            what = f"{one.path} is {one.state}; the weights of {one.variant} should be there"
            problems.append(Problem(what, None, remedies.reinstall(package.partition("/")[0])))
    return Job(EXPORT, not problems, packages, None, problems)


def _run(here: Installation, machine: Machine, kind: str, engines: Sequence[Engine]) -> Job:
    packages = [_package(here, ENGINES[name].package, ENGINES[name].extra) for name in ENGINES_OF[kind]]
    found = [engine for engine in engines if engine.format == kind]
    if not found:
        return Job(f"{RUN} .{kind}", False, packages, None, [remedies.for_no_engine(kind, machine)])
    used, *others = found
    problems = remedies.for_engine(used, ENGINES[used.name].extra, others)
    return Job(f"{RUN} .{kind}", used.usable, packages, used.name, problems)


def _weights(here: Installation, variant: str, published: Published) -> WeightsFile:
    path, state = None, MISSING if published.package_file else NOT_FETCHED
    if published.package_file:
        package, _, rest = published.package_file.partition("/")
        folder = here.folder_of(package)
        path = folder / rest if folder else None
    elif published.url:
        with contextlib.suppress(RuntimeError):  # a user without a home has no cache
            path = cache.cached_path(published.url, published.sha256)
    if path is not None and path.is_file():
        state = OK if _sha256(path) == published.sha256 else DAMAGED
    return WeightsFile(variant, state, str(path) if path else None)


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _unusable(engines: Sequence[Engine], told: set[str]) -> Iterator[str]:
    for engine in engines:
        faults = [fault for fault in engine.faults if fault not in told]
        if faults:
            yield f"{engine.name} cannot be used: {'; '.join(faults)}"


def _little_room(machine: Machine, needs: Needs) -> Iterator[str]:
    if machine.memory is not None and machine.memory.free_bytes < needs.memory:
        yield f"little memory: {machine.memory.free_bytes / 1e9:.1f} GB free; {needs.memory_reason}"
    for disk in machine.disks:
        if disk.free_bytes < needs.disk:
            yield f"little room in {disk.folder}: {disk.free_bytes / 1e9:.1f} GB free; {needs.disk_reason}"
