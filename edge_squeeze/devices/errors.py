"""What it means when a board cannot be reached or set up: the words of ssh, venv and pip, with what to do."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_squeeze.devices.address import Address
from edge_squeeze.errors import DeviceError
from edge_squeeze.files.documentation import page
from edge_squeeze.packages import program

NO_PYTHON = "edge-squeeze-no-python"  # the board's shell prints it in this case, with the versions that it has
LAST_LINES = 5


@dataclass(frozen=True)
class Refusal:
    """What went wrong, recognized by `pattern` in what was printed, and what to do; `{host}` is as ssh takes it."""

    pattern: str
    what: str
    remedy: str


BY_HAND = "Try it by hand. Run: {ssh}"
CONNECTING = (
    Refusal(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Offending \S+ key in",
        "its host key has changed",
        "If the board was reinstalled: `ssh-keygen -R {known}`, then `{ssh}` to accept the new key. If not, someone "
        "may be intercepting the connection.",
    ),
    Refusal(
        r"Host key verification failed|No \S+ host key is known|authenticity of host",
        "its host key is not known here",
        "Run `{ssh}` once by hand, compare the fingerprint and accept it.",
    ),
    Refusal(
        r"Permission denied|Too many authentication failures|no matching identity",
        "it refused the keys that ssh offered, and edge-squeeze does not ask for passwords",
        "Install your key there with `ssh-copy-id {host}`, or load it with `ssh-add`.",
    ),
    Refusal(
        r"Could not resolve hostname|Name or service not known|nodename nor servname",
        "the host name cannot be resolved",
        "Check the name, or pass the board's IP address. Aliases are read from ~/.ssh/config.",
    ),
    Refusal(
        r"Connection refused",
        "it is reachable, but no ssh server is listening",
        "Enable ssh on the board (Raspberry Pi: `sudo raspi-config`, Interface Options, SSH), or pass another port: "
        "ssh:HOST:PORT.",
    ),
    Refusal(
        r"timed out|No route to host|Network is unreachable|Host is down|not responding",
        "it does not answer",
        "Check that it is switched on and connected to this network. " + BY_HAND,
    ),
    Refusal(
        r"Bad configuration option|Bad owner or permissions|terminating, \d+ bad",
        "ssh rejects its own configuration",
        "Fix what ssh reports above.",
    ),
)
FULL = Refusal(
    r"No space left on device|Disk quota exceeded|Errno 28",
    "its disk is full",
    "The setup needs up to 250 MB. Free some space, or set XDG_CACHE_HOME there to a folder on a larger disk.",
)
SETTING_UP = (
    FULL,
    Refusal(
        r"ensurepip|No module named '?(venv|pip)",
        "its Python lacks venv or pip",
        "On Debian, Ubuntu or Raspberry Pi OS: `sudo apt install python3-venv`. Then run the same command again.",
    ),
    Refusal(
        r"Temporary failure in name resolution|NewConnectionError|Failed to establish a new connection"
        r"|ConnectTimeoutError|ReadTimeoutError|Network is unreachable|Cannot connect to proxy"
        r"|CERTIFICATE_VERIFY_FAILED",
        "its pip cannot reach a package index",
        "Connect the board to the internet during the setup, or configure your own package index in its pip.conf.",
    ),
    Refusal(
        r"No matching distribution found|Could not find a version|is not a supported wheel",
        "there are no packages for its processor, C library and Python version",
        "Engines exist for 64-bit ARM and x86 with glibc, not for musl, and rarely for the newest Python. On 32-bit "
        f"systems, install by hand: {page('boards')}.",
    ),
)
NOT_WRITABLE = Refusal(
    r"Read-only file system|Permission denied|Not a directory|Errno (13|17|20|30)\b",
    "its cache folder is not writable",
    "Make it writable, or set XDG_CACHE_HOME there to a folder that is.",
)
UNKNOWN_CONNECTION = Refusal("", "ssh could not run a command there", BY_HAND)
UNKNOWN_STEP = Refusal("", "the setup failed", "The last lines above may say why.")
CUT_OFF = Refusal(
    "",
    "the connection was lost",
    "What was running there stops by itself. Run the same command again to resume from the finished launches.",
)
UNFORESEEN = Refusal(
    "", "the command ended unexpectedly there", "If the board has little memory, measure fewer files at once."
)
FULL_MEANWHILE = Refusal(
    "",
    "its disk ran out of space",
    "Free some space there. Run the same command again to resume from the finished launches.",
)
BROKEN = Refusal(
    "", "the command failed there", "If something is missing from its environment, --setup creates it again."
)


def shown_command(address: Address) -> str:
    """The ssh command that a person would type."""
    user = [] if address.user is None else ["-l", address.user]
    port = [] if address.port is None else ["-p", str(address.port)]
    return shlex.join(["ssh", *port, *user, address.host or ""])


def connection(address: Address, tried: str, printed: str) -> DeviceError:
    """The error for a connection that could not be made; `printed` is what ssh printed."""
    refusal = next((row for row in CONNECTING if re.search(row.pattern, printed)), UNKNOWN_CONNECTION)
    return refused(address, tried, printed, refusal)


def set_up(address: Address, step: str, printed: str, board: Mapping[str, Any]) -> DeviceError:
    """The error for a `step` of the setup that failed and `printed` something."""
    known = (*SETTING_UP, NOT_WRITABLE) if step == "system" else SETTING_UP
    refusal = next((row for row in known if re.search(row.pattern, printed)), UNKNOWN_STEP)
    about = f"{step} failed on {board.get('machine')}, {board.get('libc') or 'no glibc'}, Python {board.get('python')}"
    return refused(address, about, printed, refusal)


def no_python(address: Address, printed: str) -> DeviceError:
    """The error for a board without a Python that is new enough; `printed` names the versions that it has."""
    versions = ", ".join(re.findall(r"Python [0-9.]+", printed))
    return DeviceError(
        f"{address.text} has no Python 3.11 or newer. Required: python3 on the PATH of commands run over ssh. Got: "
        f"{versions or 'none'}. Raspberry Pi OS and Debian include it from version 12 (bookworm) on; on other systems, "
        "install python3.11 alongside."
    )


def no_environment(address: Address) -> DeviceError:
    """The error for a board where edge-squeeze was not set up."""
    command = f"{program()} {shlex.join([*sys.argv[1:2], '--setup', *sys.argv[2:]])}"
    return DeviceError(
        f"{address.text} has no environment with this edge-squeeze and the engines that the files need. Create it "
        f"once with --setup. Run: {command}"
    )


def refused(address: Address, tried: str, printed: str, refusal: Refusal) -> DeviceError:
    """The error that says what was tried, what was printed, and what to do."""
    lines = [line for line in printed.strip().splitlines() if line.strip()][-LAST_LINES:]
    quoted = "".join(f"\n  | {line}" for line in lines)
    host = address.host or ""
    known = shlex.quote(f"[{host}]:{address.port}" if address.port else host)
    login = f"{address.user}@{host}" if address.user else host
    remedy = refusal.remedy.format(ssh=shown_command(address), known=known, host=login)
    return DeviceError(f"{address.text}: {refusal.what} ({tried}).{quoted}\n{remedy}")
