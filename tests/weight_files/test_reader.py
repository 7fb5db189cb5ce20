from __future__ import annotations

import io
import pickle
import random
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edge_squeeze.errors import UsageError
from edge_squeeze.weight_files import contents, layers as weight_layers, reader

BIAS = np.ones(4, "f4")


def npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **{"conv1/bias": BIAS})
    return stream.getvalue()


def deep(entries: int = 1) -> bytes:
    """A Deep Compression file of so many entries a layer, all of them the first value."""
    body = b""
    for _, shape in weight_layers.shapes_1_0():
        body += np.ones(256 + shape[0], "<f4").tobytes() + bytes(entries) + bytes((entries + 1) // 2)
    return struct.pack("<26I", *[entries] * 26) + body


def test_files_are_told_by_what_is_in_them(tmp_path: Path) -> None:
    for data, kind in [(npz(), "NumPy npz"), (pickle.dumps({"a": [BIAS, BIAS]}), "pickle of arrays")]:
        for name in ("x.pth", "x.h5", "x"):
            assert reader.read(data, name).kind == kind
    received = reader.read(deep(), "x.npz")
    assert (received.kind, received.convention) == ("Deep Compression", "caffe")
    assert {name: kernel.shape for name, (kernel, _) in received.layers.items()} == {
        name: (h, w, inputs, out) for name, (out, inputs, h, w) in weight_layers.shapes_1_0()
    }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"P",
        b"PK\x05\x06" + bytes(18),
        b"hello",
        bytes(200),
        b"\xff" * 200,
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"\x93NUMPY\x01\x00",
        b"<html>404</html>",
    ],
)
def test_anything_else_is_told_what_is_required(data: bytes) -> None:
    with pytest.raises(UsageError, match=r"(?s)their\.file is not a weights file.*Required: .*npz.*Got: ") as caught:
        reader.read(data, "their.file")
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("magic", [b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"\x80\x02", b"(d", b"}q", b"\x80\x05\x95"])
def test_a_magic_number_alone_is_a_damaged_file(magic: bytes) -> None:
    for data in (magic, magic + b"x" * 100, magic + bytes(100)):
        with pytest.raises(UsageError, match=r"their\.file"):
            reader.read(data, "their.file")


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("deep"), OverflowError(), struct.error(), KeyError(1)])
def test_whatever_a_reader_runs_into_is_the_files_fault(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(np, "frombuffer", fail)
    for data in (npz(), deep(), pickle.dumps({"a": [BIAS, BIAS]})):
        with pytest.raises(UsageError, match=rf"their\.file cannot be read: {type(error).__name__}"):
            contents.read(data, "their.file")


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_every_truncation_of_a_file_is_refused(step: int) -> None:
    for data in (npz(), pickle.dumps({"a": [BIAS, BIAS]})):
        for length in range(0, len(data), step):
            with pytest.raises(UsageError, match=r"their\.file"):
                reader.read(data[:length], "their.file")


@pytest.mark.usefixtures("forked")
def test_no_change_of_bytes_of_a_deep_compression_file_does_harm() -> None:
    whole, draw, outcomes = deep(40), random.Random(0), set()
    for _ in range(100):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            at = draw.choice([draw.randrange(contents.DEEP_HEADER_BYTES), draw.randrange(len(data))])
            data[at] = draw.choice([0, 1, 0x7F, 0x80, 0xFF])
        try:
            reader.read(bytes(data), "their.net")
            outcomes.add("read")
        except UsageError as error:
            outcomes.add("named" if "their.net" in str(error) else str(error))
    assert outcomes == {"read", "named"}


def bomb(member: str, declared: int) -> bytes:
    """A zip archive of 100 MB of zeros in 100 kB, whose directory declares that it has `declared` bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(member, "w") as file:
        for _ in range(100):
            file.write(bytes(1_000_000))
    data = bytearray(stream.getvalue())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", declared)
    return bytes(data)


@pytest.mark.parametrize("member", ["conv1/kernel.npy", "x/data.pkl"])
@pytest.mark.parametrize("declared", [1_000, 0xFFFFFFFE])
def test_a_bomb_takes_no_more_than_it_declares(member: str, declared: int) -> None:
    data = bomb(member, declared)
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match=r"their\.file"):
            contents.read(data, "their.file")
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_the_guarded_process_imports_no_more_than_it_needs() -> None:
    modules = "edge_squeeze.weight_files.contents, edge_squeeze.weight_files.keras_hdf5"
    program = f"import sys, {modules}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert not {"tensorflow", "keras", "PIL"} & set(done.stdout.split())
