"""Near-duplicates: copies of a picture are found, different pictures of one kind are not taken for copies."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from colored_pictures import blotches
from PIL import Image, ImageEnhance

from edge_squeeze.pictures.loading import PHOTOGRAPHS, photograph
from edge_squeeze.pictures.presets import preset
from edge_squeeze.reporting import Silent
from edge_squeeze.training import collection, duplicates, examples

PREPROCESSING = preset("unit", (64, 64))


def as_jpeg(picture: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=40)
    return Image.open(stream)


COPIES = {
    "jpeg": as_jpeg,
    "smaller": lambda picture: picture.resize((picture.width // 3, picture.height // 3)),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.1),
}


def groups(pictures: list[Image.Image]) -> list[int]:
    pixels = [PREPROCESSING.pixels(picture) for picture in pictures]
    digests = [str(number) for number in range(len(pixels))]
    return duplicates.groups(digests, np.stack([duplicates.thumbnail(each) for each in pixels])).tolist()


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_a_changed_copy_is_in_the_group_of_its_photograph(change: object) -> None:
    originals = [photograph(name) for name in PHOTOGRAPHS]
    copies = [change(picture) for picture in originals]  # type: ignore[operator]
    assert groups([*originals, *copies]) == [*range(len(originals)), *range(len(originals))]


def test_flat_pictures_resemble_nothing() -> None:
    rng = np.random.default_rng(0)
    flat = [Image.fromarray(rng.integers(120, 124, (64, 64, 3), dtype=np.uint8)) for _ in range(4)]
    assert groups(flat) == [0, 1, 2, 3]


def test_handwritten_digits_are_not_copies_of_each_other() -> None:
    digits = collection.load(examples.digits(), preset("unit", (32, 32)), Silent())
    assert digits.groups.tolist() == list(range(1797))


@pytest.mark.parametrize("seed", range(4))
def test_copies_stay_in_one_part(tmp_path: Path, seed: int) -> None:
    for first, label in enumerate(("a", "b")):
        (tmp_path / label).mkdir()
        for number in range(12):
            picture = blotches(first * 12 + number)
            picture.save(tmp_path / label / f"{number}.png")
            picture.resize((picture.width * 3, picture.height * 3)).save(tmp_path / label / f"{number}-copy.jpg")
    pictures = collection.load(collection.find(tmp_path), PREPROCESSING, Silent(), in_memory=False)
    parts = vars(collection.split(pictures, seed))
    place = {pictures.files.pictures[row].name: part for part, rows in parts.items() for row in rows}
    pairs = [(name, name.replace(".png", "-copy.jpg")) for name in place if "copy" not in name]
    assert len(pairs) == 24
    assert all(place[name] == place[copy] for name, copy in pairs)
    assert len(set(pictures.digests)) == len(pictures.digests), "no two are identical: digests alone would not do"
