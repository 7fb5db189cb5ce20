"""Launches: fresh processes that measure an arm once, and how they take times."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import a_reading

from edge_squeeze.artifact import folder
from edge_squeeze.benchmarks import launch as launches, local_launches, measurement
from edge_squeeze.benchmarks.launch_records import (
    MEMORY,
    PACED,
    PIXELS,
    TIMED,
    VALUES,
    InputSet,
    Launch,
    Pace,
    Task,
    as_json,
)
from edge_squeeze.benchmarks.local_launches import Local
from edge_squeeze.benchmarks.telemetry import Reading
from edge_squeeze.converters.export import Exported
from edge_squeeze.engines.engine import Tensor
from edge_squeeze.errors import ConversionError

SHORT = Pace(2, 0.0, 5.0, 20, 0.0, 5.0, block_s=0.01)
ONE_CORE = [min(os.sched_getaffinity(0))] if hasattr(os, "sched_getaffinity") else []


def a_task(exported: dict[str, Exported], name: str, **changes: Any) -> Task:
    artifact = folder.load(exported[name].folder)
    engine = "litert" if artifact.manifest.format == "tflite" else "onnxruntime"
    model = str(artifact.path(artifact.manifest.file.name))
    task = Task(TIMED, model, engine, None, 1, True, ONE_CORE, InputSet(PIXELS), SHORT, parent=os.getpid())
    return dataclasses.replace(task, **changes)


@pytest.fixture(scope="module")
def measured(exported_11: dict[str, Exported]) -> dict[str, Launch]:
    names = ("tflite-float32", "tflite-int8", "onnx-float32")
    return {name: Local().launch(a_task(exported_11, name)) for name in names}


@pytest.mark.parametrize("name", ["tflite-float32", "tflite-int8", "onnx-float32"])
def test_a_launch_measures_every_phase(measured: dict[str, Launch], name: str) -> None:
    launch = measured[name]
    phases = (launch.import_ns, launch.load_init_ns, launch.first_ns, launch.cpu_ns, launch.wall_ns, launch.timer_ns)
    assert min(*phases, *launch.samples_ns, *launch.warmup_ns, *launch.invoke_only_ns, *launch.probe_ns) > 0
    assert len(launch.samples_ns) >= SHORT.runs
    assert len(launch.warmup_ns) >= SHORT.warm_up_runs
    assert launch.pid != os.getpid()
    assert launch.affinity == ONE_CORE
    assert launch.sanity.finite
    assert not launch.sanity.constant


def test_telemetry_is_read_at_the_edges_of_blocks(measured: dict[str, Launch]) -> None:
    launch = measured["tflite-int8"]
    assert len(launch.readings) == len(launch.block_ends) + 1 > 2
    assert launch.block_ends == sorted(launch.block_ends)
    assert launch.block_ends[-1] == len(launch.samples_ns)
    times = [reading["at_ns"] for reading in launch.readings]
    assert times == sorted(times)


def test_all_engines_and_types_are_fed_the_same_pictures(measured: dict[str, Launch]) -> None:
    assert len({launch.inputs.sha256 for launch in measured.values()}) == 1
    assert {launch.inputs.distinct for launch in measured.values()} == {8}
    dtypes = [launch.served.inputs[0]["dtype"] for launch in measured.values()]
    assert dtypes == ["float32", "uint8", "float32"]


def test_outputs_are_those_of_the_artifact_on_these_pictures(exported_11: dict[str, Exported], tmp_path: Path) -> None:
    task = a_task(exported_11, "tflite-float32", kind=MEMORY, outputs=str(tmp_path / "outputs.npy"))
    launch = Local().launch(task)
    artifact = folder.load(exported_11["tflite-float32"].folder)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 227, 227, 3), dtype=np.uint8)
    from edge_squeeze.engines.runner import open_runner

    expected = open_runner(artifact.model(), "tflite").run(pixels)
    np.testing.assert_allclose(np.load(tmp_path / "outputs.npy")[:, 0], expected, atol=1e-6)
    assert launch.cold == hasattr(os, "posix_fadvise")
    assert launch.peak_rss_bytes is not None
    assert launch.baseline_rss_bytes is not None
    assert 1_000_000 < launch.peak_rss_bytes - launch.baseline_rss_bytes < 100_000_000


def test_xnnpack_can_be_switched_off_and_the_operators_it_took_are_counted(
    exported_11: dict[str, Exported], measured: dict[str, Launch]
) -> None:
    off = Local().launch(a_task(exported_11, "tflite-float32", kernels="builtin")).served
    on = measured["tflite-float32"].served
    assert (on.kernels, on.operators, on.delegated) == ("xnnpack", 39, 39)
    assert (off.kernels, off.operators, off.delegated) == ("builtin", 39, 0)


def test_a_paced_launch_waits_for_its_frames(exported_11: dict[str, Exported]) -> None:
    pace = dataclasses.replace(SHORT, runs=10, rate=50.0)
    launch = Local().launch(a_task(exported_11, "tflite-int8", kind=PACED, pace=pace))
    assert len(launch.samples_ns) == len(launch.response_ns) == 10
    assert launch.wall_ns > 9 * 20_000_000
    assert all(response >= sample for response, sample in zip(launch.response_ns, launch.samples_ns, strict=True))
    assert launch.back_to_back_ns


def test_neither_tensorflow_nor_pillow_is_loaded(exported_11: dict[str, Exported]) -> None:
    task = as_json(a_task(exported_11, "tflite-int8"))
    code = (
        "import sys, json, io; sys.stdin = io.StringIO(sys.argv[1]); "
        "from edge_squeeze.benchmarks import launch; launch.main(); "
        "sys.stderr.write(json.dumps([n for n in ('tensorflow', 'PIL', 'rich', 'typer') if n in sys.modules]))"
    )
    command = [sys.executable, "-c", code, json.dumps(task | {"parent": None})]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stderr) == []
    assert json.loads(done.stdout)["samples_ns"]


def test_the_process_is_bound_before_anything_heavy_is_imported() -> None:
    code = "import sys; from edge_squeeze.benchmarks import launch; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("shape", [[1, 96, 96, 3], [1, 227, 227]])
def test_a_fixed_shape_cannot_be_changed(exported_11: dict[str, Exported], shape: list[int]) -> None:
    with pytest.raises(ConversionError, match=r"has the shape 1,227,227,3\. Required"):
        Local().launch(a_task(exported_11, "tflite-int8", shapes=[shape]))


def test_a_refused_model_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "bad.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
    task = Task(TIMED, str(tmp_path / "bad.tflite"), "litert", None, 1, True, [], InputSet(VALUES), SHORT)
    with pytest.raises(ConversionError, match=r"bad.tflite"):
        Local().launch(task)


@pytest.mark.parametrize(
    ("answer", "message"),
    [("import os; os.abort()", r"crashed \(SIGABRT\)"), ("raise ValueError('so it is')", "ValueError: so it is")],
)
def test_a_crash_is_a_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str, message: str) -> None:
    (tmp_path / "crashing.py").write_text(answer)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(local_launches, "LAUNCH", "crashing")
    task = Task(TIMED, "model", "litert", None, 1, True, [], InputSet(VALUES), SHORT)
    with pytest.raises(ConversionError, match=message):
        Local().launch(task)


def test_a_launch_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "hanging.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(local_launches, "LAUNCH", "hanging")
    monkeypatch.setattr(local_launches, "GRACE_S", -14)
    task = Task(TIMED, "model", "litert", None, 1, True, [], InputSet(VALUES), SHORT)
    with pytest.raises(ConversionError, match="did not end within 1 s"):
        Local().launch(task)


@pytest.mark.parametrize(
    ("reading", "calm"),
    [
        (Reading(0, []), True),
        (Reading(0, [], throttled=[], cpu_pressure=4.9), True),
        (Reading(0, [], throttled=["under-voltage"]), False),
        (Reading(0, [], cpu_pressure=5.1), False),
    ],
)
def test_a_machine_is_calm_unless_it_tells_otherwise(
    monkeypatch: pytest.MonkeyPatch, reading: Reading, calm: bool
) -> None:
    monkeypatch.setattr(local_launches.telemetry, "read", lambda cpus: reading)
    assert Local().calm([0]) == calm


def test_a_task_survives_its_way_to_the_process(exported_11: dict[str, Exported]) -> None:
    task = a_task(exported_11, "tflite-int8", shapes=[[1, 2]])
    assert launches.decode(json.loads(json.dumps(as_json(task)))) == task


@pytest.mark.parametrize(
    ("tensor", "low", "high"),
    [
        (Tensor("x", (2, 3), "float32"), 0, 1),
        (Tensor("x", (2, 3), "float16"), 0, 1),
        (Tensor("x", (2, 3), "uint8", 0.1, 3), 0, 255),
        (Tensor("x", (2, 3), "int8"), -128, 127),
        (Tensor("x", (2, 3), "int16", 0.1), -32768, 32767),
        (Tensor("x", (2, 3), "int64"), 0, 9),
        (Tensor("x", (2, 3), "bool"), 0, 1),
        (Tensor("x", (), "float32"), 0, 1),
    ],
)
def test_values_are_drawn_for_every_type(tensor: Tensor, low: float, high: float) -> None:
    sets, fed = measurement.make([tensor], InputSet(VALUES))
    assert all(inputs[0].dtype == tensor.dtype and inputs[0].shape == tensor.shape for inputs in sets)
    assert (
        low <= min(float(inputs[0].min()) for inputs in sets) <= max(float(inputs[0].max()) for inputs in sets) <= high
    )
    assert not fed.zero
    assert measurement.make([tensor], InputSet(VALUES))[1] == fed
    assert measurement.make([tensor], InputSet(VALUES, seed=1))[1].sha256 != fed.sha256


def test_pictures_are_turned_into_what_a_model_takes() -> None:
    nhwc, _ = measurement.make([Tensor("x", (1, 4, 5, 3), "uint8", 1.0, 0)], InputSet(PIXELS))
    nchw, _ = measurement.make([Tensor("x", (1, 3, 4, 5), "float32")], InputSet(PIXELS))
    np.testing.assert_array_equal(nhwc[0][0].transpose(0, 3, 1, 2), nchw[0][0])


@pytest.mark.parametrize(
    ("tensor", "message"),
    [(Tensor("x", (1, None, 3), "float32"), "--input-shape"), (Tensor("x", (1,), "string"), "dtype string")],
)
def test_what_cannot_be_drawn_is_told(tensor: Tensor, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        measurement.make([tensor], InputSet(VALUES))


MS = 1_000_000
FEED = [np.zeros(1)]


class Clock:
    """Nanoseconds, an engine that takes some of them for each of its runs, and the telemetry beside it."""

    def __init__(self, runs_ms: Sequence[float]) -> None:
        self.now, self.runs_ms = 0, itertools.chain(runs_ms, itertools.repeat(runs_ms[-1]))
        self.fed: list[Any] = []

    def __call__(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1000 * MS)

    def run(self, arrays: Any) -> None:
        self.fed.append(arrays)
        self.now += round(next(self.runs_ms) * MS)

    def read(self) -> Any:
        return a_reading(0)


def at(monkeypatch: pytest.MonkeyPatch, *runs_ms: float) -> Any:
    clock = Clock(runs_ms)
    monkeypatch.setattr(measurement, "clock", clock)
    monkeypatch.setattr(measurement.time, "sleep", clock.sleep)
    return clock


def test_a_stall_delays_the_frames_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = at(monkeypatch, 2, 25, 2, 2, 2)
    pace = Pace(0, 0, 0, runs=5, seconds=0, cap_s=0, rate=100)
    samples, response = measurement.paced(clock, itertools.repeat(FEED), clock, pace)
    assert samples.listed() == [2 * MS, 25 * MS, 2 * MS, 2 * MS, 2 * MS]
    assert response == [2 * MS, 25 * MS, 17 * MS, 9 * MS, 2 * MS]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [((20, 0.05, 5), 20), ((5, 0.3, 5), 30), ((1000, 9, 0.2), 20), ((0, 0, 0), 0)],
)
def test_runs_go_on_until_both_floors_or_the_cap(
    monkeypatch: pytest.MonkeyPatch, bounds: tuple[int, float, float], expected: int
) -> None:
    clock = at(monkeypatch, 10)
    samples = measurement.repeat(clock, itertools.repeat(FEED), clock, bounds, block_s=0.05)
    assert samples.count == expected
    assert samples.listed() == [10 * MS] * expected
    assert samples.ends == list(range(5, expected + 1, 5))
    assert len(samples.readings) == len(samples.ends) + 1


def test_inputs_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = at(monkeypatch, 10)
    measurement.repeat(clock, itertools.cycle("abc"), clock, (7, 0, 5), block_s=0.07)  # type: ignore[arg-type]
    assert "".join(clock.fed) == "abcabca"
