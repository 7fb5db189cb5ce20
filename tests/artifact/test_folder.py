from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_squeeze.artifact import folder as artifact
from edge_squeeze.artifact.folder import EXPORTED
from edge_squeeze.errors import UsageError
from edge_squeeze.files import atomic

OURS = b'{"schema_version": 1, "variant": "", "precision": "", "golden": {}, "n": %d}'
OLD = {"model.json": OURS % 1, "golden/a": b"old"}
NEW = {"model.json": OURS % 2, "golden/b": b"new"}


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_it_is_written_and_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out" / "artifact"
    for files in (OLD, NEW):
        atomic.write(folder, files, EXPORTED)
        assert content(folder) == files
        assert [p.name for p in folder.parent.iterdir()] == ["artifact"]


def test_without_exchange_it_is_replaced_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    for files in (OLD, NEW):
        atomic.write(tmp_path / "artifact", files, EXPORTED)
    assert content(tmp_path / "artifact") == NEW
    assert [p.name for p in tmp_path.iterdir()] == ["artifact"]


def test_a_folder_that_is_not_ours_is_not_replaced(tmp_path: Path) -> None:
    for theirs in ({"precious.txt": b"mine"}, {"model.json": b'{"format": "layers-model"}', "notes": b"mine"}):
        for name, data in theirs.items():
            (tmp_path / name).write_bytes(data)
        with pytest.raises(UsageError, match="is not an artifact, so it will not be replaced"):
            atomic.write(tmp_path, NEW, EXPORTED)
        assert theirs.items() <= content(tmp_path).items()


def test_a_full_disk_leaves_the_old_one_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    atomic.write(tmp_path / "artifact", OLD, EXPORTED)

    def full(path: Path, data: bytes) -> None:
        if "golden" in str(path):
            raise OSError(28, "No space left on device")
        path.write_bytes(data)

    monkeypatch.setattr(atomic, "_write_durably", full)
    with pytest.raises(UsageError, match="No space left on device"):
        atomic.write(tmp_path / "artifact", NEW, EXPORTED)
    assert content(tmp_path) == {f"artifact/{name}": data for name, data in OLD.items()}
    with pytest.raises(UsageError):
        atomic.write(tmp_path / "a" / "b" / "artifact", NEW, EXPORTED)
    assert [p.name for p in tmp_path.iterdir()] == ["artifact"]


def test_a_failed_write_spares_what_another_export_left_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = atomic._write_durably

    def other_first(path: Path, data: bytes) -> None:
        monkeypatch.setattr(atomic, "_write_durably", write)
        atomic.write(tmp_path / "out" / "other", OLD, EXPORTED)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "_write_durably", other_first)
    with pytest.raises(UsageError):
        atomic.write(tmp_path / "out" / "artifact", NEW, EXPORTED)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["other"]


def test_leftovers_of_a_killed_export_are_removed_but_not_those_of_a_running_one(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, alive = ([tmp_path / f".artifact.partial-{pid}{end}" for end in ("", ".old")] for pid in (ended.pid, 1))
    for folder in (*dead, *alive):
        folder.mkdir()
    atomic.write(tmp_path / "artifact", NEW, EXPORTED)
    assert not any(folder.exists() for folder in dead)
    assert all(folder.exists() for folder in alive)


WRITER = """
import sys
from pathlib import Path
from edge_squeeze.artifact.folder import EXPORTED
from edge_squeeze.files import atomic
for i in range(10_000):
    data = b'{"schema_version": 1, "variant": "", "precision": "", "golden": %d}' % i
    atomic.write(Path(sys.argv[1]), {"model.json": data, **{f"golden/{n}": data for n in range(5)}}, EXPORTED)
    print(i, flush=True)
"""


@pytest.mark.parametrize("milliseconds", range(0, 40, 4))
def test_a_killed_process_leaves_one_whole_artifact(tmp_path: Path, milliseconds: int) -> None:
    folder = tmp_path / "artifact"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(milliseconds / 1000)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    files = content(folder)
    assert len(files) == 6
    assert len(set(files.values())) == 1


def test_an_unwritable_place_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="not a folder you may write to"):
        atomic.check_target(tmp_path / "file" / "artifact", EXPORTED)


@pytest.fixture
def copy(float32_11: artifact.Artifact, tmp_path: Path) -> artifact.Artifact:
    shutil.copytree(float32_11.folder, tmp_path / "copy")
    return artifact.load(tmp_path / "copy")


def test_a_changed_model_file_is_refused(copy: artifact.Artifact) -> None:
    path = copy.path(copy.manifest.file.name)
    data = bytearray(path.read_bytes())
    data[1_000_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(UsageError, match="not the file that was exported"):
        copy.model()


def test_files_outside_the_folder_are_not_read(copy: artifact.Artifact, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (copy.folder / "link").symlink_to(tmp_path / "secret")
    for name in ("../secret", str(tmp_path / "secret"), "link"):
        with pytest.raises(UsageError, match="outside its folder"):
            copy.read(name)
    for name in ("a\0b", "a" * 5000, "\ud800"):
        with pytest.raises(UsageError, match=r"does not name a valid file|lacks"):
            copy.read(name)


def test_missing_files_and_wrong_labels_are_named(copy: artifact.Artifact) -> None:
    (copy.folder / "labels.txt").write_text("one\ntwo\n")
    with pytest.raises(UsageError, match=r"labels\.txt is not the file that was exported"):
        copy.labels()
    (copy.folder / "labels.txt").unlink()
    with pytest.raises(UsageError, match=r"lacks labels\.txt"):
        copy.labels()


def test_a_folder_without_manifest_is_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not an artifact"):
        artifact.load(tmp_path)
    with pytest.raises(UsageError, match="No such artifact"):
        artifact.load(tmp_path / "missing")


def test_the_model_file_stands_for_its_folder(float32_11: artifact.Artifact) -> None:
    path = float32_11.path(float32_11.manifest.file.name)
    assert artifact.load(path).manifest == float32_11.manifest
