from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edge_squeeze.errors import UsageError
from edge_squeeze.files import cache
from edge_squeeze.models import weights
from edge_squeeze.networks.architecture import architecture

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        handler = type("Handler", (SimpleHTTPRequestHandler,), {"log_message": self._log})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.http.server_port}/weights.net"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def _log(self, _handler: object, *arguments: object) -> None:
        self.requests.append(str(arguments))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "weights.net").write_bytes(CONTENT)
    monkeypatch.setenv("EDGE_SQUEEZE_CACHE", str(tmp_path / "cache"))
    running = Server(folder)
    yield running
    running.http.shutdown()
    running.http.server_close()


def test_a_file_is_fetched_once(server: Server) -> None:
    first = cache.cached(server.url, SHA256)
    assert first.read_bytes() == CONTENT
    assert cache.cached(server.url, SHA256) == first
    assert len(server.requests) == 1


def test_a_damaged_cache_is_fetched_again(server: Server) -> None:
    path = cache.cached(server.url, SHA256)
    path.write_bytes(CONTENT[:100])
    assert cache.cached(server.url, SHA256).read_bytes() == CONTENT


def test_a_file_with_another_hash_is_refused_and_not_kept(server: Server) -> None:
    (server.folder / "weights.net").write_bytes(b"something else")
    with pytest.raises(UsageError, match="is not the expected file"):
        cache.cached(server.url, SHA256)
    assert not [path for path in cache.cache_folder().rglob("*") if path.is_file()]


def test_a_missing_file_says_what_to_do_instead(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    (server.folder / "weights.net").unlink()
    gone = replace(weights.PUBLISHED["squeezenet1.0"], url=server.url)
    monkeypatch.setitem(weights.PUBLISHED, "squeezenet1.0", gone)
    with pytest.raises(UsageError, match=r"(?s)could not be downloaded.*--weights FILE"):
        weights.resolve(architecture("squeezenet1.0"), "imagenet")


def test_the_weights_of_10_come_from_the_cache(
    server: Server, monkeypatch: pytest.MonkeyPatch, deep_compression_file: Path
) -> None:
    (server.folder / "weights.net").write_bytes(deep_compression_file.read_bytes())
    local = replace(weights.PUBLISHED["squeezenet1.0"], url=server.url)
    monkeypatch.setitem(weights.PUBLISHED, "squeezenet1.0", local)
    arch = architecture("squeezenet1.0")
    for _ in range(2):
        resolved = weights.resolve(arch, "imagenet")
        assert resolved.record.kind == "imagenet"
        assert len(resolved.layers or {}) == 26
    assert len(server.requests) == 1
