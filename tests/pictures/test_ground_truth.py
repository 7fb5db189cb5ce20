"""ImageNet's own layout in miniature: the ids of its development kit are not the numbers of the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from edge_squeeze.errors import UsageError
from edge_squeeze.pictures import imagenet
from edge_squeeze.pictures.ground_truth import FILE
from edge_squeeze.pictures.labeled import find

# Of ILSVRC2012's 50,000, the id, the WordNet id and the output of each class.
LABELS = [(490, "n01751748", 65), (1, "n02119789", 278), (449, "n01440764", 0), (1000, "n03255030", 543)]
MADE_UP = {1: ("n00000007", "dog"), 2: ("n00000001", "cat"), 3: ("n00000003", "owl")}


def layout(folder: Path, labels: str, lists: Mapping[str, str] | None = None, prefix: str = "ILSVRC2012") -> Path:
    """Pictures 1 to 4 and 6 of a validation set and, in a folder of their own, the files of its kit; returns that."""
    (folder / "val").mkdir()
    for number in (1, 2, 3, 4):
        (folder / "val" / f"{prefix}_val_{number:08}.JPEG").write_bytes(b"")
    kit = folder / "kit"
    kit.mkdir()
    for name, text in {FILE: labels, "readme.txt": "Introduction\n", **(lists or {})}.items():
        (kit / name).write_text(text)
    return kit


def outputs(folder: Path, labels: Path, classes: tuple[str, ...] | None = None) -> list[list[int]]:
    pictures = find(folder / "val", labels, imagenet.names() if classes is None else classes)
    return [sorted(picture.classes) for picture in pictures.pictures]


IDS = "".join(f"{number}\n" for number, _, _ in LABELS)
OUTPUTS = [[output] for _, _, output in LABELS]


@pytest.mark.parametrize("crlf", [False, True])
def test_ids_are_those_of_the_development_kit(tmp_path: Path, crlf: bool) -> None:
    kit = layout(tmp_path, IDS.replace("\n", "\r\n") if crlf else IDS)
    assert outputs(tmp_path, kit / FILE) == OUTPUTS
    remarks = find(tmp_path / "val", kit / FILE, imagenet.names()).remarks
    assert remarks == (f"{kit / FILE}: read as the ids of ILSVRC2012's development kit",)


def test_the_development_kit_is_taken_as_a_folder(tmp_path: Path) -> None:
    kit = layout(tmp_path, IDS)
    assert outputs(tmp_path, kit) == OUTPUTS
    (kit / "data").mkdir()
    (kit / FILE).rename(kit / "data" / FILE)
    assert outputs(tmp_path, kit) == OUTPUTS
    with pytest.raises(UsageError, match="Required: a table of labels, or ImageNet's development kit"):
        outputs(tmp_path, tmp_path / "val")


def test_labels_may_be_wordnet_ids(tmp_path: Path) -> None:
    kit = layout(tmp_path, "".join(f"{wordnet_id}\n" for _, wordnet_id, _ in LABELS))
    assert outputs(tmp_path, kit / FILE) == OUTPUTS


def test_pictures_are_found_by_their_number_not_their_place(tmp_path: Path) -> None:
    kit = layout(tmp_path, IDS)
    (tmp_path / "val" / "ILSVRC2012_val_00000002.JPEG").unlink()
    (tmp_path / "val" / "another.jpg").write_bytes(b"")
    assert outputs(tmp_path, kit / FILE) == [OUTPUTS[0], OUTPUTS[2], OUTPUTS[3], []]


@pytest.mark.parametrize(
    "order", ["{id} {wordnet} {words}", "{wordnet} {id} {words}", "{wordnet}\t{id}", "{id},{wordnet}"]
)
def test_a_list_of_synsets_beside_it_says_what_ids_are(tmp_path: Path, order: str) -> None:
    lines = [order.format(id=number, wordnet=key, words=words) + "\n" for number, (key, words) in MADE_UP.items()]
    kit = layout(tmp_path, "1\n2\n3\n2\n", {"synsets.txt": "".join(reversed(lines))})
    assert outputs(tmp_path, kit / FILE, ("n00000001", "n00000003", "n00000007")) == [[2], [0], [1], [0]]
    if "{words}" in order:
        assert outputs(tmp_path, kit / FILE, ("owl", "dog", "cat")) == [[1], [2], [0], [2]]


def test_a_list_without_ids_counts_its_lines_unless_it_is_sorted_as_outputs_are(tmp_path: Path) -> None:
    lines = [f"{key} {words}\n" for key, words in MADE_UP.values()]
    kit = layout(tmp_path, "1\n2\n3\n2\n", {"synset_words.txt": "".join(lines)}, prefix="ILSVRC2019")
    assert outputs(tmp_path, kit / FILE, ("owl", "dog", "cat")) == [[1], [2], [0], [2]]
    (kit / "synset_words.txt").write_text("".join(sorted(lines)))
    with pytest.raises(UsageError, match=r"nothing says what they stand for. Required: .* map_clsloc"):
        outputs(tmp_path, kit / FILE, ("owl", "dog", "cat"))


def test_the_list_of_outputs_beside_the_kits_ids_does_not_change_them(tmp_path: Path) -> None:
    """Caffe's synsets.txt and Kaggle's LOC_synset_mapping.txt have the sorted order."""
    kit = layout(tmp_path, IDS, {"synsets.txt": "".join(f"{key}\n" for key in imagenet.wordnet_ids())})
    assert outputs(tmp_path, kit / FILE) == OUTPUTS


def test_a_list_that_contradicts_the_kit_is_refused(tmp_path: Path) -> None:
    lines = [f"{key} {number}\n" for number, key in enumerate(imagenet.wordnet_ids(), start=1)]
    kit = layout(tmp_path, IDS, {"mine.txt": "".join(lines)})
    with pytest.raises(
        UsageError,
        match=r"mine.txt says that class .* is n01440764, but in ILSVRC2012's development kit it is n02119789",
    ):
        outputs(tmp_path, kit / FILE)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            "490\n0\n449\n1000\n",
            "0 is not an id of ILSVRC2012's development kit: required 1 to 1,000. Numbers of outputs",
        ),
        ("490\n1001\n449\n1000\n", "1001 is not an id"),
        ("490\n1\n449\n", "has no label for ILSVRC2012_val_00000004: it has 3 lines"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path: Path, labels: str, message: str) -> None:
    kit = layout(tmp_path, labels)
    with pytest.raises(UsageError, match=message):
        outputs(tmp_path, kit / FILE)


def test_numbers_of_another_name_or_year_are_not_guessed(tmp_path: Path) -> None:
    kit = layout(tmp_path, IDS)
    (kit / FILE).rename(kit / "labels.txt")
    with pytest.raises(UsageError, match="nothing says what they stand for"):
        outputs(tmp_path, kit / "labels.txt")
    for path in (tmp_path / "val").iterdir():
        path.rename(path.with_name(path.name.replace("2012", "2010")))
    (kit / "labels.txt").rename(kit / FILE)
    with pytest.raises(UsageError, match="nothing says what they stand for"):
        outputs(tmp_path, kit / FILE)


def test_pictures_without_numbers_are_refused(tmp_path: Path) -> None:
    kit = layout(tmp_path, IDS, prefix="photo")
    with pytest.raises(UsageError, match=r"no names of pictures.*Write the picture's name before each label"):
        outputs(tmp_path, kit / FILE)
