"""Which files of a folder are taken as pictures, and what is said of the others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from edge_squeeze.errors import UsageError
from edge_squeeze.pictures import listing, loading
from edge_squeeze.pictures.listing import left_out, list_pictures

SAVED = {
    "jfif": "JPEG",
    "jpe": "JPEG",
    "JPG": "JPEG",
    "avif": "AVIF",
    "ppm": "PPM",
    "tga": "TGA",
    "jp2": "JPEG2000",
    "apng": "PNG",
    "ico": "ICO",
    "qoi": "QOI",
    "psd": None,
    "mpo": "JPEG",
}


def test_folders_are_searched_below_and_in_order(tmp_path: Path) -> None:
    for name in ("b/2.png", "a/1.JPG", "3.webp", "labels.csv", ".hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    listed = [str(path.relative_to(tmp_path)) for path in list_pictures(tmp_path)]
    assert listed == ["3.webp", "a/1.JPG", "b/2.png"]


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No pictures in"):
        list_pictures(tmp_path)
    with pytest.raises(UsageError, match="No such file or folder"):
        list_pictures(tmp_path / "missing")


def put(path: Path, form: str | None = "PNG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32), (200, 30, 30)).save(path, form)
    return path


@pytest.mark.parametrize("suffix", [suffix for suffix, form in SAVED.items() if form in Image.SAVE or form == "AVIF"])
def test_every_ending_that_pillow_reads_is_taken_and_read(tmp_path: Path, suffix: str) -> None:
    if f".{suffix.lower()}" not in listing.suffixes():
        pytest.skip("this Pillow cannot")
    path = put(tmp_path / f"a.{suffix}", SAVED[suffix])
    assert list_pictures(tmp_path) == [path]
    red, green, _ = loading.open_picture(path).getpixel((16, 16))  # type: ignore[misc]
    assert (abs(red - 200) < 12, abs(green - 30) < 12) == (True, True)


def test_every_usual_ending_is_taken() -> None:
    usual = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".tga", ".mpo"}
    assert usual <= listing.suffixes()
    assert not {".h5", ".mpg", ".eps", ".txt", ".pdf"} & listing.suffixes()


def test_hidden_files_and_the_folders_of_systems_are_skipped(tmp_path: Path) -> None:
    shown = put(tmp_path / ".cache" / "cat" / "a.png")
    for name in (".ipynb_checkpoints/a.png", "b/.git/a.png", "@eaDir/a.png", "b/__MACOSX/a.png", "b/._a.png"):
        put(tmp_path / ".cache" / "cat" / name)
    assert list_pictures(tmp_path / ".cache" / "cat") == [shown], "a hidden folder above is the user's choice"
    assert left_out(tmp_path / ".cache" / "cat") == []


def test_what_is_not_taken_is_counted(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    for name in ("b/Thumbs.db", "c.heic", "d.HEIC", "README"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "linked").symlink_to(tmp_path / "b")
    (text,) = left_out(tmp_path)
    kinds = "2 .heic, 1 without an ending, 1 .db, 1 without content, 1 linked folder"
    assert text.startswith(f"left out 6 files that are not read as pictures ({kinds}; `pip install pillow-heif` to")
    assert text.endswith(f" in {tmp_path}")
    assert left_out(tmp_path / "a.png") == []


def test_a_folder_without_pictures_says_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"No pictures in .* It has 1 file that .*1 \.heic; `pip install pillow"):
        list_pictures(tmp_path)
    with pytest.raises(UsageError, match=r"a\.heic cannot be read: Pillow needs .*Run: pip install pillow-heif"):
        loading.open_picture(tmp_path / "a.heic")


PLUG_IN = """
from PIL import BmpImagePlugin, Image

class Heif(BmpImagePlugin.BmpImageFile):
    format = "HEIF"

def register_heif_opener():
    Image.register_open("HEIF", Heif, lambda start: start[:2] == b"BM")
    Image.register_extensions("HEIF", [".heic", ".heif"])
"""


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stand-in for pillow-heif, which registers itself as that does; it reads BMP."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "pillow_heif.py").write_text(PLUG_IN)
    monkeypatch.syspath_prepend(tmp_path / "site")
    listing.suffixes.cache_clear()
    yield
    sys.modules.pop("pillow_heif", None)
    Image.OPEN.pop("HEIF", None)
    Image.ID[:] = [name for name in Image.ID if name != "HEIF"]
    for suffix in (".heic", ".heif"):
        Image.EXTENSION.pop(suffix, None)
    listing.suffixes.cache_clear()


@pytest.mark.usefixtures("plug_in")
def test_heic_is_taken_where_its_plug_in_is_installed(tmp_path: Path) -> None:
    path = put(tmp_path / "pictures" / "IMG_1.HEIC", "BMP")
    assert list_pictures(tmp_path / "pictures") == [path]
    assert left_out(tmp_path / "pictures") == []
    assert loading.open_picture(path).getpixel((3, 3)) == (200, 30, 30)


def test_bare_pixels_are_not_taken_for_a_picture_of_that_ending(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (200, 30, 30)).save(tmp_path / "scan.rgb", "SGI")
    (tmp_path / "pixels.rgb").write_bytes(bytes(8 * 8 * 3))
    assert list_pictures(tmp_path) == [tmp_path / "scan.rgb"]
    assert left_out(tmp_path) == [f"left out 1 file that is not read as a picture (1 .rgb) in {tmp_path}"]
