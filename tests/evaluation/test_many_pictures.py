"""Twenty thousand pictures: memory stays flat, and a kill half-way costs nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import color_classifier
import pytest
from commands import PROGRAM

from edge_squeeze.evaluation.chunks import SIZE

pytestmark = pytest.mark.slow
COUNT, FIRST = 20_000, 1_000
MOST_BYTES = 400 << 20  # above what the first thousand take
TIMEOUT_S = 600


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact, and labeled pictures that are links to a few."""
    folder = tmp_path_factory.mktemp("many")
    (artifact,) = color_classifier.export(folder, "float32")
    few = color_classifier.label(folder / "few", artifact, 40)
    truth = color_classifier.truth(few)
    (folder / "images").mkdir()
    lines = ["file,label"]
    for number in range(COUNT):
        name, index = list(truth.items())[number % len(truth)]
        os.link(few / name, folder / "images" / f"{number:05}.png")
        lines.append(f"{number:05}.png,{color_classifier.NAMES[index]}")
    (folder / "images" / "labels.csv").write_text("\n".join(lines))
    return folder


def start(place: Path, rows: str, cache: str) -> subprocess.Popen[bytes]:
    command = ["evaluate", "out/colors-tflite-float32", "--images", "images", "--no-original", "--csv", rows]
    own = {**os.environ, "EDGE_SQUEEZE_CACHE": str(place / cache)}
    return subprocess.Popen(
        [*PROGRAM, *command, "--workers", "2"], cwd=place, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def done(place: Path, cache: str) -> int:
    """How many pictures are in the journal."""
    journals = list((place / cache / "evaluations").glob("*.jsonl"))
    return SIZE * sum(journal.read_bytes().count(b"\n") for journal in journals)


def memory(process: int) -> int:
    """The bytes that a process and those below it have in memory, what they share counted once."""
    total = 0
    try:
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
        total = int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1]) << 10
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except (OSError, StopIteration):  # it has just ended
        return total
    return total + sum(memory(int(child)) for child in children)


def watched(process: subprocess.Popen[bytes], look: Callable[[], bool]) -> None:
    """Look again and again, until `look` says that it has seen enough or the process ends."""
    until = time.monotonic() + TIMEOUT_S
    while process.poll() is None and not look() and time.monotonic() < until:
        time.sleep(0.05)


def test_memory_is_flat_and_a_kill_half_way_gives_the_same_rows(place: Path) -> None:
    readings: list[tuple[int, int]] = []
    whole = start(place, "whole.csv", "whole")
    watched(whole, lambda: bool(readings.append((done(place, "whole"), memory(whole.pid)))))  # type: ignore[func-returns-value]
    assert whole.wait() == 0, whole.communicate()[1]
    first = max(taken for count, taken in readings if 0 < count <= FIRST)
    most = max(taken for _, taken in readings)
    assert first > 50 << 20, "the readings are of the evaluation"
    assert most - first <= MOST_BYTES, f"{first >> 20} MB grew to {most >> 20} MB"

    killed = start(place, "resumed.csv", "killed")
    watched(killed, lambda: done(place, "killed") >= COUNT // 2)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert COUNT // 2 <= done(place, "killed") < COUNT
    time.sleep(0.5)  # its work is killed a moment after it
    resumed = start(place, "resumed.csv", "killed")
    _, said = resumed.communicate(timeout=TIMEOUT_S)
    assert resumed.returncode == 0, said
    assert b"pictures were evaluated before" in said
    assert (place / "resumed.csv").read_bytes() == (place / "whole.csv").read_bytes()
    assert (place / "whole.csv").read_bytes().count(b"\n") == COUNT + 1
