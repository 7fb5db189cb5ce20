from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from edge_squeeze.bundling import contents

PATHS = {
    "model.tflite": True,
    "golden/picture.png": True,
    "_model.tflite": True,
    "sp ace.tflite": True,
    "a" * 100: True,
    ".hidden.tflite": False,
    "model.tflite~": False,
    "_golden/picture.png": False,
    ".golden/picture.png": False,
    "golden~/picture.png": False,
    "CVS/picture.png": False,
    "Thumbs.db": False,
    "picasa.ini": False,
    "model.SCC": False,
    "model.gz": False,
    "modèle.tflite": False,
    "modèle/picture.png": False,
    "co:lon.tflite": False,
    "back\\slash.tflite": False,
    "a" * 101: False,
}


@pytest.mark.parametrize(("path", "kept"), PATHS.items(), ids=lambda value: str(value)[:20])
def test_names_that_an_app_would_not_find_are_known(path: str, kept: bool) -> None:
    assert contents.is_kept(path) == kept


@pytest.mark.skipif(shutil.which("aapt") is None, reason="aapt, Android's packager, is not installed")
@pytest.mark.parametrize(("path", "kept"), PATHS.items(), ids=lambda value: str(value)[:20])
def test_they_are_those_that_androids_packager_does_not_keep(tmp_path: Path, path: str, kept: bool) -> None:
    manifest, apk = tmp_path / "AndroidManifest.xml", tmp_path / "app.apk"
    manifest.write_text('<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="a.b"/>')
    for name in ("always.txt", path):
        file = tmp_path / "assets" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("content")
    command = ["aapt", "package", "-M", str(manifest), "-A", str(tmp_path / "assets"), "-F", str(apk)]
    done = subprocess.run(command, capture_output=True, check=False)
    names = zipfile.ZipFile(apk).namelist() if done.returncode == 0 and apk.exists() else []
    assert (f"assets/{path}" in names) == kept


@pytest.mark.parametrize(
    ("name", "taken", "folder"),
    [
        ("squeezenet1.1-tflite-int8", [], "squeezenet1.1-tflite-int8"),
        ("a+b_c.d-e", [], "a+b_c.d-e"),
        ("_private", [], "private"),
        (".hidden", [], "hidden"),
        ("backup~", [], "backup-"),
        ("../../etc/passwd", [], "etc-passwd"),
        ("my model", ["my-model"], "my-model-2"),
        ("NET", ["net", "net-2"], "NET-3"),
        ("CVS", [], "CVS-2"),
        ("net.gz", [], "net.gz-2"),
        ("index.json", ["index.json"], "index.json-2"),
        ("~~~", [], "artifact"),
        ("日本", [], "artifact"),
        ("a" * 300, ["a" * 100], "a" * 98 + "-2"),
    ],
)
def test_an_artifact_of_any_name_gets_a_folder_of_its_own(name: str, taken: list[str], folder: str) -> None:
    assert contents.folder_name(name, taken) == folder
    assert contents.is_folder_name(folder)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "_a", ".a", "a~", "a b", "a\n", "a" * 101, "é"])
def test_folders_that_are_none_are_known(name: str) -> None:
    assert not contents.is_folder_name(name)
