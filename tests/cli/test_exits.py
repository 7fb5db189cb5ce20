"""Output that cannot be written: a reason and exit code 2, and the end of any tool where the reader has stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_squeeze.cli import exits

COMMAND = f"{sys.executable} -m edge_squeeze"
pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, as Linux has it")


def run(line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    shell = ["bash", "-c", f"set -o pipefail; {line}"]
    return subprocess.run(shell, capture_output=True, text=True, check=False, env={**os.environ, **variables})


@pytest.mark.parametrize("arguments", ["models", "models --json", "--version", "--help"])
@pytest.mark.parametrize(
    ("where", "reason"),
    [
        (">&-", "Error: Standard output is closed. Redirect it to a file or to /dev/null."),
        (">/dev/full", "Error: The output cannot be written: No space left on device."),
    ],
)
def test_unwritable_output_is_exit_2_with_the_reason(arguments: str, where: str, reason: str) -> None:
    done = run(f"{COMMAND} {arguments} {where}")
    assert (done.returncode, done.stdout, done.stderr.strip()) == (2, "", reason)


@pytest.mark.parametrize(
    ("line", "code"),
    [("models >&- 2>&-", 2), ("models >/dev/null 2>&-", 0), ("nonsense 2>/dev/full", 2), ("models <&- >/dev/null", 0)],
)
def test_without_standard_error_the_exit_code_says_it(line: str, code: int) -> None:
    done = run(f"{COMMAND} {line}")
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


@pytest.mark.parametrize("arguments", ["models", "models --json", "--help"])
def test_a_reader_that_stops_ends_us_as_any_tool(arguments: str) -> None:
    done = run(f"{COMMAND} {arguments} | true")
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")
    assert run("yes | true").returncode == done.returncode


def test_an_ascii_terminal_gets_plain_output() -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
    done = run(f"{COMMAND} predict nowhere-\u00e4 \u00e9.png; {COMMAND} models show squeezenet1.1", **ascii_only)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("Error: No such artifact: nowhere-")
    assert (done.stdout + done.stderr).isascii()


def test_a_full_disk_is_not_taken_for_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"weights")  # whose error has no file name

    with pytest.raises(SystemExit) as ended:
        exits.run(work)
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("Error: A file, in the output folder or in ")
    assert "No space left on device. Free space there, or choose another folder." in message
    assert "output cannot be written" not in message
