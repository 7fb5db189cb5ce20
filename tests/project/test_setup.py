"""`make` sets .venv up whole or not at all, whatever it finds, and says what is required where it cannot."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from places import ROOT

# Python as make uses it: it answers what its version is, and makes environments as `VENV` says.
PYTHON = """\
#!/bin/sh
case "$1 $2" in
  --version*) echo Python {version};;
  "-m venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python; echo venv >> calls; {after};;
  "-m pip") echo "$@" >> calls;;
  "-c import pip") test -f .venv/pip;;
  -c*) exec {real} -c "sys = __import__('sys'); sys.version_info = {numbers}
$2";;
esac
"""
SYSTEM = ("make", "sh", "rm", "cp", "mkdir", "touch", "test", "echo")
UV = '#!/bin/sh\necho uv "$@" >> calls\n{after}\n'

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that setting up reads, beside a folder with all programs there are."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    add_python(tmp_path, "3.11.2")
    for name in SYSTEM:
        (tmp_path / "programs" / name).symlink_to(shutil.which(name) or f"no {name}")
    program(tmp_path / "programs" / "uv", UV.format(after=""))
    return tmp_path


def add_python(checkout: Path, version: str, name: str = "python3.11", after: str = "touch .venv/pip") -> None:
    real = next(path for path in ("/usr/bin/python3", shutil.which("python3")) if path and Path(path).exists())
    numbers = tuple(map(int, version.split(".")))
    text = PYTHON.format(version=version, numbers=numbers, real=real, after=after)
    program(checkout / "programs" / name, text)


def set_up(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(checkout / "programs" / "make"), ".venv/.ready", *arguments],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(checkout / "programs"), "HOME": str(checkout)},
    )


def calls(checkout: Path) -> list[str]:
    path = checkout / "calls"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def test_an_environment_is_made_filled_and_kept(checkout: Path) -> None:
    done = set_up(checkout)
    assert done.returncode == 0, done.stderr + done.stdout
    assert calls(checkout) == ["venv", "uv"]
    assert set_up(checkout).returncode == 0
    assert calls(checkout) == ["venv", "uv"]  # nothing is left to do


def test_a_failed_venv_leaves_nothing_and_is_made_once_it_can_be(checkout: Path) -> None:
    add_python(checkout, "3.11.2", after="echo ensurepip is not available; exit 1")  # Debian without python3-venv
    done = set_up(checkout)
    assert done.returncode
    assert "ensurepip is not available" in done.stdout
    assert "apt-get install python3-venv" in done.stdout
    assert not (checkout / ".venv").exists()
    add_python(checkout, "3.11.2")
    assert set_up(checkout).returncode == 0
    assert (checkout / ".venv" / ".ready").exists()


@pytest.mark.parametrize("left", ["no pip", "another Python", "no Python"])
def test_an_unfinished_environment_is_made_anew(checkout: Path, left: str) -> None:
    assert set_up(checkout).returncode == 0
    (checkout / ".venv" / ".ready").unlink()
    (checkout / "programs" / "uv").unlink()
    if left == "no pip":
        (checkout / ".venv" / "pip").unlink()
    elif left == "no Python":
        (checkout / ".venv" / "bin" / "python").unlink()
    else:
        add_python(checkout, "3.10.1", "old")
        shutil.copy(checkout / "programs" / "old", checkout / ".venv" / "bin" / "python")
    done = set_up(checkout)
    assert done.returncode == 0, done.stderr + done.stdout
    assert calls(checkout)[:4] == ["venv", "uv", "venv", "-m"]


def test_a_failed_installation_is_gone_on_with(checkout: Path) -> None:
    program(checkout / "programs" / "uv", UV.format(after="exit 1"))
    assert set_up(checkout).returncode
    assert not (checkout / ".venv" / ".ready").exists()
    program(checkout / "programs" / "uv", UV.format(after=""))
    assert set_up(checkout).returncode == 0
    assert calls(checkout) == ["venv", "uv", "uv"]


@pytest.mark.parametrize("version", ["3.10.9", "3.14.0"])
def test_other_pythons_are_refused(checkout: Path, version: str) -> None:
    add_python(checkout, version)
    done = set_up(checkout, "PYTHON=python3.11")
    assert done.returncode
    assert f"Python 3.11, 3.12 or 3.13 is required, got Python {version}." in done.stdout
    assert not calls(checkout)


def test_a_newer_python_is_found_where_the_first_is_too_old(checkout: Path) -> None:
    add_python(checkout, "3.10.9")
    add_python(checkout, "3.13.1", "python3.13")
    done = set_up(checkout)
    assert done.returncode == 0, done.stdout
    assert "Create .venv with Python 3.13.1" in done.stdout
