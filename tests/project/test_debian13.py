"""What the README tells a user to type on a new machine, on a second Python: Debian 13 as debootstrap unpacks it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from arm64 import KEYRING, NoBoardError, download_settings, mirror
from places import ROOT

SUITE, PYTHON = "trixie", "3.13"
PACKAGES = "git make python3 python3-venv"  # what a user needs there beforehand
PROGRAMS = ("debootstrap", "unshare", "chroot", "mount", "git", "apt-config", "apt-get")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
INDEX = re.compile(r"(PIP|UV)_\w+|SSL_CERT_FILE|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|\w+_proxy", re.IGNORECASE)
# In a file system view and process group of its own: nothing stays mounted or running, however the test ends.
ENTER = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"'
# What another Python, and other builds of the same packages for it, can break: imports, versions, processes, archives,
# files. Left out is what takes long and is the same everywhere, as statistics on made-up numbers.
TESTS = (
    "android_demo artifact bundling cli converters/formats converters/rewrites doctor engines files machine pictures "
    "process project weight_files benchmarks/test_measurement.py devices/test_agent.py models/test_keras_file.py "
    "models/test_weights.py test_packages.py test_prediction.py"
)
FEWEST_TESTS = 500  # less would prove little
TIMEOUT_S = 1800


def give_up(reason: str) -> NoReturn:
    """Skip the test; fail where EDGE_SQUEEZE_REQUIRE says that it can run."""
    required = "debian13" in os.environ.get("EDGE_SQUEEZE_REQUIRE", "")
    (pytest.fail if required else pytest.skip)(f"Debian 13 cannot be tried here: {reason}")


def must(*command: object, **variables: str) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, env=os.environ | variables
    )
    if done.returncode:
        give_up(f"{words[0]} failed: {(done.stderr + done.stdout).strip()[-500:]}")


def inside(root: Path, command: str) -> subprocess.CompletedProcess[str]:
    """The shell command, run in the tree `root` as after a plain login: HOME, PATH and the package index's settings."""
    index = [f"{name}={value}" for name, value in os.environ.items() if INDEX.fullmatch(name)]
    login = ["/usr/bin/env", "-i", "HOME=/root", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", *index]
    enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, str(root)]
    return subprocess.run(
        [*enter, *login, "sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )


@pytest.fixture
def debian(tmp_path: Path) -> Path:
    """A new Debian 13 with a clone of this checkout in /root/edge-squeeze; it reaches the package index as we do."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        give_up("required: root on Linux")
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        give_up(f"{', '.join(missing)} missing")
    if not KEYRING.is_file() or not (ROOT / ".git").exists():
        give_up(f"required: {KEYRING} and a git checkout")
    root = tmp_path / SUITE
    try:
        must("debootstrap", "--variant=minbase", f"--keyring={KEYRING}", SUITE, root, mirror())
        (root / "etc" / "apt" / "apt.conf.d" / "90host").write_text(download_settings())
    except NoBoardError as error:
        give_up(str(error))
    done = inside(root, f"apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y {PACKAGES}")
    if done.returncode:
        give_up(f"its packages cannot be installed: {done.stdout[-500:]}")
    values = [value for name, value in os.environ.items() if INDEX.fullmatch(name)]
    for path in [CERTIFICATES, "/etc/pip.conf", *(value for value in values if value.startswith("/"))]:
        _copy(Path(path), root / path[1:])
    for name in (".config/pip", ".config/uv", ".pip"):
        _copy(Path.home() / name, root / "root" / name)
    must("git", "clone", "--quiet", "--no-hardlinks", ROOT, root / "root" / "edge-squeeze")
    return root


def _copy(source: Path, target: Path) -> None:
    if source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, target)


def test_every_test_that_is_run_on_debian_13_exists() -> None:
    assert [name for name in TESTS.split() if not (ROOT / "tests" / name).exists()] == []


@pytest.mark.slow
def test_both_commands_of_the_readme_work_on_debian_13(debian: Path) -> None:
    demo = inside(debian, "cd ~/edge-squeeze && make demo")
    assert demo.returncode == 0, demo.stdout[-5000:]
    assert f"Create .venv with Python {PYTHON}." in demo.stdout
    assert len(re.findall(r"^(?:tflite|onnx)-\w+ .* PASS$", demo.stdout, re.MULTILINE)) == 4, demo.stdout[-5000:]
    assert "Egyptian cat" in demo.stdout
    files = " ".join(f"tests/{name}" for name in TESTS.split())
    tests = inside(debian, f"cd ~/edge-squeeze && make test ARGS='-q {files}'")
    assert tests.returncode == 0, tests.stdout[-10000:]
    passed = re.search(r"(\d+) passed", tests.stdout)
    assert passed
    assert int(passed[1]) >= FEWEST_TESTS
