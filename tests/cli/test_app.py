from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from commands import CommandLine
from shared_exports import Exports
from small_models import network
from typer.testing import CliRunner

import edge_squeeze
from edge_squeeze.cli import app
from edge_squeeze.pictures.loading import photograph

SMALL = ("--weights", "random", "--classes", "10", "--input-size", "64")


def check_error(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_export_verify_predict(command_line: CommandLine, command_process: CommandLine, tmp_path: Path) -> None:
    done = command_process("export", "--precision", "int8", "--json")  # loads everything that may print
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["artifacts"][0]["verdict"] == "pass"
    assert "underestimate the ranges" not in done.stderr, "its ranges come with the package"
    assert "absl" not in done.stderr  # converters' chatter
    folder = "out/squeezenet1.1-tflite-int8"
    photograph("coffee").save(tmp_path / "coffee.jpg")
    done = command_process("predict", folder, "coffee.jpg")
    assert done.returncode == 0, done.stderr
    assert "espresso (967)" in done.stdout
    assert " ms" in done.stdout
    done = command_line("verify", folder)
    assert done.returncode == 0, done.stderr
    assert "Golden files: PASS" in done.stdout
    assert "Parity: PASS" in done.stdout


def test_json_is_the_only_thing_on_standard_output(command_line: CommandLine, tmp_path: Path) -> None:
    (made,) = json.loads(command_line("export", *SMALL, "--json").stdout)["artifacts"]
    assert made["verdict"] == "unproven"
    assert made["reason"] == "untrained weights"
    checked = json.loads(command_line("verify", made["folder"], "--json").stdout)
    assert checked["passed"]
    assert checked["golden"]["pixels_equal"]
    photograph("coffee").save(tmp_path / "coffee.png")
    (classified,) = json.loads(command_line("predict", made["folder"], "coffee.png", "--top", 3, "--json").stdout)
    assert len(classified["predictions"]) == 3


def test_verbose_shows_where_the_time_goes(command_line: CommandLine) -> None:
    done = command_line("export", *SMALL, "-v")
    for part in ("import TensorFlow", "scores of the original", "convert", "prove", "golden files", "write"):
        assert part in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("squeezenet1.3",), ("Unknown variant: 'squeezenet1.3'", "Did you mean squeezenet1.")),
        (("--format", "tflight"), ("Unknown format: 'tflight'", "Did you mean tflite?")),
        (("--precision", "int4"), ("Unknown precision: 'int4'", "Choices: float32")),
        (("--format", "onnx", "--precision", "dynamic"), ("onnx has no dynamic", "Choices: float32, float16, int8")),
        (("--weights", "missing.pkl"), ("No such weights file: missing.pkl",)),
        (("--classes", "10"), ("1000 classes, 10 were asked for",)),
        (("--input-size", "big"), ("--input-size must be",)),
        (("--precision", "int8", "--calibration", "missing"), ("No such file or folder: missing",)),
        (("--precision", "int8", "--calibration", "empty"), ("No pictures in empty",)),
        (("--images", "empty"), ("No pictures in empty",)),
        (("--images", "broken"), ("a.jpg is not a picture",)),
        (("--out", "file"), ("file is not a folder you may write to",)),
        (("--weights", "truncated.pkl"), ("truncated.pkl is not a readable pickle",)),
        (("--threads", "2"), ("No such option",)),
        (("--weights", "random", "--seed", "-1"), ("seed must not be negative",)),
        (("--weights", "random", "--classes", "1000000000"), ("classes must be a whole number from 2",)),
        (("--format", ","), ("No format was named",)),
        (("--opset", "0", "--format", "onnx"), ("opset must be a number from 13 to 18, got 0",)),
    ],
)
def test_unusable_input_is_refused_with_one_message(
    command_line: CommandLine, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.jpg").write_text("no picture")
    (tmp_path / "file").touch()
    (tmp_path / "truncated.pkl").write_bytes(b"\x80\x04\x95" + b"\0" * 50)
    before = sorted(tmp_path.rglob("*"))
    check_error(command_line("export", *arguments), 2, *words)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_of_the_users_is_not_overwritten(command_line: CommandLine, tmp_path: Path) -> None:
    precious = tmp_path / "out" / "squeezenet1.1-tflite-float32" / "notes.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("mine")
    check_error(command_line("export"), 2, "is not an artifact, so it will not be replaced")
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("command", ["verify", "predict"])
def test_what_is_no_artifact_is_refused(command_line: CommandLine, tmp_path: Path, command: str) -> None:
    photograph("coffee").save(tmp_path / "coffee.png")
    rest = ["coffee.png"] if command == "predict" else []
    check_error(command_line(command, "missing", *rest), 2, "No such artifact: missing")
    check_error(command_line(command, ".", *rest), 2, "is not an artifact")


def test_pictures_that_are_none_are_refused(command_line: CommandLine, tmp_path: Path, exported_11: Exports) -> None:
    folder = exported_11["tflite-int8"].folder
    (tmp_path / "a.jpg").write_text("no picture")
    check_error(command_line("predict", folder, "missing.jpg"), 2, "missing.jpg")
    check_error(command_line("predict", folder, "a.jpg"), 2, "a.jpg is not a picture")


def test_a_failed_check_ends_with_3_and_a_changed_file_with_2(
    command_line: CommandLine, tmp_path: Path, exported_11: Exports
) -> None:
    folder = Path(shutil.copytree(exported_11["tflite-float32"].folder, tmp_path / "copy"))
    scores = folder / "golden" / "scores-xnnpack.f32"
    scores.write_bytes(scores.read_bytes()[::-1])
    done = command_line("verify", folder)
    assert done.returncode == 3
    assert "Golden files: FAIL" in done.stdout
    model = folder / "squeezenet1.1-float32.tflite"
    model.write_bytes(model.read_bytes()[:-1])
    check_error(command_line("verify", folder), 2, "is not the file that was exported")


def run_python(code: str, *arguments: str) -> str:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True).stdout


WITHOUT_TENSORFLOW = """
import runpy, sys
for name in ("tensorflow", "keras", "tf2onnx", "onnx"):
    sys.modules[name] = None  # importing it raises
sys.argv = ["edge-squeeze", *sys.argv[1:]]
try:
    runpy.run_module("edge_squeeze", run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
"""


@pytest.mark.parametrize("command", [(), ("export",), ("verify",), ("predict",), ("inspect",), ("doctor",)])
def test_help_loads_nothing_heavy(command: tuple[str, ...]) -> None:
    heavy = ("numpy", "PIL", "rich", "tensorflow", "onnxruntime", "ai_edge_litert")
    code = WITHOUT_TENSORFLOW + f"print('loaded', [name for name in {heavy} if sys.modules.get(name)])"
    out = run_python(code, *command, "--help")
    assert "Usage:" in out
    assert out.count("loaded []\n") == 2  # the process that supervises, and the one that works


def test_predict_needs_no_tensorflow(tmp_path: Path, exported_11: Exports) -> None:
    photograph("coffee").save(tmp_path / "coffee.png")
    for name in ("tflite-int8", "onnx-float32"):
        out = run_python(WITHOUT_TENSORFLOW, "predict", str(exported_11[name].folder), str(tmp_path / "coffee.png"))
        assert "espresso" in out


def test_inspect_and_doctor_need_no_tensorflow(exported_11: Exports) -> None:
    for name, zeros in (("tflite-int8", 576), ("onnx-float32", 0)):  # those of a column, so that pixels come in pairs
        document = json.loads(run_python(WITHOUT_TENSORFLOW, "inspect", str(exported_11[name].folder), "--json"))
        assert document["parameters"] == 1_235_496 + zeros
    examined = json.loads(run_python(WITHOUT_TENSORFLOW, "doctor", "--json"))
    assert examined["ready"]
    assert examined["machine"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {engine["name"] for engine in examined["engines"]} >= {"litert", "tf.lite", "onnxruntime"}


def test_inspect_says_what_it_cannot_read(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "text.tflite").write_text("no model")
    check_error(command_line("inspect", "text.tflite"), 2, "text.tflite")
    check_error(command_line("inspect", "missing.onnx"), 2, "missing.onnx")
    check_error(command_line("inspect", "."), 2, "is not an artifact")


def test_a_users_own_model(command_line: CommandLine, tmp_path: Path) -> None:
    network((32, 32, 3), classes=2).save(tmp_path / "mine.keras")
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    own = ("export", "mine.keras", "--labels", "labels.txt")
    check_error(command_line(*own), 2, "Give --preprocessing: caffe, torch, tf, unit, raw, or a file")
    done = command_line(*own, "--preprocessing", "unit", "--json")
    assert done.returncode == 0, done.stderr
    assert "pictures: short side to 32, center crop 32 x 32, filter bilinear; RGB" in done.stderr
    photograph("coffee").save(tmp_path / "coffee.png")
    (classified,) = json.loads(command_line("predict", "out/mine-tflite-float32", "coffee.png", "--json").stdout)
    assert {prediction["label"] for prediction in classified["predictions"]} == {"cat", "dog"}
    checked = json.loads(command_line("verify", "out/mine-tflite-float32", "--json").stdout)
    assert checked["proof"] is not None


def test_one_file_that_cannot_be_made_does_not_keep_the_others(command_line: CommandLine, tmp_path: Path) -> None:
    import keras

    inputs = keras.Input((32, 32, 3))
    convolved = keras.layers.Conv2D(8, 3)(inputs)
    normalized = keras.layers.LayerNormalization()(convolved)  # negates: TFLite has no int8 for it
    pooled = keras.layers.GlobalAveragePooling2D()(normalized)
    keras.Model(inputs, keras.layers.Dense(2)(pooled)).save(tmp_path / "mine.keras")
    options = ("--preprocessing", "unit", "--precision", "int8,float32", "--strict-int8")
    done = command_line("export", "mine.keras", *options)
    check_error(done, 4, "operators that stayed in float", "NEG 1", "The other files were written.")
    assert "tflite-float32" in done.stdout
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine-tflite-float32"]


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, edge_squeeze; print([m for m in ('numpy', 'tensorflow', 'keras') if m in sys.modules])"
    assert run_python(code) == "[]\n"


def test_debug_shows_the_traceback(command_process: CommandLine) -> None:
    done = command_process("export", "squeezenet9", "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_untrained_artifacts_say_so_when_they_predict(command_line: CommandLine, tmp_path: Path) -> None:
    photograph("coffee").save(tmp_path / "coffee.png")
    assert command_line("export", *SMALL).returncode == 0
    (folder,) = (tmp_path / "out").iterdir()
    assert folder.name == "squeezenet1.1-tflite-float32-random-classes-10-input-size-64"
    done = command_line("predict", folder, "coffee.png")
    assert "Do not trust these results: parity unproven: untrained weights" in done.stdout
    read = command_line("predict", folder, "coffee.png", "--json")
    assert read.stderr.startswith("Do not trust these results: parity unproven: untrained weights")
    assert [entry["parity"] for entry in json.loads(read.stdout)] == ["unproven"]


def test_a_narrow_terminal_keeps_the_columns_that_matter_and_names_the_others(command_line: CommandLine) -> None:
    done = command_line("export", *SMALL, COLUMNS="40")
    title, head, target, row, *left_out = done.stdout.split("\n\n")[0].strip().splitlines()
    assert (title, head, target) == ("target", "    MB  same top-1 (95 %)  verdict", "tflite-float32")
    assert row.endswith("UNPROVEN")
    assert " ".join(left_out).startswith("Not shown: smaller, max|d|, PSNR, cosine. See ")


def test_options_that_take_several_may_be_repeated(command_line: CommandLine) -> None:
    options = "--format onnx,onnx --format tflite --precision float32 --precision float16"
    done = command_line("export", "squeezenet-lab", "--weights", "random", "--json", *options.split())
    assert done.returncode == 0, done.stderr
    names = [artifact["name"].removeprefix("squeezenet-lab-") for artifact in json.loads(done.stdout)["artifacts"]]
    expected = {"onnx-float32", "onnx-float16", "tflite-float32", "tflite-float16"}
    assert {name.partition("-random")[0] for name in names} == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--threads", "two", "--threads", "1"), "got 'two,1'"),
        (("--runtime", "lightrt", "--runtime", "litert"), "Unknown runtime: 'lightrt'"),
        (("--gate", "p51", "--gate", "p50,size"), "Unknown gate: 'p51'"),
    ],
)
def test_every_repetition_is_looked_at(
    command_line: CommandLine, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    (tmp_path / "a.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
    check_error(command_line("benchmark", "a.tflite", *options), 2, message)


def commands(command: Any, *names: str) -> Iterator[tuple[str, ...]]:
    """The names of `command` and of all below it."""
    yield names
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, *names, name)


COMMANDS = list(commands(typer.main.get_command(app.app)))


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("columns", ["80", "200"])
def test_help_fits_and_its_examples_are_commands(
    names: tuple[str, ...], columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    runner, root = CliRunner(), typer.main.get_command(app.app)
    short, long = (runner.invoke(app.app, [*names, option]).output for option in ("-h", "--help"))
    assert short == long
    assert "-h, --help" in short
    assert max(map(len, short.splitlines())) <= 80
    examples = [line.split() for line in short.partition("Examples:\n")[2].splitlines()]
    assert examples or not names
    for program, *words in examples:
        assert program == "edge-squeeze"
        assert tuple(words[: len(names)]) == names
        rest, command, context = words, root, None
        while hasattr(command, "commands") and rest:
            context = command.make_context(command.name, list(rest), parent=context)
            rest = [*context._protected_args, *context.args]
            if rest:
                _, command, rest = command.resolve_command(context, rest)
                if not hasattr(command, "commands"):
                    command.make_context(command.name, list(rest), parent=context)
                    rest = []


def test_completion_is_offered_and_completes(command_line: CommandLine) -> None:
    assert "--install-completion" in command_line("--help").stdout
    asked = {"_EDGE_SQUEEZE_COMPLETE": "complete_bash", "COMP_WORDS": "edge-squeeze ben", "COMP_CWORD": "1"}
    script = Path(sys.executable).with_name("edge-squeeze")
    done = subprocess.run([script], env={**os.environ, **asked}, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["benchmark"]


def test_version(command_process: CommandLine) -> None:
    assert command_process("--version").stdout == f"edge-squeeze {edge_squeeze.__version__}\n"
