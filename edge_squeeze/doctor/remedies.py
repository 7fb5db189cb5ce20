"""What to do about what the doctor found: the command that helps, or why none does."""

from __future__ import annotations

from collections.abc import Sequence

from edge_squeeze.doctor.diagnosis import Engine, Package, Problem
from edge_squeeze.doctor.installation import MISSING, OK
from edge_squeeze.machine.host import Machine
from edge_squeeze.packages import best_extra, install, no_engine, no_wheels


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


def for_no_engine(format_name: str, machine: Machine) -> Problem:
    """The problem that no engine for `format_name` is installed."""
    what = f"no engine for .{format_name} files is installed"
    if extra := best_extra(format_name, machine):
        return Problem(what, None, install(extra))
    return Problem(what, no_engine(format_name, machine))


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
