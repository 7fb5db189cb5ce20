"""The program that runs on a board: it makes an environment, runs one command in it, and leaves nothing else behind.

It is sent over ssh as text and run by the board's own Python, so it needs nothing but the standard library, and has
its own cache rule and locks. Board and desk exchange lines of JSON, some followed by as many bytes as the line says.
The desk sends an empty line from time to time: when that stops, or standard input ends, the desk is gone.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import platform
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any, NoReturn

MARK = "edge-squeeze "  # begins every line of ours; what a login shell prints lacks it
SILENCE_S = 120
CHUNK = 1 << 16
STDIN, STDOUT = 0, 1
# The desk imports this, too, and may be Windows.
ENDING = tuple(getattr(signal, name) for name in ("SIGHUP", "SIGTERM", "SIGINT") if hasattr(signal, name))
GRACE_S = 10
LAST_LINES = 20
PR_SET_PDEATHSIG = 1  # from Linux' prctl.h
SHOWN = ("Downloading ", "Building ")  # pip's lines that announce something slow
# Wheels only: a board would build NumPy for an hour.
PIP = (
    *("-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"),
    *("--no-compile", "--only-binary", ":all:"),
)
FULL = (errno.ENOSPC, errno.EDQUOT)
# Whether every file of every package is there: users and worn cards remove some.
WHOLE = (
    "import importlib.metadata as m, sys; sys.exit(not all(f.locate().exists() for d in m.distributions() "
    "for f in d.files or () if f.suffix != '.pyc'))"
)
Sink = Callable[[bytes], object]


class CutError(Exception):
    """The desk is gone."""


class SetUpError(Exception):
    """A step of the setup failed; the arguments are its name and its last lines."""


def cut(*_: object) -> NoReturn:
    """Raise CutError, once: the cleanup must not be interrupted."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise CutError


def say(event: str, **values: Any) -> None:
    """Send an event to the desk; if the desk is gone, do nothing."""
    data = memoryview(f"{MARK}{json.dumps({'event': event, **values})}\n".encode())
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(STDOUT, data) :]


def _read(most: int) -> bytes:
    readable, _, _ = select.select([STDIN], [], [], SILENCE_S)
    data = os.read(STDIN, most) if readable else b""
    if not data:
        cut()
    return data


def receive() -> dict[str, Any]:
    """The next message."""
    line = b""
    while not line.strip():
        line = b""
        while not line.endswith(b"\n"):
            line += _read(1)
    message: dict[str, Any] = json.loads(line)
    return message


def receive_bytes(count: int, file: IO[bytes]) -> None:
    """Write the next `count` bytes to `file`."""
    while count:
        data = _read(min(count, CHUNK))
        file.write(data)
        count -= len(data)
    file.flush()


class Life:
    """When the desk was last heard of, while it sends nothing but signs of life."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def check(self, *, heard: bool) -> None:
        """Take a sign of life; CutError if the desk hung up, or was silent for too long."""
        now = time.monotonic()
        if heard:
            self._last = now
        if now - self._last > SILENCE_S or (heard and not os.read(STDIN, CHUNK)):
            cut()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process."""
    import fcntl  # not at the top: the desk imports this module, too, and may be Windows

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def own_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder that is removed at the end, as are those of killed processes."""
    parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        with locked(parent):
            sweep(parent, prefix)
            folder = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
            held.callback(shutil.rmtree, folder, ignore_errors=True)
            held.enter_context(locked(folder))
        yield folder


def sweep(parent: Path, prefix: str) -> None:
    """Remove the folders that no process holds any more."""
    import fcntl

    for folder in parent.glob(f"{prefix}*"):
        descriptor = os.open(folder, os.O_RDONLY)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


class Lines:
    """Passes whole lines on to `tell`, and keeps the last ones."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._rest = tell, b""
        self.last: deque[str] = deque(maxlen=LAST_LINES)

    def __call__(self, data: bytes) -> None:
        """Take what was printed next, or nothing at its end."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if not data and self._rest:
            lines, self._rest = [self._rest], b""
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip()
            self.last.append(text)
            self._tell(text)


def supervise(command: Sequence[str], out: Sink, err: Sink, **options: Any) -> int:
    """The exit code of `command`, whose output goes to `out` and `err` as it comes; it ends with the desk."""
    process = subprocess.Popen(  # noqa: S603 - what the desk asked for
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - there are no threads
        **options,
    )
    assert process.stdout
    assert process.stderr
    sinks = {process.stdout.fileno(): out, process.stderr.fileno(): err}
    try:
        _pump(sinks)
        return process.wait()
    finally:
        _stop(process, sinks)


def _pump(sinks: Mapping[int, Sink]) -> None:
    left, life = dict(sinks), Life()
    while left:
        readable, _, _ = select.select([STDIN, *left], [], [], SILENCE_S)
        life.check(heard=STDIN in readable)
        for descriptor in set(readable) & set(left):
            data = os.read(descriptor, CHUNK)
            left[descriptor](data)
            if not data:
                del left[descriptor]


def _stop(process: subprocess.Popen[bytes], sinks: Mapping[int, Sink]) -> None:
    """End the process and all that it started, gently at first: an interrupted benchmark says what it keeps."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
        for descriptor, sink in sinks.items():
            os.set_blocking(descriptor, False)
            with contextlib.suppress(BlockingIOError):
                sink(os.read(descriptor, CHUNK))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _die_with_parent() -> None:
    import ctypes

    if prctl := getattr(ctypes.CDLL(None), "prctl", None):
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def cache_folder() -> Path:
    """Where edge-squeeze keeps things here; the rule is that of `edge_squeeze.files.cache`."""
    if own := os.environ.get("EDGE_SQUEEZE_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-squeeze"


def set_up(target: Path, extras: str) -> None:
    """Make the environment `target` from the wheel that comes next, whole or not at all."""
    say("send-wheel")
    message = receive()
    with own_folder(target.parent, ".part-") as folder:
        wheel, new = folder / PurePosixPath(message["name"]).name, folder / "environment"
        with wheel.open("wb") as file:
            receive_bytes(message["bytes"], file)
        _step("venv", [sys.executable, "-m", "venv", str(new)], folder)
        _step("pip", [str(new / "bin" / "python"), *PIP, f"{wheel}[{extras}]"], folder)
        if target.exists() and not is_whole(target):
            target.rename(folder / "broken")
        if not target.exists():  # another desk may have been faster
            new.rename(target)


def _step(name: str, command: Sequence[str], folder: Path) -> None:
    say("line", text=f"      {name} ...")
    lines = Lines(lambda text: say("line", text=f"        {text.strip()}") if text.strip().startswith(SHOWN) else None)
    if supervise(command, lines, lines, env={**os.environ, "TMPDIR": str(folder)}):
        raise SetUpError(name, "\n".join(lines.last))


def is_whole(environment: Path) -> bool:
    """Whether nothing that was installed in `environment` is missing."""
    python = environment / "bin" / "python"
    ignored = Lines(lambda _: None)
    return python.exists() and supervise([str(python), "-I", "-c", WHOLE], ignored, ignored) == 0


def unpack(message: Mapping[str, Any], folder: Path) -> None:
    """Write the files of the tar archive that comes next below `folder`; only regular files with plain names."""
    with tempfile.TemporaryFile(dir=folder) as archive:
        receive_bytes(message["bytes"], archive)
        archive.seek(0)
        with tarfile.open(fileobj=archive) as files:
            for member in files:
                path = PurePosixPath(member.name)
                if not member.isreg() or path.is_absolute() or ".." in path.parts:
                    raise ValueError(f"{member.name} is not a regular file inside the folder.")
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                with (folder / path).open("wb") as file:
                    shutil.copyfileobj(files.extractfile(member) or file, file)


def run(message: Mapping[str, Any], python: str, runs: Path) -> None:
    """Run one command of edge-squeeze on the files that come next; send its output and exit code."""
    output: list[bytes] = []
    lines = Lines(lambda text: say("line", text=text))
    with own_folder(runs, "run-") as folder:
        work, temporary = folder / "files", folder / "tmp"
        work.mkdir()
        temporary.mkdir()
        if message["bytes"]:
            unpack(message, work)
        command = [python, "-P", "-m", "edge_squeeze", *message["argv"]]
        environment = {**os.environ, "TMPDIR": str(temporary), "EDGE_SQUEEZE_PROGRESS": "lines"}
        code = supervise(command, output.append, lines, cwd=message["cwd"] or work, env=environment)
    text = base64.b64encode(zlib.compress(b"".join(output))).decode()
    for at in range(0, len(text), CHUNK):
        say("output", part=text[at : at + CHUNK])
    say("end", code=code)


def serve() -> None:
    """Do what the desk asks for, once."""
    say("hello", python=platform.python_version(), machine=platform.machine(), libc=" ".join(platform.libc_ver()))
    request, cache = receive(), cache_folder()
    python = request["python"] or _environment(request, cache / "environments")
    if python is None:
        say("no-environment")
        return
    say("send-files")
    run(receive(), python, cache / "runs")


def _environment(request: Mapping[str, Any], environments: Path) -> str | None:
    """The Python of an environment with what is requested; None if there is none and none is to be made."""
    version = platform.python_version()
    targets = {extras: environments / f"{request['stem']}-{extras}-{version}" for extras in request["extras"]}
    target = next((folder for folder in targets.values() if folder.exists()), None)
    if request["setup"] and (target is None or not is_whole(target)):
        extras, target = next(iter(targets.items()))
        set_up(target, extras.replace("+", ","))
    python = None if target is None else target / "bin" / "python"
    return str(python) if python is not None and python.exists() else None


def main() -> None:
    """Serve the desk, and report how that ended."""
    for number in ENDING:
        signal.signal(number, cut)
    try:
        serve()
    except CutError:
        say("cut")
    except SetUpError as error:
        say("failed", step=error.args[0], text=error.args[1])
    except OSError as error:
        say("failed", step="disk" if error.errno in FULL else "system", text=str(error))
