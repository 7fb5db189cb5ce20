"""What operating systems lack or do in another way, found by asking for the thing: a system's name promises nothing."""

from __future__ import annotations

import os
import signal
from typing import Any

# How Windows tells that it ended a process (ntstatus.h), as the signal that says the same elsewhere.
WINDOWS_STATUS = {
    0xC0000005: "SIGSEGV",  # access violation
    0xC00000FD: "SIGSEGV",  # stack overflow
    0xC000001D: "SIGILL",
    0xC0000094: "SIGFPE",
    0xC0000409: "SIGABRT",
}
SYNCHRONIZE, INVALID_PARAMETER, WAIT_OBJECT_0 = 0x00100000, 87, 0  # from Windows' winnt.h, winerror.h and winbase.h


def c_function(name: str) -> Any:
    """The C library's function `name`; None where it has none, or where Python cannot reach it."""
    try:
        import ctypes

        return getattr(ctypes.CDLL(None, use_errno=True), name, None)
    except (ImportError, OSError, TypeError):  # Windows has no library without a name
        return None


def ended_by(exit_code: int) -> str | None:
    """The name of the signal that ended a process which `subprocess` says had `exit_code`; None if none did."""
    if exit_code >= 0:
        return WINDOWS_STATUS.get(exit_code)
    return signal.Signals(-exit_code).name if -exit_code in set(signal.Signals) else f"signal {-exit_code}"


def process_runs(pid: int) -> bool:
    """Whether there is a process `pid`, of whatever user; True where the system does not tell."""
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
