"""What the tools print, the programs they run, and how they end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

OUTPUT_LINES = 100  # of a program that failed; the rest is repetition
INTERRUPTED = 130  # as a shell has it


class FailureError(Exception):
    """Base of what ends a tool; its text is meant for the user."""

    exit_code = 1


class UnusableError(FailureError):
    """The user gave something that cannot be used, or has not given it yet."""

    exit_code = 2


class CheckFailedError(FailureError):
    """What was made is not what it must be, or a test of the app failed."""

    exit_code = 3


class ToolFailedError(FailureError):
    """A program that the tools run failed."""

    exit_code = 4


class MissingError(FailureError):
    """A program is not installed, or this machine cannot do it."""

    exit_code = 5


def say(text: str = "", *, end: str = "\n") -> None:
    """Print `text` at once."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


class Steps:
    """Numbers the steps and says how long each took."""

    def __init__(self) -> None:
        """Start before the first step."""
        self.count = 0

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Announce the step `name` and, when the block ends, its time."""
        self.count += 1
        say(f"[{self.count}] {name}", end="")
        began = time.monotonic()
        try:
            yield
        except FailureError as error:
            say("  failed")
            raise type(error)(f"Step {self.count}, {name}: {error}") from error
        say(f"  {time.monotonic() - began:.1f} s")


def run(name: str, *command: object, error: type[FailureError] = ToolFailedError) -> str:
    """What the program printed; `error` with its output if it failed."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(  # noqa: S603 - a program of the tools' own table, without a shell
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
    except OSError as failed:
        raise error(f"{name} could not be started: {failed}.") from failed
    output = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        raise error(f"{name} ended with {done.returncode}:\n{last_lines(output)}")
    return output


def stream(*command: object, environment: dict[str, str], log: Path) -> int:
    """How the program ended, after its output was shown as it came; its standard error is in the file `log`."""
    with log.open("wb") as errors:
        words = [str(word) for word in command]
        return subprocess.run(words, stderr=errors, check=False, env=environment).returncode  # noqa: S603 - as run


def last_lines(output: str) -> str:
    """The end of what a program printed."""
    return "\n".join(output.strip().splitlines()[-OUTPUT_LINES:])


def exit_code(tool: Callable[[], None]) -> int:
    """Run `tool`; how it ended, after its failure, if any, was printed."""
    try:
        tool()
    except FailureError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        say()
        return INTERRUPTED
    except OSError as error:
        sys.stderr.write(f"{error}. Make room, or see to it that you may write there.\n")
        return UnusableError.exit_code
    return 0
