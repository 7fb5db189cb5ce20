"""State dicts written opcode by opcode: torch never would."""

from __future__ import annotations

import io
import random
import struct
import zipfile

import pytest

from edge_squeeze.errors import UsageError
from edge_squeeze.weight_files import reader


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def several(*values: bytes) -> bytes:
    return b"(" + b"".join(values) + b"t"


def whole(value: int) -> bytes:
    length = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([length]) + value.to_bytes(length, "little", signed=True)


def stored(kind: str = "FloatStorage", key: str = "0", count: int = 4) -> bytes:
    return several(text("storage"), b"ctorch\n" + kind.encode() + b"\n", text(key), text("cpu"), whole(count)) + b"Q"


def tensor(
    storage: bytes | None = None, offset: bytes = b"K\0", shape: tuple[int, ...] = (4,), strides: object = (1,)
) -> bytes:
    sizes = [several(*map(whole, numbers)) for numbers in (shape, strides)]  # type: ignore[call-overload]
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + several(storage or stored(), offset, *sizes, b"\x89", b"}") + b"R"


def named(value: bytes, name: str = "a.weight") -> bytes:
    return b"\x80\x02}" + text(name) + value + b"s."


def archive(content: bytes, numbers: bytes = bytes(16)) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr("x/data.pkl", content)
        made.writestr("x/data/0", numbers)
    return stream.getvalue()


HOSTILE = {
    "a negative stride": (named(tensor(shape=(2,), strides=(-1,))), "from 0 up"),
    "a negative offset": (named(tensor(offset=whole(-1))), "from 0 up"),
    "an offset beyond the storage": (named(tensor(offset=whole(1))), "beyond its storage"),
    "a size beyond the storage": (named(tensor(shape=(5,))), "beyond its storage"),
    "a stride beyond the storage": (named(tensor(shape=(2, 2), strides=(3, 1))), "beyond its storage"),
    "a size of 2**62": (named(tensor(shape=(2**62,), strides=(0,))), "from 0 up"),
    "a stride of 0 that makes 4 TB of 4 bytes": (named(tensor(shape=(2**20, 2**20), strides=(0, 0))), "at most"),
    "sizes without strides": (named(tensor(shape=(1, 1), strides=())), "is damaged"),
    "sixty dimensions": (named(tensor(shape=(1,) * 60, strides=(1,) * 60)), "is damaged"),
    "a storage larger than its file": (named(tensor(stored(count=10**12))), "got 16 bytes"),
    "a storage smaller than its file": (named(tensor(stored(count=3), shape=(3,))), "got 16 bytes"),
    "a storage that is not there": (named(tensor(stored(key="1"))), "got 0 bytes"),
    "a storage outside the archive": (named(tensor(stored(key="../../../etc/passwd"))), "got 0 bytes"),
    "whole numbers": (named(tensor(stored("LongStorage", count=2), shape=(2,))), "floats, got a LongStorage"),
    "a storage of no kind": (named(tensor(stored("save"))), "asks for torch.save"),
    "a tensor without a storage": (named(tensor(b"K\1")), "required a tensor"),
    "a number for a tensor": (named(b"K\1"), "required a tensor, got int"),
    "a call of os.system": (named(b"cos\nsystem\n" + several(text("true")) + b"R"), "asks for os.system"),
    "a call of a builtin": (named(b"cbuiltins\neval\n" + several(text("1")) + b"R"), "asks for builtins.eval"),
    "a whole model": (named(b"ctorchvision.models.squeezenet\nSqueezeNet\n)\x81"), "not a whole model"),
    "a list": (b"\x80\x02].", "required a state dict"),
    "nothing": (b"\x80\x02}.", "required a state dict"),
    "a pickle that ends early": (named(tensor())[:-20], "not a readable state dict"),
    "an empty pickle": (b"", "not a readable state dict"),
    "a name with an escape sequence": (named(tensor(), "\x1b[2J.weight"), "layer names of 1 to 200"),
    "a name of 10,000 characters": (named(tensor(), "a" * 10_000 + ".weight"), "layer names of 1 to 200"),
    "two layers that become one": (
        named(tensor(), "conv1.weight")[:-1] + text("features.0.weight") + tensor() + b"s.",
        "two layers conv1",
    ),
}


def test_a_parameter_is_its_tensor() -> None:
    parameter = b"ctorch._utils\n_rebuild_parameter\n" + several(tensor(), b"\x88", b"}") + b"R"
    layers = reader.read(archive(named(parameter), struct.pack("<4f", 1, 2, 3, 4)), "x").layers
    assert layers["a"][0].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_state_dict_is_refused(case: str) -> None:
    content, message = HOSTILE[case]
    with pytest.raises(UsageError, match=message) as caught:
        reader.read(archive(content), "their.pth")
    assert "their.pth" in str(caught.value)


def damaged(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        changed[draw.randrange(len(data))] = draw.choice([0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)])
    return bytes(changed if draw.random() < 0.7 else data[: draw.randrange(len(data))])


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("inside", [True, False])
def test_no_change_of_bytes_does_harm(inside: bool) -> None:
    """Each ends in layers or in a UsageError; `inside` the pickle, where no checksum tells."""
    pickled, draw = named(tensor()), random.Random(0)
    outcomes = set()
    for _ in range(500):
        data = archive(damaged(pickled, draw)) if inside else damaged(archive(pickled), draw)
        try:
            reader.read(data, "their.pth")
            outcomes.add("read")
        except UsageError as error:
            outcomes.add("named" if "their.pth" in str(error) else str(error))
    assert outcomes == {"read", "named"}
