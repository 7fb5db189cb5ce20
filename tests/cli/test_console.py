"""What is printed: prose breaks between words, what is to be copied never, and escape codes are for terminals."""

from __future__ import annotations

import io
import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from edge_squeeze import packages
from edge_squeeze.cli import console
from edge_squeeze.errors import MissingDependencyError

WORDS = "A file-name that-is-hyphenated, /a/path/that-is/rather/long/and-goes-on/to/the-end.tflite and some words. " * 3
COMMAND = "`edge-squeeze export --precision int8 --calibration my-pictures --images other-pictures`"


class Terminal(io.StringIO):
    """Something that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [20, 40, 80, 120])
def test_prose_breaks_between_words_only(columns: int) -> None:
    lines = console.wrap(WORDS, columns, "  problem: ")
    assert " ".join(" ".join(lines).split()) == f"problem: {WORDS.strip()}"
    assert {line[:11] for line in lines} == {"  problem: ", " " * 11}
    for line, after in itertools.pairwise(lines):
        assert len(line) <= columns or len(line.split()) <= 2, "only a word that is too long by itself sticks out"
        assert len(line) + 1 + len(after.split()[0]) > columns, "no line is shorter than it must be"


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_commands_and_paths_stay_whole(columns: int) -> None:
    path = "/a folder/with spaces/and-hyphens/model.keras"
    lines = console.wrap(f"Say what it is: {COMMAND} does so for {console.whole(path)} and for others.", columns)
    assert sum(COMMAND in line for line in lines) == 1
    assert sum(path in line for line in lines) == 1


def test_a_percentage_stays_with_its_sign() -> None:
    assert console.wrap("It is 16.4 % of it.", 11) == ["It is", "16.4 % of", "it."]


@pytest.mark.parametrize("columns", [40, 80])
def test_errors_are_wrapped_on_a_terminal_with_the_command_on_a_line_of_its_own(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    error = f"Error: {MissingDependencyError('tensorflow', 'export', 'exporting networks that were trained elsewhere')}"
    lines = console.message(error, Terminal()).splitlines()
    assert lines[-1] == 'Run: pip install "edge-squeeze[export]"'
    assert " ".join(line.strip() for line in lines) == error
    assert max(map(len, lines)) <= columns
    listed = "Error: of two files\n  - one\n  | what another program said, in words that are longer than forty columns"
    assert console.message(listed, Terminal()).splitlines()[1:] == listed.splitlines()[1:]


def test_errors_keep_their_lines_where_programs_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert console.message(WORDS, io.StringIO()) == WORDS


@pytest.mark.parametrize(
    ("columns", "expected"), [(None, 100), ("40", 40), ("80", 80), ("120", 100), ("0", 100), ("wide", 100)]
)
def test_prose_is_as_wide_as_the_terminal_and_at_most_100(
    columns: str | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    assert console.width(io.StringIO()) == expected


def a_program(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "edge-squeeze").write_text("#!/bin/sh\n")
    (folder / "edge-squeeze").chmod(0o755)
    return folder / "edge-squeeze"


def test_commands_are_shown_as_they_work_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, elsewhere = a_program(tmp_path / "my checkout" / "bin"), a_program(tmp_path / "other")
    monkeypatch.delenv(console.NO_NEXT, raising=False)
    for started, path, expected in (
        (mine, mine.parent, "edge-squeeze"),
        (mine, elsewhere.parent, shlex.quote(str(mine))),
        (mine, tmp_path, shlex.quote(str(mine))),
        (Path("pytest"), elsewhere.parent, "edge-squeeze"),
    ):
        monkeypatch.setattr(sys, "argv", [str(started)])
        monkeypatch.setenv("PATH", str(path))
        console.print_next("edge-squeeze predict 'a b' PICTURE", "make apk")
        assert capsys.readouterr().out == f"\nNext:\n  {expected} predict 'a b' PICTURE\n  make apk\n"


def test_a_link_to_this_program_on_the_path_is_this_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = a_program(tmp_path / "checkout")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "edge-squeeze").symlink_to(mine)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "argv", [str(mine)])
    assert packages.program() == "edge-squeeze"


def test_what_python_started_is_named_by_its_script_or_as_it_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/edge_squeeze/__main__.py"])
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert packages.program() == f"{tmp_path}/python -m edge_squeeze"
    script = a_program(tmp_path / "bin")
    monkeypatch.setattr(sys, "executable", str(script.with_name("python")))
    assert packages.program() == str(script)


def test_a_script_that_prints_next_steps_of_its_own_gets_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(console.NO_NEXT, "1")
    console.print_next("edge-squeeze export", advice=["look"])
    assert capsys.readouterr().out == ""


REPORT = """
from edge_squeeze.cli.console import ConsoleReporter
reporter = ConsoleReporter()
with reporter.step("write /some/folder/that-has/a-rather-long/name/so-that-it/does-not-fit"):
    reporter.note("a remark that is too long for a line of a narrow terminal, and is wrapped between words there")
    for _ in reporter.track(range(3), "pictures"):
        pass
"""


def test_notes_of_a_step_that_is_interrupted_are_shown(capfd: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        reporter = console.ConsoleReporter()
        with reporter.step("evaluate"):
            reporter.note("the answers are kept")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    first, note = capfd.readouterr().err.splitlines()
    assert (first.strip(), note.strip()) == ("[1] evaluate", "the answers are kept")


def test_progress_on_a_pipe_is_plain_lines() -> None:
    plain = {**os.environ, "TERM": "xterm-256color", "FORCE_COLOR": "1"}
    done = subprocess.run([sys.executable, "-c", REPORT], capture_output=True, check=True, env=plain)
    text = done.stderr.decode()
    assert not re.search(r"[\x1b\r]", text)
    assert [line.split("  ")[-1] for line in text.splitlines()[1:]] == [
        "a remark that is too long for a line of a narrow terminal, and is wrapped between words there"
    ]
