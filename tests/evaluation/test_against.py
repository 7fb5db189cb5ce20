"""A saved evaluation against a new one: paired by picture, and never of another file or other pictures."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import color_classifier
import pytest
from commands import run_here

pytestmark = pytest.mark.usefixtures("own_cache")
COUNT = 150
ARGUMENTS = ("--no-original", "--workers", "1", "--json")


@dataclasses.dataclass(frozen=True)
class Place:
    """Labeled pictures, two artifacts, and the saved evaluation of the first."""

    images: Path
    right: Path
    wrong: Path
    saved: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("against")
    (right,) = color_classifier.export(folder / "right", "float32")
    (wrong,) = color_classifier.export(folder / "wrong", "float32", scale=-1)
    images = color_classifier.label(folder / "images", right, COUNT)
    done = run_here(folder, "evaluate", right, "--images", images, *ARGUMENTS)
    assert done.returncode == 0, done.stderr
    (folder / "saved.json").write_text(done.stdout)
    return Place(images, right, wrong, folder / "saved.json")


def against(folder: Path, artifact: Path, images: Path, saved: Path) -> tuple[int, dict[str, Any], str]:
    done = run_here(folder, "evaluate", artifact, "--images", images, "--against", saved, *ARGUMENTS)
    comparison = json.loads(done.stdout)["against"][0] if done.stdout else {}
    return done.returncode, comparison, " ".join(done.stderr.split())


def test_the_same_file_is_equal_and_a_worse_one_ends_with_8(place: Place, tmp_path: Path) -> None:
    code, comparison, _ = against(tmp_path, place.right, place.images, place.saved)
    assert (code, comparison["verdict"], comparison["difference"]) == (0, "equal", 0)
    assert comparison["base_sha256"] == comparison["cand_sha256"]
    code, comparison, _ = against(tmp_path, place.wrong, place.images, place.saved)
    assert (code, comparison["verdict"], comparison["base_only"]) == (8, "worse", 93)
    assert comparison["p"] < 1e-20
    assert comparison["base_sha256"] != comparison["cand_sha256"]
    low, high = comparison["interval"]
    assert low < comparison["difference"] < high < 0


def test_a_better_file_ends_with_0_and_an_unclear_one_with_9(place: Place, tmp_path: Path) -> None:
    document = json.loads(place.saved.read_text())
    (figures,) = document["artifacts"]
    correct = document["columns"].index(f"{figures['name']} correct")
    hits = [row for row in document["rows"] if row[correct]]
    for count, code, verdict in ((2, 9, "unclear"), (60, 0, "better")):
        for row in hits[:count]:
            row[correct] = False
        figures["top1"] = sum(row[correct] for row in document["rows"]) / COUNT
        figures["sha256"] = "0" * 64
        (tmp_path / "worse.json").write_text(json.dumps(document))
        ended, comparison, _ = against(tmp_path, place.right, place.images, tmp_path / "worse.json")
        assert (ended, comparison["verdict"], comparison["cand_only"]) == (code, verdict, count)


def other_picture(images: Path) -> None:
    shutil.copy(images / "blotches 01.png", images / "blotches 00.png")


def fewer(images: Path) -> None:
    (images / "blotches 00.png").unlink()
    lines = (images / "labels.csv").read_text().splitlines()
    (images / "labels.csv").write_text("\n".join([lines[0], *lines[2:]]))


def other_label(images: Path) -> None:
    lines = (images / "labels.csv").read_text().splitlines()
    name = "cyan" if lines[1].endswith("red") else "red"
    (images / "labels.csv").write_text("\n".join([lines[0], f"blotches 00.png,{name}", *lines[2:]]))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (other_picture, "the files of pictures differ (1 of 150): blotches 00.png, ..."),
        (fewer, "pictures are in one of the evaluations alone (1): blotches 00.png, ..."),
        (other_label, "the labels of pictures differ (1 of 150): blotches 00.png, ..."),
    ],
)
def test_other_pictures_are_not_comparable(
    place: Place, tmp_path: Path, change: Callable[[Path], None], reason: str
) -> None:
    images = Path(shutil.copytree(place.images, tmp_path / "images"))
    change(images)
    code, comparison, _ = against(tmp_path, place.right, images, place.saved)
    assert (code, comparison["verdict"], comparison["reason"]) == (10, "incomparable", reason)


def of_another_file(document: dict[str, Any]) -> None:
    document["artifacts"][0]["top1"] -= 0.02


def not_an_evaluation(document: dict[str, Any]) -> None:
    document["schema"] = "edge_squeeze.bench/1"


def short_row(document: dict[str, Any]) -> None:
    document["rows"][3].pop()


def without_column(document: dict[str, Any]) -> None:
    document["columns"][0] = "file"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_another_file, "are not those of its pictures: 97 of 150 are correct by its top1, 100 of 150 by its rows"),
        (not_an_evaluation, "is not an evaluation. Required: what `edge-squeeze evaluate --json` printed"),
        (short_row, "a row must have 11 values"),
        (without_column, "lacks the columns picture"),
    ],
)
def test_figures_of_another_file_are_refused_before_any_work(
    place: Place, tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    document = json.loads(place.saved.read_text())
    change(document)
    (tmp_path / "saved.json").write_text(json.dumps(document))
    code, _, stderr = against(tmp_path, place.right, place.images, tmp_path / "saved.json")
    assert code == 2
    assert message in stderr
    assert "[1]" not in stderr


def test_a_folder_with_the_parity_of_another_file_is_refused(place: Place, tmp_path: Path) -> None:
    mixed = Path(shutil.copytree(place.right, tmp_path / "mixed"))
    parity = json.loads((mixed / "parity.json").read_text())
    assert parity["sha256"] == json.loads((mixed / "model.json").read_text())["file"]["sha256"]
    shutil.copy(place.wrong / "parity.json", mixed / "parity.json")
    for command in (("verify", mixed), ("evaluate", mixed, "--images", place.images)):
        done = run_here(tmp_path, *command)
        assert (done.returncode, done.stdout) == (2, "")
        assert "parity.json has the figures of another file" in " ".join(done.stderr.split())
    del parity["sha256"]  # as older versions wrote it
    (mixed / "parity.json").write_text(json.dumps(parity))
    assert run_here(tmp_path, "verify", mixed).returncode == 0
