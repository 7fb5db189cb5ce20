"""What is on the terminal, or in a log, while a step goes on and when it is over."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading

import pytest

PROGRAM = """
import sys
from edge_squeeze.cli.console import ConsoleReporter
from edge_squeeze.errors import UsageError

reporter = ConsoleReporter(verbose={verbose})
with reporter.step("load a model"):
    reporter.note("a remark")
    sys.stdin.readline()  # the test looks before it lets the step end
with reporter.step("break off"):
    sys.stderr.write("")
    raise SystemExit("Error: broken")
"""


def run(*, terminal: bool, verbose: bool = False, **environment: str) -> tuple[str, str]:
    """What a program has written while its first step goes on, and in all."""
    read, write = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(verbose=verbose)],
        stdin=subprocess.PIPE,
        stderr=write,
        env={**os.environ, "TERM": "xterm", **environment},
    )
    os.close(write)
    assert process.stdin
    killer = threading.Timer(60, process.kill)  # else a step that says nothing would be waited for without end
    killer.start()
    wanted = b"load a model"
    early = b"" if verbose or environment else os.read(read, 4096)
    while wanted not in early and not (verbose or environment):
        early += os.read(read, 4096)
    process.stdin.write(b"\n")
    process.stdin.close()
    late = b""
    try:
        while more := os.read(read, 4096):
            late += more
    except OSError:  # how a terminal ends on Linux
        pass
    process.wait()
    killer.cancel()
    os.close(read)
    return early.decode(), (early + late).decode()


def test_a_terminal_shows_a_step_while_it_goes_on() -> None:
    early, whole = run(terminal=True)
    assert early.rstrip("\r") == "[1] load a model ..."
    assert re.search(r"\r\[1\] load a model +\d+\.\d s\r\n      a remark\r\n", whole)


def test_a_log_has_a_line_for_each_step_begun_before_the_work() -> None:
    early, whole = run(terminal=False)
    assert early.rstrip() == "[1] load a model"
    lines = whole.splitlines()
    assert re.fullmatch(r"\[1\] load a model {48} +\d+\.\d s", lines[0])
    assert lines[1] == "      a remark"
    assert lines[2].rstrip() == "[2] break off"
    assert lines[3] == "Error: broken"


@pytest.mark.parametrize("changes", [{"verbose": True}, {"EDGE_SQUEEZE_PROGRESS": "lines"}])
def test_where_other_lines_come_in_between_a_step_is_one_line_at_its_end(changes: dict[str, object]) -> None:
    _, whole = run(terminal=False, **changes)  # type: ignore[arg-type]
    lines = whole.splitlines()
    assert re.fullmatch(r"\[1\] load a model +\d+\.\d s", lines[0])
    assert lines[1:] == ["      a remark", "Error: broken"]
