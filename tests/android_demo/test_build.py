"""The demo's APK as `make apk` builds it, read without the tools' own checks; and the app's tests, run."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import commands
import pytest
from PIL import Image
from places import ROOT

import edge_squeeze
from edge_squeeze.converters.export import Exported
from edge_squeeze.pictures.loading import PHOTOGRAPHS, photograph_crops

pytestmark = pytest.mark.slow

DEMO = ROOT / "android_demo"
sys.path.insert(0, str(DEMO / "tools"))

from building import console, jvm_tests, prerequisites  # noqa: E402

REQUIRED = "android" in os.environ.get("EDGE_SQUEEZE_REQUIRE", "")
PROGRAMS = ("mvn", "aapt", "zipalign", "apksigner", "dexdump", "gcc")
PAGE = 16384
CALL_SITE_IDS = 7  # an item of a dex file's map, there if anything is called by invoke-custom
NEWER = """
package edgesqueeze.demo
fun parts(text: String) = android.graphics.Typeface.Builder(text).build()!!.weight
"""


@pytest.fixture(scope="module")
def jar_folder() -> Path:
    """The jars; without them, or the programs, there is nothing to test here."""
    try:
        jvm_tests.check_machine()
        prerequisites.check(PROGRAMS)
        prerequisites.fetch(DEMO / "build" / "jars", prerequisites.JARS_FOR_TESTS)
    except console.FailureError as error:
        if REQUIRED:
            pytest.fail(str(error))
        pytest.skip(f"the Android app cannot be built here: {error}")
    return DEMO / "build" / "jars"


def tool(name: str, *arguments: object, demo: Path = DEMO) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(demo / "tools" / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def models(exported_11: dict[str, Exported], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SqueezeNet 1.1 as float32 and int8, bundled."""
    folder = tmp_path_factory.mktemp("bundled") / "models"
    edge_squeeze.bundle([exported_11[name].folder for name in ("tflite-float32", "tflite-int8")], folder)
    return folder


@pytest.fixture(scope="module")
def apk(jar_folder: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("apk") / "demo.apk"
    done = tool("apk", "--models", models, "--out", path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"adb install -r {path}" in done.stdout
    assert "not for the store" in done.stdout
    return path


def test_the_apk_is_small(apk: Path) -> None:
    with zipfile.ZipFile(apk) as file:
        bundled = sum(entry.compress_size for entry in file.infolist() if entry.filename.startswith("assets/models/"))
    assert apk.stat().st_size <= 16e6
    assert apk.stat().st_size - bundled <= 10e6


def test_models_are_whole_and_all_that_is_stored_starts_at_a_page(apk: Path, models: Path) -> None:
    raw = apk.read_bytes()
    with zipfile.ZipFile(apk) as file:
        stored = {entry.filename: entry for entry in file.infolist() if entry.compress_type == zipfile.ZIP_STORED}
        for path in models.rglob("*"):
            if path.is_file():
                assert file.read(f"assets/models/{path.relative_to(models).as_posix()}") == path.read_bytes()
    for path in models.rglob("*.tflite"):
        entry = stored[f"assets/models/{path.relative_to(models).as_posix()}"]
        start = data_offset(raw, entry)
        assert (
            hashlib.sha256(raw[start : start + entry.file_size]).digest() == hashlib.sha256(path.read_bytes()).digest()
        )
    assert not [name for name, entry in stored.items() if data_offset(raw, entry) % PAGE]
    assert {name for name in stored if name.startswith("lib/")} == {
        f"lib/{abi}/libtensorflowlite_jni.so" for abi in ("arm64-v8a", "x86_64")
    }


def data_offset(raw: bytes, entry: zipfile.ZipInfo) -> int:
    signature, name_length, extra_length = struct.unpack_from("<I22xHH", raw, entry.header_offset)
    assert signature == 0x04034B50
    return entry.header_offset + 30 + name_length + extra_length


def test_the_manifest_says_what_gradle_says(apk: Path) -> None:
    read = subprocess.run(["aapt", "dump", "badging", str(apk)], capture_output=True, text=True, check=True).stdout
    lines = read.splitlines()
    assert lines[0].startswith("package: name='edgesqueeze.demo' versionCode='14' versionName='0.14.0'")
    assert {"sdkVersion:'26'", "targetSdkVersion:'34'", "native-code: 'arm64-v8a' 'x86_64'"} <= set(lines)
    assert "launchable-activity: name='edgesqueeze.demo.MainActivity'" in read
    tree = subprocess.run(["aapt", "dump", "xmltree", str(apk), "AndroidManifest.xml"], capture_output=True, check=True)
    assert b'android:name(0x01010003)="edgesqueeze.demo.DemoApp"' in tree.stdout


def test_the_code_is_there_and_needs_no_bootstrap(apk: Path) -> None:
    with zipfile.ZipFile(apk) as file:
        dex_files = [file.read(name) for name in file.namelist() if name.endswith(".dex")]
    code = b"".join(dex_files)
    for name in (b"edgesqueeze/demo/MainActivity", b"edgesqueeze/model/Classifier", b"org/tensorflow/lite/Interpreter"):
        assert b"L" + name + b";" in code
    for dex in dex_files:
        (at,) = struct.unpack_from("<I", dex, 52)
        (count,) = struct.unpack_from("<I", dex, at)
        kinds = {struct.unpack_from("<H", dex, at + 4 + 12 * item)[0] for item in range(count)}
        assert kinds
        assert CALL_SITE_IDS not in kinds


def test_the_apk_is_signed_with_one_key_each_time(apk: Path) -> None:
    command = ["apksigner", "verify", "--min-sdk-version", "26", "--print-certs", str(apk)]
    read = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert read.count("certificate SHA-256 digest") == 1
    assert (DEMO / "build" / "debug.keystore").is_file()


def test_onnx_runtimes_library_is_packed_for_the_abis_asked_for(
    jar_folder: Path, exported_11: dict[str, Exported], tmp_path: Path
) -> None:
    edge_squeeze.bundle([exported_11["onnx-float32"].folder], tmp_path / "models")
    archive, out = tmp_path / "onnxruntime-android.aar", tmp_path / "demo.apk"
    subprocess.run(["gcc", "-shared", "-o", tmp_path / "made.so", "-x", "c", "/dev/null"], check=True)
    with (
        zipfile.ZipFile(jar_folder / "android" / "onnxruntime.jar") as desktop,
        zipfile.ZipFile(tmp_path / "classes.jar", "w") as classes,
    ):
        for name in desktop.namelist():
            if name.endswith(".class"):
                classes.writestr(name, desktop.read(name))
    with zipfile.ZipFile(archive, "w") as aar:
        aar.write(tmp_path / "classes.jar", "classes.jar")
        aar.write(tmp_path / "made.so", "jni/x86/libonnxruntime4j_jni.so")
    options = ("--models", tmp_path / "models", "--onnxruntime-aar", archive, "--out", out)
    refused = tool("apk", *options)
    assert refused.returncode == 2
    assert "has no library for the ABI arm64-v8a. Choices: x86." in refused.stderr
    done = tool("apk", *options, "--abis", "x86")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unavailable" not in done.stdout
    with zipfile.ZipFile(out) as file:
        libraries = [name for name in file.namelist() if name.startswith("lib/")]
    assert sorted(libraries) == ["lib/x86/libonnxruntime4j_jni.so", "lib/x86/libtensorflowlite_jni.so"]


@pytest.mark.parametrize(
    ("added", "code", "message"),
    [("fun broken( = 1", 4, "Added.kt:1:"), (NEWER, 3, "android.graphics.Typeface.getWeight()")],
    ids=["wrong", "newer"],
)
def test_code_that_cannot_run_leaves_the_old_apk(
    jar_folder: Path, models: Path, tmp_path: Path, added: str, code: int, message: str
) -> None:
    demo = tmp_path / "demo"
    shutil.copytree(DEMO, demo, ignore=shutil.ignore_patterns("build", "__pycache__"))
    (demo / "build").mkdir()
    (demo / "build" / "jars").symlink_to(jar_folder)
    (demo / "app" / "src" / "main" / "kotlin" / "Added.kt").write_text(added)
    out = demo / "build" / "edge-squeeze-demo.apk"
    out.write_text("old")
    done = tool("apk", "--models", models, demo=demo)
    assert (done.returncode, out.read_text()) == (code, "old"), done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_photographs_become_an_app_with_their_class_names_in_four_commands(jar_folder: Path, tmp_path: Path) -> None:
    crops = photograph_crops(16, (96, 96), seed=0)
    for name, pixels in zip(crops.names, crops.pixels, strict=True):
        (tmp_path / "photos" / f"my {name.split()[0]}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"my {name.split()[0]}" / f"{name}.png")
    small = ("--input-size", "64", "--epochs", "4", "--views", "1", "--unfreeze", "0")
    done = commands.run_here(tmp_path, "finetune", "--images", "photos", *small)
    assert done.returncode == 0, done.stderr
    export, evaluate, _ = (shlex.split(line)[1:] for line in done.stdout.partition("Next:")[2].splitlines() if line)
    done = commands.run_here(tmp_path, *export, "--quantizer", "stock")  # tuned weights take minutes
    assert (done.returncode, done.stdout.count("PASS")) == (0, 2), done.stderr + done.stdout
    words = [f"{word}-stock" if "int8" in word else word for word in evaluate]
    evaluated = json.loads(commands.run_here(tmp_path, *words, "--json").stdout)
    float32, int8 = (artifact["top1"] for artifact in evaluated["artifacts"])
    assert int8 >= float32 - max(0.01, 1 / evaluated["artifacts"][0]["labeled"])
    done = commands.run_here(tmp_path, "bundle", "files", "out/squeezenet1.1-tflite-int8-classes-5-stock", "models")
    assert done.returncode == 0, done.stderr
    done = tool("apk", "--models", tmp_path / "models", "--out", tmp_path / "mine.apk")
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(tmp_path / "mine.apk") as file:
        (listed,) = [name for name in file.namelist() if name.endswith("labels.txt")]
        assert file.read(listed).decode().splitlines() == sorted(f"my {name}" for name in PHOTOGRAPHS)
    verified = subprocess.run(["apksigner", "verify", tmp_path / "mine.apk"], capture_output=True, check=False)
    assert verified.returncode == 0, verified.stderr


def test_the_apps_own_tests_pass(jar_folder: Path, tmp_path: Path) -> None:
    exported = tool("artifacts", tmp_path / "models")  # a build folder may hold those of older converters
    assert exported.returncode == 0, exported.stderr
    done = tool("android_test", "--artifacts", tmp_path / "models")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " tests run: 0 failed, " in done.stdout
