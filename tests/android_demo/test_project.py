"""The demo's settings and manifest as the tools read them, and the models bundled in it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from places import ROOT

DEMO = ROOT / "android_demo"
sys.path.insert(0, str(DEMO / "tools"))

from building.console import UnusableError  # noqa: E402
from building.project import (  # noqa: E402
    ANDROID,
    Model,
    Project,
    Settings,
    bundled_models,
    merge_assets,
    merge_manifest,
    unlisted_models,
)
from made_up_models import bundle  # noqa: E402

SETTINGS = Settings("some.space", "some.app", 26, 34, 7, "1.2")


def test_the_settings_are_read_from_gradle() -> None:
    settings = Project(DEMO).settings()
    assert settings == Settings("edgesqueeze.demo", "edgesqueeze.demo", 26, 34, 14, settings.version_name)
    assert f"gummy-bears-api-{settings.min_sdk}<" in (DEMO / "tools" / "pom.xml").read_text()


def test_settings_that_are_not_plain_are_refused(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "build.gradle.kts").write_text('namespace = "a"\napplicationId = "$b"\n')
    with pytest.raises(UnusableError, match="a line `applicationId = VALUE`"):
        Project(tmp_path).settings()


MANIFEST = '<manifest xmlns:android="%s"%s>%s<application android:name="%s">%s</application></manifest>'


def test_the_manifest_gets_what_gradle_would_add() -> None:
    provider = (
        '<provider android:name="x.y.Z" android:authorities="${applicationId}.files"/><activity android:name="B"/>'
    )
    got = merge_manifest(MANIFEST % (ANDROID, "", "", ".A", provider), SETTINGS)
    for expected in (
        'package="some.app"',
        'android:versionCode="7"',
        'android:versionName="1.2"',
        'android:name="some.space.A"',
        '<uses-sdk android:minSdkVersion="26" android:targetSdkVersion="34"',
        'android:name="x.y.Z"',
        'android:authorities="some.app.files"',
        'android:name="some.space.B"',
        'android:extractNativeLibs="false"',
    ):
        assert expected in got


@pytest.mark.parametrize(("package", "sdk"), [(' package="a"', ""), ("", "<uses-sdk/>")])
def test_a_manifest_that_says_what_gradle_says_is_refused(package: str, sdk: str) -> None:
    with pytest.raises(ValueError, match=r"belong in app/build\.gradle\.kts"):
        merge_manifest(MANIFEST % (ANDROID, package, sdk, ".A", ""), SETTINGS)


def test_bundled_models_are_those_of_the_index(tmp_path: Path) -> None:
    assert bundled_models(bundle(tmp_path / "models")) == [Model("a", "tflite", "a.tflite")]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"artifacts": []}, "lists none"),
        ({"artifacts": [{"folder": "b"}]}, "b is listed .* damaged"),
        ([1], "is not a list"),
    ],
)
def test_a_folder_of_models_that_is_not_whole_is_refused(tmp_path: Path, index: object, message: str) -> None:
    with pytest.raises(UnusableError, match=message):
        bundled_models(bundle(tmp_path / "models", index))


def test_an_index_that_names_a_model_that_is_gone_is_refused(tmp_path: Path) -> None:
    (bundle(tmp_path / "models") / "a" / "a.tflite").unlink()
    with pytest.raises(UnusableError, match=r"a is listed .* damaged"):
        bundled_models(tmp_path / "models")


@pytest.mark.parametrize("name", ["a.tflite", "labels.txt"])
def test_a_model_that_was_changed_is_refused(tmp_path: Path, name: str) -> None:
    (bundle(tmp_path / "models") / "a" / name).write_bytes(b"abce")
    with pytest.raises(UnusableError, match=f"{name} is not the file that was exported"):
        bundled_models(tmp_path / "models")


def test_folders_that_no_index_lists_are_named_and_stay_out(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "models")
    (folder / "older").mkdir()
    (folder / ".b.partial-7").mkdir()
    assert unlisted_models(folder) == ["older"]
    merge_assets(tmp_path / "none", folder, tmp_path / "out")
    assert not (tmp_path / "out" / "models" / "older").exists()


def test_models_take_the_place_of_the_apps_and_hidden_leftovers_stay_out(tmp_path: Path) -> None:
    assets = tmp_path / "assets"
    bundle(assets / "models" / "old")
    (assets / "notice.txt").write_text("n")
    new = bundle(tmp_path / "models")
    bundle(new / ".b.partial-7")
    out = merge_assets(assets, new, tmp_path / "out")
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert files == [
        "models/a/a.tflite",
        "models/a/labels.txt",
        "models/a/model.json",
        "models/index.json",
        "notice.txt",
    ]
