"""Makes a Python on Linux lack what a Python on macOS lacks: put this folder on PYTHONPATH.

Children inherit it, and theirs. It is a simulation: `sys.platform` stays "linux", and native code sees /proc as ever.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from typing import Any

FUNCTIONS = (
    "posix_fadvise",
    "posix_fallocate",
    "sched_getaffinity",
    "sched_setaffinity",
    "sched_setscheduler",
    "setresuid",
    "setresgid",
    "memfd_create",
    "pidfd_open",
    "getrandom",
    "copy_file_range",
    "splice",
    "eventfd",
)
LINUX_ONLY = ("prctl", "renameat2")  # of the C library
FOLDERS = ("/proc", "/sys")


def refuse_audited(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse to open or list what only Linux has."""
    if event in ("open", "os.listdir", "os.scandir"):
        refuse(arguments[0])


def refuse(path: Any) -> None:
    if isinstance(path, str | bytes | os.PathLike):
        place = os.path.abspath(os.fsdecode(path))
        if any(place == folder or place.startswith(folder + os.sep) for folder in FOLDERS):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def status(path: Any, **options: Any) -> os.stat_result:
    refuse(path)
    return asked(path, **options)


def find(self: Any, name: str) -> Any:
    if name in LINUX_ONLY:
        raise AttributeError(f"dlsym: symbol {name} not found")
    return original_getattr(self, name)


for gone in FUNCTIONS:
    if hasattr(os, gone):
        delattr(os, gone)
os.process_cpu_count = os.cpu_count  # type: ignore[attr-defined]  # Python 3.13's own calls what was just taken away
asked, os.stat = os.stat, status
original_getattr = ctypes.CDLL.__getattr__
ctypes.CDLL.__getattr__ = find  # type: ignore[method-assign]
sys.addaudithook(refuse_audited)
