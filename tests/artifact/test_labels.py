from __future__ import annotations

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
        (b"a\nb\n", "required 3 names, one per line in the order of the outputs, got 2"),
        (b"a\n\nc\n", "line 2 is not a name: ''"),
        (b"a\nb\x1b[31m\nc\n", "line 2 is not a name"),
        (b"\xff\xfea\0", "cannot be read as text"),
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
