"""What the tools print, the programs they run, and their exit codes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

OUTPUT_LINES = 100  # of a program that failed; more is repetition
INTERRUPTED = 130  # as in a shell


class FailureError(Exception):
    """Base of the errors that end a tool; its text is meant for the user."""

    exit_code = 1


class UnusableError(FailureError):
    """Something that the user passed cannot be used, or is missing."""

    exit_code = 2


class CheckFailedError(FailureError):
    """The result failed a check, or a test of the app failed."""

    exit_code = 3


class ToolFailedError(FailureError):
    """A program that the tools run failed."""

    exit_code = 4


class MissingError(FailureError):
    """A program is not installed, or this machine is not supported."""

    exit_code = 5


def say(text: str = "", *, end: str = "\n") -> None:
    """Print `text` immediately."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


class Steps:
    """Numbered steps, printed with the time that each took."""

    def __init__(self) -> None:
        """Start before the first step."""
        self.count = 0

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Print the name of the step and, when the block ends, its time."""
        self.count += 1
        say(f"[{self.count}] {name}", end="")
        start = time.monotonic()
        try:
            yield
        except FailureError as error:
            say("  failed")
            raise type(error)(f"Step {self.count}, {name}: {error}") from error
        say(f"  {time.monotonic() - start:.1f} s")


def run(name: str, *command: object, error: type[FailureError] = ToolFailedError) -> str:
    """The output of the program; `error` with that output if it fails."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(  # noqa: S603 - a program of the tools' own table, without a shell
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
    except OSError as failed:
        raise error(f"Cannot start {name}: {failed}.") from failed
    output = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        raise error(f"{name} exited with code {done.returncode}:\n{last_lines(output)}")
    return output


def stream(*command: object, environment: dict[str, str], log: Path) -> int:
    """Run the program, its output shown live and its standard error written to the file `log`; its exit code."""
    with log.open("wb") as errors:
        words = [str(word) for word in command]
        return subprocess.run(words, stderr=errors, check=False, env=environment).returncode  # noqa: S603 - as run


def last_lines(output: str) -> str:
    """The end of a program's output."""
    return "\n".join(output.strip().splitlines()[-OUTPUT_LINES:])


def exit_code(tool: Callable[[], None]) -> int:
    """Run `tool` and print its failure, if any; the exit code."""
    try:
        tool()
    except FailureError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        say()
        return INTERRUPTED
    except OSError as error:
        sys.stderr.write(f"{error}. Free disk space, or check that you may write there.\n")
        return UnusableError.exit_code
    return 0
