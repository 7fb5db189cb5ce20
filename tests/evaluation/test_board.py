"""Evaluations on a board: its rows come back, and all figures are made here."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from boards import Board, fake_ssh, left, own_environment, path_with, serving
from colored_pictures import save_blotches
from commands import run, run_here
from places import ROOT

from edge_squeeze.devices import wheel
from edge_squeeze.evaluation.chunks import SIZE
from edge_squeeze.pictures.labeled import find

pytestmark = pytest.mark.usefixtures("own_cache")
SMALL = ROOT / "tests" / "data" / "small-tflite-int8"
CLASSES = (SMALL / "labels.txt").read_text().split()
COUNT = SIZE + 5
UNREADABLE = ("blotches 03.png", "gone.png")
Desk = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of labeled pictures, one of which cannot be read, and one of which is missing."""
    pictures = save_blotches(tmp_path_factory.mktemp("images") / "own", COUNT)
    names = sorted(path.name for path in pictures.glob("*.png"))
    lines = [f"{name},{number % len(CLASSES)}" for number, name in enumerate(names)]
    (pictures / "labels.csv").write_text("\n".join(["file,class_index", *lines, ""]))
    (pictures / UNREADABLE[0]).write_bytes(b"no picture")
    listed = pictures.parent / "pictures.txt"
    listed.write_text("".join(f"{pictures.name}/{name}\n" for name in [*names, UNREADABLE[1]]))
    return listed


@pytest.fixture
def labels(images: Path) -> Path:
    return next(images.parent.glob("*/labels.csv"))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk whose board is this machine, without TensorFlow and under another path."""
    cache = tmp_path / "board"
    own_environment(cache, "litert+onnx", wheel.pack().stem)
    script = f'unset EDGE_SQUEEZE_CACHE; export XDG_CACHE_HOME={cache}\nexec sh -c "$command"'
    monkeypatch.setenv("PATH", path_with(fake_ssh(tmp_path / "bin", script)))

    def command(*arguments: object) -> subprocess.CompletedProcess[str]:
        done = run_here(tmp_path, *arguments)
        assert "Traceback" not in done.stderr
        assert not left(cache)
        return done

    return command


def without_circumstances(text: str) -> dict[str, object]:
    document = json.loads(text)
    for key in ("command", "created_utc", "executor", "rates", "notes"):
        del document[key]
    for figures in document["artifacts"]:
        del figures["reason"]
    return document


def test_rows_and_figures_are_those_of_the_board(desk: Desk, images: Path, labels: Path) -> None:
    options = ("evaluate", SMALL, "--images", images, "--labels", labels, "--skip-unreadable", "--json")
    here = desk(*options, "--no-original", "--workers", "1")
    assert here.returncode == 0, here.stderr
    there = desk(*options, "--device", "ssh:board", "--workers", "2")
    assert there.returncode == 0, there.stderr
    assert without_circumstances(there.stdout) == without_circumstances(here.stdout)
    document = json.loads(there.stdout)
    assert document["executor"] == {"kind": "ssh:board", "workers": 2, "chunk": SIZE}
    assert len(document["rows"]) == COUNT + 1
    assert [each["picture"].rpartition("/")[2] for each in document["unreadable"]] == list(UNREADABLE)
    assert all(str(images.parent) in each["error"] for each in document["unreadable"])
    assert document["rates"]["per_s"] > 0
    assert "the original does not run on ssh:board" in "; ".join(document["notes"])


def test_a_sample_is_drawn_and_sent(desk: Desk, images: Path, labels: Path, tmp_path: Path) -> None:
    options = ("evaluate", SMALL, "--images", images, "--labels", labels, "--samples", "6", "--skip-unreadable")
    done = desk(*options, "--device", "ssh:board", "--csv", "rows.csv")
    assert done.returncode == 0, done.stderr
    assert f"drew 6 of the {COUNT + 1} pictures (seed 0)" in done.stderr
    drawn, text = find(images, labels, CLASSES, samples=6), " ".join(done.stdout.split())
    assert len({picture.name for picture in drawn.pictures}) == 6
    with (tmp_path / "rows.csv").open(newline="") as file:
        assert [row["picture"] for row in csv.DictReader(file)] == [picture.name for picture in drawn.pictures]
    readable = sum(picture.path.name not in UNREADABLE for picture in drawn.pictures)
    assert f"{readable} labeled pictures of {readable} in {images}" in text
    assert "pictures/s with" in text
    assert "on ssh:board" in text


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--original", "x.keras"), 2, "--original is for the original, which does not run on ssh:board. Leave it out"),
        (("--cluster", "tcp://host:1"), 2, "--cluster and --device contradict each other"),
        (("--device", "ssh:other"), 2, "Required: at most 1 --device"),
        (("--samples", "0"), 2, "--samples must be at least 1, got 0"),
        (("--runtime", "nonsense"), 2, "nonsense"),
    ],
)
def test_what_makes_no_sense_is_refused(
    desk: Desk, images: Path, options: tuple[str, ...], code: int, message: str
) -> None:
    done = desk("evaluate", SMALL, "--images", images, "--device", "ssh:board", *options)
    assert done.returncode == code, done.stderr
    assert message in " ".join(done.stderr.split())


def test_unreadable_pictures_are_an_error_in_the_end(desk: Desk, images: Path, labels: Path) -> None:
    done = desk("evaluate", SMALL, "--images", images, "--labels", labels, "--device", "ssh:board")
    assert done.returncode == 2
    assert f"2 of {COUNT + 1} pictures could not be read" in " ".join(done.stderr.split())
    assert "pictures/s with" in done.stdout


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with serving(tmp_path) as served:
        own_environment(served.cache, "litert+onnx", wheel.pack().stem)
        yield served
        assert not served.left()


@pytest.mark.slow
def test_a_real_ssh_server_is_a_board(board: Board, images: Path, labels: Path) -> None:
    command = ("evaluate", SMALL, "--images", images, "--labels", labels, "--skip-unreadable", "--json")
    code, stdout, stderr = board.run(*command, "--device", "ssh:board")
    assert code == 0, stderr
    here = run(board.folder, *command, "--no-original", EDGE_SQUEEZE_CACHE=os.fspath(board.folder / "own"))
    assert without_circumstances(stdout) == without_circumstances(here.stdout)
