from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from edge_squeeze.artifact import labels
from edge_squeeze.errors import UsageError


def test_names_are_one_a_line(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes("\ufeffcat\r\n Hund \r\n猫\r\n\r\n".encode())
    assert labels.load(tmp_path / "labels.txt", 3) == ["cat", "Hund", "猫"]


def test_without_a_file_1000_classes_are_imagenets() -> None:
    assert labels.load(None, 1000)[285] == "Egyptian cat"
    assert labels.load(None, 2) == ["class 0", "class 1"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\nb\n", r"required 3 names, one per line in the order of the outputs, got 2\."),
        (b"a\n\nb\nc\n", r"required 3 names, .* got 4, line 2 being empty\."),
        (b"a\n\nc\n", "line 2 is not a name: ''"),
        (b"a\nb\x1b[31m\nc\n", "line 2 is not a name"),
        (b"\xff\xfea\0", r"cannot be read as text: .*Save it as UTF-8\."),
        ("a\nBär\nc\n".encode("latin-1"), r"cannot be read as text: .*Save it as UTF-8\."),
    ],
)
def test_other_files_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "labels.txt").write_bytes(data)
    with pytest.raises(UsageError, match=message):
        labels.load(tmp_path / "labels.txt", 3)


def test_missing_and_huge_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="is missing, or is not a file"):
        labels.load(tmp_path / "missing.txt", 3)
    with pytest.raises(UsageError, match="is missing, or is not a file"):
        labels.load(tmp_path, 3)
    (tmp_path / "labels.txt").write_bytes(b"a\n" * 100)
    monkeypatch.setattr(labels, "LARGEST_FILE", 50)
    with pytest.raises(UsageError, match="too large: at most 50 bytes"):
        labels.load(tmp_path / "labels.txt", 100)


NUMBERED = {
    "in order, as Teachable Machine writes them": ("0 cat", "1 dog", "2 fox"),
    "out of order": ("0 cat", "2 fox", "1 dog"),
    "with commas": ("2,fox", "0,cat", "1,dog"),
    "with tabs": ("0\tcat", "2\tfox", "1\tdog"),
    "with colons": ("1: dog", "0: cat", "2: fox"),
    "with points": ("1. dog", "2. fox", "0. cat"),
    "behind the names": ("cat,0", "fox,2", "dog,1"),
    "behind a space": ("fox 2", "cat 0", "dog 1"),
    "with zeros": ("00 cat", "02 fox", "01 dog"),
    "with dashes": ("2 - fox", "0 - cat", "1 - dog"),
    "from 1, in order": ("1 cat", "2 dog", "3 fox"),
}


def of_lines(folder: Path, lines: Sequence[str]) -> list[str]:
    (folder / "labels.txt").write_text("\n".join(lines) + "\n")
    return labels.load(folder / "labels.txt", len(lines))


@pytest.mark.parametrize("case", NUMBERED)
def test_numbers_in_the_file_decide_the_order(tmp_path: Path, case: str) -> None:
    names = of_lines(tmp_path, NUMBERED[case])
    assert [next(name for name in ("cat", "dog", "fox") if name in text) for text in names] == ["cat", "dog", "fox"]


def test_numbers_in_a_column_of_their_own_are_not_part_of_the_names(tmp_path: Path) -> None:
    assert of_lines(tmp_path, ["2,fox", "0,red cat", "1,dog, small"]) == ["red cat", "dog, small", "fox"]
    assert of_lines(tmp_path, ["cat\t0", "fox\t2", "dog\t1"]) == ["cat", "dog", "fox"]


QUOTED = {
    "every cell": ('"0","tench, Tinca tinca"', '"1","cock"'),
    "where it is needed": ('0,"tench, Tinca tinca"', "1,cock"),
    "out of order": ("1,cock", '0,"tench, Tinca tinca"'),
    "without numbers": ('"tench, Tinca tinca"', '"cock"'),
    "behind": ('"tench, Tinca tinca";0', "cock;1"),
}


@pytest.mark.parametrize("case", QUOTED)
def test_quotation_marks_of_csv_are_not_part_of_the_names(tmp_path: Path, case: str) -> None:
    assert of_lines(tmp_path, QUOTED[case]) == ["tench, Tinca tinca", "cock"]


def test_other_quotation_marks_are(tmp_path: Path) -> None:
    names = ['12" pizza', '"Fat" cat', 'x "y" z', 'the "best"']
    assert of_lines(tmp_path, names) == names
    assert of_lines(tmp_path, ['0,"12"" pizza"', "1,cat"]) == ['12" pizza', "cat"]


@pytest.mark.parametrize(
    "names",
    [
        ["2 euro", "1 euro", "0 euro"],
        ["10", "1", "2"],
        ["2 cats", "dog", "0 fox"],
        ["boeing 747", "airbus 320", "boeing 707"],
        ["coupe 2012", "van 2009", "bus 2012"],
        ["3d", "2d", "1d"],
        ["001.albatross", "002.crow"],
        ["1 person", "2 bicycle", "13 stop sign"],
    ],
)
def test_numbers_that_are_part_of_the_names_stay_where_they_are(tmp_path: Path, names: list[str]) -> None:
    assert of_lines(tmp_path, names) == names


@pytest.mark.parametrize(
    "lines",
    [
        ["0,cat", "1,dog", "10,owl", "2,fox"],
        ["0 cat", "1 dog", "10 owl", *(f"{i} fox{i}" for i in range(2, 10))],  # sorted as folders are
        ["1 cat", "3 fox", "2 dog"],
        ["5;cat", "3;fox", "2;dog"],
        ["7 up", "3 musketeers"],
    ],
)
def test_numbers_that_may_or_may_not_be_the_outputs_are_refused(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(UsageError, match=r"labels.txt numbers its names, but not from 0.*Required: the names in the"):
        of_lines(tmp_path, lines)


def test_the_refusal_names_a_way_that_leads_on(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="put the output's number and a comma before each line, as in `0,7 up`"):
        of_lines(tmp_path, ["7 up", "3 musketeers"])
    assert of_lines(tmp_path, ["0,7 up", "1,3 musketeers"]) == ["7 up", "3 musketeers"]


@pytest.mark.parametrize("text", ['["cat",\n"dog"]', '{"0": "cat", "1":\n"dog"}'])
def test_json_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(UsageError, match="is JSON"):
        labels.load(tmp_path / "labels.txt", 2)


@pytest.mark.parametrize(
    "names",
    [
        ["cat", "dog"],
        ['"cat"', 'a "b"'],
        ['1,"a"', '0,"b", c'],
        ["0 cat", "1 dog", "10 owl", "2 fox"],
        ["1,a", "0,b"],
        ["2 cats", "1 cat"],
        ["5;a", "2;b"],
    ],
)
def test_what_is_written_is_read_back(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "labels.txt").write_text(labels.to_text(names))
    assert labels.load(tmp_path / "labels.txt", len(names)) == names
