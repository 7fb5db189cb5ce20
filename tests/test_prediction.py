from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edge_squeeze
from edge_squeeze.converters.export import Exported
from edge_squeeze.converters.targets import all_targets
from edge_squeeze.errors import UsageError
from edge_squeeze.pictures.loading import photograph
from edge_squeeze.scores import top_k

NAMES = [f"{target.format}-{target.precision}" for target in all_targets()]
CATS = {"Egyptian cat", "tabby", "tiger cat"}


RARE = [pytest.param("exported_10", name, marks=pytest.mark.slow) for name in NAMES]


@pytest.mark.parametrize(
    ("exports", "name"), [*(("exported_11", name) for name in NAMES), ("float32_10", "tflite-float32"), *RARE]
)
def test_a_cat_is_a_cat_and_an_espresso_an_espresso(request: pytest.FixtureRequest, exports: str, name: str) -> None:
    classifier = edge_squeeze.load(request.getfixturevalue(exports)[name].folder)
    assert classifier.predict(photograph("chelsea"))[0].label in CATS
    assert classifier.predict(photograph("coffee"))[0].label == "espresso"


def test_files_arrays_and_pictures_give_the_same(exported_11: dict[str, Exported], tmp_path: Path) -> None:
    classifier = edge_squeeze.load(exported_11["tflite-float32"].folder)
    picture = photograph("coffee")
    picture.save(f"{tmp_path}/coffee.png")
    a, b, c = (classifier.predict(p, top=3) for p in (picture, f"{tmp_path}/coffee.png", np.asarray(picture)))
    assert a == b == c
    assert len(a) == 3
    assert a[0].score > a[1].score > a[2].score


def test_pictures_in_memory_are_read_as_files_are(exported_11: dict[str, Exported], tmp_path: Path) -> None:
    classifier = edge_squeeze.load(exported_11["tflite-float32"].folder)
    rotated = photograph("chelsea").rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    rotated.save(tmp_path / "rotated.png", exif=exif)
    transparent = photograph("chelsea")
    transparent.putalpha(Image.new("L", transparent.size, 90))
    transparent.save(tmp_path / "transparent.png")
    for name in ("rotated.png", "transparent.png"):
        assert classifier.predict(Image.open(tmp_path / name)) == classifier.predict(tmp_path / name)


@pytest.mark.parametrize(
    "picture", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3)), None, b"abc", np.zeros((0, 8, 3), np.uint8)]
)
def test_what_is_no_picture_is_refused(exported_11: dict[str, Exported], picture: object) -> None:
    with pytest.raises(UsageError, match="Required: a file, a PIL image or pixels"):
        edge_squeeze.load(exported_11["tflite-float32"].folder).predict(picture)  # type: ignore[arg-type]


def test_equal_scores_keep_their_order() -> None:
    assert top_k(np.float32([0.1, 0.4, 0.4, 0.1]), 4).tolist() == [1, 2, 0, 3]


def test_each_refusal_names_its_picture(exported_11: dict[str, Exported], tmp_path: Path) -> None:
    photograph("coffee").save(tmp_path / "coffee.png")
    Image.new("RGB", (1, 900)).save(tmp_path / "thin.png")  # readable, but absurd at the network's size
    classifier = edge_squeeze.load(exported_11["tflite-float32"].folder)
    outcomes = dict(classifier.classify_each([tmp_path]))
    assert not isinstance(outcomes[tmp_path / "coffee.png"], UsageError)
    assert str(outcomes[tmp_path / "thin.png"]).startswith(f"{tmp_path / 'thin.png'}: A picture of 1 x 900 pixels")
