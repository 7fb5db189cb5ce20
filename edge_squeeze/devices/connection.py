"""A connection to the agent on a device, started over ssh, and what ssh said if that failed."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from edge_squeeze.devices import agent, errors
from edge_squeeze.devices.address import Address
from edge_squeeze.errors import DeviceError
from edge_squeeze.files import atomic
from edge_squeeze.process.supervision import ended_by

HEARTBEAT_S = 15
GREETING_S = 90  # for a slow device to start Python
PATIENCE_S = 20  # for a device to clear up
LAST_LINES = 20
CUT_CODES = (255, "SIGTERM", "SIGKILL")  # of ssh itself
CHUNK = 1 << 20
# No prompt can be answered, and a dead connection is to be noticed within a minute.
OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "15",
    "ServerAliveInterval": "15",
    "ServerAliveCountMax": "4",
    "ControlMaster": "no",
    "ClearAllForwardings": "yes",
    "LogLevel": "INFO",
}
NO_WINDOWS = {"SSH_ASKPASS_REQUIRE": "never"}  # that ask for a password: BatchMode does not reach jump hosts
PYTHONS = ("python3", "python3.14", "python3.13", "python3.12", "python3.11")
START = "import sys; exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"  # without quotes, $ and \\ for sh
FIND = (
    'for p in {pythons}; do if "$p" -c "import sys; sys.exit(sys.version_info < (3, 11))" </dev/null >/dev/null 2>&1; '
    'then exec "$p" -I -c "{start}"; fi; done; '
    'echo {missing} $(for p in python3 python; do "$p" -V </dev/null 2>&1; done)'
)


def ssh_command(address: Address) -> list[str]:
    """The command that starts a Python on the board, which runs the program that it is sent."""
    options = [word for name, value in OPTIONS.items() for word in ("-o", f"{name}={value}")]
    port = [] if address.port is None else ["-p", str(address.port)]
    user = [] if address.user is None else ["-l", address.user]
    script = FIND.format(pythons=" ".join(PYTHONS), start=START, missing=errors.NO_PYTHON)
    assert address.host is not None
    return ["ssh", "-T", *options, *port, *user, "--", address.host, f"exec /bin/sh -c {shlex.quote(script)}"]


def program() -> bytes:
    """The source of the agent, with the call that starts it."""
    return Path(agent.__file__).read_bytes() + b"\n\nmain()\n"


class Connection:
    """An agent that runs on the device `address` while this is open.

    When this is closed or cut, the agent ends what it has started and cleans up.
    """

    def __init__(self, address: Address) -> None:
        self._address, self._errors = address, deque[str](maxlen=LAST_LINES)
        self._writing, self._done, self._greeted = threading.Lock(), threading.Event(), threading.Event()
        self._noise: deque[str] = deque(maxlen=LAST_LINES)
        local = [sys.executable, "-I", "-c", START]
        if address.host is None and not atomic.has_locks():
            raise DeviceError(
                "--device local together with other devices requires file locks and process groups, which this system "
                "lacks (Linux and macOS have them). Measure this machine in a separate command, without --device."
            )
        try:
            # A session or group of its own: Ctrl-C is for us, and the command on the device is to end in good order.
            self._process = subprocess.Popen(  # noqa: S603 - the user's own ssh
                local if address.host is None else ssh_command(address),
                env=os.environ | NO_WINDOWS,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError as error:
            raise DeviceError(
                f"{address.text} requires the program ssh, which is not installed here. On Debian: "
                "`apt install openssh-client`."
            ) from error
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        threading.Thread(target=self._expect_greeting, daemon=True).start()
        text = program()
        self._write(b"%d\n" % len(text), text)

    def _listen(self) -> None:
        """Keep the last lines that ssh prints."""
        assert self._process.stderr
        self._errors.extend(line.decode("utf-8", "replace").rstrip() for line in self._process.stderr)

    def _write(self, *parts: bytes, file: IO[bytes] | None = None) -> None:
        assert self._process.stdin
        with self._writing, contextlib.suppress(OSError, ValueError):  # a broken connection shows in what comes back
            for part in parts:
                self._process.stdin.write(part)
            while file is not None and (part := file.read(CHUNK)):
                self._process.stdin.write(part)
            self._process.stdin.flush()

    def send(self, message: Mapping[str, Any], file: IO[bytes] | None = None) -> None:
        """Send `message`, and the content of `file` after it."""
        self._write(json.dumps(message).encode() + b"\n", file=file)

    def events(self) -> Iterator[dict[str, Any]]:
        """The events that the agent sends, until it ends."""
        assert self._process.stdout
        mark = agent.MARK.encode()
        for line in self._process.stdout:
            if line.startswith(mark):
                if not self._greeted.is_set():
                    self._greeted.set()
                    threading.Thread(target=self._live, daemon=True).start()
                with contextlib.suppress(ValueError):
                    yield json.loads(line.removeprefix(mark))
            else:
                self._noise.append(line.decode("utf-8", "replace").rstrip())

    def _expect_greeting(self) -> None:
        if not self._greeted.wait(GREETING_S) and self._process.poll() is None:
            self._noise.append(f"nothing came back within {GREETING_S} s")
            self._process.kill()

    def _live(self) -> None:
        """Send signs of life, but not in the middle of a message."""
        while not self._done.wait(HEARTBEAT_S):
            self._write(b"\n")

    def lost(self) -> DeviceError:
        """The error for an agent that ended before it said that it was done."""
        self.close()
        self._listener.join(1)
        printed = "\n".join([*self._errors] or self._noise)
        if self._greeted.is_set():
            code = self._process.returncode
            refusal = errors.CUT_OFF if (ended_by(code) or code) in CUT_CODES else errors.UNFORESEEN
            return errors.refused(self._address, "while running the command", printed, refusal)
        for line in self._noise:
            if line.startswith(errors.NO_PYTHON):
                return errors.no_python(self._address, line.removeprefix(errors.NO_PYTHON))
        return errors.connection(self._address, errors.shown_command(self._address), printed)

    def hang_up(self) -> None:
        """Ask the agent to end what it does; it may still answer. May be called from another thread."""
        if self._done.is_set():
            return
        self._done.set()
        threading.Thread(target=self._end_late, daemon=True).start()
        assert self._process.stdin
        if self._writing.acquire(timeout=1):
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self._writing.release()
        else:
            self._process.terminate()

    def _end_late(self) -> None:
        """End ssh itself if the device takes too long."""
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def close(self) -> None:
        """End the agent, once it has cleaned up."""
        self.hang_up()
        for _ in self.events():
            pass
        self._process.wait()
