"""Lists of pictures, where commands take folders of them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

import edge_squeeze
from edge_squeeze.converters.quantization import calibration
from edge_squeeze.devices import job as jobs
from edge_squeeze.errors import UsageError
from edge_squeeze.pictures.loading import Sample, list_pictures, load_folder
from edge_squeeze.pictures.presets import squeezenet_caffe

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
        (("",), "lists no pictures. Required: a path a line"),
        (("0.png", "a\0b.png"), "line 2 is no path of a picture"),
        (("x" * 5_000,), "line 1 is no path of a picture"),
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
    monkeypatch.setattr(calibration, "MOST_OF_A_LIST", 2)
    listed = written(pictures, "0.png", "1.png", "2.png")
    notes: list[str] = []
    (one,) = edge_squeeze.export(
        "squeezenet-lab", precision="int8", weights="random", calibration=listed, images=listed, out=tmp_path / "out",
        reporter=Remembers(notes),
    )  # fmt: skip
    assert f"calibrates on 2 of the 3 pictures of {listed} (seed 1)" in notes
    assert len(one.proof.pictures) == 3
    assert edge_squeeze.verify(one.folder, images=listed).proof.pictures.names == ("0.png", "1.png", "2.png")  # type: ignore[union-attr]


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
