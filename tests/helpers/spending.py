"""What a command spends: run in a small process of its own, since Linux counts a parent's peak memory as a child's.

A process keeps, across `exec`, the peak of the memory that it was started from, so that a child of a test process that
once held two gigabytes seems to have held as much.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Spent:
    """How a process ended, its children included."""

    code: int
    cpu_s: float
    peak_bytes: int


def spent(command: list[str], folder: Path, stderr: Path, deadline_s: float) -> Spent:
    """Run `command` in `folder`, its messages written to `stderr`; it is killed after `deadline_s`."""
    watch = [sys.executable, "-S", __file__, str(stderr), str(deadline_s), *command]
    done = subprocess.run(watch, cwd=folder, stdout=subprocess.PIPE, check=True)
    return Spent(**json.loads(done.stdout))


def watch(stderr: Path, deadline_s: float, command: list[str]) -> Spent:
    with stderr.open("wb") as messages:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=messages)
    deadline = time.monotonic() + deadline_s
    while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            process.kill()
        time.sleep(0.01)
    process.returncode = os.waitstatus_to_exitcode(ended[1])
    usage = ended[2]
    return Spent(process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(watch(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))))
