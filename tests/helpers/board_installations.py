"""Installations of the checkout on emulated boards, made once for all processes of a test run."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from arm64 import Board, NoBoardError, locked, make
from environments import INSTALL_TIMEOUT_S, constrain, copy_source, must, run, uv

PI4, PI5, PI2 = "cortex-a72", "cortex-a76", "cortex-a7"  # the second alone has dot products of int8, the last 32 bits
# What tflite-runtime's extra brings to 32 bits. By name: uv does not see Debian's NumPy and Pillow, which it needs too.
ON_32_BITS = (
    "tflite-runtime",
    "typer",
    "rich",
    "tflite",
    "flatbuffers",
    "shellingham",
    "annotated-doc",
    "pygments",
    "markdown-it-py",
    "mdurl",
    "packaging",
)


def folder_of_boards(config: pytest.Config) -> Path:
    """Where boards lie, which outlive a test run."""
    cache = os.environ.get("EDGE_SQUEEZE_CACHE")
    return Path(cache) / "boards" if cache else config.cache.mkdir("boards")


@contextmanager
def needing_boards() -> Iterator[None]:
    """Skip the test if no board can be had; fail where EDGE_SQUEEZE_REQUIRE says that they can."""
    try:
        yield
    except NoBoardError as error:
        give_up = pytest.fail if "arm64" in os.environ.get("EDGE_SQUEEZE_REQUIRE", "") else pytest.skip
        give_up(f"no board can be emulated here: {error}")


@dataclass(frozen=True)
class Wanted:
    """An extra of ours on a kind of board, with versions other than those of constraints.txt."""

    extra: str
    pins: dict[str, str] = field(default_factory=dict)
    architecture: str = "arm64"

    @property
    def name(self) -> str:
        """What its folder is called."""
        return f"{self.architecture}-{self.extra}"


@dataclass(frozen=True)
class Installation:
    """An environment on a board, and the board."""

    board: Board
    folder: Path

    def run(self, program: str, *arguments: object, cpu: str) -> subprocess.CompletedProcess[str]:
        """What a `program` of the environment does there."""
        cache = str(self.folder.with_name("cache"))
        return self.board.run(self.folder / "bin" / program, *arguments, cpu=cpu, EDGE_SQUEEZE_CACHE=cache)

    def json(self, *arguments: object, cpu: str, code: int = 0) -> Any:
        """What `edge-squeeze ...` prints as JSON there, if it ends with `code`."""
        done = self.run("edge-squeeze", *arguments, "--json", cpu=cpu)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def size_mb(self) -> float:
        """What the environment takes on the disk, as `du -m` counts."""
        files = {(status := path.lstat()).st_ino: status.st_blocks for path in self.folder.rglob("*")}
        return sum(files.values()) * 512 / (1 << 20)


def install(boards: Path, folder: Path, wanted: Wanted) -> Installation:
    """The checkout, installed below `folder` on a board below `boards`, either made unless it is there.

    NoBoardError where no board can be had.
    """
    if uv() is None:
        raise NoBoardError("required: uv, which installs for other machines; pip install uv")
    board, made = make(boards, wanted.architecture), folder / wanted.name
    with locked(folder / "boards.lock"):
        if not (made / "ready").exists():
            _install(board, made, wanted)
    return Installation(board, made)


def _install(board: Board, folder: Path, wanted: Wanted) -> None:
    wheel = _wheel(folder.parent)
    shared, packages = ["--system-site-packages"], ["--no-deps", *ON_32_BITS, wheel]
    if wanted.architecture == "arm64":
        shared, packages = [], [f"{wheel}[{wanted.extra}]"]
    python = folder / "bin" / "python"
    must(run(uv(), "venv", "--clear", *shared, "--python", board.python, folder))
    options = ("--python", python, "-c", constrain(folder, wanted.pins))
    must(run(uv(), "pip", "install", *options, *packages, timeout_s=INSTALL_TIMEOUT_S))
    (folder / "ready").touch()


def _wheel(folder: Path) -> Path:
    wheels = folder / "wheels"
    if not wheels.exists():
        source = copy_source(folder / "source")
        must(run(uv(), "build", "--wheel", "-o", wheels, source, timeout_s=INSTALL_TIMEOUT_S))
    (wheel,) = wheels.glob("*.whl")
    return wheel
