"""`edge_squeeze.evaluate` from Python: a typed result, rows for a DataFrame, and errors that keep what was done."""

from __future__ import annotations

import shutil
from pathlib import Path

import color_classifier
import pytest
from small_artifacts import change, sha256

import edge_squeeze
from edge_squeeze.errors import UnreadablePicturesError, UsageError
from edge_squeeze.evaluation.result import Evaluation

pytestmark = pytest.mark.usefixtures("own_cache")
COUNT = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return color_classifier.export(tmp_path_factory.mktemp("model"), "float32")[0]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    return color_classifier.label(tmp_path_factory.mktemp("images"), folder, COUNT)


def test_the_result_is_typed_and_its_rows_are_dictionaries(folder: Path, images: Path) -> None:
    result = edge_squeeze.evaluate(folder, images=str(images), with_original=False, workers=1)
    assert isinstance(result, Evaluation)
    (figures,) = result.artifacts
    assert repr(figures) == "<Figures of colors-tflite-float32 on 30 pictures: top-1 66.7%>"
    assert repr(result) == f"<Evaluation on {images}: Figures of colors-tflite-float32 on 30 pictures: top-1 66.7%>"
    assert "<td>66.7 %</td>" in result._repr_html_()
    rows = list(result.rows())
    assert len(rows) == COUNT
    assert sum(row["colors-tflite-float32 correct"] for row in rows) / COUNT == figures.top1
    assert list(rows[0]) == result.columns


def test_pictures_that_cannot_be_read_are_raised_with_what_came_of_the_others(
    folder: Path, images: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(images, tmp_path / "own"))
    for number in (3, 4):
        (own / f"blotches 0{number}.png").write_text("no picture")
    with pytest.raises(UnreadablePicturesError, match=r"03\.png is not a picture(.|\n)*04\.png\n.*--skip") as refusal:
        edge_squeeze.evaluate([folder], images=own, with_original=False, workers=1)
    assert refusal.value.evaluation.artifacts[0].pictures == COUNT - 2
    result = edge_squeeze.evaluate([folder], images=own, with_original=False, workers=1, skip_unreadable=True)
    assert list(result.unreadable) == ["blotches 03.png", "blotches 04.png"]
    assert result.artifacts == refusal.value.evaluation.artifacts


def test_scores_that_are_no_numbers_count_as_wrong(folder: Path, images: Path, tmp_path: Path) -> None:
    import numpy as np

    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    (model,) = broken.glob("*.tflite")
    bias = np.array([0.0] * 6 + [0.5], "<f4").tobytes()
    data = model.read_bytes()
    assert data.count(bias) == 1
    model.write_bytes(data.replace(bias, np.full(7, np.nan, "<f4").tobytes()))
    change(broken, file__sha256=sha256(model.read_bytes()))
    (broken / "parity.json").unlink()
    (figures,) = edge_squeeze.evaluate(broken, images=images, with_original=False, workers=1).artifacts
    assert (figures.not_finite, figures.top1) == (COUNT, 0)


def test_nothing_is_evaluated_without_artifacts(images: Path) -> None:
    with pytest.raises(UsageError, match=r"Nothing to evaluate\. Required: folders"):
        edge_squeeze.evaluate([], images=images)
