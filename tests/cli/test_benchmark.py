"""The commands `benchmark` and `compare`, as a user types them, on real artifacts."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import PROGRAM, CommandLine
from PIL import Image
from shared_exports import Exports

pytestmark = pytest.mark.usefixtures("own_cache")
SHORT = ("--profile", "quick", "--threads", "1")
QUICKEST = ("--profile", "quick", "--launches", "1")
CORE = str(min(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else "0"


@pytest.fixture
def folders(exported_11: Exports) -> dict[str, Path]:
    return {name: artifact.folder for name, artifact in exported_11.items()}


def test_a_benchmark_prints_its_answer_first_and_saves_what_it_measured(
    command_line: CommandLine, command_process: CommandLine, folders: dict[str, Path], tmp_path: Path
) -> None:
    files = (folders["tflite-float32"], folders["tflite-int8"])
    saved = [argument for name in ("r.json", "r.csv", "r.md") for argument in ("--out", name)]
    done = command_process("benchmark", *files, *SHORT, "--launches", "3", *saved)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    # which arm it names, and whether it is to be trusted, depends on what else runs here meanwhile
    answer = " ".join(done.stdout.partition("\n\n")[0].split())
    lead = r"(Fastest|Nominally fastest|Fastest of those that can be trusted) is"
    assert re.match(lead + r" squeezenet1\.1-\S+: [\d.]+ ms per inference \(95 %: ", answer)
    assert re.search(r"Trust: (valid\.|(suspect|invalid) \(\w+.*\)\. [A-Z])", answer)
    table = lines[lines.index("") + 1 :]
    assert re.match(r"arm +.*p50 ms +95 % .*trust +verdict$", table[0])
    assert [line.split()[0] for line in table[1:3]] == [file.name for file in files]
    document = json.loads((tmp_path / "r.json").read_text())
    latencies = [arm["summary"]["p50_ms"] for arm in document["arms"]]
    change = document["comparisons"][0]
    assert (change["verdict"] == "improvement" and 0.1 < change["ratio"] < 0.8) or change["validity"] == "invalid"
    assert [float(row["p50_ms"]) for row in csv.DictReader((tmp_path / "r.csv").open())] == latencies
    replayed = command_line("benchmark", "--replay", "r.json", "--json")
    assert [arm["summary"]["p50_ms"] for arm in json.loads(replayed.stdout)["arms"]] == latencies
    compared = command_line("compare", "r.json", "r.json", "-v")  # all columns, however wide the noise made them
    assert compared.returncode in (0, 9), compared.stderr  # itself, if it was precise enough to say so
    assert re.search(r"squeezenet1\.1-tflite-int8 litert 1\s+p50 +1\.000 ", compared.stdout)


@pytest.fixture
def busy_core() -> Iterator[None]:
    """Another program that wants the same core all the time."""
    code = f"import os; os.sched_setaffinity(0, [{CORE}])\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        yield
        process.kill()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are bound to cores on Linux alone")
def test_a_contended_core_makes_the_measurement_invalid(
    command_process: CommandLine, folders: dict[str, Path], busy_core: None
) -> None:
    options = ("--launches", 1, "--cores", CORE, "--strict", "--json")
    done = command_process("benchmark", folders["tflite-int8"], *SHORT, *options)
    assert done.returncode == 7, done.stderr
    document = json.loads(done.stdout)
    (arm,) = document["arms"]
    assert document["comparisons"] == []
    assert arm["validity"] == "invalid"
    failed = {check["id"] for check in arm["checks"] if check["status"] == "fail"}
    assert "contention" in failed
    assert arm["runtime"]["affinity"] == [int(CORE)]


# That a killed one resumes is shown quick by a benchmark on a board.
@pytest.mark.parametrize("end", [pytest.param(signal.SIGKILL, marks=pytest.mark.slow), signal.SIGINT])
def test_an_ended_benchmark_is_gone_on_with(folders: dict[str, Path], tmp_path: Path, end: signal.Signals) -> None:
    cache = tmp_path / "cache"
    options = ("--profile", "quick", "--launches", "3", "--threads", "1", "--json")
    command = [*PROGRAM, "benchmark", str(folders["tflite-int8"]), *options]
    environment = {**os.environ, "EDGE_SQUEEZE_CACHE": str(cache)}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - a shell may have it ignored
    )
    deadline = time.monotonic() + 60
    while not any(path.read_text().count("\n") >= 2 for path in cache.rglob("*.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(end)
    _, stderr = process.communicate()
    if end == signal.SIGINT:
        assert process.returncode == 130
        assert re.search(r"finished launch(es are| is) kept\. The same command resumes from there\.", stderr)
    time.sleep(0.2)  # what it started ends a moment after it
    (journal,) = cache.rglob("*.jsonl")
    before = [json.loads(line) for line in journal.read_text().splitlines() if line.endswith("}")]
    assert len(before) >= 2
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert f"Resuming with {len(before)} launches" in done.stderr
    document = json.loads(done.stdout)
    launches = document["arms"][0]["launches"]
    assert [launch for launch in launches if launch["pid"] in {earlier["pid"] for earlier in before}] == before
    assert document["arms"][0]["summary"]["n_launches"] == 3
    assert not list(cache.rglob("*.jsonl"))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("benchmark",), 2, "Nothing to measure"),
        (("benchmark", "nowhere.tflite"), 2, "No such file: nowhere.tflite"),
        (("benchmark", "empty"), 2, "is not an artifact"),
        (("benchmark", "bad.tflite", *QUICKEST), 2, "bad.tflite is truncated, damaged or not what its name says."),
        (("benchmark", "bad.tflite", *QUICKEST), 2, "litert refuses bad.tflite"),
        (("benchmark", "bad.tflite", "bad.onnx", *QUICKEST), 2, "onnxruntime refuses bad.onnx"),
        (
            ("benchmark", "bad.tflite", "--profile-ops"),
            2,
            "bad.tflite is truncated, damaged or not what its name says.",
        ),
        (("benchmark", "bad.tflite", "--out", "picture.png/x.json"), 2, "--out picture.png/x.json cannot be written"),
        (("benchmark", "bad.tflite", "--out", "x.html"), 2, "--out must end in .json, .csv, .md"),
        (("benchmark", "bad.tflite", "--profile", "slow"), 2, "Unknown profile: 'slow'"),
        (("benchmark", "bad.tflite", "--cores", "77"), 2, "77"),
        (("benchmark", "bad.tflite", "--inputs", "empty"), 2, "No pictures in empty"),
        (("benchmark", "bad.tflite", "--inputs", "picture.png"), 2, "does not say how its pixels are preprocessed"),
        (("benchmark", "--replay", "bad.tflite"), 2, "bad.tflite"),
        (("compare", "bad.tflite", "bad.tflite"), 2, "bad.tflite"),
    ],
)
def test_what_cannot_be_is_told(
    command_line: CommandLine, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "picture.png")
    (tmp_path / "bad.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
    (tmp_path / "bad.onnx").write_bytes(b"\x08\x08\x12\x07tf2onnx:")
    done = command_line(*arguments)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_input_shape_that_a_file_does_not_take_is_refused_before_anything_is_measured(
    command_line: CommandLine, folders: dict[str, Path]
) -> None:
    float32, onnx = folders["tflite-float32"], folders["onnx-float32"]
    for files in ((float32,), (float32, onnx), (next(float32.glob("*.tflite")),)):
        done = command_line("benchmark", *files, "--input-shape", "1,300,300,3", *QUICKEST)
        assert done.returncode == 2, done.stderr
        assert f"{files[0]} takes inputs of the shape 1,227,227,3. Required: an --input-shape that " in done.stderr
        assert "launch" not in done.stderr


@pytest.mark.slow
def test_an_input_shape_that_files_take_is_that_of_both_layouts(
    command_line: CommandLine, folders: dict[str, Path]
) -> None:
    files = folders["tflite-float32"], folders["onnx-float32"]
    assert command_line("benchmark", *files, "--input-shape", "1,227,227,3", *QUICKEST).returncode == 0


def test_pictures_can_be_fed_to_artifacts_and_json_is_the_only_thing_on_standard_output(
    command_process: CommandLine, folders: dict[str, Path], pictures: Path
) -> None:
    files = (folders["tflite-float32"], folders["tflite-int8"])
    options = ("--profile", "quick", "--launches", 1, "--threads", 1, "--inputs", pictures, "--json")
    done = command_process("benchmark", *files, *options)
    arms = float32, int8 = json.loads(done.stdout)["arms"]
    assert [arm["summary"]["p50_ci95"] for arm in arms] == [None, None], "of one launch there is no interval"
    assert {arm["validity"] for arm in arms} <= {"suspect", "invalid"}
    assert float32["input"]["count"] == 3
    assert float32["input"]["sha256"] == int8["input"]["sha256"]
    assert float32["correctness"]["reference"] is None
    assert int8["correctness"]["reference"] == float32["id"]
    assert int8["correctness"]["cosine"] > 0.7


def test_operators_are_timed_by_layer(command_line: CommandLine) -> None:
    int8, onnx = (Path(__file__).parents[1] / "data" / name for name in ("small-tflite-int8", "small-onnx-float32"))
    done = command_line("benchmark", int8, onnx, "--profile-ops", "--json")
    assert done.returncode == 0, done.stderr
    for file, layers in zip(
        json.loads(done.stdout)["files"], ({"conv2d_1", "dense"}, {"first", "second"}), strict=True
    ):
        assert {*file["layers"]} >= layers
        assert file["total_us"] == pytest.approx(sum(each["us"] for each in file["operators"]))
        assert file["total_us"] > 0
    shown = command_line("benchmark", int8, onnx, "--profile-ops", COLUMNS="80")
    assert "B - A" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    refused = command_line("benchmark", int8, "--profile-ops", "--out", "result.json")
    assert refused.returncode == 2
    assert "--out does not apply" in refused.stderr
