"""Quick tests that read the checkout pass over a tree in which everything ran before, as they do in a new one."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from places import ROOT

pytestmark = pytest.mark.slow

FOLDERS = ("edge_squeeze", "converters", "benchmarks", "android_demo", "tests")
TIMEOUT_S = 3600


def test_tests_of_the_tree_pass_over_what_an_earlier_run_left() -> None:
    """`make test` comes before this one in .ci/run; what Python leaves beside sources is made sure of here."""
    unwanted = re.compile("PYTHONDONTWRITEBYTECODE|PYTEST_.*")  # the latter would make it a part of this run
    plain = {name: value for name, value in os.environ.items() if not unwanted.fullmatch(name)}
    subprocess.run([sys.executable, "-m", "compileall", "-q", *FOLDERS], cwd=ROOT, env=plain, check=True)
    for folder in FOLDERS:
        assert list((ROOT / folder).rglob("*.pyc")), "nothing was left to be stumbled over"
    readers = [str(file) for file in (ROOT / "tests").rglob("test_*.py") if "ROOT" in file.read_text()]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "1", "-m", "not slow", *readers],
        cwd=ROOT,
        env=plain,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout[-10000:]
