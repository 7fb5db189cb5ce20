"""What it means when a board cannot be reached or set up: the words of ssh, venv and pip, told with what to do."""

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

NO_PYTHON = "edge-squeeze-no-python"  # what the board's shell says then, and the versions it found
LAST_LINES = 5


@dataclass(frozen=True)
class Refusal:
    """Words that tell of it, what it is, and what to do; `{host}` is the device as ssh takes it."""

    words: str
    what: str
    remedy: str


BY_HAND = "Try it by hand. Run: {ssh}"
CONNECTING = (
    Refusal(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Offending \S+ key in",
        "its host key is not the one that is known",
        "If the board was installed anew: `ssh-keygen -R {known}`, then `{ssh}` to accept the new key. If not, "
        "somebody may be in between.",
    ),
    Refusal(
        r"Host key verification failed|No \S+ host key is known|authenticity of host",
        "its host key is not known here",
        "Run `{ssh}` once by hand, compare the fingerprint and accept it.",
    ),
    Refusal(
        r"Permission denied|Too many authentication failures|no matching identity",
        "it refused the keys that ssh offered; passwords are not asked for here",
        "Bring a key there with `ssh-copy-id {host}`, or load yours with `ssh-add`.",
    ),
    Refusal(
        r"Could not resolve hostname|Name or service not known|nodename nor servname",
        "the host name cannot be resolved",
        "Check the name, or give the address of the board; aliases are those of ~/.ssh/config.",
    ),
    Refusal(
        r"Connection refused",
        "it answers, but no ssh server listens there",
        "Enable ssh on the board (Raspberry Pi: `sudo raspi-config`, Interface Options, SSH), or give another port: "
        "ssh:HOST:PORT.",
    ),
    Refusal(
        r"timed out|No route to host|Network is unreachable|Host is down|not responding",
        "it does not answer",
        "Is it on, and in this network? " + BY_HAND,
    ),
    Refusal(
        r"Bad configuration option|Bad owner or permissions|terminating, \d+ bad",
        "ssh does not accept its own configuration",
        "Fix it as ssh says above.",
    ),
)  # fmt: skip
SETTING_UP = (
    Refusal(
        r"No space left on device|Disk quota exceeded|Errno 28",
        "its disk is full",
        "An environment in the making takes up to 250 MB. Make room, or set XDG_CACHE_HOME there to a roomy folder.",
    ),
    Refusal(
        r"ensurepip|No module named '?(venv|pip)",
        "its Python has no venv or no pip",
        "Debian, Ubuntu, Raspberry Pi OS: `sudo apt install python3-venv`. Then run the same command again.",
    ),
    Refusal(
        r"Temporary failure in name resolution|NewConnectionError|Failed to establish a new connection"
        r"|ConnectTimeoutError|ReadTimeoutError|Network is unreachable|Cannot connect to proxy"
        r"|CERTIFICATE_VERIFY_FAILED",
        "its pip reaches no package index",
        "Connect the board to the internet for this one time, or set an index of yours in its pip.conf.",
    ),
    Refusal(
        r"No matching distribution found|Could not find a version|is not a supported wheel",
        "there are no packages for its processor, C library and Python",
        "Engines come for 64-bit ARM and x86 with glibc, not for musl, and seldom for the newest Python. What 32-bit "
        f"systems can do, set up by hand: {page('boards')}.",
    ),
)
NOT_WRITABLE = Refusal(
    r"Read-only file system|Permission denied|Not a directory|Errno (13|17|20|30)\b",
    "its cache folder cannot be written",
    "Set XDG_CACHE_HOME there to a folder that can be, or make that one writable.",
)
UNKNOWN_CONNECTION = Refusal("", "ssh could not run a command there", BY_HAND)
UNKNOWN_STEP = Refusal("", "a step of it failed", "The last lines above may tell why.")
CUT_OFF = Refusal(
    "",
    "the connection was cut",
    "What was started there ends by itself. The same command goes on from the launches that were finished.",
)
UNFORESEEN = Refusal("", "the work there ended early", "If its memory is small, measure fewer files at once.")
FULL_MEANWHILE = Refusal(
    "", "its disk became full", "Make room there; the same command goes on from finished launches."
)
BROKEN = Refusal(
    "", "the command broke down there", "If something of its environment is missing, --setup makes it anew."
)


def shown_command(address: Address) -> str:
    """The ssh command that a person would type."""
    user = [] if address.user is None else ["-l", address.user]
    port = [] if address.port is None else ["-p", str(address.port)]
    return shlex.join(["ssh", *port, *user, address.host or ""])


def connection(address: Address, tried: str, said: str) -> DeviceError:
    """The error for a connection that did not come about; `said` is what ssh printed."""
    found = next((one for one in CONNECTING if re.search(one.words, said)), UNKNOWN_CONNECTION)
    return refused(address, tried, said, found)


def set_up(address: Address, step: str, said: str, board: Mapping[str, Any]) -> DeviceError:
    """The error for a `step` of setting up that failed with the words `said`."""
    known = (*SETTING_UP, NOT_WRITABLE) if step == "system" else SETTING_UP
    found = next((one for one in known if re.search(one.words, said)), UNKNOWN_STEP)
    about = f"{step} failed on {board.get('machine')}, {board.get('libc') or 'no glibc'}, Python {board.get('python')}"
    return refused(address, about, said, found)


def no_python(address: Address, found: str) -> DeviceError:
    """The error for a board without a Python that is new enough; `found` are the versions that it has."""
    versions = ", ".join(re.findall(r"Python [0-9.]+", found))
    return DeviceError(
        f"{address.text} has no Python 3.11 or newer. Required: python3 on the PATH of a command over ssh. Got: "
        f"{versions or 'none'}. Raspberry Pi OS and Debian have it from 12 (bookworm) on; elsewhere "
        "install python3.11 beside the other."
    )


def no_environment(address: Address) -> DeviceError:
    """The error for a board where edge-squeeze was not set up."""
    command = f"{program()} {shlex.join([*sys.argv[1:2], '--setup', *sys.argv[2:]])}"
    return DeviceError(
        f"{address.text} has no environment of this edge-squeeze with the engines that the files need. Make it, once, "
        f"with --setup. Run: {command}"
    )


def refused(address: Address, tried: str, said: str, refusal: Refusal) -> DeviceError:
    """The error that says what was tried, what came back, and what to do."""
    lines = [line for line in said.strip().splitlines() if line.strip()][-LAST_LINES:]
    quoted = "".join(f"\n  | {line}" for line in lines)
    host = address.host or ""
    known = f"[{host}]:{address.port}" if address.port else host
    words = {
        "ssh": shown_command(address), "known": shlex.quote(known),
        "host": f"{address.user}@{host}" if address.user else host,
    }  # fmt: skip
    return DeviceError(f"{address.text}: {refusal.what} ({tried}).{quoted}\n{refusal.remedy.format(**words)}")
