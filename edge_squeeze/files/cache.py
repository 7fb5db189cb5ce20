"""Files downloaded once into the user's cache, each after a check of its hash."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from edge_squeeze.errors import UsageError
from edge_squeeze.files import atomic, reading

TIMEOUT_S = 30
LARGEST_DOWNLOAD = 100 << 20


def cache_folder() -> Path:
    """The folder of downloads: $EDGE_SQUEEZE_CACHE, else edge-squeeze in the user's cache folder."""
    if own := os.environ.get("EDGE_SQUEEZE_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-squeeze"


def cached_path(url: str, sha256: str) -> Path:
    """The place of the file at `url` once it has been downloaded."""
    return cache_folder() / f"{sha256[:16]}-{url.rpartition('/')[2]}"


def cached(url: str, sha256: str) -> Path:
    """The file at `url`, from the cache or downloaded into it; UsageError if that fails or its hash differs."""
    path = cached_path(url, sha256)
    if path.is_file() and reading.sha256(path) == sha256:
        return path
    data = _fetch(url)
    if (digest := hashlib.sha256(data).hexdigest()) != sha256:
        raise UsageError(f"{url} is not the expected file: required sha256 {sha256}, got {digest}.")
    try:
        atomic.write_file(path, data)
    except OSError as error:
        raise UsageError(
            f"The cache {path.parent} cannot be written ({error}). Set EDGE_SQUEEZE_CACHE to another."
        ) from error
    return path


def _fetch(url: str) -> bytes:
    import urllib.error  # slow to import, and seldom used
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:  # noqa: S310 - our own https address
            data: bytes = response.read(LARGEST_DOWNLOAD + 1)
    except (OSError, urllib.error.URLError, ValueError) as error:
        raise UsageError(f"{url} could not be downloaded: {error}.") from error
    if len(data) > LARGEST_DOWNLOAD:
        raise UsageError(f"{url} is larger than {LARGEST_DOWNLOAD >> 20} MB, the most that is downloaded.")
    return data
