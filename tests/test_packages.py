"""Requirements, installed versions, and what commands say when a package is missing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from machines import MAC, MUSL, PC, PI_32, WINDOWS

from edge_squeeze import packages
from edge_squeeze.machine.host import Machine
from edge_squeeze.packages import Requirement

MISSING = " is not installed; it is needed for "
LITERT = "ai-edge-litert" + MISSING


@pytest.mark.parametrize(
    ("machine", "format_name", "expected"),
    [
        (PC, "tflite", LITERT + 'this. Run: pip install "edge-squeeze[litert]"'),
        (PI_32, "tflite", f'tflite-runtime{MISSING}this. Run: pip install "edge-squeeze[tflite-runtime]"'),
        (PI_32, "onnx", f"onnxruntime{MISSING}this. onnxruntime has no wheels for armv7l"),
        (MUSL, "tflite", LITERT + "this. ai-edge-litert has no wheels for musl, only for glibc (Debian, Ubuntu). tfl"),
        (MUSL, "onnx", "onnxruntime has no wheels for musl"),
    ],
)
def test_without_an_engine_one_is_named_that_can_be_had_or_it_is_said_that_none_can(
    machine: Machine, format_name: str, expected: str
) -> None:
    error = packages.missing_engine(format_name, "this", machine)
    assert expected in str(error)
    assert ("Run: " in str(error)) == ("Run: " in expected)
    assert error.exit_code == 5


def test_an_engine_that_was_asked_for_and_cannot_be_had_is_told_as_that() -> None:
    message = str(packages.missing("ai-edge-litert", "litert", "--runtime litert", PI_32))
    assert message == f"{LITERT}--runtime litert. ai-edge-litert has no wheels for armv7l, only for x86_64 and aarch64."


@pytest.mark.parametrize(
    ("module", "machine", "expected"),
    [
        ("numpy", PC, f"numpy{MISSING}every command. Run: pip install edge-squeeze"),
        ("PIL.Image", PC, f"pillow{MISSING}every command. Run: pip install edge-squeeze"),
        ("packaging.version", PC, f"packaging{MISSING}every command. Run: pip install edge-squeeze"),
        ("numpy", PI_32, "numpy has no wheels for armv7l"),
        ("numpy", MUSL, "Run: pip install edge-squeeze"),
        ("edge_squeeze.nonsense", PC, None),  # a defect of ours
        ("tensorflow", PC, None),
        (None, PC, None),
    ],
)
def test_a_package_that_everything_needs_is_told_with_the_way_to_it(
    module: str | None, machine: Machine, expected: str | None
) -> None:
    reason = packages.missing_of_base(module, machine)
    assert reason is None if expected is None else expected in str(reason)


@pytest.mark.parametrize(
    ("module", "package", "arguments"),
    [
        ("numpy", "numpy", ("doctor",)),
        ("packaging", "packaging", ("doctor",)),
        ("numpy", "numpy", ("verify", "out")),
        ("PIL", "pillow", ("predict", "out", "cat.jpg")),
        ("tflite", "tflite", ("inspect", "model.tflite")),
    ],
)
def test_a_missing_package_is_no_defect_of_ours(
    tmp_path: Path, module: str, package: str, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "model.tflite").write_bytes(b"\x1c\0\0\0TFL3")
    program = f"import sys; sys.modules[{module!r}] = None; from edge_squeeze.cli.app import main; main()"
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (5, ""), done.stderr
    assert done.stderr.startswith(f"Error: {package}{MISSING}every command. Run: pip install edge-squeeze")


@pytest.mark.parametrize(
    ("package", "machine", "expected"),
    [
        ("tensorflow", PC, None),
        ("tensorflow", replace(PC, python="3.14.0rc1"), "Python 3.14: use Python 3.13 or older"),
        ("tensorflow", PI_32, "for armv7l, only for x86_64 and aarch64"),
        ("ai-edge-litert", replace(PC, machine="aarch64"), None),
        ("ai-edge-litert", MUSL, "for musl, only for glibc"),
        ("onnxruntime", replace(PC, machine="riscv64"), "for riscv64"),
        ("tflite-runtime", PC, "Python 3.12: use Python 3.11 or older"),
        ("tflite-runtime", PI_32, None),
        ("tflite-runtime", replace(PI_32, machine="armv6l"), "for armv6l"),
        ("numpy", MUSL, None),
        ("pillow", MUSL, None),
        ("numpy", replace(PC, machine="aarch64"), None),
        ("numpy", PI_32, "for armv7l, only for x86_64 and aarch64. Use Debian's python3-numpy: an environment created"),
        ("pillow", PI_32, "Use Debian's python3-pil"),
        ("typer", PI_32, None),
        ("tensorflow", MAC, "Python 3.14: use Python 3.13 or older"),
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
def test_no_wheels_are_told_with_where_there_are_some(package: str, machine: Machine, expected: str | None) -> None:
    reason = packages.no_wheels(package, machine)
    assert reason is None if expected is None else expected in str(reason)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("numpy>=1.26", Requirement("numpy", ">=1.26", None)),
        ('tensorflow<2.22,>=2.21; extra == "export"', Requirement("tensorflow", "<2.22,>=2.21", "export")),
        (
            'tflite-runtime>=2.14; python_version < "3.12" and extra == "tflite-runtime"',
            Requirement("tflite-runtime", ">=2.14", "tflite-runtime"),
        ),
        ("Pillow (>=10) ; extra == 'a'", Requirement("pillow", ">=10", "a")),
        ("package[some,extras]==1.0", Requirement("package", "==1.0", None)),
        ("plain", Requirement("plain", "", None)),
    ],
)
def test_requirements_are_read_from_metadata(line: str, expected: Requirement) -> None:
    assert packages.read_requirements([line]) == [expected]


def test_an_extra_has_the_packages_of_the_extras_that_it_includes() -> None:
    lines = ['edge-squeeze[common]; extra == "one"', 'a>=2; extra == "common"', 'b; extra == "one"', "c"]
    requirements = packages.read_requirements(lines)
    assert [(row.package, row.specifiers) for row in requirements if row.extra == "one"] == [("b", ""), ("a", ">=2")]
    assert [row.package for row in requirements if row.extra is None] == ["c"]


def test_the_own_requirements_are_those_of_the_package() -> None:
    specifiers = {(row.package, row.extra): row.specifiers for row in packages.own_requirements()}
    assert ("numpy", None) in specifiers
    assert specifiers["numpy", "tflite-runtime"] == "<2"
    assert ">=" in specifiers["tensorflow", "export"]
    assert ">=" in specifiers["tf2onnx", "export"]


def test_versions_and_folders_are_found_without_importing() -> None:
    assert packages.version_of("numpy")
    assert packages.version_of("no-such-package") is None
    assert str(packages.folder_of("edge_squeeze")).endswith("edge_squeeze")
    assert packages.folder_of("no_such_module") is None


def test_a_package_under_another_name_is_found_by_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_engine").mkdir()
    (tmp_path / "some_engine" / "__init__.py").touch()
    about = tmp_path / "some_engine_cpu-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: some-engine-cpu\nVersion: 1.2\n")
    (about / "top_level.txt").write_text("some_engine\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert packages.version_of("some-engine") == "1.2"
