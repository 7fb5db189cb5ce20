from __future__ import annotations

import signal
from pathlib import Path

import pytest

from edge_squeeze import packages
from edge_squeeze.doctor import installation
from edge_squeeze.doctor.installation import OK, TOO_NEW, TOO_OLD, judge
from edge_squeeze.packages import Requirement


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("numpy>=1.26", Requirement("numpy", ">=1.26", None)),
        ('tensorflow<2.22,>=2.21; extra == "export"', Requirement("tensorflow", "<2.22,>=2.21", "export")),
        (
            'tflite-runtime>=2.14; python_version < "3.12" and extra == "tflite-runtime"',
            Requirement("tflite-runtime", ">=2.14", "tflite-runtime"),
        ),
        ("Pillow (>=10) ; extra == 'a'", Requirement("pillow", ">=10", "a")),
        ("package[some,extras]==1.0", Requirement("package", "==1.0", None)),
        ("plain", Requirement("plain", "", None)),
    ],
)
def test_requirements_are_read_from_metadata(line: str, expected: Requirement) -> None:
    assert packages.read_requirements([line]) == [expected]


def test_an_extra_has_the_packages_of_the_extras_that_it_includes() -> None:
    lines = ['edge-squeeze[common]; extra == "one"', 'a>=2; extra == "common"', 'b; extra == "one"', "c"]
    found = packages.read_requirements(lines)
    assert [(row.package, row.specifiers) for row in found if row.extra == "one"] == [("b", ""), ("a", ">=2")]
    assert [row.package for row in found if row.extra is None] == ["c"]


def test_the_own_requirements_are_those_of_the_package() -> None:
    found = {(one.package, one.extra): one.specifiers for one in packages.own_requirements()}
    assert ("numpy", None) in found
    assert found["numpy", "tflite-runtime"] == "<2"
    assert ">=" in found["tensorflow", "export"]
    assert ">=" in found["tf2onnx", "export"]


@pytest.mark.parametrize(
    ("version", "specifiers", "expected"),
    [
        ("2.21.0", ">=2.21,<2.22", OK),
        ("2.20.9", ">=2.21,<2.22", TOO_OLD),
        ("2.22", ">=2.21,<2.22", TOO_NEW),
        ("2.9", ">=2.21", TOO_OLD),  # numbers, not text
        ("2.21", ">=2.21.0", OK),
        ("3.0.1+cpu", ">=3", OK),
        ("2.21.0rc1", ">=2.21", OK),  # as documented: a pre-release counts as its release
        ("0.1.4", "==0.1.4", OK),
        ("0.1.5", "==0.1.4", TOO_NEW),
        ("0.1.3", "==0.1.4", TOO_OLD),
        ("2.0", "<2", TOO_NEW),
        ("1.26.4", "<2", OK),
        ("2.0", ">2", TOO_OLD),
        ("2.1", "<=2.0", TOO_NEW),
        ("1.4", "~=1.3", OK),
        ("2.0", "~=1.3", TOO_NEW),
        ("1.0", "", OK),
        ("1.0", "==2.*", TOO_OLD),
        ("2.7", "==2.*", OK),
        ("3.0", "==2.*", TOO_NEW),
        ("1.0", "!=1.0", TOO_OLD),
        ("1.1", "!=1.0", OK),
        ("unknown", ">=1", TOO_OLD),
        ("unknown", "", OK),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, specifiers: str, expected: str) -> None:
    assert judge(version, specifiers) == expected


def test_versions_and_folders_are_found_without_importing() -> None:
    assert installation.version_of("numpy")
    assert installation.version_of("no-such-package") is None
    assert str(packages.folder_of("edge_squeeze")).endswith("edge_squeeze")
    assert packages.folder_of("no_such_module") is None


def test_a_package_under_another_name_is_found_by_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_engine").mkdir()
    (tmp_path / "some_engine" / "__init__.py").touch()
    about = tmp_path / "some_engine_cpu-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: some-engine-cpu\nVersion: 1.2\n")
    (about / "top_level.txt").write_text("some_engine\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installation.version_of("some-engine") == "1.2"


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
    found = installation.why_not_loadable("engine")
    assert found is None if expected is None else str(found).startswith(expected)


def test_an_engine_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "engine.py").write_text("import time; time.sleep(100)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(installation, "LOAD_TIMEOUT_S", 1)
    assert installation.why_not_loadable("engine") == "not there after 1 s"


def test_a_file_in_the_current_folder_is_not_taken_for_an_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engine.py").touch()
    monkeypatch.chdir(tmp_path)
    assert str(installation.why_not_loadable("engine")).startswith("ModuleNotFoundError")


def test_the_last_exception_is_what_is_told() -> None:
    printed = "ImportError: first\n\nThe above exception was the cause:\nRuntimeError: second\nGet help at ...\n"
    assert installation.told_by(1, printed) == "RuntimeError: second"
    assert installation.told_by(-signal.SIGSEGV, "") == "ended by SIGSEGV"
    assert installation.told_by(-200, "") == "ended by signal 200"
    assert len(str(installation.told_by(1, "E" * 10_000))) == 200
