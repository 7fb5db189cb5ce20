"""Pictures from files, folders and lists of them, and the built-in photographs."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from colored_pictures import save_blotches
from PIL import Image, ImageDraw

import edge_squeeze
from edge_squeeze.converters.quantization import calibration
from edge_squeeze.devices import job as jobs
from edge_squeeze.errors import UsageError
from edge_squeeze.pictures import loading
from edge_squeeze.pictures.listing import list_pictures
from edge_squeeze.pictures.loading import PictureSet, Sample, load_folder
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
    loading.photograph("chelsea").save(path, "JPEG")
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
    with pytest.raises(UsageError, match="whose range of values is unknown"):
        loading.open_picture(tmp_path / "picture.tiff")


@pytest.mark.parametrize("name", loading.PHOTOGRAPHS)
def test_photographs_come_with_a_plain_install(name: str) -> None:
    assert min(loading.photograph(name).size) >= 300


def test_crops_follow_their_seed() -> None:
    first, again, different = (loading.photograph_crops(2, (64, 96), seed) for seed in (1, 1, 2))
    assert first.pixels.shape == (10, 64, 96, 3)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert not np.array_equal(first.pixels, different.pixels)
    assert first.photographs


def test_a_folder_is_preprocessed(pictures: Path) -> None:
    from edge_squeeze.pictures.loading import load_folder

    loaded = load_folder(pictures, squeezenet_caffe((32, 32)))
    assert loaded.names == ("0.png", "1.png", "2.png")
    assert loaded.pixels.shape == (3, 32, 32, 3)
    assert not loaded.photographs


PREPROCESSING = squeezenet_caffe((32, 32))


def written(folder: Path, *lines: str, name: str = "list.txt") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(lines))
    return folder / name


def test_a_list_names_pictures_from_where_it_is_in_its_own_order(pictures: Path, tmp_path: Path) -> None:
    inside = written(pictures, "2.png\r", "", "0.png", "")
    assert list_pictures(inside) == [pictures / "2.png", pictures / "0.png"]
    elsewhere = written(tmp_path / "lists", "../pictures/1.png", str(pictures / "0.png"))
    loaded = load_folder(elsewhere, PREPROCESSING)
    assert len(loaded) == 2
    np.testing.assert_array_equal(loaded.pixels, load_folder(pictures, PREPROCESSING).pixels[[1, 0]])
    assert loaded.description == f"2 pictures of {elsewhere}"
    assert load_folder(inside, PREPROCESSING).names == ("2.png", "0.png")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("",), "lists no pictures. Required: one path per line"),
        (("0.png", "a\0b.png"), "line 2 is not the path of a picture"),
        (("x" * 5_000,), "line 1 is not the path of a picture"),
        (("missing.png",), "No such picture: .*missing.png"),
        (("list.txt",), "list.txt is not a picture"),
        (("",), "lists no pictures"),
    ],
)
def test_a_list_that_names_no_pictures_is_refused(pictures: Path, lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_folder(written(pictures, *lines), PREPROCESSING)


def test_a_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read as text"):
        list_pictures(tmp_path / "list.txt")


def test_of_a_long_list_a_seeded_sample_is_taken(pictures: Path) -> None:
    long = written(pictures, *(f"{i % 3}.png" for i in range(30)))
    drawn = load_folder(long, PREPROCESSING, sample=Sample(20, seed=1))
    assert (len(drawn), drawn.sampled, drawn.seed) == (20, True, 1)
    assert drawn.description == f"20 of the 30 pictures of {long}"
    assert drawn.names == load_folder(long, PREPROCESSING, sample=Sample(20, seed=1)).names
    assert drawn.names != load_folder(long, PREPROCESSING, sample=Sample(20, seed=2)).names
    assert set(drawn.names) == {"0.png", "1.png", "2.png"}


@pytest.mark.parametrize("most", [2, 3])
def test_folders_and_short_lists_are_taken_whole(pictures: Path, most: int) -> None:
    assert len(load_folder(pictures, PREPROCESSING, sample=Sample(most, seed=1))) == 3
    short = written(pictures, "0.png", "1.png")
    assert not load_folder(short, PREPROCESSING, sample=Sample(most, seed=1)).sampled


def test_export_and_verify_take_lists_and_tell_what_was_drawn(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "MOST_OF_A_LIST", 16)
    save_blotches(pictures, 18)
    listed = written(pictures, "0.png", "1.png", "2.png")
    long = written(pictures.parent, *(str(path) for path in sorted(pictures.glob("blotches*.png"))))
    notes: list[str] = []
    (artifact,) = edge_squeeze.export(
        "squeezenet-lab",
        precision="int8",
        quantizer="stock",
        weights="random",
        calibration=long,
        images=listed,
        out=tmp_path / "out",
        reporter=Remembers(notes),
    )
    assert f"calibrates on 16 of the 18 pictures of {long} (seed 1)" in notes
    assert len(artifact.proof.pictures) == 3
    assert edge_squeeze.verify(artifact.folder, images=listed).proof.pictures.names == ("0.png", "1.png", "2.png")  # type: ignore[union-attr]


class Remembers:
    """A Reporter that keeps the notes."""

    def __init__(self, notes: list[str]) -> None:
        from edge_squeeze.reporting import Silent

        self._silent, self._notes = Silent(), notes

    def note(self, text: str) -> None:
        self._notes.append(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._silent, name)


def test_a_board_is_sent_a_list_with_its_pictures(pictures: Path, tmp_path: Path) -> None:
    listed = written(tmp_path / "lists", "../pictures/1.png")
    job = jobs.Job(["verify", listed], [])
    file = io.BytesIO()
    jobs.pack(job, file)
    file.seek(0)
    with tarfile.open(fileobj=file) as archive:
        names = archive.getnames()
    there = Path(job.words[1])
    assert names == [str(there), str(there.parent.parent / "pictures/1.png")]


@pytest.mark.parametrize("line", ["/etc/1.png", "../../../../../../../../../1.png"])
def test_a_board_is_not_sent_what_lies_outside(tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, line)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="cannot be sent to a board"):
        jobs.pack(jobs.Job(["verify", Path("list.txt")], []), io.BytesIO())


def test_a_part_says_how_many_of_all_it_has() -> None:
    pixels = np.zeros((5, 2, 2, 3), np.uint8)
    every = PictureSet(tuple("abcde"), pixels, "5 pictures of DIR", photographs=False)
    part = every.subset([0, 1, 2], "2 that int8 was calibrated on", [])
    assert part.description == "3 of 5 pictures of DIR, without 2 that int8 was calibrated on"
    described = "1 of 5 pictures of DIR, without 2 that int8 was calibrated on, without 2 others"
    assert part.subset([0], "2 others", []).description == described
