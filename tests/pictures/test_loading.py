from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from edge_squeeze.errors import UsageError
from edge_squeeze.pictures import loading, photographs
from edge_squeeze.pictures.presets import squeezenet_caffe

# What each EXIF orientation says was done to the upright picture (EXIF 2.3, tag 0x0112).
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def upright() -> Image.Image:
    """A picture no two sides of which are alike."""
    picture = Image.new("RGB", (48, 32), (200, 30, 30))
    ImageDraw.Draw(picture).rectangle((0, 0, 10, 5), fill=(10, 220, 60))
    ImageDraw.Draw(picture).rectangle((40, 20, 47, 31), fill=(20, 20, 240))
    return picture


@pytest.mark.parametrize("orientation", STORED_AS)
def test_exif_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    transpose = STORED_AS[orientation]
    stored = upright() if transpose is None else upright().transpose(transpose)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "picture.png", exif=exif)
    np.testing.assert_array_equal(np.asarray(loading.open_picture(tmp_path / "picture.png")), np.asarray(upright()))


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("L", 77, (77, 77, 77)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),  # transparent: white, not the color hidden beneath
        ("LA", (40, 255), (40, 40, 40)),
        ("1", 1, (255, 255, 255)),
        ("I;16", 257 * 99, (99, 99, 99)),
    ],
)
def test_every_kind_of_picture_becomes_rgb(tmp_path: Path, mode: str, value: object, expected: object) -> None:
    Image.new(mode, (8, 8), value).save(tmp_path / "picture.png")  # type: ignore[arg-type]
    opened = loading.open_picture(tmp_path / "picture.png")
    assert opened.mode == "RGB"
    assert opened.getpixel((3, 3)) == expected


@pytest.mark.parametrize("suffix", ["jpg", "webp", "bmp", "gif", "tiff"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    Image.new("RGB", (9, 7), (250, 250, 250)).save(tmp_path / f"picture.{suffix}")
    assert loading.open_picture(tmp_path / f"picture.{suffix}").size == (9, 7)


def test_a_palette_with_a_transparent_color(tmp_path: Path) -> None:
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 9, 9, 9])
    picture.save(tmp_path / "picture.png", transparency=1)
    assert loading.open_picture(tmp_path / "picture.png").getpixel((0, 0)) == (255, 255, 255)


def write_text(path: Path) -> None:
    path.write_text("this is not a picture")


def write_truncated(path: Path) -> None:
    photographs.photograph("chelsea").save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:4000])


def write_empty(path: Path) -> None:
    path.touch()


def write_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("write", [write_text, write_truncated, write_empty, write_folder])
def test_what_is_no_picture_is_named(tmp_path: Path, write: object) -> None:
    path = tmp_path / "broken.jpg"
    write(path)  # type: ignore[operator]
    with pytest.raises(UsageError, match=r"broken\.jpg is not a picture"):
        loading.open_picture(path)


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (100, 100)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    with pytest.raises(UsageError, match="too large"):
        loading.open_picture(tmp_path / "bomb.png")


@pytest.mark.parametrize("mode", ["I", "F"])
def test_values_without_an_agreed_range_are_refused(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (8, 8), 1).save(tmp_path / "picture.tiff")
    with pytest.raises(UsageError, match="whose range is not known"):
        loading.open_picture(tmp_path / "picture.tiff")


def test_folders_are_searched_below_and_in_order(tmp_path: Path) -> None:
    for name in ("b/2.png", "a/1.JPG", "3.webp", "labels.csv", ".hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    found = [str(path.relative_to(tmp_path)) for path in loading.list_pictures(tmp_path)]
    assert found == ["3.webp", "a/1.JPG", "b/2.png"]


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No pictures in"):
        loading.list_pictures(tmp_path)
    with pytest.raises(UsageError, match="No such file or folder"):
        loading.list_pictures(tmp_path / "missing")


@pytest.mark.parametrize("name", photographs.PHOTOGRAPHS)
def test_photographs_come_with_a_plain_install(name: str) -> None:
    assert min(photographs.photograph(name).size) >= 300


def test_crops_follow_their_seed() -> None:
    first, again, other = (photographs.photograph_crops(2, (64, 96), seed) for seed in (1, 1, 2))
    assert first.pixels.shape == (10, 64, 96, 3)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert not np.array_equal(first.pixels, other.pixels)
    assert first.photographs


def test_a_folder_is_preprocessed(pictures: Path) -> None:
    from edge_squeeze.pictures.loading import load_folder

    loaded = load_folder(pictures, squeezenet_caffe((32, 32)))
    assert loaded.names == ("0.png", "1.png", "2.png")
    assert loaded.pixels.shape == (3, 32, 32, 3)
    assert not loaded.photographs
