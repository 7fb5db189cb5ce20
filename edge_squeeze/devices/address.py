"""What `--device` says: this machine, or a board that ssh reaches."""

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
        """The device in the name of a file."""
        return re.sub(r"[^A-Za-z0-9.]+", "-", self.text.removeprefix("ssh:")).strip("-.")


def parse(text: str) -> Address:
    """The device that `text` means; UsageError if it is none."""
    if text == LOCAL:
        return Address(LOCAL)
    found = SSH.fullmatch(text)
    port = int(found["port"]) if found and found["port"] else None
    if found is None or (port is not None and not 0 < port <= HIGHEST_PORT):
        raise UsageError(
            f"--device {text!r} is no device. Required: local, or ssh:[USER@]HOST[:PORT] as in ssh:pi@192.168.1.20 or "
            "ssh:pi@[fe80::1]:2222, where HOST may be one of ~/.ssh/config."
        )
    return Address(text, found["ipv6"] or found["host"], found["user"], port)


def elsewhere(texts: Sequence[str] | None, *, setup: bool = False, most: int | None = None) -> list[Address]:
    """The devices that `texts` mean, none where that is this machine alone.

    UsageError for more than `most`, for one that is named twice, and where there is a `setup` but no board.
    """
    found = [parse(text) for text in texts or []]
    if most is not None and len(found) > most:
        raise UsageError(f"Required: at most {most} --device. Got: {', '.join(one.text for one in found)}.")
    slugs = [one.slug for one in found]
    for one in found:
        if slugs.count(one.slug) > 1:
            raise UsageError(f"--device {one.text} is named twice. Required: each device once.")
    if setup and not any(one.host for one in found):
        raise UsageError("--setup makes an environment on a board. Required with it: --device ssh:[USER@]HOST[:PORT].")
    return [] if slugs == [LOCAL] and found[0].host is None else found
