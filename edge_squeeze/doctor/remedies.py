"""What to do about what the doctor found: the command that helps, or why none does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edge_squeeze.doctor import machine as machines
from edge_squeeze.doctor.diagnosis import Engine, Package, Problem
from edge_squeeze.doctor.installation import MISSING, OK, own_requirements, release
from edge_squeeze.doctor.machine import MUSL, Machine
from edge_squeeze.errors import MissingDependencyError

EXPORTING_MACHINES = ("x86_64", "aarch64")
SYSTEMS = {"Darwin": "macOS", "Windows": "Windows"}  # as people call them
SYSTEM_PACKAGES = "an environment made with `python3 -m venv --system-site-packages` sees it"
MODULES = {"PIL": "pillow"}  # of packages that have another name


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
# The extras that bring an engine, in the order in which they are recommended.
EXTRAS = {"tflite": {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime"}, "onnx": {"onnx": "onnxruntime"}}


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
    newest, here = wheels.newest_python, release(machine.python)[:2]
    if newest is not None and here > newest:
        number = ".".join(map(str, newest))
        return f"{package} has no wheels for Python {'.'.join(map(str, here))}: use Python {number} at the newest."
    return None


def for_base(packages: Sequence[Package], machine: Machine) -> list[Problem]:
    """The problems of the packages that every job needs."""
    return _for_packages(packages, machine, "")


def for_export(packages: Sequence[Package], machine: Machine) -> list[Problem]:
    """The problems of the packages that exporting needs."""
    return _for_packages(packages, machine, "export")


def _for_packages(packages: Sequence[Package], machine: Machine, extra: str) -> list[Problem]:
    reasons = [why for package in packages if package.state != OK and (why := no_wheels(package.name, machine))]
    advice, command = (reasons[0], None) if reasons else (None, install(extra))
    missing = [package.name for package in packages if package.state == MISSING]
    faults = [f"missing: {', '.join(missing)}"] if missing else []
    faults += [package.fault for package in packages if package.fault and package.state != MISSING]
    return [Problem(fault, advice, command) for fault in faults]


def missing(package: str, extra: str | None, purpose: str, machine: Machine | None = None) -> MissingDependencyError:
    """The error that `package` is needed for `purpose` and not there, with the way to it on `machine` (this one)."""
    return MissingDependencyError(package, extra, purpose, no_wheels(package, machine or machines.read()))


def missing_engine(format_name: str, purpose: str, machine: Machine | None = None) -> MissingDependencyError:
    """The error that no engine for `format_name` is there, naming one that can be had on `machine` (this one)."""
    here = machine or machines.read()
    first, package = next(iter(EXTRAS[format_name].items()))
    extra = _best_extra(format_name, here)
    if extra:
        return MissingDependencyError(EXTRAS[format_name][extra], extra, purpose)
    return MissingDependencyError(package, first, purpose, for_no_engine(format_name, here).advice)


def missing_of_base(module: str | None, machine: Machine | None = None) -> MissingDependencyError | None:
    """The error that a package which every installation has is not there; None if `module` belongs to none."""
    top = (module or "").partition(".")[0]
    package = MODULES.get(top, top)
    if package not in [one.package for one in own_requirements() if one.extra is None]:
        return None
    instead = no_wheels(package, machine or machines.read()) or f"Run: {install('')}"
    return MissingDependencyError(package, None, "every command", instead)


def for_no_engine(format_name: str, machine: Machine) -> Problem:
    """The problem that no engine for `format_name` is installed."""
    what = f"no engine for .{format_name} files is installed"
    extra = _best_extra(format_name, machine)
    if extra:
        return Problem(what, None, install(extra))
    reasons = [no_wheels(package, machine) for package in EXTRAS[format_name].values()]
    return Problem(what, " ".join(filter(None, reasons)))


def _best_extra(format_name: str, machine: Machine) -> str | None:
    extras = EXTRAS[format_name].items()
    return next((extra for extra, package in extras if no_wheels(package, machine) is None), None)


def for_engine(engine: Engine, extra: str | None, others: Sequence[Engine]) -> list[Problem]:
    """The problems of the `engine` that would be used, with the name of one of the `others` that works."""
    working = next((other.name for other in others if other.usable), None)
    advice = f"--runtime {working} works meanwhile." if working else None
    wrong_version = any(package.state != OK for package in engine.packages)
    return [Problem(fault, advice, install(extra) if wrong_version else reload(engine)) for fault in engine.faults]


def reload(engine: Engine) -> str | None:
    """The command that may make a damaged `engine` load; None where it is the processor that cannot run it."""
    return None if "SIGILL" in (engine.not_loadable or "") else reinstall(engine.packages[0].name)


def reinstall(package: str) -> str:
    """The command that replaces a damaged `package` by the same version."""
    return f"pip install --force-reinstall --no-deps {package}"
