"""The devices that `--device` names: this machine, or a board that ssh reaches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge_squeeze.errors import UsageError

LOCAL = "local"
HIGHEST_PORT = 65535
# Names take few characters: ssh puts them into the commands that its configuration may hold.
SSH = re.compile(
    r"ssh:(?:(?P<user>[A-Za-z0-9_][\w.+-]*)@)?"
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<host>[A-Za-z0-9_][\w.-]*))(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Address:
    """A device; without a `host` it is this machine. `host` may be an alias of the user's ssh configuration."""

    text: str  # as the user wrote it
    host: str | None = None
    user: str | None = None
    port: int | None = None

    @property
    def slug(self) -> str:
        """The device as part of a file name."""
        return re.sub(r"[^A-Za-z0-9.]+", "-", self.text.removeprefix("ssh:")).strip("-.")


def parse(text: str) -> Address:
    """The device that `text` names; UsageError if it names none."""
    if text == LOCAL:
        return Address(LOCAL)
    match = SSH.fullmatch(text)
    port = int(match["port"]) if match and match["port"] else None
    if match is None or (port is not None and not 0 < port <= HIGHEST_PORT):
        raise UsageError(
            f"--device {text!r} is not a device. Required: local, or ssh:[USER@]HOST[:PORT] as in ssh:pi@192.168.1.20 "
            "or ssh:pi@[fe80::1]:2222, where HOST may be an alias of ~/.ssh/config."
        )
    return Address(text, match["ipv6"] or match["host"], match["user"], port)


def elsewhere(texts: Sequence[str] | None, *, setup: bool = False, most: int | None = None) -> list[Address]:
    """The devices that `texts` name; none if that is this machine alone.

    UsageError for more than `most`, for one that is given twice, and for a `setup` without a board.
    """
    addresses = [parse(text) for text in texts or []]
    if most is not None and len(addresses) > most:
        received = ", ".join(address.text for address in addresses)
        raise UsageError(f"Required: at most {most} --device. Got: {received}.")
    slugs = [address.slug for address in addresses]
    for address in addresses:
        if slugs.count(address.slug) > 1:
            raise UsageError(f"--device {address.text} is given twice. Required: each device once.")
    if setup and not any(address.host for address in addresses):
        raise UsageError("--setup creates an environment on a board. Pass --device ssh:[USER@]HOST[:PORT] as well.")
    return [] if slugs == [LOCAL] and addresses[0].host is None else addresses
