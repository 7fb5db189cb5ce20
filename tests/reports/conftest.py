"""What reports are made of, made once in a run of the tests, whichever of its processes needs it first."""

from __future__ import annotations

import fcntl
import os
import pickle

import pytest
from report_home import Home, furnish


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two artifacts, labeled pictures, a benchmark and an evaluation; tests change copies only."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "report"
    folder.mkdir(exist_ok=True)
    finished = folder / "home.pickle"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
        if not finished.exists():
            finished.write_bytes(pickle.dumps(furnish(folder)))
    made: Home = pickle.loads(finished.read_bytes())
    return made
