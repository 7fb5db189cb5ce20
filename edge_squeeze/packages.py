"""Packages: which are installed in which version, which this one requires, and how to get the missing ones."""

from __future__ import annotations

import dataclasses
import functools
import importlib.machinery
import importlib.metadata
import importlib.util
import platform
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_squeeze.errors import MissingDependencyError
from edge_squeeze.formats import FORMATS
from edge_squeeze.machine import host as machines
from edge_squeeze.machine.host import MUSL, Machine

NAME = "edge-squeeze"
SYSTEMS = {"Darwin": "macOS", "Windows": "Windows"}  # their usual names
EXPORTING_MACHINES = ("x86_64", "aarch64")
SYSTEM_PACKAGES = "an environment created with `python3 -m venv --system-site-packages` can import it"
MODULES = {"PIL": "pillow"}  # of packages with another name
PARSER = "packaging"  # reads requirements, also the one for itself


def version_of(package: str) -> str | None:
    """The installed version of `package`, or of another package with its module (tensorflow-cpu)."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        module = package.replace("-", "_")
    if importlib.machinery.PathFinder.find_spec(module) is None:
        return None
    owners = _owners(tuple(sys.path)).get(module, [])
    return importlib.metadata.version(owners[0]) if owners else None


@functools.cache
def _owners(path: tuple[str, ...]) -> Mapping[str, list[str]]:  # noqa: ARG001 - tells one search from another
    """The packages that brought each module found on `path`: once a process, since it reads every package's files."""
    return importlib.metadata.packages_distributions()


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of Python and of those of `packages` that are installed."""
    installed = {package: version_of(package) for package in packages}
    return {"python": platform.python_version()} | {name: version for name, version in installed.items() if version}


@dataclass(frozen=True)
class Wheels:
    """The machines that a package publishes wheels for, the newest Python, and Debian's name of the package.

    `elsewhere` has the machines of systems other than Linux, by `platform.system`; nothing is claimed about systems
    that are not in it.
    """

    machines: tuple[str, ...]
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    newest_python: tuple[int, int] | None = None  # None: no limit is known
    musl: bool = False  # as well as glibc
    in_debian: str | None = None


# For the required versions: TensorFlow 2.21, LiteRT 2.3, ONNX Runtime 1.31, tflite-runtime 2.14.
WHEELS = {
    "numpy": Wheels(EXPORTING_MACHINES, musl=True, in_debian="python3-numpy"),
    "pillow": Wheels(EXPORTING_MACHINES, musl=True, in_debian="python3-pil"),
    "tensorflow": Wheels(EXPORTING_MACHINES, {"Darwin": ("arm64",), "Windows": ("AMD64",)}, (3, 13)),
    "ai-edge-litert": Wheels(EXPORTING_MACHINES, {"Darwin": ("arm64",), "Windows": ("AMD64",)}),
    "onnxruntime": Wheels(EXPORTING_MACHINES, {"Darwin": ("arm64",), "Windows": ("AMD64", "ARM64")}),
    "tflite-runtime": Wheels((*EXPORTING_MACHINES, "armv7l"), {"Darwin": (), "Windows": ()}, (3, 11)),
}


def install(extra: str | None) -> str:
    """The command that installs what `extra` needs, in the versions that it needs ("" or None: the base)."""
    return f'pip install "edge-squeeze[{extra}]"' if extra else "pip install edge-squeeze"


def no_wheels(package: str, machine: Machine) -> str | None:
    """Why pip finds no wheel of `package` for `machine`, with alternatives; None if it should, or nothing is known."""
    wheels = WHEELS.get(package)
    if wheels is None or machine.system not in ("Linux", *wheels.elsewhere):
        return None
    if machine.system != "Linux" and machine.machine not in (published := wheels.elsewhere[machine.system]):
        instead = f", only for {' and '.join(published)}" if published else ""
        return f"{package} has no wheels for {SYSTEMS[machine.system]} on {machine.machine}{instead}."
    if machine.system == "Linux" and machine.machine not in wheels.machines:
        instead = f" Use Debian's {wheels.in_debian}: {SYSTEM_PACKAGES}." if wheels.in_debian else ""
        return f"{package} has no wheels for {machine.machine}, only for {' and '.join(wheels.machines)}.{instead}"
    if machine.libc == MUSL and not wheels.musl:
        return f"{package} has no wheels for musl, only for glibc (Debian, Ubuntu)."
    newest, (major, minor) = wheels.newest_python, map(int, machine.python.split(".")[:2])
    if newest is not None and (major, minor) > newest:
        number = ".".join(map(str, newest))
        return f"{package} has no wheels for Python {major}.{minor}: use Python {number} or older."
    return None


def missing(package: str, extra: str | None, purpose: str, machine: Machine | None = None) -> MissingDependencyError:
    """The error that `package` is missing for `purpose`, with how to get it on `machine` (default: this one)."""
    return MissingDependencyError(package, extra, purpose, no_wheels(package, machine or machines.read()))


def missing_engine(format_name: str, purpose: str, machine: Machine | None = None) -> MissingDependencyError:
    """The error that there is no engine for `format_name`, with how to get one on `machine` (default: this one)."""
    machine = machine or machines.read()
    first, package = next(iter(FORMATS[format_name].extras.items()))
    extra = best_extra(format_name, machine)
    if extra:
        return MissingDependencyError(FORMATS[format_name].extras[extra], extra, purpose)
    return MissingDependencyError(package, first, purpose, no_engine(format_name, machine))


def no_engine(format_name: str, machine: Machine) -> str:
    """Why there is no engine for `format_name` on `machine`."""
    reasons = [no_wheels(package, machine) for package in FORMATS[format_name].extras.values()]
    return " ".join(filter(None, reasons))


def missing_of_base(module: str | None, machine: Machine | None = None) -> MissingDependencyError | None:
    """The error that the package of `module`, which every installation has, is missing; None for other modules."""
    top = (module or "").partition(".")[0]
    package = MODULES.get(top, top)
    if package != PARSER and not any(row.package == package and row.extra is None for row in own_requirements()):
        return None
    instead = no_wheels(package, machine or machines.read()) or f"Run: {install('')}"
    return MissingDependencyError(package, None, "every command", instead)


def best_extra(format_name: str, machine: Machine) -> str | None:
    """The first of our extras that brings an engine for `format_name` to `machine`; None if none does."""
    extras = FORMATS[format_name].extras.items()
    return next((extra for extra, package in extras if no_wheels(package, machine) is None), None)


@dataclass(frozen=True)
class Requirement:
    """A package that this one needs, always or for one of its extras, in versions that fit `specifiers`."""

    package: str
    specifiers: str
    extra: str | None


def read_requirements(lines: Iterable[str]) -> list[Requirement]:
    """The requirements in lines of metadata; of their markers, only the extra counts.

    An extra that includes another one of this package (`edge-squeeze[onnx]; extra == "export"`) has its packages, too.
    """
    from packaging.requirements import Requirement as Line  # takes longer to load than most commands need
    from packaging.utils import canonicalize_name

    direct, inclusions = [], []
    for line in map(Line, lines):
        extra = str(line.marker).partition('extra == "')[2].partition('"')[0] or None
        if canonicalize_name(line.name) == NAME:
            inclusions += [(extra, included) for included in sorted(line.extras)]
        else:
            direct.append(Requirement(canonicalize_name(line.name), str(line.specifier), extra))
    return direct + [
        dataclasses.replace(requirement, extra=extra)
        for extra, included in inclusions
        for requirement in direct
        if requirement.extra == included
    ]


def own_requirements() -> list[Requirement]:
    """The requirements of this package; none if it runs without having been installed."""
    try:
        return read_requirements(importlib.metadata.requires(NAME) or [])
    except importlib.metadata.PackageNotFoundError:
        return []


def folder_of(module: str) -> Path | None:
    """The folder that `module` is installed in, found without importing it."""
    spec = importlib.util.find_spec(module)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def is_installed(package: str) -> bool:
    """Whether `package` can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def program() -> str:
    """How to start this program from a shell: `edge-squeeze` if that is the one on PATH, else its path."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py" and started.parent.name == "edge_squeeze":
        started = Path(sys.executable).with_name(NAME)
        if not started.exists():
            return shlex.join([sys.executable, "-m", "edge_squeeze"])
    on_path = shutil.which(NAME)
    if started.name != NAME or (on_path and Path(on_path).exists() and started.exists() and started.samefile(on_path)):
        return NAME
    return shlex.quote(str(started))
