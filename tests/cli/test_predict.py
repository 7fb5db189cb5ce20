"""Pictures that cannot be read: told before anything is loaded, or gone past where there are others."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from colored_pictures import save_blotches
from commands import run_here
from small_models import network

import edge_squeeze
from edge_squeeze.artifact.folder import Artifact
from edge_squeeze.errors import UsageError
from edge_squeeze.pictures.loading import check


@pytest.fixture
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that comes to want TensorFlow ends with 5, or without parity."""
    for name in ("tensorflow", "keras"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it raises


@pytest.fixture
def mixed(pictures: Path) -> Path:
    """A folder whose first and last pictures cannot be read: one is text, the other cut off."""
    (pictures / "0.png").write_text("no picture")
    whole = (pictures / "2.png").read_bytes()
    (pictures / "2.png").write_bytes(whole[: len(whole) // 2])
    return pictures


def test_predict_goes_past_unreadable_pictures_and_ends_with_2(float32_11: Artifact, mixed: Path) -> None:
    done = run_here(mixed, "predict", float32_11.folder, mixed)
    assert done.returncode == 2
    assert re.sub(r"\s+", " ", done.stdout).count(f" {mixed / '1.png'} (preprocess ") == 1
    first, last, total = done.stderr.splitlines()
    assert first.startswith(f"Skipped: {mixed / '0.png'} is not a picture that can be read (")
    assert last.startswith(f"Skipped: {mixed / '2.png'} is not a picture that can be read (")
    assert total == "Error: 2 of 3 pictures could not be read; each is named above."


def test_json_says_why_a_picture_has_no_predictions(float32_11: Artifact, mixed: Path) -> None:
    done = run_here(mixed, "predict", float32_11.folder, "1.png", "nowhere", "0.png", "--json")
    assert done.returncode == 2
    read, missing, text = json.loads(done.stdout)
    assert (read["picture"], len(read["predictions"])) == ("1.png", 5)
    assert (missing["picture"], missing["error"].partition(".")[0]) == ("nowhere", "No such file or folder: nowhere")
    assert text["error"].startswith("0.png is not a picture")
    assert "predictions" not in text


@pytest.mark.parametrize("picture", ["0.png", "nowhere.png"])
def test_a_single_unreadable_picture_is_an_error_as_ever(float32_11: Artifact, mixed: Path, picture: str) -> None:
    done = run_here(mixed, "predict", float32_11.folder, picture, "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: ")
    assert picture in done.stderr


def test_the_size_is_no_fault_of_the_pictures(float32_11: Artifact, pictures: Path) -> None:
    classifier = edge_squeeze.load(float32_11.folder)
    with pytest.raises(UsageError, match="--input-size cannot change that"):
        next(classifier.classify_each([pictures], input_size=64))


def bad_pictures(folder: Path) -> dict[str, str]:
    """Names of what holds no pictures, made in `folder`, with what is to be said of each."""
    (folder / "empty").mkdir()
    (folder / "texts").mkdir()
    (folder / "texts" / "a.md").write_text("no picture")
    (folder / "broken").mkdir()
    (folder / "broken" / "a.png").write_text("no picture")
    (folder / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    (folder / "nothing.txt").write_text("\n")
    (folder / "gone.txt").write_text("gone.png\n")
    return {
        "missing": "No such file or folder: missing",
        "empty": "No pictures in empty",
        "texts": "No pictures in texts",
        "broken": "a.png is not a picture",
        "bytes.txt": "bytes.txt cannot be read as text",
        "nothing.txt": "nothing.txt lists no pictures",
        "gone.txt": "No such picture: gone.png",
    }


def test_what_holds_no_pictures_is_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, message in bad_pictures(tmp_path).items():
        with pytest.raises(UsageError, match=message):
            check(Path(name))


@pytest.mark.parametrize("option", ["--images", "--calibration"])
@pytest.mark.parametrize("model", ["squeezenet1.1", "own.keras"])
def test_export_refuses_bad_pictures_before_a_model_is_loaded(
    tmp_path: Path, request: pytest.FixtureRequest, model: str, option: str
) -> None:
    network(classes=3).save(tmp_path / "own.keras")
    request.getfixturevalue("without_tensorflow")
    preprocessing = ["--preprocessing", "raw"] if model == "own.keras" else []
    bad = bad_pictures(tmp_path)
    for name in ("missing", "empty", "broken"):
        done = run_here(tmp_path, "export", model, *preprocessing, "--precision", "int8", option, name)
        assert done.returncode == 2, done.stderr
        assert bad[name] in done.stderr
        assert "[1]" not in done.stderr, "a step was begun"
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("without_tensorflow")
def test_a_broken_calibration_json_is_refused_as_early(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text('{"schema_version": 1}')
    done = run_here(tmp_path, "export", "--precision", "int8", "--calibration", "calibration.json")
    assert done.returncode == 2
    assert "calibration.json" in done.stderr


def test_verify_refuses_bad_pictures_before_anything_is_checked(
    tmp_path: Path, request: pytest.FixtureRequest, float32_11: Artifact
) -> None:
    request.getfixturevalue("without_tensorflow")
    for name, message in bad_pictures(tmp_path).items():
        done = run_here(tmp_path, "verify", float32_11.folder, "--images", name)
        assert done.returncode == 2
        assert message in done.stderr
        assert "[1]" not in done.stderr


def test_predict_counts_unreadable_pictures_and_ends_with_0_where_that_is_meant(
    float32_11: Artifact, mixed: Path
) -> None:
    (mixed / "Thumbs.db").write_bytes(b"x")
    done = run_here(mixed, "predict", float32_11.folder, mixed, "--skip-unreadable")
    assert done.returncode == 0
    left_out, *skipped, total = done.stderr.splitlines()
    assert left_out == f"Left out 1 file that is not read as a picture (1 .db) in {mixed}."
    assert [line.split(" is not")[0] for line in skipped] == [f"Skipped: {mixed / name}" for name in ("0.png", "2.png")]
    assert total == "2 of 3 pictures could not be read; each is named above."
    (mixed / "1.png").unlink()
    assert run_here(mixed, "predict", float32_11.folder, mixed, "--skip-unreadable").returncode == 2, "nothing is left"


def test_all_unreadable_pictures_of_a_set_are_named(mixed: Path) -> None:
    with pytest.raises(UsageError, match=r"0\.png is not a picture(.|\n)*, 1 in all:\n  .*2\.png\n.*--skip-unreadable"):
        check(mixed)
    (note,) = check(mixed, skip_unreadable=True)
    assert note == f"skipped 2 of 3 pictures of {mixed} that cannot be read: {mixed / '0.png'}, {mixed / '2.png'}"
    (mixed / "1.png").write_text("no picture")
    with pytest.raises(UsageError, match=r"0\.png is not a picture") as refusal:
        check(mixed, skip_unreadable=True)
    assert "--skip-unreadable" not in str(refusal.value)


@pytest.mark.usefixtures("without_tensorflow")
def test_a_picture_cut_off_is_found_before_a_model_is_loaded(mixed: Path) -> None:
    (mixed / "0.png").unlink()
    done = run_here(mixed, "export", "--images", mixed)
    assert (done.returncode, "2.png is not a picture" in done.stderr, "[1]" in done.stderr) == (2, True, False)


def test_export_and_verify_go_on_without_them_and_record_it(tmp_path: Path, mixed: Path) -> None:
    many = Path(shutil.copytree(mixed, tmp_path / "many"))
    (many / "1.png").unlink()
    save_blotches(many, 16)
    sets = ("--images", mixed, "--calibration", many, "--skip-unreadable", "--quantizer", "stock")
    done = run_here(tmp_path, "export", "squeezenet-lab", "--weights", "random", "--precision", "int8", *sets)
    assert done.returncode == 0, done.stderr
    for count, folder in ((3, mixed), (18, many)):
        assert f"skipped 2 of {count} pictures of {folder} that cannot be read" in re.sub(r"\s+", " ", done.stderr)
    folder = tmp_path / "out" / "squeezenet-lab-tflite-int8-random-stock"
    record = json.loads((folder / "calibration.json").read_text())
    assert (record["count"], record["source"]) == (16, f"16 pictures of {many}, without 2 that cannot be read")
    assert [picture["name"] for picture in record["pictures"]] == [f"blotches {i:02}.png" for i in range(16)]
    assert run_here(tmp_path, "verify", folder, "--images", mixed).returncode == 2
    checked = run_here(tmp_path, "verify", folder, "--images", mixed, "--skip-unreadable", "--json")
    assert checked.returncode == 0, checked.stderr
