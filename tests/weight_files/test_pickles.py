from __future__ import annotations

import pickle
import random
import struct

import numpy as np
import pytest

from edge_squeeze.errors import UsageError
from edge_squeeze.weight_files import contents, pickles, reader

RNG = np.random.default_rng(0)
PAIR = [RNG.random((3, 3, 2, 4), np.float32), RNG.random(4, np.float32)]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", "<f8"])
def test_arrays_of_every_protocol_and_float_are_read(protocol: int, dtype: str) -> None:
    kernel, bias = (array.astype(dtype) for array in PAIR)
    content = {"fire2/squeeze1x1": [kernel, bias], "columns": (np.asfortranarray(kernel), bias)}
    received = reader.read(pickle.dumps(content, protocol), "x")
    assert (received.kind, received.convention) == ("pickle of arrays", None)
    for arrays in (received.layers["fire2_squeeze1x1"], received.layers["columns"]):
        assert all(array.dtype == np.float32 for array in arrays)
        assert all(map(np.array_equal, arrays, (kernel.astype("f4"), bias.astype("f4"))))


def test_a_pickle_of_python_2_is_read() -> None:
    """Its texts are bytes, escaped in protocol 0; NumPy's modules had other names."""
    numbers = np.array([1.5, -2], "<f4")
    escaped = repr(numbers.tobytes())[1:].encode()
    dtype = b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\nt" + dtype
    array += b"I00\nS" + escaped + b"\ntb"
    received = reader.read(b"(dp1\nS'conv1'\n(l" + array + b"a" + array + b"as.", "x")
    assert received.layers["conv1"][1].tolist() == [1.5, -2]


def test_a_layer_of_four_arrays_is_kept() -> None:
    layers = reader.read(pickle.dumps({"bn": [PAIR[1]] * 4}), "x").layers
    assert len(layers["bn"]) == 4


def sharing_tuples(depth: int) -> bytes:
    """A tuple of two times the same tuple of two times ...: 2**depth elements for whoever walks it."""
    return b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(depth))


HOSTILE = {
    "a key that takes 2**60 steps to hash": b"\x80\x02}" + sharing_tuples(60) + b"K\1s.",
    "a key nested so deep that hashing it overflows the stack": b"\x80\x02}" + b")" + b"\x85" * 150_000 + b"K\1s.",
    "a memo index of 2**32 - 1, not put": b"\x80\x02}j\xff\xff\xff\xff.",
    "bytes of 2**63": b"\x80\x05\x96" + struct.pack("<Q", 2**63 - 1) + b"x.",
    "bytes of 2**40": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x.",
    "a text of 2**31": b"\x80\x02X" + struct.pack("<I", 2**31) + b"x.",
    "a text of 2**63": b"\x80\x04\x8d" + struct.pack("<Q", 2**63) + b"x.",
    "a negative length": b"\x80\x02T" + struct.pack("<i", -1) + b"x.",
    "a number of 2**31 bytes": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",
    "a number of a million digits": b"(dL" + b"9" * 1_000_000 + b"L\n.",
    "a frame of 2**60": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"].",
    "lists within lists": b"\x80\x02" + b"]" * 150_000 + b"a" * 149_999 + b".",
    "a list within itself": b"\x80\x02]q\0h\0a.",
    "marks without end": b"\x80\x02" + b"(" * 150_000 + b".",
    "more operations than weights need": b"\x80\x02" + b"N" * 300_000 + b".",
    "an empty stack": b"\x80\x02.",
    "a pop from an empty stack": b"\x80\x02\x87.",
    "no mark": b"\x80\x02u.",
    "a name of the standard library": b"\x80\x02cos\nsystem\n.",
    "a name from the stack": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "a name that is no text": b"\x80\x04K\1K\2\x93.",
    "an object of a class": b"\x80\x02cnumpy\nndarray\n)\x81.",
    "an instance": b"\x80\x02(ios\nsystem\n.",
    "an extension": b"\x80\x02\x82\x01.",
    "a persistent id": b"\x80\x02K\1Q.",
    "a buffer from elsewhere": b"\x80\x05\x97.",
    "a call of NumPy's array": b"\x80\x02cnumpy\nndarray\n(K\1tR.",
    "an encoding that is a program": b"\x80\x02c_codecs\nencode\n(X\x01\0\0\0aX\x04\0\0\0idnatR.",
    "the state of a number": b"\x80\x02K\1}b.",
    "no pickle": b"\x80",
}


# Which only the clock can end; its message is among those below.
ENDLESS = "a key that takes 2**60 steps to hash"


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow) if case == ENDLESS else case for case in HOSTILE]
)
def test_a_hostile_pickle_is_refused(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if case == ENDLESS:
        monkeypatch.setattr(reader, "LONGEST_SECONDS", 3)
    with pytest.raises(UsageError, match=r"^their\.pkl"):
        reader.read(HOSTILE[case], "their.pkl")


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("a name of the standard library", r"it asks for os\.system, which weights have no need of"),
        (ENDLESS, "reading it took more than 3 s"),
        ("more operations than weights need", "required a dict"),
        ("an object of a class", "NEWOBJ class argument must be a type"),
        ("bytes of 2**40", "MemoryError: it asks for more memory than weights take"),
        ("a call of NumPy's array", "not callable"),
        ("a key nested so deep that hashing it overflows the stack", r"broke down \(exit code -11\)|got a key of type"),
    ],
)
def test_the_message_says_why(case: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LONGEST_SECONDS", 3 if case == ENDLESS else 30)
    with pytest.raises(UsageError, match=message):
        reader.read(HOSTILE[case], "their.pkl")


def test_a_memo_takes_no_more_than_the_memory_that_weights_need() -> None:
    """Python's unpickler makes a table of twice as many entries as the index says: here of 64 GB."""
    with pytest.raises(UsageError, match=r"their\.pkl cannot be read: MemoryError"):
        reader.read(b"\x80\x02}r\xff\xff\xff\xff.", "their.pkl")


def array(dtype: object = "f4", shape: object = (2,), content: object = bytes(8)) -> bytes:
    """A pickle of one layer whose arrays say of themselves what is given."""
    return pickle.dumps({"conv1": [Stated(dtype, shape, content)] * 2})


class Stated:
    """Pickled as one of NumPy's arrays, with any state."""

    def __init__(self, dtype: object, shape: object, content: object) -> None:
        self.state = (1, shape, np.dtype(dtype) if isinstance(dtype, str) else dtype, False, content)

    def __reduce__(self) -> tuple[object, ...]:
        function, arguments, _ = np.zeros(0).__reduce__()  # type: ignore[misc]
        return function, arguments, self.state


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (array(shape=(10**12,)), "has 8 bytes"),
        (array(shape=(2**40, 2**40)), "has 8 bytes"),
        (array(shape=(0, 2**62)), "has 8 bytes"),
        (array(shape=(-2,)), "shape is not a tuple of lengths"),
        (array(shape=[2]), "shape is not a tuple of lengths"),
        (array(shape=("2",)), "shape is not a tuple of lengths"),
        (array(shape=(1,) * 99 + (2,)), "cannot be read"),
        (array(content=None), "required bytes, got NoneType"),
        (array(dtype="i4"), "conv1: required arrays of floats, got int32"),
        (array(dtype="O", content=[1, 2]), "conv1: required arrays of floats, got object"),
        (array(dtype="S9"), r"conv1: required arrays of floats, got \|S9"),
        (array(dtype="f4,f4"), "conv1: required arrays of floats"),
        (array(dtype=3), "conv1: required arrays of floats, got a damaged array"),
        (pickle.dumps({"conv1": [1, 2]}), "conv1: required arrays of floats, got int"),
        (pickle.dumps({"\x1b[2Jconv1": PAIR}), "layer names"),
        (pickle.dumps({"a/b": PAIR, "a_b": PAIR}), "two layers a_b"),
        (pickle.dumps({f"layer{i}": PAIR for i in range(10_001)}), "at most 10,000 layers"),
    ],
)
def test_arrays_that_are_none_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        reader.read(data, "their.pkl")


def test_many_arrays_may_not_share_the_bytes_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_squeeze.weight_files.layers.LARGEST_UNPACKED", 10_000)
    large = np.zeros(500, "f2")
    with pytest.raises(UsageError, match="at most 10,000 bytes together"):
        contents.read(pickle.dumps({f"layer{i}": [large, large] for i in range(3)}), "their.pkl")


def test_plain_values_come_as_python_reads_them() -> None:
    value = {
        "a": [1, -1, 2**40, 1.5, None, True, "text", b"bytes", (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {}, []],
        3: {},
    }
    for protocol in range(1, 6):  # protocol 0 has no bytes without a call
        assert pickles.Unpickler(pickle.dumps(value, protocol), pickles.NAMES).load() == value


@pytest.mark.parametrize("name", sorted(pickles.NAMES))
def test_no_stand_in_can_be_changed(name: str) -> None:
    """BUILD updates the attributes of whatever has no __setstate__, frozen or not."""
    module, _, function = name.rpartition(".")
    data = b"\x80\x02c" + f"{module}\n{function}\n".encode() + b"}X\x04\0\0\0callNsb."
    with pytest.raises(UsageError, match="it sets the state of what has none"):
        reader.read(data, "their.pkl")


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("files", [50, pytest.param(200, marks=pytest.mark.slow)])
def test_no_change_of_bytes_does_harm(files: int) -> None:
    draw, outcomes = random.Random(0), set()
    for protocol in (0, 2, 5):
        whole = pickle.dumps({"conv1": PAIR, "conv2": PAIR}, protocol)
        for _ in range(files):
            data = bytearray(whole[: draw.choice([len(whole), draw.randrange(1, len(whole))])])
            for _ in range(draw.randint(1, 4)):
                data[draw.randrange(len(data))] = draw.choice([0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)])
            try:
                reader.read(bytes(data), "their.pkl")
                outcomes.add("read")
            except UsageError as error:
                outcomes.add("named" if "their.pkl" in str(error) else str(error))
    assert outcomes == {"read", "named"}
