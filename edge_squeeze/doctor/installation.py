"""What is installed here, what this package's own metadata require of it, and whether it can be imported."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_squeeze.packages import Requirement, folder_of, version_of
from edge_squeeze.process.supervision import ended_by

OK, MISSING, TOO_OLD, TOO_NEW = "ok", "missing", "too old", "too new"
LOAD_TIMEOUT_S = 60  # TensorFlow takes 4 s on an idle x86 core, far more on a board's memory card
LONGEST_REASON = 200
RAISED = re.compile(r"[\w.]*(Error|Exception|Exit)\b")


def judge(version: str, specifiers: str) -> str:
    """OK, TOO_OLD or TOO_NEW: whether `version` fits `specifiers`, as in ">=2.21,<2.22".

    A pre-release counts as its release. A version that PEP 440 does not know fits no specifier, and counts as too old.
    """
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        release = Version(Version(version).base_version)
    except InvalidVersion:
        return TOO_OLD if specifiers else OK
    for specifier in SpecifierSet(specifiers):
        if not specifier.contains(release):
            bound = Version(specifier.version.removesuffix(".*"))
            return TOO_OLD if release < bound or specifier.operator in (">", "!=") else TOO_NEW
    return OK


def why_not_loadable(module: str) -> str | None:
    """Why `module` cannot be imported, or None if it can: tried in a process of its own, since it may crash."""
    command = [sys.executable, "-P", "-c", f"import {module}"]
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=LOAD_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return f"not there after {LOAD_TIMEOUT_S} s"
    except OSError as error:
        return f"Python cannot be started to try it: {error.strerror}"
    return told_by(done.returncode, done.stderr.decode("utf-8", "replace"))


def told_by(exit_code: int, printed: str) -> str | None:
    """Why an import that ended so failed, in one line; None if it did not."""
    if exit_code == 0:
        return None
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    raised = [line for line in lines if RAISED.match(line)]
    said = ((raised or lines)[-1:] or [""])[0][:LONGEST_REASON]
    name = ended_by(exit_code)
    if name is None:
        return said or f"exit code {exit_code}"
    if name == "SIGILL":
        return "ended by SIGILL: it was built for a processor with more instructions than this one has"
    return f"ended by {name}" + (f": {said}" if said else "")


@dataclass(frozen=True)
class Installation:
    """Where the answers about this installation come from; tests give others."""

    requirements: list[Requirement]
    version_of: Callable[[str], str | None] = version_of
    folder_of: Callable[[str], Path | None] = folder_of
    why_not_loadable: Callable[[str], str | None] = why_not_loadable

    def names(self, extra: str | None) -> list[str]:
        """The packages that `extra` asks for, or (None) that are always needed."""
        return [one.package for one in self.requirements if one.extra == extra]
