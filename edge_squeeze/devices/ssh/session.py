"""A command of edge-squeeze run on a device, from the first connection to its exit code."""

from __future__ import annotations

import base64
import io
import re
import sys
import tempfile
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from edge_squeeze.devices import job as jobs
from edge_squeeze.devices.address import Address
from edge_squeeze.devices.job import Job
from edge_squeeze.devices.ssh import errors, wheel
from edge_squeeze.devices.ssh.connection import Connection
from edge_squeeze.errors import DeviceError, FailedThereError

Tell = Callable[[str], None]
ERROR = "Error: "
PASSED_ON = (2, 3, 4, 5, 7)  # exit codes that tell of the input, wherever that was
INTERRUPTED = "Interrupted."
LARGEST_OUTPUT = 1 << 30


@dataclass(frozen=True)
class Outcome:
    """What a command printed on standard output, and its exit code."""

    code: int
    output: bytes


class Device:
    """A device that runs one command; `tell` hears its lines as they come."""

    def __init__(self, address: Address, tell: Tell, *, setup: bool) -> None:
        self.address, self._tell, self._setup = address, tell, setup
        self._connection: Connection | None = None
        self._cancelled = False

    def run(self, job: Job) -> Outcome:
        """What `job` came to there.

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
        """End the command there; from another thread."""
        self._cancelled = True
        if self._connection is not None:
            self._connection.hang_up()


class Conversation:
    """What is said to a device and what it answers, until a command has ended there."""

    def __init__(self, connection: Connection, address: Address, job: Job, tell: Tell, *, setup: bool) -> None:
        self._connection, self._address, self._job, self._tell, self._setup = connection, address, job, tell, setup
        self._board: Mapping[str, Any] = {}
        self._output, self._error, self._heard = list[str](), list[str](), deque[str](maxlen=errors.LAST_LINES)
        self._setting_up = False

    def run(self, files: IO[bytes], size: int) -> Outcome:
        """What the command came to; `files` is an archive of `size` bytes."""
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
        """The command; on this machine it runs where we do, on the files as they are."""
        here = self._address.host is None
        argv = [str(word) for word in self._job.argv] if here else self._job.words
        return {"argv": argv, "cwd": str(Path.cwd()) if here else None, "bytes": size}

    def _hear(self, event: Mapping[str, Any]) -> None:
        """Pass a line on; an error is kept for the end, and what an interruption says is said here."""
        line = "".join(one for one in str(event["text"]) if one.isprintable())  # nothing that moves the cursor
        if self._error or line.startswith(ERROR):
            self._error.append(line)
        elif line.strip() and not line.startswith(INTERRUPTED):
            self._heard.append(line)
            self._tell(line)

    def _failed(self, event: Mapping[str, Any]) -> NoReturn:
        if event["step"] == "disk" and not self._setting_up:
            raise errors.refused(self._address, "while files were copied", event["text"], errors.FULL_MEANWHILE)
        raise errors.set_up(self._address, event["step"], event["text"], self._board)

    def _ended(self, code: int) -> Outcome:
        said = "\n".join(self._error).removeprefix(ERROR)
        said = said if self._address.host is None else self._job.as_here(said)
        if re.search(errors.SETTING_UP[0].words, said):
            raise errors.refused(self._address, "while it worked", said, errors.FULL_MEANWHILE)
        if said and code in PASSED_ON:
            raise FailedThereError(f"{self._address.text}: {said}", code)
        if said or code not in (0, *PASSED_ON):
            what = said or "\n".join(self._heard) or "it said nothing"
            raise errors.refused(self._address, f"exit code {code}", what, errors.BROKEN)
        try:
            return Outcome(
                code, zlib.decompressobj().decompress(base64.b64decode("".join(self._output)), LARGEST_OUTPUT)
            )
        except (ValueError, zlib.error) as error:
            raise DeviceError(f"{self._address.text}: its answer cannot be read: {error}. Try again.") from error
