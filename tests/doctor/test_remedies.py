from __future__ import annotations

from dataclasses import replace

import pytest
from machines import MAC, MUSL, PC, PI_32, WINDOWS

from edge_squeeze import packages
from edge_squeeze.doctor import remedies
from edge_squeeze.doctor.diagnosis import Engine, Package
from edge_squeeze.machine.host import Machine


@pytest.mark.parametrize(
    ("package", "machine", "told"),
    [
        ("tensorflow", PC, None),
        ("tensorflow", replace(PC, python="3.14.0rc1"), "Python 3.14: use Python 3.13 at the newest"),
        ("tensorflow", PI_32, "for armv7l, only for x86_64 and aarch64"),
        ("ai-edge-litert", replace(PC, machine="aarch64"), None),
        ("ai-edge-litert", MUSL, "for musl, only for glibc"),
        ("onnxruntime", replace(PC, machine="riscv64"), "for riscv64"),
        ("tflite-runtime", PC, "Python 3.12: use Python 3.11 at the newest"),
        ("tflite-runtime", PI_32, None),
        ("tflite-runtime", replace(PI_32, machine="armv6l"), "for armv6l"),
        ("numpy", MUSL, None),
        ("pillow", MUSL, None),
        ("numpy", replace(PC, machine="aarch64"), None),
        ("numpy", PI_32, "for armv7l, only for x86_64 and aarch64. Take Debian's python3-numpy: an environment made"),
        ("pillow", PI_32, "Take Debian's python3-pil"),
        ("typer", PI_32, None),
        ("tensorflow", MAC, "Python 3.14: use Python 3.13 at the newest"),
        ("tensorflow", replace(MAC, python="3.13.1"), None),
        ("tensorflow", replace(MAC, machine="x86_64"), "tensorflow has no wheels for macOS on x86_64, only for arm64."),
        ("tflite-runtime", MAC, "tflite-runtime has no wheels for macOS on arm64."),
        ("tensorflow", WINDOWS, None),
        ("onnxruntime", replace(WINDOWS, machine="ARM64"), None),
        ("ai-edge-litert", replace(WINDOWS, machine="ARM64"), "for Windows on ARM64, only for AMD64"),
        ("numpy", WINDOWS, None),
        ("tensorflow", replace(PC, system="FreeBSD", machine="amd64"), None),  # nothing is claimed about others
    ],
)
def test_no_wheels_are_told_with_where_there_are_some(package: str, machine: Machine, told: str | None) -> None:
    found = packages.no_wheels(package, machine)
    assert found is None if told is None else told in str(found)


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
    problem = remedies.for_no_engine(format_name, machine)
    assert problem.command == (f'pip install "edge-squeeze[{extra}]"' if extra else None)
    assert (problem.advice is None) == (extra is not None)


@pytest.mark.parametrize(("machine", "command"), [(PC, "pip install edge-squeeze"), (PI_32, None)])
def test_packages_of_the_base_that_pip_cannot_bring_get_no_command(machine: Machine, command: str | None) -> None:
    old = Package("numpy", "1.20", ">=1.24", "too old", "")
    (problem,) = remedies.for_base([old, Package("typer", "0.28", "", "ok", "")], machine)
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
    problems = remedies.for_engine(used, "litert", [engine("broken", not_loadable="no"), engine("other")])
    assert [problem.command for problem in problems] == ([] if used.usable else [command])
    assert {problem.advice for problem in problems} <= {"--runtime other works meanwhile."}
