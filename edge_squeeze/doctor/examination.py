"""Examines whether this installation can do its work: packages, engines, machine, weights."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edge_squeeze.doctor.diagnosis import (
    DAMAGED,
    EXPORT,
    MISSING,
    NOT_FETCHED,
    OK,
    RUN,
    Diagnosis,
    Engine,
    Job,
    Package,
    Problem,
    WeightsFile,
    engine_problems,
    judge,
    missing_engine_problem,
    package_problems,
    reinstall_command,
    reload_command,
)
from edge_squeeze.engines.catalogue import OTHERS, RUNTIMES as ENGINES, default_kernels
from edge_squeeze.files import cache, reading
from edge_squeeze.formats import FORMATS
from edge_squeeze.machine import host as machines
from edge_squeeze.machine.host import Machine
from edge_squeeze.models.weights import PUBLISHED, Published
from edge_squeeze.packages import Requirement, folder_of, own_requirements, version_of
from edge_squeeze.process.supervision import ended_by
from edge_squeeze.reporting import Reporter, Silent
from edge_squeeze.version import __version__

ENGINES_OF = {kind: tuple(name for name in ENGINES if name in row.engines) for kind, row in FORMATS.items()}
# What exporting needs each package for.
PURPOSES = {
    "tensorflow": "the original model and .tflite files",
    "keras": "the original model",
    "h5py": "Keras weights files",
    "tf2onnx": ".onnx files",
    "onnx": ".onnx files",
    "onnxruntime": "proving .onnx files",
    "ai-edge-litert": "proving .tflite files",
    "protobuf": "inspecting .onnx files",
    "ndf": "the weights of SqueezeNet 1.1",
    "scikit-image": "the built-in photographs",
}
ONLY_EXPORTING = ("tensorflow", "keras", "tf2onnx", "ndf")
EMULATED = "this processor is emulated: results are those of a real one, but times mean nothing"


@dataclass(frozen=True)
class Needs:
    """Free memory and disk space in bytes below which a warning is due, and why."""

    memory: int
    disk: int
    memory_reason: str
    disk_reason: str


NEEDS = {
    EXPORT: Needs(
        2 * 10**9,
        2 * 10**9,
        "exporting SqueezeNet 1.1 peaked at 1.0 GB as int8, and at 1.4 GB in every format and precision",
        "a network in every format and precision takes 20 MB, and the packages for exporting 2.2 GB (2.7 GB with GPUs)",
    ),
    RUN: Needs(250 * 10**6, 100 * 10**6, "`predict` peaked at 70 to 120 MB", "an artifact takes up to 5 MB"),
}
LOAD_TIMEOUT_S = 60  # TensorFlow takes 4 s on an idle x86 core, far more from a board's memory card
LONGEST_REASON = 200
RAISED = re.compile(r"[\w.]*(Error|Exception|Exit)\b")


def why_not_loadable(module: str) -> str | None:
    """Why `module` cannot be imported, or None if it can: tried in a separate process, since it may crash."""
    command = [sys.executable, "-P", "-c", f"import {module}"]
    try:
        process = subprocess.run(  # noqa: S603 - our own command
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=LOAD_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return f"not loaded after {LOAD_TIMEOUT_S} s"
    except OSError as error:
        return f"Python cannot be started to try it: {error.strerror}"
    return failure_of(process.returncode, process.stderr.decode("utf-8", "replace"))


def failure_of(exit_code: int, printed: str) -> str | None:
    """Why an import with this exit code and output failed, in one line; None if it did not fail."""
    if exit_code == 0:
        return None
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    raised = [line for line in lines if RAISED.match(line)]
    reason = ((raised or lines)[-1:] or [""])[0][:LONGEST_REASON]
    name = ended_by(exit_code)
    if name is None:
        return reason or f"exit code {exit_code}"
    if name == "SIGILL":
        return "ended by SIGILL: it was built for a processor with more instructions than this one has"
    return f"ended by {name}" + (f": {reason}" if reason else "")


@dataclass(frozen=True)
class Installation:
    """The source of the facts about this installation; tests pass others."""

    requirements: list[Requirement]
    version_of: Callable[[str], str | None] = version_of
    folder_of: Callable[[str], Path | None] = folder_of
    why_not_loadable: Callable[[str], str | None] = why_not_loadable

    def names(self, extra: str | None) -> list[str]:
        """The packages that `extra` asks for, or (None) that are always needed."""
        return [row.package for row in self.requirements if row.extra == extra]


def examine(
    machine: Machine | None = None, installation: Installation | None = None, reporter: Reporter | None = None
) -> Diagnosis:
    """The state of this installation on this machine. This takes seconds, since every engine is imported."""
    machine = machine or machines.read()
    installation = installation or Installation(own_requirements())
    engines = _engines(installation, reporter or Silent())
    weights = [_weights(installation, *item) for item in PUBLISHED.items()]
    base = [_package(installation, name, None) for name in installation.names(None)]
    jobs = [
        _export(installation, machine, engines, weights),
        *(_run(installation, machine, kind, engines) for kind in ENGINES_OF),
    ]
    exporting = not engines or any(installation.version_of(name) for name in ONLY_EXPORTING)
    main = [job for job in jobs if (job.name == EXPORT if exporting else job.engine)]
    problems = package_problems(base, machine, "") + [problem for job in main for problem in job.problems]
    main_job = EXPORT if exporting else RUN
    reported = {problem.what for job in jobs for problem in job.problems}
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
            *_shortages(machine, NEEDS[main_job]),
            *_unusable(engines, reported),
        ],
    )


def _package(installation: Installation, name: str, extra: str | None) -> Package:
    """The installed package `name`, judged by what is always required of it and what `extra` adds."""
    rows = [row for row in installation.requirements if row.package == name and row.extra in (None, extra)]
    specifiers = {specifier for row in rows for specifier in row.specifiers.split(",") if specifier}
    required = ",".join(sorted(specifiers, reverse=True))  # >=2.21,<2.22
    version = installation.version_of(name)
    state = MISSING if version is None else judge(version, required)
    return Package(name, version, required, state, PURPOSES.get(name, "") if extra == EXPORT else "")


def _engines(installation: Installation, reporter: Reporter) -> list[Engine]:
    """The installed engines, imported in parallel to save time."""
    versions = {name: version for name, row in ENGINES.items() if (version := installation.version_of(row.package))}
    with reporter.step(f"import {', '.join(versions)}") if versions else contextlib.nullcontext():
        reasons = _why_not_loadable(installation, versions)
    return [_engine(installation, name, versions[name], reason) for name, reason in reasons.items()]


def _why_not_loadable(installation: Installation, names: Iterable[str]) -> dict[str, str | None]:
    modules = {name: (ENGINES | OTHERS)[name].module for name in names}
    with ThreadPoolExecutor() as pool:
        return dict(zip(modules, pool.map(installation.why_not_loadable, modules.values()), strict=True))


def engine_faults(names: Iterable[str], installation: Installation | None = None) -> dict[str, str]:
    """What is wrong with those of the installed engines `names` that cannot be used here; each is imported."""
    installation = installation or Installation(own_requirements())
    faulty = {}
    for name, reason in _why_not_loadable(installation, names).items():
        package = (ENGINES | OTHERS)[name].package
        if name in ENGINES:
            faults = _engine(installation, name, installation.version_of(package) or "", reason).faults
        else:
            faults = [f"{package} is installed but does not load: {reason}"] if reason else []
        if faults:
            faulty[name] = "; ".join(faults)
    return faulty


def _engine(installation: Installation, name: str, version: str, not_loadable: str | None) -> Engine:
    row = ENGINES[name]
    narrowed = [package for package in installation.names(row.extra) if package in installation.names(None)]
    packages = [_package(installation, package, row.extra) for package in (row.package, *narrowed)]
    usable = not_loadable is None and all(package.state == OK for package in packages)
    kind = next(kind for kind, names in ENGINES_OF.items() if name in names)
    families = [default_kernels(name, quantized=quantized) for quantized in (False, True)]
    return Engine(name, kind, version, packages, not_loadable, usable, *families)


def _export(
    installation: Installation, machine: Machine, engines: Sequence[Engine], weights: Sequence[WeightsFile]
) -> Job:
    packages = [
        _package(installation, name, EXPORT) for name in dict.fromkeys([*PURPOSES, *installation.names(EXPORT)])
    ]
    problems = package_problems(packages, machine, EXPORT)
    for engine in engines:
        if engine.not_loadable and engine.packages[0].name in PURPOSES:
            problems.append(Problem(engine.faults[-1], None, reload_command(engine)))
    for file in weights:
        if file.path and file.state != OK and (package := PUBLISHED[file.variant].package_file):
            what = f"{file.path} is {file.state}; it should hold the weights of {file.variant}"
            problems.append(Problem(what, None, reinstall_command(package.partition("/")[0])))
    return Job(EXPORT, not problems, packages, None, problems)


def _run(installation: Installation, machine: Machine, kind: str, engines: Sequence[Engine]) -> Job:
    packages = [_package(installation, ENGINES[name].package, ENGINES[name].extra) for name in ENGINES_OF[kind]]
    installed = [engine for engine in engines if engine.format == kind]
    if not installed:
        return Job(f"{RUN} .{kind}", False, packages, None, [missing_engine_problem(kind, machine)])
    used, *alternatives = installed
    problems = engine_problems(used, ENGINES[used.name].extra, alternatives)
    return Job(f"{RUN} .{kind}", used.usable, packages, used.name, problems)


def _weights(installation: Installation, variant: str, published: Published) -> WeightsFile:
    path, state = None, MISSING if published.package_file else NOT_FETCHED
    if published.package_file:
        package, _, rest = published.package_file.partition("/")
        folder = installation.folder_of(package)
        path = folder / rest if folder else None
    elif published.url:
        with contextlib.suppress(RuntimeError):  # a user without a home directory has no cache
            path = cache.cached_path(published.url, published.sha256)
    if path is not None and path.is_file():
        state = DAMAGED
        with contextlib.suppress(OSError):
            state = OK if reading.sha256(path) == published.sha256 else DAMAGED
    return WeightsFile(variant, state, str(path) if path else None)


def _unusable(engines: Sequence[Engine], reported: set[str]) -> Iterator[str]:
    for engine in engines:
        faults = [fault for fault in engine.faults if fault not in reported]
        if faults:
            yield f"{engine.name} cannot be used: {'; '.join(faults)}"


def _shortages(machine: Machine, needs: Needs) -> Iterator[str]:
    if machine.memory is not None and machine.memory.free_bytes < needs.memory:
        yield f"low memory: {machine.memory.free_bytes / 1e9:.1f} GB free; {needs.memory_reason}"
    for disk in machine.disks:
        if disk.free_bytes < needs.disk:
            yield f"low disk space in {disk.folder}: {disk.free_bytes / 1e9:.1f} GB free; {needs.disk_reason}"
