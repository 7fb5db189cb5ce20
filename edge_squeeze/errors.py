"""The errors of this package, each tied to one exit code of the command line.

A failed proof is a result, not an error, and also ends the command line with 3. Bundling such an artifact is an error.

EdgeSqueezeError              1  a defect of this package
|-- UsageError                2  unusable input: argument, path, picture, weights file, calibration set
|   |-- FailedParityError     3  an artifact whose parity failed, meant for an app
|   `-- UnreadablePicturesError  some of many pictures that were evaluated
|-- ConversionError           4  a readable model that could not be converted or run
|   `-- PartlyExportedError       the same, while other files of the export were written
|-- MissingDependencyError    5  a package is not installed; the message names the extra that brings it
|-- DeviceError               6  a board could not be reached or set up, or failed during the command
|-- InterruptedTrainingError 130  a training was interrupted whose state is kept; the message says how to go on
`-- FailedThereError         2-7  a command failed on a board with this code; the message holds its own error
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """The exit codes of commands; docs/commands.md explains each."""

    OK = 0
    DEFECT = 1
    USAGE = 2
    FAILED_PROOF = 3  # of parity, or golden files that differ
    FAILED_CONVERSION = 4  # or a file that no engine runs
    MISSING_DEPENDENCY = 5
    FAILED_DEVICE = 6
    UNTRUSTWORTHY = 7  # a measurement
    REGRESSION = 8
    INCONCLUSIVE = 9
    INCOMPARABLE = 10
    INTERRUPTED = 130  # 128 + SIGINT, as shells have it
    BROKEN_PIPE = 141  # 128 + SIGPIPE


class EdgeSqueezeError(Exception):
    """Base of every error this package raises on purpose; its text is meant for the user."""

    exit_code: int = ExitCode.DEFECT


class UsageError(EdgeSqueezeError):
    """The user passed something that cannot be used."""

    exit_code = ExitCode.USAGE


class FailedParityError(UsageError):
    """An artifact was passed whose parity failed, without the option that allows it."""

    exit_code = ExitCode.FAILED_PROOF


class UnreadablePicturesError(UsageError):
    """Some pictures of an evaluation could not be read; `evaluation` is that on the others."""

    def __init__(self, message: str, evaluation: Any) -> None:
        """Say which, with what came of the others."""
        super().__init__(message)
        self.evaluation = evaluation


class ConversionError(EdgeSqueezeError):
    """A model that could be read could not be converted, or its file is not what its name says."""

    exit_code = ExitCode.FAILED_CONVERSION

    def __init__(self, message: str, log: str = "") -> None:
        """Keep the converter's own output in `log`, of which the command line shows the end."""
        super().__init__(message)
        self.log = log


class PartlyExportedError(ConversionError):
    """Some of several files could not be made; the others are in `exported`."""

    def __init__(self, failures: Sequence[ConversionError], exported: Sequence[Any]) -> None:
        """Say why each of `failures` happened, and that the other files were written."""
        super().__init__("\n".join(map(str, failures)) + "\nThe other files were written.", failures[0].log)
        self.exported = exported


class MissingDependencyError(EdgeSqueezeError):
    """A package that this action needs is not installed."""

    exit_code = ExitCode.MISSING_DEPENDENCY

    def __init__(self, package: str, extra: str | None, purpose: str, instead: str | None = None) -> None:
        """Say that `package` is needed for `purpose`, and which of our extras installs it, or what to do `instead`."""
        command = f'pip install "edge-squeeze[{extra}]"' if extra else f"pip install {package}"
        super().__init__(f"{package} is not installed; it is needed for {purpose}. {instead or f'Run: {command}'}")


class DeviceError(EdgeSqueezeError):
    """A board could not be reached or set up, or failed during the command."""

    exit_code = ExitCode.FAILED_DEVICE


class InterruptedTrainingError(EdgeSqueezeError):
    """A training was interrupted with Ctrl-C, and can go on."""

    exit_code = ExitCode.INTERRUPTED


class FailedThereError(EdgeSqueezeError):
    """A command failed on a device with an error of its own, whose exit code this error has."""

    def __init__(self, message: str, exit_code: int) -> None:
        """Take the `exit_code` of another error of this module."""
        super().__init__(message)
        self.exit_code = exit_code


def unknown(kind: str, got: str, choices: Iterable[str]) -> UsageError:
    """A UsageError for a name that is not among `choices`, with the nearest of them suggested."""
    names = list(choices)
    near = difflib.get_close_matches(got, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]}?" if near else ""
    return UsageError(f"Unknown {kind}: {got!r}.{hint} Choices: {', '.join(names)}.")
