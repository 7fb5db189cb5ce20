from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import CommandLine
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


def test_an_answer_that_is_not_sure_enough_is_none_of_these(
    exported_11: dict[str, Exported], tmp_path: Path, command_line: CommandLine
) -> None:
    folder = shutil.copytree(exported_11["tflite-float32"].folder, tmp_path / "doubtful")
    photograph("chelsea").save(tmp_path / "cat.png")
    content = json.loads((folder / "model.json").read_text())
    assert content["reject"] is None
    for threshold, rejected in ((0.2, False), (0.9, True)):
        content["reject"] = {"temperature": 1.0, "threshold": threshold}
        (folder / "model.json").write_text(json.dumps(content))
        assert edge_squeeze.load(folder).classify(tmp_path / "cat.png").rejected == rejected
        (answer,) = json.loads(command_line("predict", "doubtful", "cat.png", "--json").stdout)
        assert answer["rejected"] == rejected
        assert answer["predictions"][0]["label"] in CATS
        assert ("None of these" in command_line("predict", "doubtful", "cat.png").stdout) == rejected


def test_the_confidence_that_was_compared_is_shown_beside_the_scores(
    exported_11: dict[str, Exported], tmp_path: Path, command_line: CommandLine
) -> None:
    folder = shutil.copytree(exported_11["tflite-float32"].folder, tmp_path / "tempered")
    photograph("chelsea").save(tmp_path / "cat.png")
    bare = edge_squeeze.load(folder).classify(tmp_path / "cat.png", top=1000)
    assert (bare.confidence, bare.threshold) == (None, None)
    scores = np.array([p.score for p in bare.predictions])
    content = json.loads((folder / "model.json").read_text())
    for temperature, verdict in ((0.5, "reaches"), (2.0, "is below")):
        content["reject"] = {"temperature": temperature, "threshold": float(scores[0])}
        (folder / "model.json").write_text(json.dumps(content))
        done = command_line("predict", "tempered", "cat.png", "--json")
        (answer,) = json.loads(done.stdout)
        assert (done.stderr, answer["parity"]) == ("", "pass"), "nothing to warn of"
        tempered = scores[0] ** (1 / temperature) / (scores ** (1 / temperature)).sum()
        assert answer["confidence"] == pytest.approx(tempered, rel=1e-4)
        assert answer["threshold"] == content["reject"]["threshold"]
        assert answer["predictions"][0]["score"] == pytest.approx(scores[0]), "the raw score stays"
        assert answer["rejected"] == (answer["confidence"] < answer["threshold"])
        shown = command_line("predict", "tempered", "cat.png").stdout
        assert f"onfidence {answer['confidence']:.1%} {verdict} the threshold of {scores[0]:.1%}" in shown


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
