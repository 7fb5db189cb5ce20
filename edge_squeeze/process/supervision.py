"""Processes: what they may take, how they end, and a parent that reports the crash of the command line, its child.

Engines and converters are native code: a corrupt model makes some of them end the whole process. Nothing in that
process can report it any more; its parent can. What a system lacks is found by trying, not by the system's name.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from edge_squeeze.errors import ExitCode

CRASHES = ("SIGSEGV", "SIGABRT", "SIGILL", "SIGFPE", "SIGBUS")
FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
PR_SET_PDEATHSIG = 1  # from Linux' prctl.h
FRAMEWORK_BYTES = 3 << 29  # 1.5 GiB: what a framework takes for itself while it reads a small model
MODEL_TIMES = 4  # how many times its size a model may take
# The statuses with which Windows ends a process (ntstatus.h), and the signals that mean the same elsewhere.
WINDOWS_STATUS = {
    0xC0000005: "SIGSEGV",  # access violation
    0xC00000FD: "SIGSEGV",  # stack overflow
    0xC000001D: "SIGILL",
    0xC0000094: "SIGFPE",
    0xC0000409: "SIGABRT",
}
SYNCHRONIZE, INVALID_PARAMETER, WAIT_OBJECT_0 = 0x00100000, 87, 0  # from Windows' winnt.h, winerror.h and winbase.h


def c_function(name: str) -> Any:
    """The C library's function `name`; None if it has none, or if Python cannot reach it."""
    try:
        import ctypes

        return getattr(ctypes.CDLL(None, use_errno=True), name, None)
    except (ImportError, OSError, TypeError):  # Windows has no library without a name
        return None


def ended_by(exit_code: int) -> str | None:
    """The name of the signal that ended a process whose exit code `subprocess` gives; None if none did."""
    if exit_code >= 0:
        return WINDOWS_STATUS.get(exit_code)
    return signal.Signals(-exit_code).name if -exit_code in set(signal.Signals) else f"signal {-exit_code}"


def process_runs(pid: int) -> bool:
    """Whether there is a process `pid`, of whatever user; True if the system does not tell."""
    if hasattr(signal, "CTRL_C_EVENT"):  # Windows, where it is what os.kill sends for 0
        return _windows_process_runs(pid)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _windows_process_runs(pid: int) -> bool:
    try:
        import ctypes

        kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]
    except (ImportError, AttributeError, OSError):
        return True
    kernel32.OpenProcess.restype = ctypes.c_void_p  # else its upper half is lost
    process = ctypes.c_void_p(kernel32.OpenProcess(SYNCHRONIZE, False, pid))
    if not process:
        return bool(ctypes.get_last_error() != INVALID_PARAMETER)  # type: ignore[attr-defined]
    try:
        return bool(kernel32.WaitForSingleObject(process, 0) != WAIT_OBJECT_0)
    finally:
        kernel32.CloseHandle(process)


@contextlib.contextmanager
def memory_limited(size_bytes: int) -> Iterator[None]:
    """Let the block take little more memory than a file of `size_bytes` explains; beyond that, allocations fail.

    Only where the system can (Linux): elsewhere nothing is limited.
    """
    try:
        import resource

        status = Path("/proc/self/status").read_text("ascii")
    except (ImportError, OSError):
        yield
        return
    taken = re.search(r"VmData:\s+(\d+) kB", status)
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = (int(taken[1]) << 10 if taken else 0) + FRAMEWORK_BYTES + MODEL_TIMES * size_bytes
    if not taken or (hard != resource.RLIM_INFINITY and limit > hard):
        yield
        return
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def run(work: Callable[[], NoReturn], tell: Callable[[str], None]) -> NoReturn:
    """Do `work`, which ends the process, in a child if the system can fork; end as the child ended.

    The message about a crash goes to `tell`.
    """
    if not hasattr(os, "fork"):
        work()
    forwarding = _Forwarding()
    parent, child = os.getpid(), os.fork()
    if child == 0:
        forwarding.undo()
        die_with(parent)
        work()
    forwarding.child = child
    _, status = os.waitpid(child, 0)
    _end_as(os.waitstatus_to_exitcode(status), tell)


class _Forwarding:
    """Passes signals on to the child, except those that whoever started us wants ignored."""

    child: int | None = None

    def __init__(self) -> None:
        numbers = [getattr(signal, name) for name in FORWARDED]
        self._before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) is not signal.SIG_IGN}
        for number in self._before:
            signal.signal(number, self)

    def __call__(self, number: int, _: object) -> None:
        if self.child is None:
            sys.exit(128 + number)
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(self.child, number)

    def undo(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def die_with(parent: int) -> None:
    """Have this process killed when `parent` is, if the system can: whoever kills the command wants its work ended."""
    if prctl := c_function("prctl"):
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(ExitCode.FAILED_CONVERSION)


def _end_as(code: int, tell: Callable[[str], None]) -> NoReturn:
    """End with the exit code `code` or by the signal -`code`; report it if that is a crash."""
    if code >= 0:
        sys.exit(code)
    number = signal.Signals(-code)
    if number.name in CRASHES:
        what = f"An engine crashed ({number.name}) and ended the process"
        why = "A model file may be damaged or malicious, or the pictures too large for the memory"
    elif number is signal.SIGKILL:
        what = "The process was killed by the system or another program"
        why = "Most likely the system ran out of memory"
    else:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        raise AssertionError
    tell(f"Error: {what}. {why}. `edge-squeeze doctor` describes this machine.")
    sys.exit(ExitCode.FAILED_CONVERSION)
