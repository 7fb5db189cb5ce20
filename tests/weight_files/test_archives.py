from __future__ import annotations

import io
import random
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

import edge_squeeze
from edge_squeeze.errors import UsageError
from edge_squeeze.weight_files import reader

KERNEL, BIAS = np.arange(24, dtype="f4").reshape(1, 2, 3, 4), np.arange(4, dtype="f4")


def npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def npy(header: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """A .npy whose header says what it likes."""
    size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(header) + 1)
    return b"\x93NUMPY" + version + size + header.encode("latin-1") + b"\n" + content


def floats(shape: object, dtype: str = "<f4") -> str:
    return repr({"descr": dtype, "fortran_order": False, "shape": shape})


@pytest.mark.parametrize(
    ("kernel", "bias"),
    [
        ("fire2_squeeze1x1/kernel", "fire2_squeeze1x1/bias"),
        ("fire2/squeeze1x1/kernel:0", "fire2/squeeze1x1/bias:0"),
        ("fire2_squeeze1x1.weight", "fire2_squeeze1x1.bias"),
        ("fire2.squeeze1x1:weights", "fire2.squeeze1x1:b"),
        ("fire2_squeeze1x1_W", "fire2_squeeze1x1_b"),
    ],
)
def test_kernels_and_biases_are_paired(kernel: str, bias: str) -> None:
    received = reader.read(npz(**{bias: BIAS, kernel: np.asfortranarray(KERNEL.astype(">f8"))}), "x")
    assert (received.kind, received.convention) == ("NumPy npz", None)
    ((name, arrays),) = received.layers.items()
    assert name == "fire2_squeeze1x1"
    assert all(array.dtype == np.float32 for array in arrays)
    assert all(map(np.array_equal, arrays, (KERNEL, BIAS)))


def test_arrays_of_no_layer_keep_their_names() -> None:
    received = reader.read(npz(arr_0=BIAS, **{"bn/gamma": BIAS, "conv1/bias": BIAS}), "x")
    assert {name: len(arrays) for name, arrays in received.layers.items()} == {"arr_0": 1, "bn_gamma": 1, "conv1": 1}


def test_such_a_file_fills_a_model(tmp_path: Path) -> None:
    network = edge_squeeze.build(weights="random", classes=3, input_size=64)
    arrays = {
        f"{layer.name}/{part}": array
        for layer in network.layers
        for part, array in zip(("kernel", "bias"), layer.get_weights(), strict=False)
    }
    np.savez_compressed(tmp_path / "mine.npz", **arrays)
    built = edge_squeeze.build(weights=tmp_path / "mine.npz", classes=3, input_size=64)
    assert all(map(np.array_equal, built.get_weights(), network.get_weights()))


def test_where_a_member_says_it_lies_is_no_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is unpacked to disk."""
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    members = {name: npz_member(BIAS) for name in ("../../conv1/kernel.npy", f"{tmp_path}/conv2/kernel.npy")}
    assert len(reader.read(zipped(members), "x").layers) == 2
    assert [path.name for path in tmp_path.rglob("*")] == ["deep"]


def npz_member(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (npy(floats((10**12,))), "declares float32 .* holds 0 bytes"),
        (npy(floats((2**62, 8)), bytes(8)), "declares float32"),
        (npy(floats((-1,)), bytes(4)), "declares float32"),
        (npy(floats((0, -(2**63)))), "declares float32"),
        (npy(floats((1,) * 99), bytes(4)), "cannot be read"),
        (npy(floats((2,)), bytes(7)), "holds 7 bytes"),
        (npy(floats((2,)), bytes(9)), "holds 9 bytes"),
        (npy(floats(("2",)), bytes(8)), "is not a NumPy array"),
        (npy(floats((2,), "<i4"), bytes(8)), "conv1/kernel.*required arrays of floats, got int32"),
        (npy(floats((2,), "<c8"), bytes(16)), "required arrays of floats, got complex64"),
        (npy(floats((1,), "<V1000000000")), "required arrays of floats"),
        (npy(floats((1,), "|O"), b"cos\nsystem\n(S'true'\ntR."), "required arrays of floats, got object"),
        (npy("(" * 60_000), "is not a NumPy array"),
        (npy("-" * 9_000 + "1"), "is not a NumPy array"),
        (npy("__import__('os').system('true')"), "is not a NumPy array"),
        (npy("x" * 200_000, version=b"\x02\x00"), "is not a NumPy array"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{", "is not a NumPy array"),
        (b"\x93NUMPY\x09\x09", "is not a NumPy array"),
        (b"", "is not a NumPy array"),
    ],
)
def test_a_member_that_is_no_such_array_is_refused(member: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        reader.read(zipped({"conv1/kernel.npy": member}), "their.npz")
    assert "their.npz" in str(caught.value)


def declaring(size: int, content: bytes = bytes(1_000_000)) -> bytes:
    """An archive of one deflated member whose headers declare that it has `size` bytes."""
    data = bytearray(zipped({"conv1/kernel.npy": content}))
    directory = data.index(b"PK\x01\x02")
    data[22:26] = data[directory + 24 : directory + 28] = struct.pack("<I", size)
    return bytes(data)


def with_flag(position: int, value: int) -> bytes:
    data = bytearray(zipped({"conv1/kernel.npy": npz_member(BIAS)}))
    data[data.index(b"PK\x01\x02") + position] |= value
    return bytes(data)


def doubled() -> bytes:
    data = zipped({"conv1/kernel.npy": npz_member(BIAS), "conv2/kernel.npy": b""})
    return data.replace(b"conv2/kernel.npy", b"conv1/kernel.npy")


def overlapping() -> bytes:
    """Two entries of the directory for the same bytes."""
    data = zipped({"aaaaaaaaaaaa": npz_member(KERNEL), "bbbbbbbbbbbb": b""}, zipfile.ZIP_STORED)
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 4)
    return (
        data[:second] + data[first:second].replace(b"aaaaaaaaaaaa", b"bbbbbbbbbbbb") + data[data.index(b"PK\x05\x06") :]
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: declaring(2**32 - 2), "at most 536,870,912 bytes unpacked, it declares 4,294,967,294"),
        (lambda: declaring(100), "damaged"),
        (lambda: declaring(100_000_000), "damaged"),
        (lambda: with_flag(8, 1), "without a password"),
        (lambda: with_flag(10, 12), "stored or deflated"),
        (doubled, "two members of the same name"),
        (overlapping, "overlap"),
        (lambda: zipped({"readme.txt": b"hello"}), "zip archive of 'readme.txt'"),
        (lambda: zipped({}) + b"x", "not a weights file"),
        (lambda: b"PK\x03\x04" + b"PK\x01\x02" * 20_001, "at most 20,000 members"),
        (lambda: npz(a=BIAS)[:-10], "truncated zip archive"),
        (
            lambda: zipped({"a/kernel.npy": npz_member(BIAS), "a.weight.npy": npz_member(BIAS)}),
            "two arrays for the kernel",
        ),
        (lambda: zipped({"config.json": b"{}", "model.weights.json": b"{}"}), "several files"),
    ],
)
def test_a_hostile_archive_is_refused(make: object, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        reader.read(make(), "their.npz")  # type: ignore[operator]
    assert "their.npz" in str(caught.value)


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("files", [100, pytest.param(400, marks=pytest.mark.slow)])
@pytest.mark.parametrize("inside", [True, False])
def test_no_change_of_bytes_does_harm(inside: bool, files: int) -> None:
    """Each ends in layers or in a UsageError; `inside` the member, where no checksum tells."""
    member, whole = npz_member(KERNEL), zipped({"conv1/kernel.npy": npz_member(KERNEL)})
    draw, outcomes = random.Random(0), set()
    for _ in range(files):
        data = bytearray(member if inside else whole)
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(len(data))] = draw.choice([0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)])
        data = data[: draw.choice([len(data), draw.randrange(1, len(data))])]
        try:
            reader.read(zipped({"conv1/kernel.npy": bytes(data)}) if inside else bytes(data), "their.npz")
            outcomes.add("read")
        except UsageError as error:
            outcomes.add("named" if "their.npz" in str(error) else str(error))
    assert outcomes == {"read", "named"}
