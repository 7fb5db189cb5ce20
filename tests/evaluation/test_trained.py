"""Pictures that a network has learned from say little about it, and a folder of another training is not its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import color_classifier
import pytest
from commands import run_here

from edge_squeeze.errors import UsageError
from edge_squeeze.evaluation import evaluation as evaluations
from edge_squeeze.evaluation.options import EvaluateOptions
from edge_squeeze.evaluation.result import Evaluation
from edge_squeeze.reporting import Silent

pytestmark = pytest.mark.usefixtures("own_cache")
COUNT, TRAIN, LEARNED = 24, 10, 12
REMARK = "left out 12 of the 24 pictures: they had a part in the training of the network, which would flatter it"


@pytest.fixture
def training(tmp_path: Path) -> Path:
    """The folder of a training that left colors.keras, of which an artifact is in out."""
    folder = tmp_path / "trained" / "colors"
    folder.parent.mkdir()
    (artifact,) = color_classifier.export(folder, "float32")
    images = color_classifier.label(tmp_path / "images", artifact, COUNT)
    return write_lists(folder, images, TRAIN, LEARNED)


def write_lists(folder: Path, images: Path, *ends: int) -> Path:
    names = [f"../../{images.name}/{path.name}" for path in sorted(images.glob("*.png"))]
    starts = (0, *ends)
    for name, start, end in zip(("train", "validation", "test"), starts, (*ends, COUNT), strict=True):
        (folder / f"{name}.txt").write_text("".join(f"{picture}\n" for picture in names[start:end]))
    (folder / "training.json").write_text("{}")
    return folder


def evaluate(training: Path, images: Path, **options: object) -> Evaluation:
    artifact = training / "out" / "colors-tflite-float32"
    labels = training.parents[1] / "images" / "labels.csv"
    values = {"workers": 1, "with_original": False, "labels": labels, **options}
    return evaluations.evaluate([artifact], EvaluateOptions(images, **values), Silent())  # type: ignore[arg-type]


def names(result: Evaluation) -> list[str]:
    return [str(row["picture"]).rpartition("/")[2] for row in result.rows()]


def blotches(numbers: Sequence[int]) -> list[str]:
    return [f"blotches {number:02}.png" for number in numbers]


def test_pictures_that_had_a_part_in_the_training_are_left_out(training: Path, tmp_path: Path) -> None:
    images, rest = tmp_path / "images", blotches(range(LEARNED, COUNT))
    result = evaluate(training, images)
    assert names(result) == names(evaluate(training, training)) == rest
    assert (result.count, result.learned, result.remarks) == (COUNT, LEARNED, [REMARK])
    assert REMARK in result.notes
    copies = Path(shutil.copytree(images, tmp_path / "copies"))
    (copies / "blotches 00.png").rename(copies / "x.png")
    (copies / "labels.csv").write_text((copies / "labels.csv").read_text().replace("blotches 00", "x"))
    assert names(evaluate(training, copies, labels=copies / "labels.csv")) == rest
    drawn = evaluate(training, images, samples=8)
    assert len(names(drawn)) == 8
    assert {*names(drawn)} < {*rest}


def test_pictures_of_a_training_that_gave_other_weights_are_not(training: Path, tmp_path: Path) -> None:
    color_classifier.save(training / "colors.keras", scale=0.5)
    result = evaluate(training, tmp_path / "images")
    assert (len(names(result)), result.learned, result.remarks) == (COUNT, 0, [])


def test_too_few_other_pictures_are_refused(training: Path, tmp_path: Path) -> None:
    write_lists(training, tmp_path / "images", 15, 17)
    with pytest.raises(UsageError, match=r"17 of the 24 pictures had a part in .* leaves 7\. Required: at least 8"):
        evaluate(training, tmp_path / "images")
    assert evaluate(training, training).artifacts[0].labeled == 7, "its own test pictures, however few"


def test_the_folder_of_another_training_is_warned_of(training: Path, tmp_path: Path) -> None:
    assert evaluate(training, training).remarks == []
    other = write_lists(Path(shutil.copytree(training, tmp_path / "trained" / "other")), tmp_path / "images", 10, 12)
    assert evaluate(training, other).remarks == [], "the same weights"
    color_classifier.save(other / "colors.keras", scale=0.5)
    (warning,) = evaluate(training, other).remarks
    assert warning == (
        f"warning: colors-tflite-float32 was made from {training / 'colors.keras'}, not from the training in {other}"
    )
    color_classifier.save(training / "colors.keras", scale=0.5)
    (warning,) = evaluate(training, training).remarks
    assert warning.endswith(f"was made from earlier weights of {training / 'colors.keras'}. Export it again")


def test_text_and_json_say_what_was_left_out(training: Path, tmp_path: Path) -> None:
    command = ("evaluate", training / "out" / "colors-tflite-float32", "--images", "images", "--no-original")
    text, document = (run_here(tmp_path, *command, "--workers", "1", *more) for more in ((), ("--json",)))
    assert "12 labeled pictures of 24 in images" in text.stdout
    assert f"L{REMARK[1:]}." in " ".join(text.stdout.split())
    assert json.loads(document.stdout)["learned"] == LEARNED
    assert REMARK in document.stderr
