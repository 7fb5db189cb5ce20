"""Which pictures a training takes, and how they are divided."""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from colored_pictures import COLORS, draw
from PIL import Image

from edge_squeeze.errors import MissingDependencyError, UsageError
from edge_squeeze.pictures.loading import REMEDY, open_picture
from edge_squeeze.pictures.presets import preset
from edge_squeeze.reporting import Silent
from edge_squeeze.training import collection, examples
from edge_squeeze.training.collection import Collection, Split, split

PREPROCESSING = preset("unit", (16, 16))
PARTS = ("train", "validation", "test")


def load(images: Path | None) -> Collection:
    files = examples.digits() if images is None else collection.find(images)
    return collection.load(files, PREPROCESSING, Silent())


@pytest.fixture
def colored(tmp_path: Path) -> Path:
    return draw(tmp_path / "colored", each=20)


def test_a_folder_is_a_class_and_labels_are_sorted(colored: Path) -> None:
    (colored / ".hidden").mkdir()
    (colored / "readme.md").write_text("not a class")
    (colored / "red" / "notes.md").write_text("not a picture")
    pictures = load(colored)
    assert pictures.files.labels == tuple(sorted(COLORS))
    assert pictures.pixels.shape == (60, 16, 16, 3)
    for picture, number in zip(pictures.files.pictures, pictures.truth, strict=True):
        assert picture.name.startswith(f"{pictures.files.labels[number]}/")
        assert picture.content is None


def test_pictures_in_folders_of_a_class_are_taken_and_those_beside_the_classes_are_not(colored: Path) -> None:
    (colored / "red" / "more").mkdir()
    (colored / "red" / "0.png").rename(colored / "red" / "more" / "0.png")
    for name in ("1.PNG", "2.jpg", ".3.png", "readme.md"):
        (colored / name).write_bytes(b"")
    files = collection.find(colored)
    assert files.ignored == ("1.PNG", "2.jpg")
    assert len(files.pictures) == 60
    assert ("red/more/0.png", "red") in {(picture.name, picture.label) for picture in files.pictures}


def test_the_digits_are_pictures_of_ten_classes() -> None:
    pictures = collection.load(examples.digits(), preset("unit", (32, 32)), Silent())
    assert pictures.files.labels == tuple("0123456789")
    assert pictures.pixels.shape == (1797, 32, 32, 3)
    assert len(set(pictures.digests)) == 1797
    assert (np.ptp(pictures.pixels, axis=3) == 0).all(), "grey"
    assert [picture.name for picture in pictures.files.pictures[:2]] == ["0/0001.png", "1/0001.png"]


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "is_installed", lambda package: package != "sklearn")
    with pytest.raises(MissingDependencyError, match=r'scikit-learn is not .*pip install "edge-squeeze\[train\]"'):
        examples.digits()


@pytest.mark.parametrize("seed", range(5))
def test_every_picture_is_in_one_part_and_every_class_in_all(colored: Path, seed: int) -> None:
    shutil.rmtree(colored / "blue")
    draw(colored / "more", each=33, seed=1)
    (colored / "more" / "blue").rename(colored / "blue")
    shutil.rmtree(colored / "more")
    pictures = load(colored)
    parts = split(pictures, seed)
    together = np.concatenate([getattr(parts, name) for name in PARTS])
    assert sorted(together.tolist()) == list(range(len(pictures.truth)))
    for number, (train, validation, test) in enumerate([(23, 3, 7), (14, 2, 4), (14, 2, 4)]):
        counts = [int((pictures.truth[getattr(parts, name)] == number).sum()) for name in PARTS]
        assert counts == [train, validation, test]


def test_the_seed_decides_and_nothing_else_does(colored: Path) -> None:
    pictures = load(colored)
    first, again, reseeded = split(pictures, 0), split(load(colored), 0), split(pictures, 1)
    assert all(np.array_equal(getattr(first, name), getattr(again, name)) for name in PARTS)
    assert first.record(pictures.digests) == again.record(pictures.digests)
    assert not np.array_equal(first.test, reseeded.test)
    assert first.record(pictures.digests)["test"] != reseeded.record(pictures.digests)["test"]


@pytest.mark.parametrize("seed", range(8))
def test_equal_pictures_never_land_in_different_parts(colored: Path, seed: int) -> None:
    for path in sorted((colored / "red").glob("*.png"))[:10]:
        for copy in ("a", "b"):
            shutil.copy(path, path.with_name(f"{path.stem}-{copy}.png"))
        Image.open(path).save(path.with_suffix(".bmp"))  # another file with the same pixels
    pictures = load(colored)
    parts = split(pictures, seed)
    where = {digest: {name for name in PARTS if digest in held(pictures, parts, name)} for digest in pictures.digests}
    assert max(Counter(pictures.digests).values()) == 4
    assert all(len(names) == 1 for names in where.values())


def held(pictures: Collection, parts: Split, name: str) -> set[str]:
    return {pictures.digests[i] for i in getattr(parts, name)}


def test_a_split_by_picture_alone_would_leak(colored: Path) -> None:
    """The control of the test above: with groups that do not tell equal pictures, they do land in different parts."""
    for path in sorted((colored / "red").glob("*.png")):
        shutil.copy(path, path.with_name(f"{path.stem}-copy.png"))
    pictures = load(colored)
    blind = split(dataclasses.replace(pictures, groups=np.arange(len(pictures.truth))), 0)
    assert held(pictures, blind, "train") & held(pictures, blind, "test")


def one_class(folder: Path) -> None:
    for label in ("red", "blue"):
        shutil.rmtree(folder / label)


def no_classes(folder: Path) -> None:
    for label in COLORS:
        (folder / label / "0.png").rename(folder / f"{label}.png")
        shutil.rmtree(folder / label)


def empty_class(folder: Path) -> None:
    (folder / "yellow").mkdir()


def few(folder: Path) -> None:
    for number in range(11):
        (folder / "red" / f"{number}.png").unlink()


def few_different(folder: Path) -> None:
    for number in range(9, 20):
        shutil.copy(folder / "red" / f"{number % 9}.png", folder / "red" / f"{number}.png")


def unreadable(folder: Path) -> None:
    (folder / "green" / "5.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")


def in_two_classes(folder: Path) -> None:
    shutil.copy(folder / "red" / "0.png", folder / "green" / "like-red.png")


def too_narrow(folder: Path) -> None:
    Image.new("RGB", (200_000, 1)).save(folder / "blue" / "7.png")


def a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("red/0.png\n")


def odd_name(folder: Path) -> None:
    (folder / "red" / "0.png").rename(folder / "red" / "a\nb.png")


def odd_class(folder: Path) -> None:
    (folder / "red").rename(folder / "red ")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, "No such folder: .*Required: a folder that holds one folder of pictures per class"),
        (one_class, "has only one class folder. Required: .* of at least two classes"),
        (no_classes, "has no class folder. Required: "),
        (empty_class, "No pictures in .*yellow"),
        (few, "at least 10 different pictures of each class, got 9 of red"),
        (few_different, "at least 10 different pictures of each class, got 9 of red"),
        (a_file, "colored is a file. Required: a folder that holds one folder of pictures per class"),
        (unreadable, "colored/green/5.png is not a picture that can be read"),
        (too_narrow, "colored/blue/7.png: A picture of 200000 x 1 pixels would become"),
        (in_two_classes, "colored/green/like-red.png and .*colored/red/0.png are the same picture"),
        (odd_name, r"'red/a\\nb.png' cannot be written to a list of pictures"),
        (odd_class, "'red ' cannot be written to a list of pictures"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(colored: Path, spoil: object, message: str) -> None:
    spoil(colored)  # type: ignore[operator]
    with pytest.raises(UsageError, match=message):
        split(load(colored), 0)


def test_all_broken_pictures_are_named_at_once(colored: Path) -> None:
    broken = [colored / "green" / "5.png", colored / "red" / "10.png", colored / "red" / "2.png"]
    for path in broken:
        path.write_bytes(b"no picture")
    with pytest.raises(UsageError) as refusal:
        load(colored)
    first, *rest = str(refusal.value).split("\n")
    assert first.startswith(f"{broken[0]} is not a picture that can be read (")
    assert rest == ["Also refused, 2 in all:", f"  {broken[1]}", f"  {broken[2]}", REMEDY]


def test_all_pictures_in_two_classes_are_named_at_once_as_far_as_they_fit(colored: Path) -> None:
    for path in (colored / "red").glob("*.png"):
        for label in ("blue", "green"):
            shutil.copy(path, colored / label / f"red-{path.name}")
    with pytest.raises(UsageError) as refusal:
        load(colored)
    first, count, *rest = str(refusal.value).split("\n")
    pair = f"{colored}/blue/red-0.png and {colored}/green/red-0.png"
    assert first.startswith(f"{pair} are the same picture at the network's input size, in two classes")
    assert count == "Also refused, 39 in all:"
    assert rest[0] == f"  {colored}/blue/red-1.png and {colored}/green/red-1.png"
    assert (len(rest), rest[-1]) == (21, "  and 19 more")


def test_more_pixels_than_memory_should_hold_are_refused(colored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "LARGEST_BYTES", 60 * 16 * 16 * 3 - 1)
    with pytest.raises(
        UsageError, match=r"60 pictures of 16 x 16 need 46,080 bytes of memory. Required: at most 46,079"
    ):
        load(colored)


def test_unreadable_pictures_are_left_out_where_that_is_meant(colored: Path) -> None:
    broken = [colored / "green" / "5.png", colored / "red" / "10.png"]
    for path in broken:
        path.write_bytes(b"no picture")
    pictures = collection.load(collection.find(colored), PREPROCESSING, Silent(), skip_unreadable=True)
    assert pictures.skipped == (f"skipped 2 of 60 pictures of {colored} that cannot be read: {broken[0]}, {broken[1]}",)
    assert (len(pictures.files.pictures), len(pictures.pixels), len(pictures.truth)) == (58, 58, 58)
    for picture, row, number in zip(pictures.files.pictures, pictures.pixels, pictures.truth, strict=True):
        assert picture.label == pictures.files.labels[number]
        np.testing.assert_array_equal(row, PREPROCESSING.pixels(open_picture(colored / picture.name)))
