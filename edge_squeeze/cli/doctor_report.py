"""The report of `edge-squeeze doctor`: the verdict and what to do about it, then the facts behind it.

Its sentences on packages come from packages.py, those on problems from edge_squeeze/doctor.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from edge_squeeze.cli.console import print_json, print_next, print_prose, print_text, whole, width, wrap
from edge_squeeze.doctor.diagnosis import (
    EXPORT,
    MISSING,
    NOT_FETCHED,
    Diagnosis,
    Engine,
    Job,
    Package,
    Problem,
    WeightsFile,
)
from edge_squeeze.machine.host import Cpu, Machine

LABEL = 13  # columns; the longest label is "run .tflite"
INDENT = "  "


def show(diagnosis: Diagnosis, *, as_json: bool) -> None:
    """Print the diagnosis, as text that fits the terminal or as one JSON document."""
    if as_json:
        print_json(dataclasses.asdict(diagnosis))
        return
    print_text(*_verdict(diagnosis), "")
    for label, text in _facts(diagnosis):
        print_prose(text, start=f"{label:<{LABEL}}")
    for job in diagnosis.jobs:
        print_text("", *_job(job, diagnosis))
    print_next(*_next(diagnosis))


def _wrapped(text: str, start: str) -> list[str]:
    return wrap(text, width(), start, " " * max(len(start), 2 * len(INDENT)))


def _verdict(diagnosis: Diagnosis) -> Iterator[str]:
    work = "export" if diagnosis.main_job == EXPORT else "run artifacts"
    yield f"edge-squeeze {diagnosis.version} is {'' if diagnosis.ready else 'NOT '}ready to {work}."
    yield from _problems(diagnosis.problems)
    for warning in diagnosis.warnings:
        yield from _wrapped(f"warning: {warning}", INDENT)


def _problems(problems: Sequence[Problem]) -> Iterator[str]:
    for problem in problems:
        yield from _wrapped(problem.what, f"{INDENT}problem: ")
    for advice in dict.fromkeys(problem.advice for problem in problems if problem.advice):
        yield from _wrapped(advice, INDENT)
    yield from (f"{INDENT}Run: {command}" for command in _commands(problems))


def _commands(problems: Sequence[Problem]) -> list[str]:
    return list(dict.fromkeys(problem.command for problem in problems if problem.command))


def _facts(diagnosis: Diagnosis) -> Iterator[tuple[str, str]]:
    """Labels and texts; an empty label continues the one above."""
    machine = diagnosis.machine
    yield "Python", f"{machine.python} ({whole(machine.executable)})"
    yield "machine", f"{machine.system} {machine.machine}, {machine.libc or 'libc not known'}"
    yield "processor", _processor(machine.cpu)
    yield "", f"dot-product instructions for int8 kernels: {_dot_product(machine.cpu)}"
    yield "memory", _memory(machine)
    rooms = [f"{disk.free_bytes / 1e9:.1f} GB free {disk.holds}" for disk in machine.disks]
    yield "disk", ", ".join(rooms) or "not known"
    if diagnosis.main_job == EXPORT:
        for number, file in enumerate(diagnosis.weights):
            yield "" if number else "weights", _weights(file)


def _processor(cpu: Cpu) -> str:
    cores = f"{cpu.usable_cores} core{'' if cpu.usable_cores == 1 else 's'} usable"
    features = "features not known" if cpu.features is None else " ".join(cpu.features)
    return f"{cpu.name or 'not known'}, {cores}{'; ' if features else ''}{features}"


def _dot_product(cpu: Cpu) -> str:
    if cpu.dot_product is None:
        return "not known"
    return f"yes ({', '.join(cpu.dot_product)})" if cpu.dot_product else "no, int8 gains less here"


def _memory(machine: Machine) -> str:
    if machine.memory is None:
        return "not known"
    limit = " (the limit of this container)" if machine.memory.limited else ""
    return f"{machine.memory.free_bytes / 1e9:.1f} GB free{limit}"


def _weights(file: WeightsFile) -> str:
    later = " yet; the first use downloads them" if file.state == NOT_FETCHED else ""
    return f"{file.variant}: {file.state}{later}"


def _job(job: Job, diagnosis: Diagnosis) -> Iterator[str]:
    """The state of a job and the facts behind it; a job that is not set up here gets one line."""
    used = next((engine for engine in diagnosis.engines if engine.name == job.engine), None)
    if used:
        state = "ok" if job.ready else "NOT ready"
        yield f"{job.name:<{LABEL}}{state}, with {used.name} {used.version}"
        yield from _wrapped(_kernels(used), INDENT)
        yield from _alternatives(used, diagnosis.engines)
        yield from _problems([problem for problem in job.problems if problem not in diagnosis.problems])
    elif job.name == diagnosis.main_job:
        yield f"{job.name:<{LABEL}}{'ok' if job.ready else 'NOT ready'}"
        yield from _packages(job.packages)
    else:
        advice = dict.fromkeys(problem.advice for problem in job.problems if problem.advice)
        yield from _wrapped(": ".join(["not set up here", *advice]), f"{job.name:<{LABEL}}")
        yield from (f"{INDENT}Run: {command}" for command in _commands(job.problems))


def _kernels(engine: Engine) -> str:
    if engine.float_kernels == engine.int8_kernels:
        return f"kernels: {engine.float_kernels}"
    return f"kernels: {engine.float_kernels} for float files, {engine.int8_kernels} for int8 and dynamic files"


def _alternatives(used: Engine, engines: Sequence[Engine]) -> Iterator[str]:
    for engine in engines:
        if engine.format == used.format and engine is not used:
            state = "" if engine.usable else ", NOT usable"
            yield from _wrapped(f"also: --runtime {engine.name} ({engine.version}{state})", INDENT)


def _packages(packages: Sequence[Package]) -> Iterator[str]:
    rows = [(row.name, row.version or "-", row.required or "any", row.state) for row in packages]
    name, version, required = (max(len(row[i]) for row in rows) for i in range(3))
    for row, package in zip(rows, packages, strict=True):
        purpose = f": {package.purpose}" if package.state == MISSING and package.purpose else ""
        start = f"{INDENT}{row[0]:<{name}}  {row[1]:<{version}}  {row[2]:<{required}}  "
        yield from _wrapped(f"{row[3]}{purpose}", start)


def _next(diagnosis: Diagnosis) -> list[str]:
    if not diagnosis.ready:
        commands = _commands(diagnosis.problems)
        if not commands and not diagnosis.engines:
            running = [command for job in diagnosis.jobs for command in _commands(job.problems)]
            commands = [f"{command}  (to run artifacts)" for command in running[:1]]
        return [*commands, "edge-squeeze doctor"]
    if diagnosis.main_job == EXPORT:
        return ["edge-squeeze export"]
    return ["edge-squeeze verify ARTIFACT", "edge-squeeze predict ARTIFACT PICTURE"]
