"""What the app's tests read: artifacts, and the vectors that Python computes."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

from building.console import MissingError, UnusableError, run, say
from building.models import INDEX

TOOLS = Path(__file__).resolve().parent.parent


def given(artifacts: Path) -> Path:
    """The user's folder of artifacts; UnusableError if it is none."""
    if not (artifacts / INDEX).is_file():
        raise UnusableError(
            f"{artifacts} has no {INDEX}. Required: a folder that `edge-squeeze bundle files ARTIFACT... DIR` made."
        )
    return artifacts.resolve()


def exported(build: Path) -> Path:
    """The folder of artifacts that artifacts.py exports, which takes minutes, if it has not done so yet."""
    artifacts, partial = build / "artifacts", build / "artifacts.partial"
    if (artifacts / INDEX).is_file():
        say(f"  as they were (remove {artifacts} to export them again)", end="")
    else:
        _python("artifacts.py", partial)
        partial.rename(artifacts)
    return artifacts


def vectors(build: Path) -> Path:
    """The folder that vectors.py fills with what the app must compute, too."""
    out = build / "vectors"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    _python("vectors.py", out)
    return out


def _python(program: str, out: Path) -> None:
    """Run a program of ours that needs the toolkit itself."""
    if importlib.util.find_spec("edge_squeeze") is None:
        raise MissingError(f"edge_squeeze is not installed for {sys.executable}. Run: make android-test")
    run(program, sys.executable, TOOLS / program, out)
