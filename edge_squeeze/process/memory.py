"""Limits on what reading somebody else's file may cost this process."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

ROOM = 3 << 29  # 1.5 GiB: what a framework takes for itself while it reads a small model
TIMES = 4  # a model of N bytes may take that many times N


@contextlib.contextmanager
def memory_limited(size_bytes: int) -> Iterator[None]:
    """Let the block take little more memory than a file of `size_bytes` explains; beyond that allocations fail.

    Only where the system can (Linux): elsewhere nothing is limited.
    """
    try:
        import resource

        status = Path("/proc/self/status").read_text("ascii")
    except (ImportError, OSError):
        yield
        return
    found = re.search(r"VmData:\s+(\d+) kB", status)
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = (int(found[1]) << 10 if found else 0) + ROOM + TIMES * size_bytes
    if not found or (hard != resource.RLIM_INFINITY and wanted > hard):
        yield
        return
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
