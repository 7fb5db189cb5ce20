from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import CommandLine
from small_artifacts import contents, make, tree

MODELS = "app/src/main/assets/models"


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> Path:
    """A folder with artifacts of each verdict, and an Android project."""
    for verdict in ("pass", "fail", "unproven"):
        make(tmp_path / "out", verdict, verdict=verdict)
    make(tmp_path / "out", "other")
    (tmp_path / "project" / "app" / "src" / "main").mkdir(parents=True)
    (tmp_path / "project" / "app" / "src" / "main" / "AndroidManifest.xml").touch()
    return tmp_path


def test_an_android_project_gets_shows_and_loses_artifacts(
    command_line: CommandLine, command_process: CommandLine, home: Path
) -> None:
    done = command_process("bundle", "android", "out/pass", "out/other", "project")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[:3] == [
        ["artifact", "format", "precision", "MB", "parity", "change"],
        ["pass", "tflite", "int8", "0.003", "pass", "added"],
        ["other", "tflite", "int8", "0.003", "pass", "added"],
    ]
    assert f"2 artifacts in project/{MODELS}, 0.005 MB in total." in done.stdout
    assert "open project in Android Studio" in done.stdout
    assert "make apk" not in done.stdout  # it makes that of the demo app, not this one
    assert tree(home / "project" / MODELS / "other") == contents("other")
    done = command_line("bundle", "android", "project", "--remove", "other")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "Removed other.")
    (home / "project" / MODELS / "pass" / "labels.txt").unlink()
    done = command_line("bundle", "android", "project", "--list")
    assert done.returncode == 2
    assert "lacks labels.txt" in done.stdout
    assert "other" not in done.stdout


def test_the_demo_app_is_made_by_make(command_line: CommandLine, home: Path) -> None:
    (home / "project" / "tools").mkdir()
    (home / "project" / "tools" / "apk.py").touch()
    done = command_line("bundle", "android", "out/pass", "project")
    assert "Next:\n  make apk\n  or open project in Android Studio\n" in done.stdout


def test_a_module_by_itself_is_a_project_too(command_line: CommandLine, home: Path) -> None:
    assert command_line("bundle", "android", "out/pass", "project/app").returncode == 0
    assert (home / "project" / MODELS / "pass" / "model.json").is_file()


def test_any_folder_gets_them_and_json_is_one_document(command_line: CommandLine, home: Path) -> None:
    done = json.loads(command_line("bundle", "files", "out/pass", "my-app/models", "--json").stdout)
    size = sum(map(len, contents("pass").values()))
    assert done["artifacts"] == [
        {
            "name": "pass",
            "folder": "my-app/models/pass",
            "format": "tflite",
            "precision": "int8",
            "size_bytes": size,
            "parity": "pass",
            "change": "added",
        }
    ]
    assert (done["target"], done["total_size_bytes"], done["warnings"]) == ("my-app/models", size, [])
    assert "/docs/android.md" in command_line("bundle", "files", "out/pass", "my-app/models").stdout
    shown = json.loads(command_line("bundle", "files", "my-app/models", "--list", "--json").stdout)
    assert shown["artifacts"] == [{"folder": "pass", "name": "pass", "size_bytes": size, "problem": None}]
    removed = json.loads(command_line("bundle", "files", "my-app/models", "--remove", "pass", "--json").stdout)
    assert ([entry["name"] for entry in removed["removed"]], removed["total_size_bytes"]) == (["pass"], 0)


def test_by_force_with_a_warning(command_line: CommandLine) -> None:
    done = command_line("bundle", "files", "out/fail", "out/pass", "out/unproven", "models", "--force")
    assert done.returncode == 0, done.stderr
    assert "warning: fail was bundled by --force: fail, top1_agreement is 0.5." in done.stdout
    assert "warning: unproven was bundled by --force: unproven, untrained weights." in done.stdout
    assert done.stdout.count("warning") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("files", "out/pass", "out/fail", "models"), 3, "out/fail failed its parity"),
        (("files", "out/pass", "out/unproven", "models"), 2, "is unproven (untrained weights)"),
        (("files",), 2, "Usage: `edge-squeeze bundle files ARTIFACT... DIR"),
        (("android",), 2, "Usage: `edge-squeeze bundle android ARTIFACT... ANDROID_PROJECT"),
        (("android", "project"), 2, "either ARTIFACT or ANDROID_PROJECT is missing"),
        (("files", "out/pass"), 2, "either ARTIFACT or DIR is missing"),
        (("files", "out/pass", "models", "--list"), 2, "--list takes only DIR, got 2 paths"),
        (("files", "models", "--remove", "a", "b"), 2, "For several names, pass --remove A --remove B"),
        (("files", "models", "--remove", "a", "--list"), 2, "--list and --remove cannot be combined"),
        (("files", "models", "--list"), 2, "No such folder: models"),
        (("android", "out/pass", "models"), 2, "a folder with app/src/main/AndroidManifest.xml"),
        (("android", "project", "--remove", "pass"), 2, "No artifact is bundled in project"),
        (("files", "out/pass", "out/other"), 2, "out/other is an artifact"),
        (("files", "missing", "models"), 2, "No such artifact: missing"),
        (("filez", "out/pass", "models"), 2, "No such command"),
    ],
)
def test_what_cannot_be_done_is_told_and_writes_nothing(
    command_line: CommandLine, home: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    before = sorted(home.rglob("*"))
    done = command_line("bundle", *arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(home.rglob("*")) == before


def test_an_unknown_name_is_told_with_the_nearest(command_line: CommandLine) -> None:
    assert command_line("bundle", "files", "out/other", "models").returncode == 0
    done = command_line("bundle", "files", "models", "--remove", "othr")
    assert done.returncode == 2
    assert "Did you mean other?" in done.stderr


def test_an_empty_project_says_so(command_line: CommandLine) -> None:
    done = command_line("bundle", "android", "project", "--list")
    assert (done.returncode, done.stdout) == (0, f"No artifacts in project/{MODELS}, 0.000 MB in total.\n")


WITHOUT = """
import runpy, sys
names = {names}
for name in names:
    sys.modules[name] = None  # importing it raises
sys.argv = ["edge-squeeze", *sys.argv[1:]]
runpy.run_module("edge_squeeze", run_name="__main__")
"""


@pytest.mark.parametrize("arguments", [(), ("android",), ("files",)])
def test_help_needs_nothing_heavy(arguments: tuple[str, ...]) -> None:
    code = WITHOUT.format(names=("numpy", "PIL", "rich", "tensorflow"))
    done = subprocess.run(
        [sys.executable, "-c", code, "bundle", *arguments, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout


def test_the_base_install_is_enough(home: Path) -> None:
    engines = ("ai_edge_litert", "tflite_runtime", "onnxruntime", "openvino", "ncnn")
    code = WITHOUT.format(names=("tensorflow", "keras", "onnx", "tf2onnx", "skimage", "ndf", "h5py", *engines))
    command = [sys.executable, "-c", code, "bundle", "files", "out/pass", "models"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=home)
    assert done.returncode == 0, done.stderr
