"""The diagnosis of `edge-squeeze doctor`: packages, engines, jobs, weights, and what to do about their problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_squeeze.machine.host import Machine
from edge_squeeze.packages import best_extra, install, no_engine, no_wheels

EXPORT, RUN = "export", "run"
OK, MISSING, TOO_OLD, TOO_NEW = "ok", "missing", "too old", "too new"
NOT_FETCHED, DAMAGED = "not fetched", "damaged"


@dataclass(frozen=True)
class Package:
    """A package, its installed version (None: missing), and whether that is among the `required` ones."""

    name: str
    version: str | None
    required: str
    state: str  # ok | missing | too old | too new
    purpose: str

    @property
    def fault(self) -> str | None:
        """What is wrong with it, as a clause."""
        if self.state == OK:
            return None
        return f"{self.name} {self.version} is {self.state}, required {self.required}" if self.version else self.name


@dataclass(frozen=True)
class Engine:
    """An installed engine, under the name that --runtime takes, with the kernels that compute in it."""

    name: str
    format: str
    version: str
    packages: list[Package]  # its own, and base packages of which it admits fewer versions
    not_loadable: str | None  # why importing it fails
    usable: bool
    float_kernels: str
    int8_kernels: str

    @property
    def faults(self) -> list[str]:
        """What is wrong with it, as clauses."""
        own, *narrowed = self.packages
        faults = [own.fault] if own.fault else []
        faults += [f"{package.fault} for {own.name}" for package in narrowed if package.fault]
        if self.not_loadable:
            faults.append(f"{own.name} is installed but does not load: {self.not_loadable}")
        return faults


@dataclass(frozen=True)
class Problem:
    """An obstacle to a job, with advice or the command that removes it."""

    what: str
    advice: str | None = None
    command: str | None = None


@dataclass(frozen=True)
class Job:
    """A use of this installation, the packages that it needs (to run files: any engine), and what is wrong."""

    name: str
    ready: bool
    packages: list[Package]
    engine: str | None  # the one that would run the files
    problems: list[Problem]


@dataclass(frozen=True)
class WeightsFile:
    """The published weights of a network, and their state here."""

    variant: str
    state: str  # ok | missing | damaged | not fetched
    path: str | None


@dataclass(frozen=True)
class Diagnosis:
    """The whole diagnosis; `ready` says whether the main job of this installation can be done."""

    version: str
    ready: bool
    main_job: str  # export | run
    machine: Machine
    base: list[Package]
    jobs: list[Job]
    engines: list[Engine]
    weights: list[WeightsFile]
    problems: list[Problem]  # those of the main job
    warnings: list[str]


def judge(version: str, specifiers: str) -> str:
    """OK, TOO_OLD or TOO_NEW: whether `version` fits `specifiers`, as in ">=2.21,<2.22".

    A pre-release counts as its release. A version that PEP 440 does not know fits no specifier, and counts as too old.
    """
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        release = Version(Version(version).base_version)
    except InvalidVersion:
        return TOO_OLD if specifiers else OK
    for specifier in SpecifierSet(specifiers):
        if not specifier.contains(release):
            bound = Version(specifier.version.removesuffix(".*"))
            return TOO_OLD if release < bound or specifier.operator in (">", "!=") else TOO_NEW
    return OK


def package_problems(packages: Sequence[Package], machine: Machine, extra: str) -> list[Problem]:
    """The problems of `packages`, which `extra` of ours brings ("": the base)."""
    reasons = [why for package in packages if package.state != OK and (why := no_wheels(package.name, machine))]
    advice, command = (reasons[0], None) if reasons else (None, install(extra))
    missing = [package.name for package in packages if package.state == MISSING]
    faults = [f"missing: {', '.join(missing)}"] if missing else []
    faults += [package.fault for package in packages if package.fault and package.state != MISSING]
    return [Problem(fault, advice, command) for fault in faults]


def missing_engine_problem(format_name: str, machine: Machine) -> Problem:
    """The problem that no engine for `format_name` is installed."""
    what = f"no engine for .{format_name} files is installed"
    if extra := best_extra(format_name, machine):
        return Problem(what, None, install(extra))
    return Problem(what, no_engine(format_name, machine))


def engine_problems(engine: Engine, extra: str | None, alternatives: Sequence[Engine]) -> list[Problem]:
    """The problems of the `engine` that would be used, with the name of one of the `alternatives` that works."""
    working = next((engine.name for engine in alternatives if engine.usable), None)
    advice = f"Until then, --runtime {working} works." if working else None
    wrong_version = any(package.state != OK for package in engine.packages)
    command = install(extra) if wrong_version else reload_command(engine)
    return [Problem(fault, advice, command) for fault in engine.faults]


def reload_command(engine: Engine) -> str | None:
    """The command that may make a damaged `engine` load; None if it is the processor that cannot run it."""
    return None if "SIGILL" in (engine.not_loadable or "") else reinstall_command(engine.packages[0].name)


def reinstall_command(package: str) -> str:
    """The command that replaces a damaged `package` with the same version."""
    return f"pip install --force-reinstall --no-deps {package}"
