"""What is installed, in which version, what this package requires, and how what is missing can be had."""

from __future__ import annotations

import dataclasses
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
SYSTEMS = {"Darwin": "macOS", "Windows": "Windows"}  # as people call them
EXPORTING_MACHINES = ("x86_64", "aarch64")
SYSTEM_PACKAGES = "an environment made with `python3 -m venv --system-site-packages` sees it"
MODULES = {"PIL": "pillow"}  # of packages that have another name
PARSER = "packaging"  # reads requirements, also the one for itself


def version_of(package: str) -> str | None:
    """The installed version of `package`, or of one that brings its module under another name (tensorflow-cpu)."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        module = package.replace("-", "_")
    if importlib.machinery.PathFinder.find_spec(module) is None:
        return None
    owners = importlib.metadata.packages_distributions().get(module, [])  # slow: it reads what every package has
    return importlib.metadata.version(owners[0]) if owners else None


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of Python and of `packages`, as far as they are installed."""
    installed = {package: version_of(package) for package in packages}
    return {"python": platform.python_version()} | {name: version for name, version in installed.items() if version}


@dataclass(frozen=True)
class Wheels:
    """For which machines a package publishes wheels, up to which Python, and what Debian calls the package.

    `elsewhere` has the machines of systems other than Linux, by `platform.system`; a system that is not in it is not
    known to lack any.
    """

    machines: tuple[str, ...]
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    newest_python: tuple[int, int] | None = None  # None: not known to end
    musl: bool = False  # as well as glibc
    in_debian: str | None = None


# Of the versions that are required: TensorFlow 2.21, LiteRT 2.3, ONNX Runtime 1.31, tflite-runtime 2.14.
WHEELS = {
    "numpy": Wheels(EXPORTING_MACHINES, musl=True, in_debian="python3-numpy"),
    "pillow": Wheels(EXPORTING_MACHINES, musl=True, in_debian="python3-pil"),
    "tensorflow": Wheels(EXPORTING_MACHINES, {"Darwin": ("arm64",), "Windows": ("AMD64",)}, (3, 13)),
    "ai-edge-litert": Wheels(EXPORTING_MACHINES, {"Darwin": ("arm64",), "Windows": ("AMD64",)}),
    "onnxruntime": Wheels(EXPORTING_MACHINES, {"Darwin": ("arm64",), "Windows": ("AMD64", "ARM64")}),
    "tflite-runtime": Wheels((*EXPORTING_MACHINES, "armv7l"), {"Darwin": (), "Windows": ()}, (3, 11)),
}


def install(extra: str | None) -> str:
    """The command that brings what `extra` needs, in the versions that it needs ("": the base)."""
    return f'pip install "edge-squeeze[{extra}]"' if extra else "pip install edge-squeeze"


def no_wheels(package: str, machine: Machine) -> str | None:
    """Why pip finds no wheel of `package` for `machine`, and where it does; None if it should, or nothing is known."""
    wheels = WHEELS.get(package)
    if wheels is None or machine.system not in ("Linux", *wheels.elsewhere):
        return None
    if machine.system != "Linux" and machine.machine not in (published := wheels.elsewhere[machine.system]):
        instead = f", only for {' and '.join(published)}" if published else ""
        return f"{package} has no wheels for {SYSTEMS[machine.system]} on {machine.machine}{instead}."
    if machine.system == "Linux" and machine.machine not in wheels.machines:
        instead = f" Take Debian's {wheels.in_debian}: {SYSTEM_PACKAGES}." if wheels.in_debian else ""
        return f"{package} has no wheels for {machine.machine}, only for {' and '.join(wheels.machines)}.{instead}"
    if machine.libc == MUSL and not wheels.musl:
        return f"{package} has no wheels for musl, only for glibc (Debian, Ubuntu)."
    newest, (major, minor) = wheels.newest_python, map(int, machine.python.split(".")[:2])
    if newest is not None and (major, minor) > newest:
        number = ".".join(map(str, newest))
        return f"{package} has no wheels for Python {major}.{minor}: use Python {number} at the newest."
    return None


def missing(package: str, extra: str | None, purpose: str, machine: Machine | None = None) -> MissingDependencyError:
    """The error that `package` is needed for `purpose` and not there, with the way to it on `machine` (this one)."""
    return MissingDependencyError(package, extra, purpose, no_wheels(package, machine or machines.read()))


def missing_engine(format_name: str, purpose: str, machine: Machine | None = None) -> MissingDependencyError:
    """The error that no engine for `format_name` is there, naming one that can be had on `machine` (this one)."""
    here = machine or machines.read()
    first, package = next(iter(FORMATS[format_name].extras.items()))
    extra = best_extra(format_name, here)
    if extra:
        return MissingDependencyError(FORMATS[format_name].extras[extra], extra, purpose)
    return MissingDependencyError(package, first, purpose, no_engine(format_name, here))


def no_engine(format_name: str, machine: Machine) -> str:
    """Why `machine` can have no engine for `format_name`."""
    reasons = [no_wheels(package, machine) for package in FORMATS[format_name].extras.values()]
    return " ".join(filter(None, reasons))


def missing_of_base(module: str | None, machine: Machine | None = None) -> MissingDependencyError | None:
    """The error that a package which every installation has is not there; None if `module` belongs to none."""
    top = (module or "").partition(".")[0]
    package = MODULES.get(top, top)
    if package != PARSER and not any(row.package == package and row.extra is None for row in own_requirements()):
        return None
    instead = no_wheels(package, machine or machines.read()) or f"Run: {install('')}"
    return MissingDependencyError(package, None, "every command", instead)


def best_extra(format_name: str, machine: Machine) -> str | None:
    """The first of our extras that brings an engine for `format_name` to `machine`; None if none can."""
    extras = FORMATS[format_name].extras.items()
    return next((extra for extra, package in extras if no_wheels(package, machine) is None), None)


@dataclass(frozen=True)
class Requirement:
    """A package that this one needs, always or for one of its extras, in versions that fit `specifiers`."""

    package: str
    specifiers: str
    extra: str | None


def read_requirements(lines: Iterable[str]) -> list[Requirement]:
    """The requirements that lines of metadata state; of their markers only the extra is looked at.

    An extra that includes another one of this package (`edge-squeeze[other]; extra == "one"`) has its packages, too.
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
    """What the own package requires; nothing where it runs without having been installed."""
    try:
        return read_requirements(importlib.metadata.requires(NAME) or [])
    except importlib.metadata.PackageNotFoundError:
        return []


def folder_of(module: str) -> Path | None:
    """The folder that `module` is installed in, found without importing it."""
    spec = importlib.util.find_spec(module)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def is_installed(package: str) -> bool:
    """Can `package` be imported? Found out without importing it."""
    return importlib.util.find_spec(package) is not None


def program() -> str:
    """How to start this very program from a shell here: `edge-squeeze` if that is the one on PATH, else its path."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py" and started.parent.name == "edge_squeeze":
        started = Path(sys.executable).with_name(NAME)
        if not started.exists():
            return shlex.join([sys.executable, "-m", "edge_squeeze"])
    on_path = shutil.which(NAME)
    if started.name != NAME or (on_path and Path(on_path).exists() and started.exists() and started.samefile(on_path)):
        return NAME
    return shlex.quote(str(started))
