"""Boards to test with: a program called ssh that runs commands here, and a real ssh server on this machine."""

from __future__ import annotations

import itertools
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

WITHOUT_TENSORFLOW = 'import sys\nsys.modules["tensorflow"] = None\n'  # as if it were not installed
SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


def write_program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text).lstrip())
    path.chmod(0o755)
    return path


def path_with(folder: Path) -> str:
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def fake_ssh(folder: Path, text: str) -> Path:
    """A folder for PATH whose ssh is the shell script `text`; in it, the last argument is the command for the board.

    The board's python3 is the tests' own, since environments are named after its version.
    """
    write_program(folder / "python3", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    write_program(folder / "ssh", "#!/bin/bash\ncommand=${@: -1}\n" + textwrap.dedent(text))
    return folder


def own_environment(cache: Path, extras: str, stem: str) -> Path:
    """An environment as --setup leaves it, which runs what is installed for the tests, but for TensorFlow."""
    version = platform.python_version()
    folder = cache / "edge-squeeze" / "environments" / f"{stem}-{extras}-{version}"
    without = write_program(folder / "without" / "sitecustomize.py", WITHOUT_TENSORFLOW).parent
    command = f'PYTHONPATH="{without}" exec "{sys.executable}" "$@"'
    return write_program(folder / "bin" / "python", f"#!/bin/sh\n{command}\n")


def left(cache: Path) -> list[str]:
    """What lies in a board's cache, apart from what is meant to."""
    root = cache / "edge-squeeze"
    kept = ("environments", "benchmarks")
    # os.walk minds nothing that is removed meanwhile
    everything = [Path(folder) / name for folder, *names in os.walk(root) for name in itertools.chain(*names)]
    inside = [p for p in everything if p.relative_to(root).parts[0] not in kept and p.name != "runs"]
    return [str(p) for p in [*inside, *root.glob("environments/.part-*")]]


def processes(word: str) -> list[str]:
    """The commands that run now with `word` in their environment."""
    commands = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (folder / "environ").read_bytes():
                commands.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has just ended, or is another user's
    return commands


def wait_until(condition: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


@dataclass
class Board:
    """A real ssh server on this machine; `folder` has its keys, its cache and the desk's configuration for it."""

    folder: Path
    port: int
    server: int | None = None  # its process
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def desk(self, **more: str) -> dict[str, str]:
        """What the desk's commands run with: a cache of its own, and ssh with a configuration that knows `board`."""
        own = {"PATH": path_with(self.folder / "bin"), "EDGE_SQUEEZE_CACHE": str(self.folder / "desk")}
        return os.environ | own | more

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """A command of edge-squeeze on the desk."""
        return subprocess.Popen(
            [sys.executable, "-m", "edge_squeeze", *map(str, arguments)],
            cwd=self.folder,
            env=self.desk(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - a shell may ignore it
        )

    def run(self, *arguments: object) -> tuple[int, str, str]:
        """The exit code, output and errors of a command of edge-squeeze on the desk."""
        process = self.start(*arguments)
        stdout, stderr = process.communicate()
        assert "Traceback" not in stderr
        return process.returncode, stdout, stderr

    def left(self) -> list[str]:
        """Processes and files that something left here; what is ending is waited for."""
        deadline = time.monotonic() + 30
        while (rest := processes(f"XDG_CACHE_HOME={self.cache}") + left(self.cache)) and time.monotonic() < deadline:
            time.sleep(0.1)
        return rest


def _key(path: Path) -> str:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return path.with_suffix(".pub").read_text()


def _configure(board: Board) -> None:
    folder = board.folder
    host, client = _key(folder / "host"), _key(folder / "key")
    (folder / "authorized").write_text(client)
    board.known_hosts.write_text(f"[127.0.0.1]:{board.port} {host}")
    sent = " ".join(f'"{name}={value}"' for name, value in board.environment.items())
    (folder / "sshd_config").write_text(
        textwrap.dedent(f"""
        ListenAddress 127.0.0.1
        Port {board.port}
        HostKey {folder}/host
        AuthorizedKeysFile {folder}/authorized
        PidFile none
        StrictModes no
        UsePAM no
        PasswordAuthentication no
        KbdInteractiveAuthentication no
        PermitRootLogin prohibit-password
        SetEnv {sent}
    """)
    )
    (folder / "ssh_config").write_text(
        textwrap.dedent(f"""
        Host board
            HostName 127.0.0.1
            Port {board.port}
            IdentityFile {folder}/key
            IdentitiesOnly yes
            UserKnownHostsFile {folder}/known_hosts
            GlobalKnownHostsFile /dev/null
    """)
    )
    write_program(folder / "bin" / "ssh", f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')


@contextmanager
def serving(folder: Path, **environment: str) -> Iterator[Board]:
    """A board with its server running, and `environment` in the sessions there."""
    if not Path(SSHD).exists() or not shutil.which("ssh"):
        give_up = pytest.fail if "ssh" in os.environ.get("EDGE_SQUEEZE_REQUIRE", "") else pytest.skip
        give_up("there is no sshd: apt-get install openssh-server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    board = Board(folder, port)
    packages = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    board.environment = packages | {"XDG_CACHE_HOME": str(board.cache)} | environment
    board.cache.mkdir(exist_ok=True)
    _configure(board)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where a server started by root confines itself
    log = (folder / "sshd.log").open("w")
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    board.server = server.pid
    try:
        wait_until(lambda: _listens(port))
        yield board
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
        log.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
