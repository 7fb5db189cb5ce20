"""The end of a command: errors and interrupts as messages and exit codes."""

from __future__ import annotations

import errno
import io
import math
import os
import signal
import stat
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from typing import NoReturn, TextIO

from edge_squeeze.cli.console import message
from edge_squeeze.errors import ConversionError, EdgeSqueezeError, ExitCode, InterruptedTrainingError

TOGETHER_S = 0.5  # a terminal sends Ctrl-C to us and to our parent, which passes it on
LOG_LINES = 15
UNWRITTEN = {errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


def run(work: Callable[[], object]) -> NoReturn:
    """Do `work` and end the process with its exit code, or with that of its error."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends us like any other tool
    if isinstance(sys.stdout, io.TextIOWrapper) and (sys.stdout.errors == "strict" or not _is_utf8(sys.stdout)):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of classes may not fit the terminal's encoding
    interrupts = _Interrupts()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # otherwise a shell wants it ignored
        signal.signal(signal.SIGINT, interrupts)
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    try:
        work()
        sys.exit()
    except (Exception, SystemExit) as error:
        if isinstance(error, InterruptedTrainingError):
            tell(f"\n{error}")
            sys.exit(error.exit_code)
        if interrupts.seen:
            sys.stderr.write("\nInterrupted. No incomplete files were left behind.\n")
            sys.exit(ExitCode.INTERRUPTED)
        _end(error, debug=debug)


def check_streams() -> None:
    """End with 2 where standard output is closed; without standard error, say nothing there.

    What is opened later must not get their descriptors.
    """
    closed = [number for number in range(3) if not _is_open(number)]
    for number in closed:
        _silence(number)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for good
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for good
    if 1 in closed:
        tell("Error: Standard output is closed. Redirect it to a file or to /dev/null.")
        sys.exit(ExitCode.USAGE)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _silence(descriptor: int) -> None:
    """Have what is written to `descriptor` disappear."""
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)


def _is_utf8(stream: io.TextIOWrapper) -> bool:
    return stream.encoding.lower().replace("-", "") == "utf8"


class _Interrupts:
    """Remembers Ctrl-C: interrupted native code raises an error of its own instead of KeyboardInterrupt."""

    seen = False
    last = -math.inf

    def __call__(self, *_: object) -> None:
        now = time.monotonic()
        again, self.last, self.seen = now - self.last < TOGETHER_S, now, True
        if not again:
            raise KeyboardInterrupt


def tell(text: str) -> None:
    """Write one or several lines to standard error, wrapped if that is a terminal."""
    try:
        sys.stderr.write(message(text) + "\n")
        sys.stderr.flush()
    except OSError:  # it cannot be written, and there is nowhere else to say so
        _silence(2)


def _end(error: Exception | SystemExit, *, debug: bool) -> NoReturn:
    """End the process as `error` demands."""
    if isinstance(error, SystemExit):
        _check_pipe(error.__context__)  # typer makes an exit of it
        try:
            sys.stdout.flush()
        except OSError as unwritten:
            _check_output(unwritten)
        raise error
    _check_output(error)
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
    what = f"{type(error).__name__}: {error}"  # any other exception is a defect, and is reported as one
    tell(f"Error: Unexpected, a bug in edge-squeeze: {what}\nRun again with --debug for the traceback.")
    sys.exit(ExitCode.DEFECT)


def _check_output(error: Exception) -> None:
    """End if `error` says that something cannot be written: nobody reads any more, or there is no room for it."""
    _check_pipe(error)  # where SIGPIPE was ignored for a while
    if not isinstance(error, OSError) or error.errno not in UNWRITTEN:
        return
    if any([_is_stuck(1, sys.stdout), _is_stuck(2, sys.stderr)]):
        tell(f"Error: The output cannot be written: {error.strerror}.")
    else:
        place = error.filename or f"A file, in the output folder or in {tempfile.gettempdir()},"
        tell(f"Error: {place} cannot be read or written: {error.strerror}. Free space there, or choose another folder.")
    sys.exit(ExitCode.USAGE)


def _is_stuck(descriptor: int, stream: TextIO) -> bool:
    """Whether nothing more can be written to `stream`; if so, what it still holds disappears.

    Python would try again to write it, and end with a code of its own.
    """
    try:
        stream.flush()
        os.write(descriptor, b"")  # refused by /dev/full and by a terminal that is gone
        full = stat.S_ISREG(os.fstat(descriptor).st_mode) and not os.fstatvfs(descriptor).f_bavail
    except OSError:
        full = True
    if full:
        _silence(descriptor)
    return full


def _check_pipe(error: BaseException | None) -> None:
    """End as other tools do before `| head` if `error` says that the reader is gone."""
    if hasattr(signal, "SIGPIPE"):
        if isinstance(error, BrokenPipeError):
            os.kill(os.getpid(), signal.SIGPIPE)
    # Windows says EINVAL.
    elif isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.EINVAL) and error.filename is None:
        os._exit(ExitCode.BROKEN_PIPE)  # not sys.exit, which would try to write the rest
