from __future__ import annotations

from dataclasses import replace

import pytest
from machines import MAC, MUSL, PC, PI_32, WINDOWS

from edge_squeeze.doctor.diagnosis import (
    OK,
    TOO_NEW,
    TOO_OLD,
    Engine,
    Package,
    engine_problems,
    judge,
    missing_engine_problem,
    package_problems,
)
from edge_squeeze.machine.host import Machine


@pytest.mark.parametrize(
    ("version", "specifiers", "expected"),
    [
        ("2.21.0", ">=2.21,<2.22", OK),
        ("2.20.9", ">=2.21,<2.22", TOO_OLD),
        ("2.22", ">=2.21,<2.22", TOO_NEW),
        ("2.9", ">=2.21", TOO_OLD),  # numbers, not text
        ("2.21", ">=2.21.0", OK),
        ("3.0.1+cpu", ">=3", OK),
        ("2.21.0rc1", ">=2.21", OK),  # as documented: a pre-release counts as its release
        ("0.1.4", "==0.1.4", OK),
        ("0.1.5", "==0.1.4", TOO_NEW),
        ("0.1.3", "==0.1.4", TOO_OLD),
        ("2.0", "<2", TOO_NEW),
        ("1.26.4", "<2", OK),
        ("2.0", ">2", TOO_OLD),
        ("2.1", "<=2.0", TOO_NEW),
        ("1.4", "~=1.3", OK),
        ("2.0", "~=1.3", TOO_NEW),
        ("1.0", "", OK),
        ("1.0", "==2.*", TOO_OLD),
        ("2.7", "==2.*", OK),
        ("3.0", "==2.*", TOO_NEW),
        ("1.0", "!=1.0", TOO_OLD),
        ("1.1", "!=1.0", OK),
        ("unknown", ">=1", TOO_OLD),
        ("unknown", "", OK),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, specifiers: str, expected: str) -> None:
    assert judge(version, specifiers) == expected


@pytest.mark.parametrize(
    ("format_name", "machine", "extra"),
    [
        ("tflite", PC, "litert"),
        ("tflite", PI_32, "tflite-runtime"),
        ("tflite", MUSL, None),
        ("tflite", replace(PI_32, python="3.13.0"), None),
        ("onnx", PC, "onnx"),
        ("onnx", PI_32, None),
        ("tflite", MAC, "litert"),
        ("tflite", replace(MAC, machine="x86_64"), None),
        ("tflite", WINDOWS, "litert"),
    ],
)
def test_the_engine_that_is_recommended_can_be_had(format_name: str, machine: Machine, extra: str | None) -> None:
    problem = missing_engine_problem(format_name, machine)
    assert problem.command == (f'pip install "edge-squeeze[{extra}]"' if extra else None)
    assert (problem.advice is None) == (extra is not None)


@pytest.mark.parametrize(("machine", "command"), [(PC, "pip install edge-squeeze"), (PI_32, None)])
def test_packages_of_the_base_that_pip_cannot_bring_get_no_command(machine: Machine, command: str | None) -> None:
    old = Package("numpy", "1.20", ">=1.24", "too old", "")
    (problem,) = package_problems([old, Package("typer", "0.28", "", "ok", "")], machine, "")
    assert problem.command == command
    assert ("python3-numpy" in str(problem.advice)) == (command is None)


def engine(name: str, state: str = "ok", not_loadable: str | None = None) -> Engine:
    own = Package(name, "1.0", ">=1", state, "")
    return Engine(name, "tflite", "1.0", [own], not_loadable, state == "ok" and not not_loadable, "xnnpack", "xnnpack")


@pytest.mark.parametrize(
    ("used", "command"),
    [
        (engine("litert"), None),
        (engine("litert", "too old"), 'pip install "edge-squeeze[litert]"'),
        (engine("litert", not_loadable="ImportError: no"), "pip install --force-reinstall --no-deps litert"),
        (engine("litert", not_loadable="ended by SIGILL: no"), None),
    ],
)
def test_what_helps_depends_on_what_is_wrong(used: Engine, command: str | None) -> None:
    problems = engine_problems(used, "litert", [engine("broken", not_loadable="no"), engine("other")])
    assert [problem.command for problem in problems] == ([] if used.usable else [command])
    assert {problem.advice for problem in problems} <= {"Until then, --runtime other works."}
