"""Real exports, made once in a run of the tests, whichever of its processes needs them first."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pickle
from typing import Any

import pytest

import edge_squeeze
from edge_squeeze.converters.export import Exported

Exports = dict[str, Exported]


def export_once(factory: pytest.TempPathFactory, variant: str, target: str = "all all", **options: Any) -> Exports:
    """Targets of `variant`, by name without the variant; the folders are shared: tests change copies only.

    `target` is a format and a precision, of which either may be "all".
    """
    format_name, precision = target.split()
    base = factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else factory.getbasetemp()
    own = hashlib.sha256(repr(sorted(options.items())).encode()).hexdigest()[:8]
    folder = base / f"exported-{variant}-{format_name}-{precision}-{own}"
    folder.mkdir(exist_ok=True)
    finished = folder / "exported.pickle"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
        if not finished.exists():
            exported = edge_squeeze.export(
                variant, format=format_name, precision=precision, out=folder / "out", **options
            )
            by_name = {artifact.manifest.name.removeprefix(f"{variant}-"): artifact for artifact in exported}
            finished.write_bytes(pickle.dumps(by_name))
    exports: Exports = pickle.loads(finished.read_bytes())
    return exports
