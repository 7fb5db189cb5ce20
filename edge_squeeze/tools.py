"""The versions of what had a hand in a result, for its record."""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import platform
from collections.abc import Iterable


def version_of(package: str) -> str | None:
    """The installed version of `package`, or of one that brings its module under another name (tensorflow-cpu)."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        module = package.replace("-", "_")
    if importlib.machinery.PathFinder.find_spec(module) is None:
        return None
    owners = importlib.metadata.packages_distributions().get(module, [])  # slow: it reads what every package has
    return importlib.metadata.version(owners[0]) if owners else None


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of Python and of `packages`, as far as they are installed."""
    installed = {package: version_of(package) for package in packages}
    return {"python": platform.python_version()} | {name: version for name, version in installed.items() if version}
