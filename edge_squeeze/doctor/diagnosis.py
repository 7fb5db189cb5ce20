"""What `edge-squeeze doctor` finds out, as values: packages, engines, jobs, weights."""

from __future__ import annotations

from dataclasses import dataclass

from edge_squeeze.doctor.installation import OK
from edge_squeeze.machine.host import Machine

EXPORT, RUN = "export", "run"
NOT_FETCHED, DAMAGED = "not fetched", "damaged"


@dataclass(frozen=True)
class Package:
    """A package, its installed version (None: missing) and whether that is one of those `required`."""

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
    packages: list[Package]  # its own, and those of the base that it admits in fewer versions
    not_loadable: str | None  # why importing it fails
    usable: bool
    float_kernels: str
    int8_kernels: str

    @property
    def faults(self) -> list[str]:
        """What is wrong with it, as clauses."""
        own, *narrowed = self.packages
        found = [own.fault] if own.fault else []
        found += [f"{package.fault} for {own.name}" for package in narrowed if package.fault]
        if self.not_loadable:
            found.append(f"{own.name} is installed but does not load: {self.not_loadable}")
        return found


@dataclass(frozen=True)
class Problem:
    """Something that stands against a job, with advice or the command that removes it."""

    what: str
    advice: str | None = None
    command: str | None = None


@dataclass(frozen=True)
class Job:
    """Something one wants to do, the packages that it needs (to run files: any one engine), and what is wrong."""

    name: str
    ready: bool
    packages: list[Package]
    engine: str | None  # the one that would run the files
    problems: list[Problem]


@dataclass(frozen=True)
class WeightsFile:
    """The published weights of a network, as they are found here."""

    variant: str
    state: str  # ok | missing | damaged | not fetched
    path: str | None


@dataclass(frozen=True)
class Diagnosis:
    """Everything found out; `ready` says whether the main job of this installation can be done."""

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
