"""What --device takes, and what ssh is then called with."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from edge_squeeze.devices import address
from edge_squeeze.devices.address import Address
from edge_squeeze.devices.connection import ssh_command
from edge_squeeze.errors import UsageError


@pytest.mark.parametrize(
    ("text", "host", "user", "port", "slug"),
    [
        ("local", None, None, None, "local"),
        ("ssh:pi4", "pi4", None, None, "pi4"),
        ("ssh:pi@192.168.1.20", "192.168.1.20", "pi", None, "pi-192.168.1.20"),
        ("ssh:pi@board.local:2222", "board.local", "pi", 2222, "pi-board.local-2222"),
        ("ssh:a.b+c@some_alias", "some_alias", "a.b+c", None, "a.b-c-some-alias"),
        ("ssh:[fe80::1%eth0]:22", "fe80::1%eth0", None, 22, "fe80-1-eth0-22"),
        ("ssh:pi@[::1]", "::1", "pi", None, "pi-1"),
    ],
)
def test_a_device_is_read(text: str, host: str | None, user: str | None, port: int | None, slug: str) -> None:
    assert address.parse(text) == Address(text, host, user, port)
    assert address.parse(text).slug == slug


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pi4",
        "ssh:",
        "ssh:-oProxyCommand=touch x",
        "ssh:-F",
        "ssh:pi@-x",
        "ssh:-x@pi",
        "ssh:pi@",
        "ssh:@pi",
        "ssh:pi:0",
        "ssh:pi:65536",
        "ssh:pi:",
        "ssh:pi:ssh",
        "ssh:a b",
        "ssh:a;b",
        "ssh:$(x)",
        "ssh:a`b`",
        "ssh:a/b",
        "ssh:::1",
        "ssh:[pi]",
        "ssh:pi\n",
        "adb:1234",
        "ssh:pi:٢٢",
    ],
)
def test_what_is_no_device_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"Required: local, or ssh:\[USER@\]HOST\[:PORT\]"):
        address.parse(text)


@pytest.mark.parametrize("texts", [["ssh:pi", "local"], ["local", "ssh:pi"]])
def test_more_devices_than_a_command_can_take_are_refused(texts: list[str]) -> None:
    """The last one must not be the only one that is asked."""
    assert len(address.elsewhere(texts, most=2)) == 2
    with pytest.raises(UsageError, match=r"at most 1 --device\. Got: (ssh:pi, local|local, ssh:pi)"):
        address.elsewhere(texts, most=1)


@pytest.mark.parametrize("texts", [["ssh:pi", "ssh:pi"], ["local", "local"], ["ssh:a.b@c", "ssh:a.b-c"]])
def test_a_device_that_is_named_twice_is_refused(texts: list[str]) -> None:
    with pytest.raises(UsageError, match="given twice"):
        address.elsewhere(texts)


def test_this_machine_alone_is_nowhere_else() -> None:
    assert address.elsewhere(None) == address.elsewhere([]) == address.elsewhere(["local"]) == []
    assert [place.text for place in address.elsewhere(["local", "ssh:local"][1:])] == ["ssh:local"]


def test_ssh_asks_nothing_and_gets_the_host_as_a_host() -> None:
    command = ssh_command(address.parse("ssh:pi@board:2222"))
    assert command[0] == "ssh"
    assert {"BatchMode=yes", "ConnectTimeout=15", "ServerAliveInterval=15"} < set(command)
    assert command[-7:-1] == ["-p", "2222", "-l", "pi", "--", "board"]


def test_what_the_boards_shell_gets_is_one_word_of_sh() -> None:
    first, shell, option, script = shlex.split(ssh_command(address.parse("ssh:board"))[-1])
    assert [first, shell, option] == ["exec", "/bin/sh", "-c"]
    assert not set("'\n!") & set(script), "csh and fish read these in quotes, too"
    subprocess.run(["sh", "-n", "-c", script], check=True)
