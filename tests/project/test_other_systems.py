"""Windows and macOS, as far as Linux can play them: windows/sitecustomize.py and macos/sitecustomize.py do."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from boards import fake_ssh, own_environment, path_with
from colored_pictures import draw
from commands import ENOUGH, next_command
from places import ROOT
from typer.main import get_command

from edge_squeeze.cli import app as cli
from edge_squeeze.devices import wheel
from edge_squeeze.process import supervision

HERE = ROOT / "tests" / "helpers"
WINDOWS, MACOS = "windows", "macos"
# What a pipe is written in there, and how open() without an encoding, which takes the same, can be found.
ENCODING = {"PYTHONIOENCODING": "cp1252", "PYTHONWARNDEFAULTENCODING": "1"}
FOREIGN = "\N{CAT FACE}"  # cp1252 lacks it, and Python escapes it in another way than JSON
BENCHMARK = ("benchmark", "tflite", "--profile", "quick", "--launches", "3", "--threads", "1")
BUNDLED = "squeezenet1.1-tflite-float32-random-classes-10-input-size-48"


def environment(system: str, folder: Path) -> dict[str, str]:
    """The variables that make a Python, and every Python that it starts, one on `system`."""
    own = {"PYTHONPATH": str(HERE / system), "EDGE_SQUEEZE_CACHE": str(folder / "cache")}
    return os.environ | own | (ENCODING if system == WINDOWS else {})


def python(system: str | None, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A Python in `folder`, which is made where it is missing, on `system` or (None) on this one."""
    folder.mkdir(exist_ok=True)
    variables = os.environ | {"PYTHONIOENCODING": "utf-8"} if system is None else environment(system, folder)
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        encoding="cp1252",
        errors="replace",
        check=False,
        cwd=folder,
        env=variables,
    )


def edge_squeeze_on(system: str, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    done = python(system, folder, "-m", "edge_squeeze", *arguments)
    assert "Traceback" not in done.stderr
    return done


def succeed(system: str, folder: Path, *arguments: object) -> str:
    """What the command prints; it must end well."""
    done = edge_squeeze_on(system, folder, *arguments)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


# Several commands in one process, which loads TensorFlow once for all of them.
SEVERAL = """import json, sys
from edge_squeeze.cli.app import app
for words in json.loads(sys.argv[1]):
    sys.argv = ["edge-squeeze", *words]
    sys.stdout.write(" ".join(["<<<output of", *words]) + "\\n")
    if code := app(words, prog_name="edge-squeeze", standalone_mode=False):
        sys.exit(code)
"""


def succeed_in_one_process(system: str, folder: Path, commands: list[tuple[str, ...]]) -> list[str]:
    """What each of the commands prints; they must end well."""
    done = python(system, folder, "-c", SEVERAL, json.dumps(commands))
    assert done.returncode == 0, done.stderr + done.stdout
    printed = done.stdout.split("<<<output of ")[1:]
    assert len(printed) == len(commands)
    return printed


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two small artifacts, tflite and onnx, exported on Windows and verified there."""
    folder = tmp_path_factory.mktemp("windows")
    (folder / "labels.txt").write_text("".join(f"{FOREIGN} {i}\n" for i in range(10)), encoding="utf-8")
    small = ("--weights", "random", "--classes", "10", "--input-size", "48", "--labels", "labels.txt")
    exporting = ("export", *small, "--format", "tflite,onnx")
    _, verified = succeed_in_one_process(WINDOWS, folder, [exporting, ("verify", f"out/{BUNDLED}")])
    assert "Golden files: PASS" in verified
    for produced, name in zip(sorted((folder / "out").iterdir()), ("onnx", "tflite"), strict=True):
        produced.rename(folder / name)
    return folder


@pytest.fixture
def home(exported: Path, tmp_path: Path) -> Path:
    """A folder of the test's own with copies of the artifacts."""
    for name in ("tflite", "onnx"):
        shutil.copytree(exported / name, tmp_path / name)
    return tmp_path


# Each works on Linux; what it raises on the other system.
LIMITS = {
    WINDOWS: {
        "import signal; signal.SIGPIPE": "AttributeError",
        "import signal; signal.SIGKILL": "AttributeError",
        "import os; os.fork() or os._exit(0)": "AttributeError",
        "import os; os.killpg": "AttributeError",
        "import os; os.sched_getaffinity(0)": "AttributeError",
        "import fcntl": "ModuleNotFoundError",
        "import resource": "ModuleNotFoundError",
        "import ctypes; ctypes.CDLL(None)": "TypeError",
        "import os; os.kill(os.getpid(), 0)": "AssertionError",
        "import os; os.open('.', os.O_RDONLY)": "PermissionError",
        "import os, select; select.select([os.pipe()[0]], [], [], 0)": "OSError",
        "import subprocess; subprocess.run(['true'], preexec_fn=lambda: None)": "ValueError",
        "file = open('held', 'w', encoding='utf-8'); import os; os.unlink('held')": "PermissionError",
        "import os; os.makedirs('a/b'); file = open('a/b/c', 'wb'); os.rename('a', 'd')": "PermissionError",
        "import os; os.mkdir('e'); os.mkdir('f'); os.rename('e', 'f')": "FileExistsError",
        "open('what: a name', 'wb')": "OSError",
        "open('text', 'w')": "EncodingWarning",
        f"import sys; sys.stdout.write('{FOREIGN}')": "UnicodeEncodeError",
    },
    MACOS: {
        "import os; os.sched_setaffinity": "AttributeError",
        "import os; os.posix_fadvise": "AttributeError",
        "import ctypes; ctypes.CDLL(None).prctl": "AttributeError",
        "open('/proc/self/status', 'rb')": "FileNotFoundError",
        "import os; os.stat('/proc/cpuinfo')": "FileNotFoundError",
        "import os; os.listdir('/sys')": "FileNotFoundError",
    },
}
TRY = """import json, sys
raised = []
for code in json.loads(sys.argv[1]):
    try:
        exec(code, {"__name__": "edge_squeeze.attempt"})
    except Exception as error:
        raised.append(type(error).__name__)
    else:
        raised.append(None)
sys.stderr.write(json.dumps(raised))
"""
CHILD = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-P', *sys.argv[1:]]).returncode)"


@pytest.mark.parametrize("system", [WINDOWS, MACOS])
def test_the_simulation_takes_things_away_from_children_and_theirs(system: str, tmp_path: Path) -> None:
    codes = json.dumps(list(LIMITS[system]))
    expected = {"here": [None] * len(LIMITS[system]), "child": list(LIMITS[system].values())}
    attempts = {
        "here": python(None, tmp_path / "here", "-c", TRY, codes),
        "child": python(system, tmp_path / "child", "-c", TRY, codes),
        "grandchild": python(system, tmp_path / "grandchild", "-c", CHILD, "-c", TRY, codes),
    }
    for name, done in attempts.items():
        assert json.loads(done.stderr) == expected.get(name, expected["child"]), name


@pytest.mark.parametrize("system", [WINDOWS, MACOS])
def test_every_module_can_be_imported(system: str, tmp_path: Path) -> None:
    folders = {"edge_squeeze": ROOT / "edge_squeeze"}
    folders |= {f"edge_squeeze.{name}": ROOT / name for name in ("converters", "benchmarks")}
    names = [
        ".".join([package, *path.relative_to(folder).with_suffix("").parts])
        for package, folder in folders.items()
        for path in sorted(folder.rglob("*.py"))
        if path.stem not in ("__init__", "__main__")
    ]
    assert len(names) > 100
    code = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    done = python(system, tmp_path, "-c", code, *names)
    assert done.returncode == 0, done.stderr


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command, and of every command of commands."""
    yield words
    for name, subcommand in getattr(command, "commands", {}).items():
        yield from commands(subcommand, (*words, name))


def test_every_command_shows_its_help(tmp_path: Path) -> None:
    """In one process, which has written all that cannot be written there before it ends well."""
    every = list(commands(get_command(cli.app)))
    assert len(every) > 10
    shown = succeed_in_one_process(WINDOWS, tmp_path, [(*words, "--help") for words in every])
    for words, text in zip(every, shown, strict=True):
        assert " ".join(["Usage: edge-squeeze", *words]) in text


COMMANDS = {
    "doctor": ("doctor",),
    "predict": ("predict", "tflite", "tflite/golden/picture.png"),
    "inspect tflite": ("inspect", "tflite"),
    "inspect onnx": ("inspect", "onnx"),
    "verify": ("verify", "onnx"),
    "models": ("models", "show", "squeezenet1.1"),
}


# Every doctor loads every engine, and every verify TensorFlow: `exported` has verified already.
LOADING = [(WINDOWS, "verify"), (MACOS, "doctor")]
ON_EACH = [
    *((WINDOWS, name) for name in COMMANDS if name != "verify"),
    (MACOS, "predict"),
    *(pytest.param(*case, marks=pytest.mark.slow) for case in LOADING),
]


@pytest.mark.parametrize(("system", "name"), ON_EACH)
def test_commands_end_well(system: str, name: str, home: Path) -> None:
    assert succeed(system, home, *COMMANDS[name])


@pytest.mark.parametrize(
    ("system", "kind"),
    [(WINDOWS, "files"), (WINDOWS, "android"), pytest.param(MACOS, "files", marks=pytest.mark.slow)],
)
def test_bundling_twice_replaces_what_is_there(system: str, kind: str, home: Path) -> None:
    app = home / "app"
    (app / "src/main").mkdir(parents=True)
    (app / "src/main/AndroidManifest.xml").touch()
    models = app / "src/main/assets/models" if kind == "android" else app
    kept = models / f".{BUNDLED}.partial-{os.getpid()}"  # of this process, which runs
    kept.mkdir(parents=True)
    for change in ("added", "replaced"):
        assert change in succeed(system, home, "bundle", kind, "tflite", "app", "--force")
    assert (models / BUNDLED / "model.json").read_bytes() == (home / "tflite/model.json").read_bytes()
    assert {path.name for path in models.glob(".*")} == {kept.name}
    assert "complete" in succeed(system, home, "bundle", kind, "--list", "app")
    assert "Removed" in succeed(system, home, "bundle", kind, "--remove", BUNDLED, "app")
    assert not (models / BUNDLED).exists()


@pytest.mark.slow
@pytest.mark.parametrize("system", [WINDOWS, MACOS])
def test_a_benchmark_measures_and_forgets_its_session(system: str, home: Path) -> None:
    succeed(system, home, *BENCHMARK, "--out", "result.json")
    (arm,) = json.loads((home / "result.json").read_text("utf-8"))["arms"]
    measured = [launch for launch in arm["launches"] if launch["samples_ns"]]
    assert len(measured) == 3
    assert {launch["affinity"] for launch in arm["launches"]} == {None}  # the simulation reaches the launches
    assert ({launch["majflt"] for launch in measured} == {None}) is (system == WINDOWS)
    assert not list((home / "cache").rglob("*.jsonl"))
    assert "cores any of" in succeed(system, home, "benchmark", "--replay", "result.json")


def test_cores_cannot_be_chosen_where_processes_cannot_be_bound(home: Path) -> None:
    done = edge_squeeze_on(MACOS, home, *BENCHMARK, "--cores", "prime")
    if len(os.sched_getaffinity(0)) == 1:
        assert done.returncode == 0
    else:
        assert done.returncode == 2
        assert "--cores prime requires a system that binds processes to cores" in done.stderr


def test_what_the_code_page_lacks_is_escaped(home: Path) -> None:
    words = COMMANDS["predict"]
    assert FOREIGN.encode("ascii", "backslashreplace").decode() in succeed(WINDOWS, home, *words)
    printed = succeed(WINDOWS, home, *words, "--json")
    assert printed.isascii()
    assert FOREIGN in json.dumps(json.loads(printed), ensure_ascii=False)


def test_a_reader_that_stops_reading_is_no_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge_squeeze", "models"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(WINDOWS, tmp_path)
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == (b"", 128 + signal.SIGPIPE)
    process.stderr.close()


@pytest.mark.slow
def test_a_windows_desk_reaches_boards_but_not_itself_beside_them(home: Path) -> None:
    cache, settings = home / "board", " ".join(["PYTHONPATH", *ENCODING])
    own_environment(cache, "litert+onnx", wheel.pack().stem)
    folder = fake_ssh(home / "bin", f'unset {settings}; export XDG_CACHE_HOME={cache}\nexec sh -c "$command"')
    variables = environment(WINDOWS, home) | {"PATH": path_with(folder)}
    del variables["EDGE_SQUEEZE_CACHE"]  # the board runs in this environment, but for what its ssh changes
    command = [sys.executable, "-m", "edge_squeeze", *BENCHMARK, "--device", "ssh:board", "--device", "local"]
    done = subprocess.run(
        [*command, "--out", "r.json"], capture_output=True, text=True, check=False, cwd=home, env=variables
    )
    assert done.returncode == 6, done.stderr
    assert "Traceback" not in done.stderr
    assert "--device local together with other devices requires file locks" in done.stdout + done.stderr
    (arm,) = json.loads((home / "r-board.json").read_text("utf-8"))["arms"]
    assert arm["launches"][0]["affinity"] is not None  # the board is Linux


@pytest.mark.slow
def test_a_network_is_trained_exported_and_proven_on_windows(tmp_path: Path) -> None:
    draw(tmp_path / "pictures")
    printed = succeed(WINDOWS, tmp_path, "train", "squeezenet-lab", "--images", "pictures", *ENOUGH)
    for _ in range(2):  # the second time it replaces artifacts
        assert succeed(WINDOWS, tmp_path, *next_command(printed)).count("PASS") == 2
    assert not list((tmp_path / "out").glob(".*"))


class Kernel:
    """Windows' kernel32 with the processes 4 (runs), 8 (has ended, and is held open), 12 (of another user)."""

    class OpenProcess:
        restype: Any = None

        def __call__(self, access: int, inherit: bool, pid: int) -> int | None:
            return {4: 1 << 40 | 4, 8: 1 << 40 | 8}.get(pid)

    def __init__(self, name: str, *, use_last_error: bool) -> None:
        assert (name, use_last_error) == ("kernel32", True)
        self.OpenProcess = Kernel.OpenProcess()

    def WaitForSingleObject(self, handle: ctypes.c_void_p, milliseconds: int) -> int:  # noqa: N802 - Windows' name
        assert milliseconds == 0
        return {1 << 40 | 4: 0x102, 1 << 40 | 8: 0}[handle.value or 0]  # WAIT_TIMEOUT, WAIT_OBJECT_0

    def CloseHandle(self, handle: ctypes.c_void_p) -> None:  # noqa: N802
        assert handle.value


@pytest.mark.parametrize(("pid", "error", "runs"), [(4, 0, True), (8, 0, False), (12, 5, True), (16, 87, False)])
def test_windows_is_asked_for_a_process_without_a_signal(
    monkeypatch: pytest.MonkeyPatch, pid: int, error: int, runs: bool
) -> None:
    monkeypatch.setattr(signal, "CTRL_C_EVENT", 0, raising=False)
    monkeypatch.setattr(os, "kill", None)
    monkeypatch.setattr(ctypes, "WinDLL", Kernel, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: error, raising=False)
    assert supervision.process_runs(pid) is runs


def test_without_a_way_to_ask_a_process_is_taken_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "CTRL_C_EVENT", 0, raising=False)
    monkeypatch.setattr(os, "kill", None)
    assert supervision.process_runs(4)


def test_processes_are_asked_for_here() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    assert supervision.process_runs(ended.pid)
    ended.wait()
    assert not supervision.process_runs(ended.pid)
    assert not supervision.process_runs(10**20)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0, None),
        (1, None),
        (-9, "SIGKILL"),
        (-11, "SIGSEGV"),
        (-200, "signal 200"),
        (0xC0000005, "SIGSEGV"),
        (0xC000001D, "SIGILL"),
    ],
)
def test_what_ended_a_process_has_a_name(code: int, name: str | None) -> None:
    assert supervision.ended_by(code) == name
