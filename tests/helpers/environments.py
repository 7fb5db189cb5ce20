"""Environments with other packages than the tests' own, in which what is tested is installed as a user would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from places import ROOT

SOURCES = ("edge_squeeze", "converters", "benchmarks", "docs", "pyproject.toml", "README.md")
INSTALL_TIMEOUT_S = 900
# How pip and uv say that no index can be reached.
NO_NETWORK = re.compile(
    r"Failed to establish a new connection|NameResolutionError|Temporary failure in name resolution|ConnectTimeoutError"
    r"|ReadTimeoutError|Network is unreachable|Cannot connect to proxy"
    r"|error sending request|dns error|tcp connect error|network was disabled"
)


def run(*command: object, timeout_s: int = 120) -> subprocess.CompletedProcess[str]:
    """The command, run without what the tests' own environment would add to the other one."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    words = [str(word) for word in command]
    return subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=timeout_s, env=environment, cwd="/"
    )


def python_3_11() -> str:
    """A Python that tflite-runtime has wheels for."""
    if sys.version_info[:2] <= (3, 11):
        return sys.executable
    python = shutil.which("python3.11")
    if python is None or run(python, "--version").returncode:  # a version manager's shim answers without having it
        pytest.skip("tflite-runtime 2.14 has wheels up to Python 3.11, and there is no python3.11 on PATH")
    return python


def uv() -> str | None:
    beside = Path(sys.executable).parent / "uv"
    return str(beside) if beside.is_file() else shutil.which("uv")


def must(done: subprocess.CompletedProcess[str]) -> None:
    """Skip if an installation failed for want of a network; any other reason is a failure."""
    said = done.stdout + done.stderr
    if done.returncode:
        skip_without_network(said)
    assert done.returncode == 0, said


def skip_without_network(said: str) -> None:
    """Skip the test if what an installation `said` means that there is no package index."""
    if match := NO_NETWORK.search(said):
        pytest.skip(f"no package index can be reached: {match[0]}")


def copy_source(folder: Path) -> Path:
    """A copy in `folder` of what the package is built from, so that building leaves nothing in the checkout."""
    folder.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


def constrain(folder: Path, pins: dict[str, str]) -> Path:
    """A copy in `folder` of constraints.txt with the versions of `pins`."""
    text = (ROOT / "constraints.txt").read_text()
    for name, version in pins.items():
        text = re.sub(rf"(?m)^{name}==.*$", f"{name}=={version}", text)
    (folder / "constraints.txt").write_text(text)
    return folder / "constraints.txt"


def install(folder: Path, packages: Sequence[str], pins: dict[str, str], *, dependencies: bool = True) -> Path:
    """The folder with the programs of a new environment in `folder` that has `packages` and the checkout in it.

    `pins` are versions other than those of constraints.txt; without `dependencies` nothing else is installed.
    """
    constraints, source, programs = constrain(folder, pins), copy_source(folder / "source"), folder / "venv" / "bin"
    if tool := uv():
        make = [tool, "venv", "--python", python_3_11(), programs.parent]
        installing = [tool, "pip", "install", "--python", programs / "python"]
    else:
        make = [python_3_11(), "-m", "venv", programs.parent]
        installing = [programs / "python", "-m", "pip", "install", "--retries", 2]  # pip tells why only when it retries
    must(run(*make))
    alone = [] if dependencies else ["--no-deps"]
    must(run(*installing, *alone, "-c", constraints, *packages, timeout_s=INSTALL_TIMEOUT_S))
    must(run(*installing, "--no-deps", source, timeout_s=INSTALL_TIMEOUT_S))
    return programs
