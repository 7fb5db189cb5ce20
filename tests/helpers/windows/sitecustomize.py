"""Makes a Python on Linux refuse what a Python on Windows lacks: put this folder on PYTHONPATH.

Children inherit it, and theirs. It is a simulation: file systems, consoles and the packages' own native code stay those
of Linux, and so does `sys.platform`, since the standard library and every package choose their own code by it.

What the standard library itself needs on Linux stays, or was imported before it goes: os.posix_spawn, os.sysconf,
os.waitpid, os.uname and os.statvfs (subprocess, platform, shutil); os.open of a folder is refused to edge_squeeze alone
(shutil.rmtree opens them). Signals keep their numbers: subprocess tells how a child ended by them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import select
import selectors  # noqa: F401 - keeps select.poll for subprocess
import signal
import stat
import subprocess
import sys
import tempfile  # noqa: F401 - keeps os.O_TMPFILE
import warnings
from pathlib import PurePath
from typing import Any

OURS = "edge_squeeze"
SIGNALS = (
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCLD",
    "SIGCONT",
    "SIGHUP",
    "SIGIO",
    "SIGIOT",
    "SIGKILL",
    "SIGPIPE",
    "SIGPOLL",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
    "alarm",
    "pause",
    "setitimer",
    "getitimer",
    "pthread_kill",
    "pthread_sigmask",
    "sigpending",
    "sigwait",
    "sigwaitinfo",
    "sigtimedwait",
    "siginterrupt",
)
FUNCTIONS = (
    "chown",
    "chroot",
    "confstr",
    "fchdir",
    "fchmod",
    "fchown",
    "fork",
    "forkpty",
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getloadavg",
    "getpgid",
    "getpgrp",
    "getpriority",
    "getresgid",
    "getresuid",
    "getsid",
    "getuid",
    "initgroups",
    "killpg",
    "lchown",
    "lockf",
    "mkfifo",
    "mknod",
    "nice",
    "pipe2",
    "posix_fadvise",
    "posix_fallocate",
    "pread",
    "preadv",
    "pwrite",
    "pwritev",
    "sched_getaffinity",
    "sched_setaffinity",
    "sched_yield",
    "sendfile",
    "set_blocking",
    "setegid",
    "seteuid",
    "setgid",
    "setpgid",
    "setpriority",
    "setsid",
    "setuid",
    "sync",
    "wait",
    "wait3",
    "wait4",
    "waitid",
)
MODULES = {"fcntl", "grp", "nis", "pty", "pwd", "resource", "spwd", "syslog", "termios", "tty"}
FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f]|[. ]$')  # in the name of a file or folder
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


class OnWindows:
    """A finder of modules that does not find those which Windows lacks."""

    def __init__(self, finder: Any) -> None:
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)

    def find_spec(self, name: str, *arguments: Any) -> Any:
        return None if name in MODULES else self._finder.find_spec(name, *arguments)


def refuse_audited(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse names that Windows does not take, and to remove or rename what this process has open."""
    if (event == "open" and isinstance(arguments[0], str) and arguments[2] & os.O_CREAT) or event == "os.mkdir":
        check_name(arguments[0])
    elif event == "os.remove":
        check_closed(arguments[0], arguments[1])
    elif event == "os.rename":
        check_name(arguments[1])
        check_closed(arguments[0], arguments[2])
        check_closed(arguments[1], arguments[3])


def check_name(path: Any) -> None:
    name = PurePath(os.fsdecode(path)).name
    if not os.fsdecode(path).startswith("/dev/") and (FORBIDDEN.search(name) or RESERVED.fullmatch(name)):
        raise OSError(errno.EINVAL, "Windows takes no file of this name", path)


def check_closed(path: Any, folder: int) -> None:
    """Raise PermissionError if this process has the file, or anything in the folder, open."""
    if sys._getframe(2).f_globals["__name__"] == "tempfile":  # which opens its files on Windows in another way
        return
    base = os.getcwd() if folder == -1 else os.readlink(f"/proc/self/fd/{folder}")
    place = os.path.join(base, os.fsdecode(path))
    place = os.path.join(os.path.realpath(os.path.dirname(place)), os.path.basename(place))
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
            is_file = stat.S_ISREG(os.fstat(int(number)).st_mode)
        except OSError:  # it was that of the list itself
            continue
        if is_file and (target == place or target.startswith(place + os.sep)):
            raise PermissionError(errno.EACCES, "The process cannot access the file: it is open", path)


def kill(pid: int, number: int) -> None:
    if number == signal.CTRL_C_EVENT:  # type: ignore[attr-defined]
        raise AssertionError("os.kill(pid, 0) is Ctrl-C on Windows")
    real["kill"](pid, number)


def rename(source: Any, target: Any, **options: Any) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "Windows renames nothing to what exists", target)
    real["rename"](source, target, **options)


def replace(source: Any, target: Any, **options: Any) -> None:
    if os.path.isdir(target):
        raise PermissionError(errno.EACCES, "Windows replaces no folder", target)
    real["replace"](source, target, **options)


def open_descriptor(path: Any, *arguments: Any, **options: Any) -> int:
    if sys._getframe(1).f_globals["__name__"].startswith(OURS) and os.path.isdir(path):
        raise PermissionError(errno.EACCES, "Windows opens no folder", path)
    return real["open"](path, *arguments, **options)


def select_sockets(readers: Any, writers: Any, others: Any, timeout: float | None = None) -> Any:
    for stream in (*readers, *writers, *others):
        number = stream if isinstance(stream, int) else stream.fileno()
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            raise OSError(errno.ENOTSOCK, "An operation was attempted on something that is not a socket")
    return real["select"](readers, writers, others, timeout)


def start(self: Any, *arguments: Any, **options: Any) -> None:
    if options.get("preexec_fn") is not None or options.get("pass_fds"):
        raise ValueError("preexec_fn and pass_fds are not supported on Windows platforms")
    real["start"](self, *arguments, **options)


def load(self: Any, name: Any, *arguments: Any, **options: Any) -> None:
    if name is None:
        raise TypeError("argument of type 'NoneType' is not iterable")
    real["load"](self, name, *arguments, **options)


real: dict[str, Any] = {
    "kill": os.kill,
    "rename": os.rename,
    "replace": os.replace,
    "open": os.open,
    "select": select.select,
    "start": subprocess.Popen.__init__,
    "load": ctypes.CDLL.__init__,
}
for owner, names in ((signal, SIGNALS), (os, FUNCTIONS), (select, ["poll", "epoll"])):
    for gone in names:
        if hasattr(owner, gone):
            delattr(owner, gone)
os.process_cpu_count = os.cpu_count  # type: ignore[attr-defined]  # Python 3.13's own calls what was just taken away
signal.CTRL_C_EVENT, signal.CTRL_BREAK_EVENT = 0, 1  # type: ignore[attr-defined]
os.kill, os.rename, os.replace, os.open = kill, rename, replace, open_descriptor
select.select = select_sockets
subprocess.Popen.__init__ = start  # type: ignore[method-assign]
subprocess.Popen.kill = lambda self: self.send_signal(9)  # type: ignore[method-assign] # asks signal for SIGKILL
ctypes.CDLL.__init__ = load  # type: ignore[method-assign]
for loaded in MODULES & set(sys.modules):
    del sys.modules[loaded]
sys.meta_path[:] = map(OnWindows, sys.meta_path)
sys.addaudithook(refuse_audited)
# open() without an encoding takes that of the language settings: asked for by PYTHONWARNDEFAULTENCODING.
warnings.filterwarnings("error", category=EncodingWarning, module=OURS)
