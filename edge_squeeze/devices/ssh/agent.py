"""What runs on a board: makes an environment there, runs one command in it, and leaves nothing else behind.

It is sent over ssh as text and run by the board's own Python, so it needs the standard library alone.
"""

from __future__ import annotations

import base64
import errno
import os
import platform
import shutil
import signal
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from edge_squeeze.devices.ssh.agent_link import CHUNK, ENDING, CutError, cut, receive, receive_bytes, say
from edge_squeeze.devices.ssh.agent_work import Lines, own_folder, supervise

SHOWN = ("Downloading ", "Building ")  # what pip says that takes long
# Wheels alone: a board would build NumPy for an hour.
PIP = (
    "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--no-compile",
    "--only-binary", ":all:",
)  # fmt: skip
FULL = (errno.ENOSPC, errno.EDQUOT)
# Whether each file of each package is there, whatever a user or a worn card removed.
WHOLE = (
    "import importlib.metadata as m, sys; sys.exit(not all(f.locate().exists() for d in m.distributions() "
    "for f in d.files or () if f.suffix != '.pyc'))"
)


class SetUpError(Exception):
    """A step of setting up failed; the arguments are its name and its last lines."""


def cache_folder() -> Path:
    """Where edge-squeeze keeps things here; the rule is that of `edge_squeeze.files.cache`."""
    if own := os.environ.get("EDGE_SQUEEZE_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-squeeze"


def set_up(target: Path, extras: str) -> None:
    """Make the environment `target` of the wheel that comes next: whole, or not at all."""
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


def unpack(message: Mapping[str, Any], folder: Path) -> None:
    """Write the files of the tar archive that comes next below `folder`; nothing but plain files of plain names."""
    with tempfile.TemporaryFile(dir=folder) as archive:
        receive_bytes(message["bytes"], archive)
        archive.seek(0)
        with tarfile.open(fileobj=archive) as files:
            for member in files:
                path = PurePosixPath(member.name)
                if not member.isreg() or path.is_absolute() or ".." in path.parts:
                    raise ValueError(f"{member.name} is no plain file below the folder.")
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                with (folder / path).open("wb") as file:
                    shutil.copyfileobj(files.extractfile(member) or file, file)


def run(message: Mapping[str, Any], python: str, runs: Path) -> None:
    """Run one command of edge-squeeze on the files that come next, and tell what it says and ends with."""
    output: list[bytes] = []
    lines = Lines(lambda text: say("line", text=text))
    with own_folder(runs, "run-") as folder:
        work, temporary = folder / "files", folder / "tmp"
        work.mkdir()
        temporary.mkdir()
        if message["bytes"]:
            unpack(message, work)
        own = {"TMPDIR": str(temporary), "EDGE_SQUEEZE_PROGRESS": "lines"}
        code = supervise(
            [python, "-P", "-m", "edge_squeeze", *message["argv"]], output.append, lines,
            cwd=message["cwd"] or work, env=os.environ | own,
        )  # fmt: skip
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
    """The Python of an environment that has what is asked for; None where there is none and none is to be made."""
    version = platform.python_version()
    targets = {extras: environments / f"{request['stem']}-{extras}-{version}" for extras in request["extras"]}
    found = next((one for one in targets.values() if one.exists()), None)
    if request["setup"] and (found is None or not is_whole(found)):
        extras, found = next(iter(targets.items()))
        set_up(found, extras.replace("+", ","))
    python = None if found is None else found / "bin" / "python"
    return str(python) if python is not None and python.exists() else None


def is_whole(environment: Path) -> bool:
    """Whether nothing of what was installed there is missing."""
    if not (environment / "bin" / "python").exists():
        return False
    said = Lines(lambda _: None)
    return supervise([str(environment / "bin" / "python"), "-I", "-c", WHOLE], said, said) == 0


def main() -> None:
    """Serve the desk, and tell it how that ended."""
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
