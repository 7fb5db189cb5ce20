"""What ssh, venv and pip say where a board cannot be used, told with what to do."""

from __future__ import annotations

import pytest

from edge_squeeze.devices import errors
from edge_squeeze.devices.address import parse

BOARD = parse("ssh:pi@board:2222")
UNKNOWN_KEY = """No ED25519 host key is known for [board]:2222 and you have requested strict checking.
Host key verification failed."""
CHANGED_KEY = """@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
Offending ED25519 key in /home/me/known_hosts:3
Host key verification failed."""
NO_WHEEL = """ERROR: Could not find a version that satisfies the requirement ai-edge-litert>=2.3
ERROR: No matching distribution found for ai-edge-litert>=2.3"""
NO_INDEX = """WARNING: Retrying: NewConnectionError: Temporary failure in name resolution
ERROR: No matching distribution found for numpy>=1.26"""
ABOUT = {"python": "3.11.2", "machine": "armv7l", "libc": "glibc 2.36"}


@pytest.mark.parametrize(
    ("said", "what", "remedy"),
    [
        ("ssh: Could not resolve hostname board: Name or service not known", "cannot be resolved", "Check the name"),
        ("ssh: connect to host board port 2222: Connection refused", "no ssh server is listening", "Enable ssh"),
        ("ssh: connect to host board port 2222: Connection timed out", "does not answer", "it is switched on"),
        ("Connection timed out during banner exchange", "does not answer", "ssh -p 2222 -l pi board"),
        ("ssh: connect to host board port 22: No route to host", "does not answer", "it is switched on"),
        (UNKNOWN_KEY, "host key is not known here", "Run `ssh -p 2222 -l pi board` once by hand"),
        (CHANGED_KEY, "host key has changed", "ssh-keygen -R '[board]:2222'"),
        ("pi@board: Permission denied (publickey,password).", "refused the keys", "ssh-copy-id pi@board"),
        ("Received disconnect from 10.0.0.2: Too many authentication failures", "refused the keys", "ssh-add"),
        ("/home/me/.ssh/config: line 3: Bad configuration option: prot", "its own configuration", "Fix what"),
        ("kex_exchange_identification: Connection closed by remote host", "could not run a command", "by hand"),
    ],
)
def test_a_connection_that_fails_is_told(said: str, what: str, remedy: str) -> None:
    error = errors.connection(BOARD, "ssh -l pi board", said)
    assert error.exit_code == 6
    text = str(error)
    assert text.startswith("ssh:pi@board:2222: ")
    assert what in text
    assert f"  | {said.splitlines()[-1]}" in text
    assert remedy in text.splitlines()[-1]


@pytest.mark.parametrize(
    ("step", "said", "what", "remedy"),
    [
        (
            "venv",
            "The virtual environment was not created successfully because ensurepip is not\navailable.",
            "lacks venv or pip",
            "sudo apt install python3-venv",
        ),
        ("venv", "/usr/bin/python3: No module named venv", "lacks venv or pip", "sudo apt install python3-venv"),
        ("pip", NO_WHEEL, "no packages for its processor", "64-bit"),
        (
            "pip",
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "its disk is full",
            "250 MB",
        ),
        ("disk", "[Errno 28] No space left on device: '/home/pi/.cache'", "its disk is full", "XDG_CACHE_HOME"),
        ("system", "[Errno 30] Read-only file system: '/mnt/x'", "cache folder is not writable", "XDG_CACHE_HOME"),
        ("pip", NO_INDEX, "cannot reach a package index", "internet"),
        ("pip", "Segmentation fault", "the setup failed", "may say why"),
    ],
)
def test_a_setup_that_fails_is_told(step: str, said: str, what: str, remedy: str) -> None:
    error = errors.set_up(BOARD, step, said, ABOUT)
    assert error.exit_code == 6
    assert what in str(error)
    assert f"{step} failed on armv7l, glibc 2.36, Python 3.11.2" in str(error)
    assert remedy in str(error).splitlines()[-1]


@pytest.mark.parametrize(
    ("version", "got"), [(" Python 3.9.2\n", "Got: Python 3.9.2."), (" sh: 1: python: not found\n", "Got: none. ")]
)
def test_a_board_without_a_new_python_is_told(version: str, got: str) -> None:
    error = errors.no_python(BOARD, version)
    assert error.exit_code == 6
    assert "no Python 3.11 or newer" in str(error)
    assert got in str(error)
