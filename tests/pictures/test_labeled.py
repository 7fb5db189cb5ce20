"""Which class each picture of a folder is said to be."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from colored_pictures import draw
from PIL import Image

from edge_squeeze.errors import UsageError
from edge_squeeze.pictures import imagenet
from edge_squeeze.pictures.labeled import LabeledPictures, find

CLASSES = ("blue", "great white shark", "red")


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (2, 2)).save(path)
    return path


def classes(pictures: LabeledPictures) -> dict[str, list[int]]:
    return {picture.name: sorted(picture.classes) for picture in pictures.pictures}


def of_folders(folder: Path, *names: str) -> Path:
    for name in names:
        picture(folder / name / "1.png")
    return folder


def test_folders_name_the_classes(tmp_path: Path) -> None:
    images = of_folders(tmp_path, "blue", "Great_White_Shark", "red/dark")
    picture(images / "0.png")
    pictures = find(images, None, CLASSES)
    assert classes(pictures) == {"0.png": [], "blue/1.png": [0], "Great_White_Shark/1.png": [1], "red/dark/1.png": [2]}
    assert all(picture.path == images / picture.name for picture in pictures.pictures)
    assert pictures.remarks == ("1 of 4 pictures have no label and count for agreement only: 0.png, ...",)


def test_folders_that_are_no_class_are_named_with_the_nearest(tmp_path: Path) -> None:
    images = of_folders(tmp_path, "blue", "great whale shark", "zzz")
    with pytest.raises(UsageError, match="2 of them do not match a class") as caught:
        find(images, None, CLASSES)
    assert "\n  great whale shark (nearest: great white shark)\n  zzz\n" in str(caught.value)


def test_wordnet_ids_name_imagenets_classes(tmp_path: Path) -> None:
    images = of_folders(tmp_path, "n01440764", "n02012849", "n03126707")  # tench, and both cranes
    assert classes(find(images, None, imagenet.names())) == {
        "n01440764/1.png": [0],
        "n02012849/1.png": [134],
        "n03126707/1.png": [517],
    }
    with pytest.raises(UsageError, match="3 of them do not match"):
        find(images, None, CLASSES)


def test_wordnet_ids_find_the_classes_of_a_network_of_fewer(tmp_path: Path) -> None:
    images = of_folders(tmp_path, "n01440764", "n01443537")
    assert classes(find(images, None, ["goldfish", "tench"])) == {"n01440764/1.png": [1], "n01443537/1.png": [0]}


def test_a_name_of_two_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'crane' is the name of the classes 134 and 517"):
        find(of_folders(tmp_path, "crane"), None, imagenet.names())


@pytest.mark.parametrize(("folders", "numbers"), [(("0", "2"), [0, 2]), (("1", "3"), [0, 2]), (("00", "01"), [0, 1])])
def test_numbers_count_from_what_they_show(tmp_path: Path, folders: tuple[str, ...], numbers: list[int]) -> None:
    pictures = find(of_folders(tmp_path, *folders), None, CLASSES)
    assert [sorted(picture.classes) for picture in pictures.pictures] == [[number] for number in numbers]
    assert bool(pictures.remarks) == (folders == ("1", "3"))


@pytest.mark.parametrize("folders", [("1",), ("1", "2")])
def test_numbers_that_may_count_from_0_or_1_are_refused(tmp_path: Path, folders: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"may count from 0 or from 1, since neither 0 nor 3 is among them\. Rename"):
        find(of_folders(tmp_path, *folders), None, CLASSES)


@pytest.mark.parametrize("folders", [("0", "3"), ("4", "1")])
def test_numbers_out_of_range_are_refused(tmp_path: Path, folders: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="required numbers from 0 to 2, or from 1 to 3"):
        find(of_folders(tmp_path, *folders), None, CLASSES)


def test_numbers_that_are_the_names_are_names(tmp_path: Path) -> None:
    images = of_folders(tmp_path, "1", "10", "2")
    pictures = find(images, None, ["1", "10", "2"])
    assert classes(pictures) == {"1/1.png": [0], "10/1.png": [1], "2/1.png": [2]}
    assert pictures.remarks == (f"class folders of {images}: read as names of classes, not as numbers of outputs",)
    assert find(images, None, [*map(str, range(11))]).remarks == ()


def test_a_folder_of_train_is_its_test_pictures(tmp_path: Path) -> None:
    draw(tmp_path / "photos", each=3)
    folder = tmp_path / "trained"
    folder.mkdir()
    (folder / "training.json").write_text("{}")
    (folder / "test.txt").write_text("../photos/red/0.png\n../photos/blue/2.png\n")
    pictures = find(folder, None, CLASSES)
    assert classes(pictures) == {"../photos/red/0.png": [2], "../photos/blue/2.png": [0]}
    assert all(picture.path.is_file() for picture in pictures.pictures)
    assert pictures.remarks == (f"{folder} was written by `train` or `finetune`: evaluating its test.txt",)
    (folder / "test.txt").write_text("../photos/red/0.png\n../photos/red/1.png\n")  # of one class
    assert set(map(tuple, classes(find(folder, None, CLASSES)).values())) == {(2,)}


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(UsageError, match=r"No such file: none\.csv\. Required: a table of labels"):
        find(tmp_path, Path("none.csv"), CLASSES)


def test_a_table_beside_the_pictures_is_taken(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        picture(tmp_path / name)
    (tmp_path / "labels.csv").write_text("file,class_index,wordnet_id,name\nb.png,0,n01440764,tench\n")
    pictures = find(tmp_path, None, imagenet.names())
    assert classes(pictures) == {"a.png": [], "b.png": [0]}
    assert pictures.remarks[0] == f"labels: {tmp_path / 'labels.csv'}"
    shutil.move(tmp_path / "labels.csv", tmp_path / "labels.txt")
    assert classes(find(tmp_path, None, CLASSES)) == {"a.png": [], "b.png": []}


def test_a_draw_replaces_what_it_passes_over_and_keeps_the_rest(tmp_path: Path) -> None:
    for number in range(30):
        Image.new("RGB", (2, 2), (number, 0, 0)).save(tmp_path / f"{number:02}.png")
    drawn = find(tmp_path, None, CLASSES, samples=10).pictures
    known = {sha256(each.path.read_bytes()).hexdigest() for each in drawn[:4]}
    again = find(tmp_path, None, CLASSES, samples=10, not_drawn=known)
    assert (len(again.pictures), again.passed_over) == (10, 4)
    assert {each.name for each in drawn[4:]} < {each.name for each in again.pictures}
    assert not {each.name for each in drawn[:4]} & {each.name for each in again.pictures}
    assert "drew 10 of the 30 pictures (seed 0), passing over 4 that int8 was calibrated on" in again.remarks
