"""How a command ends: errors and interrupts as messages and exit codes."""

from __future__ import annotations

import errno
import io
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

from edge_squeeze.cli.console import message
from edge_squeeze.errors import ConversionError, EdgeSqueezeError, ExitCode

TOGETHER_S = 0.5  # a terminal sends Ctrl-C to us and to our parent, which passes it on
LOG_LINES = 15


def run(work: Callable[[], object]) -> NoReturn:
    """Do `work` and end the process as it demands: its own exit code, or that of its error."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends us as it ends any other tool
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # the name of a class may have what the terminal lacks
    interrupts = _Interrupts()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else a shell wants it ignored
        signal.signal(signal.SIGINT, interrupts)
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    try:
        work()
        sys.exit()
    except (Exception, SystemExit) as error:
        if interrupts.seen:
            sys.stderr.write("\nInterrupted. Nothing half-written was left behind.\n")
            sys.exit(ExitCode.INTERRUPTED)
        _end(error, debug=debug)


class _Interrupts:
    """Remembers Ctrl-C: native code that is interrupted raises an error of its own in place of KeyboardInterrupt."""

    seen = False
    last = -math.inf

    def __call__(self, *_: object) -> None:
        now = time.monotonic()
        again, self.last, self.seen = now - self.last < TOGETHER_S, now, True
        if not again:
            raise KeyboardInterrupt


def tell(text: str) -> None:
    """Write a line, or several, to standard error, wrapped where that is a terminal."""
    sys.stderr.write(message(text) + "\n")
    sys.stderr.flush()


def _end(error: Exception | SystemExit, *, debug: bool) -> NoReturn:
    """End the process as `error` demands."""
    if isinstance(error, SystemExit):
        _check_pipe(error.__context__)  # typer makes an exit of it
        try:
            sys.stdout.flush()
        except OSError as unwritten:
            _check_pipe(unwritten)
        raise error
    _check_pipe(error)  # where SIGPIPE was ignored for a while
    if debug:
        traceback.print_exception(error)
    if isinstance(error, ModuleNotFoundError):
        from edge_squeeze import packages

        error = packages.missing_of_base(error.name) or error
    if isinstance(error, ConversionError) and error.log:
        sys.stderr.write("".join(f"  | {line}\n" for line in error.log.splitlines()[-LOG_LINES:]))
    if isinstance(error, EdgeSqueezeError):
        tell(f"Error: {error}")
        sys.exit(error.exit_code)
    what = f"{type(error).__name__}: {error}"  # whatever else escapes is a defect, and is told as one
    tell(f"Error: Unexpected, a defect of edge-squeeze: {what}\nRun again with --debug.")
    sys.exit(ExitCode.DEFECT)


def _check_pipe(error: BaseException | None) -> None:
    """End as `| head` ends other tools if `error` says that nobody reads any more."""
    if hasattr(signal, "SIGPIPE"):
        if isinstance(error, BrokenPipeError):
            os.kill(os.getpid(), signal.SIGPIPE)
    elif isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.EINVAL) and error.filename is None:
        os._exit(
            ExitCode.BROKEN_PIPE
        )  # EINVAL is what Windows says. Not sys.exit, which would try again to write what is left
