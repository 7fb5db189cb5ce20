"""What goes to a board: which files, at which names, and as which wheel."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from small_artifacts import make, tree

from edge_squeeze.devices import job as jobs, wheel
from edge_squeeze.devices.job import Job, plain_name
from edge_squeeze.errors import UsageError

TFLITE = b"\x1c\0\0\0TFL3"


def packed(job: Job) -> dict[str, bytes]:
    file = io.BytesIO()
    assert jobs.pack(job, file) == len(file.getvalue())
    file.seek(0)
    with tarfile.open(fileobj=file) as archive:
        assert all(member.isreg() for member in archive)
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("out/net", "out/net"),
        ("./net.tflite", "net.tflite"),
        ("/srv/out/net", "srv/out/net"),
        ("../out/../net", "out/net"),
        ("it's $HOME; x/a b.onnx", "it's $HOME; x/a b.onnx"),
    ],
)
def test_paths_become_relative_ones_that_stay_below_the_folder(path: str, name: str) -> None:
    assert plain_name(Path(path)) == name


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("/home/u v/.cache/edge-squeeze/runs/run-a_b/files/srv/d1/x.tflite", "/srv/d1/x.tflite"),
        ("d2/x.tflite (2) litert 1", "../d2/x.tflite (2) litert 1"),
        ("/c/runs/run-ab/files/out/a b/net is not the file", "../out/a b/net is not the file"),
        ("bad: /c/runs/run-ab/files/d2/x.tflite is not", "bad: ../d2/x.tflite is not"),
        ("xd2/x.tflite d2/x.tflite2 k/d2/x.tflite", "xd2/x.tflite d2/x.tflite2 k/d2/x.tflite"),
    ],
)
def test_files_are_called_as_they_are_here(there: str, here: str) -> None:
    paths = [Path("/srv/d1/x.tflite"), Path("../d2/x.tflite"), Path("../out/a b/net"), Path("same.tflite")]
    assert Job(["benchmark", *paths], paths).as_here(there) == here


def test_the_folder_one_is_in_has_a_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net").mkdir()
    monkeypatch.chdir(tmp_path / "net")
    assert plain_name(Path()) == "net"
    assert plain_name(Path("..")) == tmp_path.name


def test_an_artifact_goes_as_a_whole_and_a_picture_folder_as_its_pictures(tmp_path: Path, pictures: Path) -> None:
    folder = make(tmp_path, "net")
    (folder / "link").symlink_to("/etc/passwd")
    (pictures / "notes.txt").write_text("mine")
    job = Job(["benchmark", "--inputs", pictures, "--", folder], [folder])
    files, names = packed(job), [plain_name(folder), plain_name(pictures)]
    artifact = {f"{names[0]}/{name}": data for name, data in tree(folder).items() if name != "link"}
    shown = {f"{names[1]}/{name}": data for name, data in tree(pictures).items() if name.endswith(".png")}
    assert files == artifact | shown
    assert job.words == ["benchmark", "--inputs", names[1], "--", names[0]]


def test_a_file_of_an_artifact_takes_the_artifact_along(tmp_path: Path) -> None:
    folder = make(tmp_path, "net")
    files = packed(Job([folder / "model-int8.tflite", folder], [folder]))
    assert set(files) == {f"{plain_name(folder)}/{name}" for name in tree(folder)}


def test_a_file_that_is_in_no_artifact_goes_alone(tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(TFLITE)
    (tmp_path / "secret").write_text("mine")
    assert list(packed(Job([tmp_path / "a.tflite"], []))) == [plain_name(tmp_path / "a.tflite")]


def test_paths_that_would_become_alike_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    for folder in (tmp_path, tmp_path / "in"):
        (folder / "a.tflite").write_bytes(folder.name.encode())
    monkeypatch.chdir(tmp_path / "in")
    files = packed(Job([Path("a.tflite"), Path("../a.tflite")], []))
    assert files == {"a.tflite": b"in", "2/a.tflite": tmp_path.name.encode()}


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file or folder: nowhere"):
        packed(Job([Path("nowhere")], []))


@pytest.mark.parametrize(
    ("names", "runtime", "extras"),
    [
        (["a.tflite"], None, ["litert", "litert+onnx"]),
        (["a.onnx"], None, ["onnx", "litert+onnx"]),
        (["a.onnx", "b.tflite"], "all", ["litert+onnx"]),
        (["a.tflite"], "tflite-runtime", ["tflite-runtime"]),
        (["a.onnx", "b.tflite"], "litert, tflite-runtime", ["litert+onnx+tflite-runtime"]),
        (["a.onnx"], "openvino", ["onnx", "litert+onnx"]),
    ],
)
def test_files_and_runtimes_say_which_extras_they_need(
    tmp_path: Path, names: list[str], runtime: str | None, extras: list[str]
) -> None:
    for name in names:
        (tmp_path / name).write_bytes(TFLITE)
    assert Job([], [tmp_path / name for name in names], runtime).extras == extras


def test_the_wheel_holds_the_package_and_says_what_it_needs() -> None:
    with zipfile.ZipFile(io.BytesIO(wheel.pack().data)) as archive:
        names = archive.namelist()
        (about,) = [archive.read(name).decode() for name in names if name.endswith("METADATA")]
    assert {"edge_squeeze/cli/app.py", "edge_squeeze/benchmarks/session.py", "edge_squeeze/converters/targets.py"} < {
        *names
    }
    assert "edge_squeeze/data/imagenet_labels.txt" in names
    assert not [name for name in names if "__pycache__" in name]
    assert "Provides-Extra: litert" in about
    assert 'Requires-Dist: ai-edge-litert>=2.3; extra == "litert"' in about


def test_an_installed_package_gives_the_same_wheel_as_the_checkout(tmp_path: Path) -> None:
    packed_here = wheel.pack()
    (tmp_path / packed_here.name).write_bytes(packed_here.data)
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(tmp_path / "x")]
    subprocess.run([*command, str(tmp_path / packed_here.name)], check=True, capture_output=True)
    code = (
        "import hashlib, edge_squeeze; from edge_squeeze.devices import wheel; "
        "print(edge_squeeze.__file__, hashlib.sha256(wheel.pack().data).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "x")},
        capture_output=True,
        text=True,
        check=True,
    )
    file, digest = done.stdout.split()
    assert file.startswith(str(tmp_path / "x"))
    assert digest == hashlib.sha256(packed_here.data).hexdigest()
