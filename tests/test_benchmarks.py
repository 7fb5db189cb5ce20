from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge_squeeze.benchmarks import timing
from edge_squeeze.converters.export import Exported


def test_artifacts_are_measured_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def fake_run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        started.append(command[-1])
        return subprocess.CompletedProcess(command, 0, stdout=str(len(started)))

    monkeypatch.setattr(subprocess, "run", fake_run)
    medians = timing.measure([Path("a"), Path("b")])
    assert started == ["a", "b"] * timing.LAUNCHES
    assert medians == {Path("a"): [1, 3, 5, 7, 9], Path("b"): [2, 4, 6, 8, 10]}


def test_the_table_shows_ratios_to_the_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], exported_11: dict[str, Exported]
) -> None:
    folders = [exported_11[name].folder for name in ("tflite-float32", "tflite-int8")]
    monkeypatch.setattr(
        timing, "measure", lambda _: dict(zip(folders, [[8.0, 9.0, 7.0], [4.0, 4.0, 5.0]], strict=True))
    )
    timing.main([str(folder) for folder in folders])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1] == ["squeezenet1.1-tflite-float32", "8.00", "7.00", "to", "9.00", "1.00", "PASS"]
    assert rows[2] == ["squeezenet1.1-tflite-int8", "4.00", "4.00", "to", "5.00", "2.00", "PASS"]


def test_a_launch_runs_in_a_process_of_its_own(exported_11: dict[str, Exported]) -> None:
    folder = exported_11["tflite-int8"].folder
    command = [sys.executable, "-m", "edge_squeeze.benchmarks.timing", timing.LAUNCH, str(folder)]
    assert float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) > 0


def test_what_is_no_artifact_is_told(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="is no artifact"):
        timing.main([str(tmp_path)])
