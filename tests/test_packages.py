"""What commands say where a package is missing: the command that brings it, or that none can."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from machines import MUSL, PC, PI_32

from edge_squeeze import packages
from edge_squeeze.machine.host import Machine

MISSING = " is not installed; it is needed for "
LITERT = "ai-edge-litert" + MISSING


@pytest.mark.parametrize(
    ("machine", "format_name", "told"),
    [
        (PC, "tflite", LITERT + 'this. Run: pip install "edge-squeeze[litert]"'),
        (PI_32, "tflite", f'tflite-runtime{MISSING}this. Run: pip install "edge-squeeze[tflite-runtime]"'),
        (PI_32, "onnx", f"onnxruntime{MISSING}this. onnxruntime has no wheels for armv7l"),
        (MUSL, "tflite", LITERT + "this. ai-edge-litert has no wheels for musl, only for glibc (Debian, Ubuntu). tfl"),
        (MUSL, "onnx", "onnxruntime has no wheels for musl"),
    ],
)
def test_without_an_engine_one_is_named_that_can_be_had_or_it_is_said_that_none_can(
    machine: Machine, format_name: str, told: str
) -> None:
    error = packages.missing_engine(format_name, "this", machine)
    assert told in str(error)
    assert ("Run: " in str(error)) == ("Run: " in told)
    assert error.exit_code == 5


def test_an_engine_that_was_asked_for_and_cannot_be_had_is_told_as_that() -> None:
    told = str(packages.missing("ai-edge-litert", "litert", "--runtime litert", PI_32))
    assert told == f"{LITERT}--runtime litert. ai-edge-litert has no wheels for armv7l, only for x86_64 and aarch64."


@pytest.mark.parametrize(
    ("module", "machine", "told"),
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
    module: str | None, machine: Machine, told: str | None
) -> None:
    found = packages.missing_of_base(module, machine)
    assert found is None if told is None else told in str(found)


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
