"""Runs the command line in a child process, so that an engine which crashes on a damaged file leaves a message.

Engines and converters are native code: fed with a corrupt model, some end the whole process. Nothing in that process
can say so any more; its parent can.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from edge_squeeze.errors import ExitCode
from edge_squeeze.process import systems

CRASHES = ("SIGSEGV", "SIGABRT", "SIGILL", "SIGFPE", "SIGBUS")
FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
PR_SET_PDEATHSIG = 1  # from Linux' prctl.h


def run(work: Callable[[], NoReturn], tell: Callable[[str], None]) -> NoReturn:
    """Do `work`, which ends the process, in a child where the system can fork; end as the child ended.

    What is to be said of a crash goes to `tell`.
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
    """Have this process killed when `parent` is, where the system can: whoever kills the command means its work."""
    if prctl := systems.c_function("prctl"):
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(ExitCode.FAILED_CONVERSION)


def _end_as(code: int, tell: Callable[[str], None]) -> NoReturn:
    """End with the exit code `code`, or by the signal -`code`, unless that tells of a crash."""
    if code >= 0:
        sys.exit(code)
    number = signal.Signals(-code)
    if number.name in CRASHES:
        what = f"An engine crashed ({number.name}) and ended the process"
        why = "A model file may be damaged or malicious, or pictures too large for the memory"
    elif number is signal.SIGKILL:
        what = "The process was killed from outside"
        why = "Most likely the system ran out of memory"
    else:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        raise AssertionError
    tell(f"Error: {what}. {why}. `edge-squeeze doctor` describes this machine.")
    sys.exit(ExitCode.FAILED_CONVERSION)
