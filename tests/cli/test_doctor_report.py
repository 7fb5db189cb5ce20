from __future__ import annotations

import dataclasses
import json
from dataclasses import replace

import pytest

from edge_squeeze.cli import doctor_report
from edge_squeeze.doctor import examination as doctor
from edge_squeeze.doctor.diagnosis import Diagnosis
from edge_squeeze.doctor.examination import Installation
from edge_squeeze.machine.host import Cpu, Disk, Machine, Memory
from edge_squeeze.packages import own_requirements
from edge_squeeze.version import __version__

BOARD = Machine(
    "3.11.2",
    "/home/pi/venv/bin/python",
    "Linux",
    "armv7l",
    "glibc 2.36",
    Cpu("Raspberry Pi 4 Model B Rev 1.4 (Cortex-A72)", 4, [], []),
    Memory(10**9, limited=True),
    [Disk("here", "/home/pi", 10**9), Disk("in the cache", "/home/pi/.cache", 10**7)],
)
UNKNOWN = replace(BOARD, libc=None, cpu=Cpu(None, 1, None, None), memory=None, disks=[])
TFLITE_RUNTIME = {
    "numpy": "1.26.4",
    "pillow": "13",
    "typer": "0.28.0",
    "rich": "15",
    "packaging": "26.3",
    "tflite": "2.18",
    "tflite-runtime": "2.14",
}
OLD = {**TFLITE_RUNTIME, "numpy": "2.4.6", "keras": "3.0"}
LITERT = {**TFLITE_RUNTIME, "ai-edge-litert": "2.3.0"}


def examine(installed: dict[str, str], machine: Machine = BOARD, broken: str | None = None) -> Diagnosis:
    here = Installation(own_requirements(), installed.get, lambda _: None, lambda _: broken)
    return doctor.examine(machine, here)


def said(diagnosis: Diagnosis, capsys: pytest.CaptureFixture[str]) -> str:
    doctor_report.show(diagnosis, as_json=False)
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [60, 100])
@pytest.mark.parametrize("machine", [BOARD, UNKNOWN, replace(BOARD, libc="musl")])
@pytest.mark.parametrize("installed", [TFLITE_RUNTIME, OLD, LITERT, {}])
@pytest.mark.parametrize("broken", [None, "ended by SIGILL: it was built for another processor"])
def test_the_text_fits_the_terminal_except_for_commands(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    columns: int,
    machine: Machine,
    installed: dict[str, str],
    broken: str | None,
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = said(examine(installed, machine, broken), capsys).splitlines()
    assert [line for line in lines if len(line) > columns and "pip install" not in line] == []


def test_json_is_one_document_with_everything(capsys: pytest.CaptureFixture[str]) -> None:
    diagnosis = examine(TFLITE_RUNTIME)
    doctor_report.show(diagnosis, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document == dataclasses.asdict(diagnosis)
    assert (document["ready"], document["main_job"]) == (True, "run")


def test_what_is_not_known_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(examine(TFLITE_RUNTIME, UNKNOWN), capsys)
    for label, unknown in (
        ("machine", "Linux armv7l, libc not known"),
        ("processor", "not known, 1 core usable; features not known"),
        ("", "dot-product instructions for int8 kernels: not known"),
        ("memory", "not known"),
        ("disk", "not known"),
    ):
        assert f"{label:<13}{unknown}\n" in text


def test_engines_that_runtime_can_name_are_listed_with_their_state(capsys: pytest.CaptureFixture[str]) -> None:
    assert "  also: --runtime tflite-runtime (2.14)\n" in said(examine(LITERT), capsys)
    text = said(examine({**LITERT, "numpy": "2.4.6"}), capsys)
    assert "  also: --runtime tflite-runtime (2.14, NOT usable)\n" in text
    assert "warning: tflite-runtime cannot be used: numpy 2.4.6 is too new" in text


def test_an_emulated_processor_is_warned_of_below_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    _, second, *_ = said(examine(TFLITE_RUNTIME, replace(BOARD, emulated=True)), capsys).splitlines()
    assert second.startswith("  warning: this processor is emulated: ")


def test_little_room_is_warned_of_below_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *_ = said(examine(TFLITE_RUNTIME), capsys).splitlines()
    assert first == f"edge-squeeze {__version__} is ready to run artifacts."
    assert second.startswith("  warning: low disk space in /home/pi/.cache: 0.0 GB free; ")
