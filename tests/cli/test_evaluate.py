"""`evaluate` as users type it: what it prints, writes and exits with."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import color_classifier
import pytest
from commands import PROGRAM, run, run_here

from edge_squeeze.evaluation.chunks import SIZE

pytestmark = pytest.mark.usefixtures("own_cache")
COUNT = 24
QUICK = ("--no-original", "--workers", "1")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return color_classifier.export(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, folders: list[Path]) -> Path:
    return color_classifier.label(tmp_path_factory.mktemp("images"), folders[0], COUNT)


def prose(text: str) -> str:
    return " ".join(text.split())


def test_the_table_and_the_comparison_are_shown(folders: list[Path], images: Path, tmp_path: Path) -> None:
    done = run_here(tmp_path, "evaluate", *folders, "--images", images, "--workers", "1")
    assert done.returncode == 0, done.stderr
    text = prose(done.stdout)
    assert f"{COUNT} labeled pictures of {COUNT} in {images}" in text
    assert re.search(r"colors-tflite-float32 66\.7% \(47-82\) .*UNPROVEN", text)
    assert re.search(r"original +66\.7% \(47-82\)", done.stdout)
    assert re.search(r"colors-tflite-int8 against colors-tflite-float32: \w+, [+-][0-9.]+ points \(95 %: ", text)
    assert re.search(r"Most confident errors: blotches [0-9]+\.png \(\w+ with [0-9]+%, right: \w+\)", text)
    assert re.search(r"[0-9.]+ pictures/s with 1 process \(decoding alone [0-9]+/s, running alone", text)
    assert max(map(len, done.stdout.splitlines())) <= 100
    narrow = run_here(tmp_path, "evaluate", *folders, "--images", images, *QUICK, COLUMNS="80")
    assert max(map(len, narrow.stdout.splitlines())) <= 80
    assert "ratio" not in narrow.stdout


def test_json_and_csv_hold_every_picture(folders: list[Path], images: Path, tmp_path: Path) -> None:
    done = run_here(tmp_path, "evaluate", folders[0], "--images", images, *QUICK, "--json", "--csv", "rows.csv")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    (figures,) = document["artifacts"]
    assert (figures["name"], figures["pictures"], figures["top1"]) == ("colors-tflite-float32", COUNT, 16 / 24)
    assert figures["sha256"] == json.loads((folders[0] / "model.json").read_text())["file"]["sha256"]
    low, high = figures["top1_interval"]
    assert low < 16 / 24 < high
    assert set(figures) >= {"top5", "top5_interval", "agreement", "kl", "verdict", "worst_classes", "worst_pictures"}
    with (tmp_path / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["picture"] for row in rows] == [f"blotches {i:02}.png" for i in range(COUNT)]
    assert sum(row["colors-tflite-float32 correct"] == "True" for row in rows) == 16
    assert [*document["columns"], "colors-tflite-float32 sha256"] == list(rows[0])
    assert {row["colors-tflite-float32 sha256"] for row in rows} == {figures["sha256"]}
    assert [dict(zip(document["columns"], row, strict=True))["picture"] for row in document["rows"]] == [
        row["picture"] for row in rows
    ]


def test_unreadable_pictures_are_named_and_end_with_2_unless_skipped(
    folders: list[Path], images: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(images, tmp_path / "own"))
    (own / "blotches 00.png").write_text("no picture")
    (own / "blotches 05.png").write_bytes((own / "blotches 05.png").read_bytes()[:200])
    for options, code in (((), 2), (("--skip-unreadable",), 0)):
        done = run_here(tmp_path, "evaluate", folders[0], "--images", "own", *QUICK, "--json", *options)
        assert done.returncode == code
        assert done.stderr.count("Skipped: own/blotches 0") == 2
        assert "2 of 24 pictures could not be read.\n" in done.stderr
        assert ("Error: Not every picture could be read. Repair or remove them" in prose(done.stderr)) == (code == 2)
        document = json.loads(done.stdout)
        assert document["artifacts"][0]["pictures"] == COUNT - 2
        assert [each["picture"] for each in document["unreadable"]] == ["blotches 00.png", "blotches 05.png"]
    for file in own.glob("*.png"):
        file.write_text("no picture")
    done = run_here(tmp_path, "evaluate", folders[0], "--images", "own", *QUICK, "--skip-unreadable")
    assert (done.returncode, done.stdout) == (2, "")
    assert "blotches 00.png is not a picture" in done.stderr


def test_an_accuracy_far_below_the_originals_ends_with_3(images: Path, tmp_path: Path) -> None:
    wrong = color_classifier.export(tmp_path, "float32", scale=-1)[0]
    right = color_classifier.export(tmp_path / "right", "float32")[0]
    done = run_here(
        tmp_path,
        *("evaluate", wrong, "--images", images, "--workers", "1"),
        *("--original", right.parents[1] / "colors.keras"),
    )
    assert done.returncode == 3, done.stderr
    bounds = r"colors-tflite-float32: FAIL, [0-9.]+% to [0-9.]+% of the original's accuracy, required 98%"
    assert re.search(bounds, prose(done.stdout))
    assert "colors.keras is not the file that the artifact records" in prose(done.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--images", "gone"), "No such file or folder: gone"),
        (("--images", "pictures", "--labels", "gone.csv"), "gone.csv"),
        (("--images", "pictures", "--workers", "0"), "--workers must be 1 to 256, got 0"),
        (("--images", "pictures", "--csv", "pictures"), "--csv pictures is a folder. Required: a file"),
        (("--images", "pictures", "--csv", "/proc/new/rows.csv"), "--csv /proc/new/rows.csv cannot be written"),
        (
            ("--images", "pictures", "--csv", "pictures/0.png/rows.csv"),
            "--csv pictures/0.png/rows.csv cannot be written",
        ),
        (("--images", "pictures", "--runtime", "onnxruntime"), "onnxruntime runs .onnx files"),
        (("--images", "pictures", "--original", "x", "--no-original"), "contradict each other"),
    ],
)
def test_what_cannot_be_used_ends_with_2_before_any_work(
    folders: list[Path], tmp_path: Path, pictures: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = run_here(tmp_path, "evaluate", folders[0], *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in prose(done.stderr)
    assert "[2]" not in done.stderr, "the engines were loaded"


def ended(folder: Path, command: list[str], how: int, ready: Callable[[], bool]) -> subprocess.CompletedProcess[str]:
    """The `command`, ended by the signal `how` as soon as it is `ready`."""
    process = subprocess.Popen(
        [*PROGRAM, *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - a shell may have it ignored
    )
    until = time.monotonic() + 60
    while not ready() and time.monotonic() < until and process.poll() is None:
        time.sleep(0.01)
    (os.killpg if how == signal.SIGINT else os.kill)(process.pid, how)
    stdout, stderr = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_an_ended_evaluation_is_gone_on_with_and_leaves_no_process(
    folders: list[Path], tmp_path: Path, how: signal.Signals
) -> None:
    count = 120 * SIZE
    (tmp_path / "many").mkdir()
    source = color_classifier.label(tmp_path / "one", folders[0], 3)
    for number in range(count):
        os.link(source / f"blotches 0{number % 3}.png", tmp_path / "many" / f"{number:05}.png")
    command = ["evaluate", str(folders[0]), "--images", "many", "--no-original", "--workers", "2", "--csv", "rows.csv"]
    journals = tmp_path / "cache" / "evaluations"

    def has_begun() -> bool:
        return any(file.stat().st_size > 10_000 for file in journals.glob("*.jsonl"))

    done = ended(tmp_path, command, how, has_begun)
    assert done.returncode == (-how if how == signal.SIGKILL else 130), done.stderr
    deadline = time.monotonic() + 5
    while workers_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not workers_of(tmp_path)
    resumed = run(tmp_path, *command)
    assert resumed.returncode == 0, resumed.stderr
    before = int(re.search(r"resumed: ([0-9,]+) pictures", resumed.stderr)[1].replace(",", ""))  # type: ignore[index]
    assert 0 < before < count
    rows = (tmp_path / "rows.csv").read_bytes()
    assert run(tmp_path, *command).returncode == 0
    assert (tmp_path / "rows.csv").read_bytes() == rows
    assert rows.count(b"\n") == count + 1


def workers_of(folder: Path) -> list[str]:
    """The processes whose working folder is `folder`."""
    names = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder and b"worker" in (process / "cmdline").read_bytes():
                names.append(process.name)
        except OSError:
            continue
    return names
