"""Boards to test on: Debian's Python for ARM, run by QEMU on x86-64 Linux, with no root and nothing installed.

By hand: `python tests/helpers/arm64.py FOLDER [armhf]` makes one, and prints the Python to make environments of.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SUITE = "bookworm"  # Debian 12 and its Raspberry Pi OS: Python 3.11 is the last that tflite-runtime has wheels for
PYTHON = "python3.11"
QEMU_SUITE = "trixie"  # with older QEMUs, which show the host's /proc/cpuinfo, LiteRT and ONNX Runtime crash
VERSION = 2  # of what is unpacked below: a change makes boards anew
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PROGRAMS = ("apt-get", "apt-config", "dpkg-deb", "tar")
LEFT_OUT = ("./usr/share/doc", "./usr/share/man", "./usr/share/locale", "./var", "./boot")
TIMEOUT_S = 900
APT = """\
APT {{ Architecture "{architecture}"; Architectures {{ "{architecture}"; }}; Install-Recommends "0"; }};
APT::Sandbox::User "root"; Acquire::Languages "none"; Debug::NoLocking "1";
Dir {{ State "{folder}"; State::status "{folder}/status"; Cache "{folder}"; Cache::archives "{archives}/"; }};
Dir::Etc {{ sourcelist "{folder}/sources.list"; sourceparts "/dev/null"; preferencesparts "/dev/null"; main "/dev/null";
parts "/dev/null"; }};
{downloads}
"""
# Stands in the place of the board's Python. The host can start a script, and so can environments, pip and subprocess.
PROGRAM = """\
#!/bin/sh
QEMU_CPU="${{QEMU_CPU:-{cpu}}}" exec "{qemu}" -L "{root}" -0 "$0" "{python}.elf" "$@"
"""


class NoBoardError(Exception):
    """Why no board can be made here."""


@dataclass(frozen=True)
class Kind:
    """A kind of board: how QEMU and Debian call it, and Debian's packages for it beside Python's."""

    qemu: str
    default_cpu: str
    packages: tuple[str, ...] = ()


KINDS = {
    "arm64": Kind("qemu-aarch64", "cortex-a72", ("python3.11-venv",)),
    "armhf": Kind("qemu-arm", "cortex-a7", ("python3-numpy", "python3-pil")),  # which have no wheels for it
}


@dataclass(frozen=True)
class Board:
    """A board's Python."""

    python: Path

    def run(self, *command: object, cpu: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """The command, run on a board with the processor `cpu`, of the names that QEMU has for them."""
        unwanted = {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"}
        environment = {name: value for name, value in os.environ.items() if name not in unwanted}
        return _run(*command, variables={**environment, "QEMU_CPU": cpu, **variables})


def make(folder: Path, architecture: str = "arm64") -> Board:
    """The board in `folder`, made now unless it is there; NoBoardError where that cannot be done.

    Paths of `folder` are written into it: it cannot be moved.
    """
    qemu = folder.absolute() / f"qemu-{QEMU_SUITE}-{VERSION}"
    board = folder.absolute() / f"{architecture}-{SUITE}-{VERSION}"
    python = board / "root" / "usr" / "bin" / PYTHON
    _once(qemu, lambda: _make_qemu(qemu))
    _once(board, lambda: _make_board(board, python, KINDS[architecture], architecture, qemu))
    return Board(python)


def _once(folder: Path, work: Callable[[], None]) -> None:
    """Do `work`, which fills `folder`, unless it was done to the end before."""
    with locked(folder.with_suffix(".lock")):
        if not (folder / "ready").exists():
            _check_host()
            shutil.rmtree(folder, ignore_errors=True)
            work()
            (folder / "ready").touch()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes that want the lock `path` waiting: several test at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _check_host() -> None:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise NoBoardError(f"required: x86-64 Linux, got {platform.system()} {platform.machine()}")
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        raise NoBoardError(f"required: {', '.join(PROGRAMS)}; {', '.join(missing)} missing")
    if not KEYRING.is_file():
        raise NoBoardError(f"{KEYRING} is missing; apt-get install debian-archive-keyring")


def _make_qemu(folder: Path) -> None:
    (package,) = _download(folder / "apt", "amd64", QEMU_SUITE, ["qemu-user"], alone=True)
    _unpack(package, folder, *(f"./usr/bin/{kind.qemu}" for kind in KINDS.values()), "--strip-components=3")
    shutil.rmtree(folder / "apt")


def _make_board(folder: Path, python: Path, kind: Kind, architecture: str, qemu: Path) -> None:
    root = folder / "root"
    for name in ("bin", "sbin", "lib"):  # Debian's own links, which its packages expect
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in _download(folder / "apt", architecture, SUITE, [PYTHON, "libstdc++6", *kind.packages]):
        _unpack(package, root, *(f"--exclude={name}" for name in LEFT_OUT))
    _link_alternatives(root)
    python.rename(f"{python}.elf")
    python.write_text(PROGRAM.format(cpu=kind.default_cpu, qemu=qemu / kind.qemu, root=root, python=python))
    python.chmod(0o755)
    shutil.rmtree(folder / "apt")


def _link_alternatives(root: Path) -> None:
    """Make the links to Debian's linear algebra that its packages would make when they are installed."""
    for library in (*root.glob("usr/lib/*/blas/lib*.so.3"), *root.glob("usr/lib/*/lapack/lib*.so.3")):
        library.parent.with_name(library.name).symlink_to(library.relative_to(library.parent.parent))


def _download(
    state: Path, architecture: str, suite: str, names: Sequence[str], *, alone: bool = False
) -> Sequence[Path]:
    """The files of the packages `names` and, unless `alone`, of all that they depend on."""
    folder, archives = state / architecture, state / architecture / "archives"
    for path in (folder / "lists" / "partial", archives / "partial"):
        path.mkdir(parents=True)
    (folder / "status").touch()  # nothing is installed
    (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n")
    settings = APT.format(architecture=architecture, folder=folder, archives=archives, downloads=download_settings())
    (folder / "apt.conf").write_text(settings)
    variables = {**os.environ, "APT_CONFIG": str(folder / "apt.conf")}
    _must("apt-get", "-qq", "update", variables=variables)
    if alone:
        _must("apt-get", "-qq", "download", *names, variables=variables, folder=archives)
    else:
        _must("apt-get", "-qq", "-y", "--download-only", "install", *names, variables=variables)
    return sorted(archives.glob("*.deb"))


def download_settings() -> str:
    """The host's own proxies, as lines of a configuration of apt."""
    return _must("apt-config", "dump", "--format", '%F "%v";%n', "Acquire::http", "Acquire::https")


def mirror() -> str:
    """Where the host's own apt gets Debian from."""
    rows = _must("apt-get", "indextargets", "--format", "$(LABEL)|$(REPO_URI)").splitlines()
    addresses = [address for label, _, address in (row.partition("|") for row in rows) if label == "Debian"]
    if not addresses:
        raise NoBoardError("apt knows no mirror of Debian; if there should be one: apt-get update")
    return addresses[0]


def _unpack(package: Path, folder: Path, *options: str) -> None:
    """Put what is in `package` into `folder`; none of its scripts runs."""
    tar = ["tar", "-x", "-C", str(folder), "--keep-directory-symlink", "--no-same-owner", *options]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as unpacking:
        done = subprocess.run(tar, stdin=unpacking.stdout, capture_output=True, text=True, check=False)
    if done.returncode or unpacking.returncode:
        raise NoBoardError(f"{package.name} cannot be unpacked: {done.stderr}")


def _must(*command: object, variables: Mapping[str, str] | None = None, folder: Path | None = None) -> str:
    done = _run(*command, variables=variables, folder=folder)
    if done.returncode:
        raise NoBoardError(f"{command[0]} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def _run(
    *command: object, variables: Mapping[str, str] | None = None, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, env=variables, cwd=folder or "/"
    )


if __name__ == "__main__":
    sys.stdout.write(f"{make(Path(sys.argv[1]), *sys.argv[2:]).python}\n")
