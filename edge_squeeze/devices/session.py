"""A command of edge-squeeze run on one or several devices at once, from the first connection to its exit code."""

from __future__ import annotations

import base64
import io
import re
import signal
import sys
import tempfile
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from edge_squeeze.devices import errors, job as jobs, wheel
from edge_squeeze.devices.address import Address
from edge_squeeze.devices.connection import Connection
from edge_squeeze.devices.job import Job
from edge_squeeze.errors import DeviceError, EdgeSqueezeError, FailedThereError

Tell = Callable[[str], None]
ERROR = "Error: "
PASSED_ON = (2, 3, 4, 5, 7)  # exit codes that depend on the input, on whatever machine
INTERRUPTED = "Interrupted."
LARGEST_OUTPUT = 1 << 30


@dataclass(frozen=True)
class Outcome:
    """What a command printed on standard output, and its exit code."""

    code: int
    output: bytes


@dataclass(frozen=True)
class Attempt:
    """The outcome of a command on the device `name`, or the error that prevented one."""

    name: str
    slug: str
    outcome: Outcome | None
    error: EdgeSqueezeError | None = None


class Device:
    """A device that runs one command; its lines go to `tell` as they come."""

    def __init__(self, address: Address, tell: Tell, *, setup: bool) -> None:
        self.address, self._tell, self._setup = address, tell, setup
        self._connection: Connection | None = None
        self._cancelled = False

    def run(self, job: Job) -> Outcome:
        """The outcome of `job` on this device.

        DeviceError if the device could not be used to the end, FailedThereError if the command ended with an error.
        """
        with tempfile.TemporaryFile() as files:
            size = jobs.pack(job, files) if self.address.host else 0
            files.seek(0)
            self._connection = Connection(self.address)
            if self._cancelled:
                self._connection.hang_up()
            try:
                return Conversation(self._connection, self.address, job, self._tell, setup=self._setup).run(files, size)
            finally:
                self._connection.close()

    def cancel(self) -> None:
        """End the command on the device; to be called from another thread."""
        self._cancelled = True
        if self._connection is not None:
            self._connection.hang_up()


class Conversation:
    """The messages to a device and its answers, until a command has ended there."""

    def __init__(self, connection: Connection, address: Address, job: Job, tell: Tell, *, setup: bool) -> None:
        self._connection, self._address, self._job, self._tell, self._setup = connection, address, job, tell, setup
        self._board: Mapping[str, Any] = {}
        self._output, self._error, self._lines = list[str](), list[str](), deque[str](maxlen=errors.LAST_LINES)
        self._setting_up = False

    def run(self, files: IO[bytes], size: int) -> Outcome:
        """The outcome of the command; `files` is an archive of `size` bytes."""
        answers: dict[str, Callable[[Mapping[str, Any]], object]] = {
            "hello": self._request,
            "no-environment": self._refuse,
            "send-wheel": self._send_wheel,
            "send-files": lambda _: self._send_files(files, size),
            "line": self._hear,
            "output": lambda event: self._output.append(event["part"]),
            "failed": self._failed,
        }
        for event in self._connection.events():
            if event.get("event") == "end":
                return self._ended(event["code"])
            if answer := answers.get(event.get("event", "")):
                answer(event)
        raise self._connection.lost()

    def _request(self, event: Mapping[str, Any]) -> None:
        self._board = event
        python = None if self._address.host else sys.executable
        stem = wheel.pack().stem if self._address.host else ""
        self._connection.send({"stem": stem, "extras": self._job.extras, "setup": self._setup, "python": python})

    def _refuse(self, _: Mapping[str, Any]) -> NoReturn:
        raise errors.no_environment(self._address)

    def _send_wheel(self, _: Mapping[str, Any]) -> None:
        self._setting_up = True
        self._tell(f"Setting up {self._address.text}, once:")
        packed = wheel.pack()
        self._connection.send({"name": packed.name, "bytes": len(packed.data)}, io.BytesIO(packed.data))

    def _send_files(self, files: IO[bytes], size: int) -> None:
        self._setting_up = False
        self._connection.send(self._order(size), files)

    def _order(self, size: int) -> dict[str, Any]:
        """The command; on this machine it runs in our folder, on the files as they are."""
        local = self._address.host is None
        argv = [str(word) for word in self._job.argv] if local else self._job.words
        return {"argv": argv, "cwd": str(Path.cwd()) if local else None, "bytes": size}

    def _hear(self, event: Mapping[str, Any]) -> None:
        """Pass a line on, but keep an error for the end, and leave the report of an interruption to this process."""
        line = "".join(filter(str.isprintable, str(event["text"])))  # nothing that moves the cursor
        if self._error or line.startswith(ERROR):
            self._error.append(line)
        elif line.strip() and not line.startswith(INTERRUPTED):
            self._lines.append(line)
            self._tell(line)

    def _failed(self, event: Mapping[str, Any]) -> NoReturn:
        if event["step"] == "disk" and not self._setting_up:
            raise errors.refused(self._address, "while copying files", event["text"], errors.FULL_MEANWHILE)
        raise errors.set_up(self._address, event["step"], event["text"], self._board)

    def _ended(self, code: int) -> Outcome:
        message = "\n".join(self._error).removeprefix(ERROR)
        message = message if self._address.host is None else self._job.as_here(message)
        if re.search(errors.FULL.pattern, message):
            raise errors.refused(self._address, "while running the command", message, errors.FULL_MEANWHILE)
        if message and code in PASSED_ON:
            raise FailedThereError(f"{self._address.text}: {message}", code)
        if message or code not in (0, *PASSED_ON):
            printed = message or "\n".join(self._lines) or "it printed nothing"
            raise errors.refused(self._address, f"exit code {code}", printed, errors.BROKEN)
        try:
            packed = base64.b64decode("".join(self._output))
            return Outcome(code, zlib.decompressobj().decompress(packed, LARGEST_OUTPUT))
        except (ValueError, zlib.error) as error:
            raise DeviceError(f"{self._address.text}: its answer cannot be read: {error}. Try again.") from error


def run(addresses: Sequence[Address], job: Job, tell: Tell, *, setup: bool) -> list[Attempt]:
    """What became of `job` on each of `addresses`; the lines of the devices go to `tell` as they come.

    When interrupted, end the work on all devices first.
    """
    devices = [Device(address, _teller(address, tell, many=len(addresses) > 1), setup=setup) for address in addresses]
    with _broken_pipes_are_errors(), ThreadPoolExecutor(len(devices)) as pool:
        attempts = [pool.submit(_attempt, device, job) for device in devices]
        try:
            wait(attempts)
        except BaseException:
            cancelling = [threading.Thread(target=device.cancel) for device in devices]
            for thread in cancelling:
                thread.start()
            wait(attempts)
            raise
        return [attempt.result() for attempt in attempts]


def run_alone(address: Address, job: Job, tell: Tell, *, setup: bool) -> Outcome:
    """The outcome of `job` on one device; its error is raised."""
    (attempt,) = run([address], job, tell, setup=setup)
    if attempt.outcome is None:
        raise attempt.error or AssertionError
    return attempt.outcome


@contextmanager
def _broken_pipes_are_errors() -> Iterator[None]:
    """Make writing to an ssh that has ended an error, where the command line lets SIGPIPE end this process."""
    if not hasattr(signal, "SIGPIPE"):
        yield
        return
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, before)


def _attempt(device: Device, job: Job) -> Attempt:
    address = device.address
    try:
        return Attempt(address.text, address.slug, device.run(job))
    except EdgeSqueezeError as error:
        return Attempt(address.text, address.slug, None, error)


def _teller(address: Address, tell: Tell, *, many: bool) -> Tell:
    prefix = f"{address.text}: " if many else ""
    return lambda line: tell(f"{prefix}{line.strip() if prefix else line}")
