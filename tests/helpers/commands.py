"""Commands as users type them, and what they say comes next."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

CommandLine = Callable[..., subprocess.CompletedProcess[str]]
SMALL = ("--input-size", "16", "--base-e", "32", "--incr-e", "32", "--batch-size", "8")
ENOUGH = (*SMALL, "--epochs", "10", "--learning-rate", "0.002")


def next_command(stdout: str) -> list[str]:
    """The words of the command after "Next:", without the program's name."""
    program, *words = shlex.split(stdout.partition("Next:")[2])
    assert Path(program).name == "edge-squeeze"
    return words
