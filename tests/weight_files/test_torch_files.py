from __future__ import annotations

import collections
import io
import pickle
import random
import re
import struct
import sys
import types
import zipfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import edge_squeeze
from edge_squeeze.errors import UsageError
from edge_squeeze.models import source
from edge_squeeze.models.source import Choice
from edge_squeeze.pictures.presets import preset
from edge_squeeze.reporting import Silent
from edge_squeeze.weight_files import layers as weight_layers, reader
from edge_squeeze.weight_files.layers import Layers

FIRES = (3, 4, 6, 7, 9, 10, 11, 12)  # where torchvision's SqueezeNet 1.1 has its fire modules
PLACES = {f"fire{i + 2}": f"features.{place}" for i, place in enumerate(FIRES)}
CONVOLUTION = re.compile(r"(fire\d)_(squeeze|expand1x1|expand3x3)(1x1)?")


def torch_name(layer: str) -> str:
    match = CONVOLUTION.fullmatch(layer)
    return f"{PLACES[match[1]]}.{match[2]}" if match else {"conv1": "features.0", "conv10": "classifier.1"}[layer]


@pytest.fixture(scope="module")
def layers() -> Layers:
    """Random layers of SqueezeNet 1.1, under our names."""
    network = edge_squeeze.build("squeezenet1.1", weights="random", seed=3)
    return {layer.name: tuple(layer.get_weights()) for layer in network.layers if layer.weights}


class Storage:
    """What torch hands to its pickler in place of numbers."""

    def __init__(self, kind: type, key: str, array: np.ndarray) -> None:
        self.kind, self.key, self.array = kind, key, array


class Tensor:
    """Pickled as torch's tensors are, without torch."""

    def __init__(self, storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.state = storage, offset, shape, strides, False, collections.OrderedDict()

    def __reduce__(self) -> tuple[object, ...]:
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.state


class Pickler(pickle.Pickler):
    def persistent_id(self, value: object) -> object:
        return ("storage", value.kind, value.key, "cpu", value.array.size) if isinstance(value, Storage) else None


class Stream(io.RawIOBase):
    """Cannot be sought in, so that zipfile writes sizes behind the members, as torch does."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += data
        return len(data)


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = Stream()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return bytes(stream.data)


def module(name: str, *names: str) -> types.ModuleType:
    made = types.ModuleType(name)
    for attribute in names:
        setattr(made, attribute, type(attribute, (), {"__module__": name}))
    return made


def checkpoint(content: object, storages: list[Storage], order: bytes = b"little") -> bytes:
    """What torch.save(content) leaves."""
    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump(content)
    members = {"archive/data.pkl": stream.getvalue(), "archive/byteorder": order}
    members |= {f"archive/data/{storage.key}": storage.array.tobytes() for storage in storages}
    return zipped({**members, "archive/version": b"3\n"})


@pytest.fixture
def torch() -> collections.abc.Iterator[types.ModuleType]:
    """A torch that has only the names that its files ask for."""
    made = module("torch", "FloatStorage", "HalfStorage", "DoubleStorage", "BFloat16Storage", "LongStorage")
    fakes = {"torch": made, "torch._utils": module("torch._utils", "_rebuild_tensor_v2")}
    with mock.patch.dict(sys.modules, fakes):
        yield made


def dense(storage: Storage, shape: tuple[int, ...], offset: int = 0) -> Tensor:
    strides = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
    return Tensor(storage, offset, shape, strides)


def state_dict(kind: type, layers: Layers) -> tuple[dict[str, Tensor], list[Storage]]:
    """Kernel by kernel, each with a storage of its own."""
    tensors: dict[str, Tensor] = collections.OrderedDict()
    tensors._metadata = collections.OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]
    storages = []
    for layer, (kernel, bias) in layers.items():
        for part, array in (("weight", kernel.transpose(3, 2, 0, 1)), ("bias", bias)):
            storages.append(Storage(kind, str(len(storages)), np.ascontiguousarray(array)))
            tensors[f"{torch_name(layer)}.{part}"] = dense(storages[-1], array.shape)
    return tensors, storages


def equal(a: Layers, b: Layers) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(x, y) for key in a for x, y in zip(a[key], b[key], strict=True))


def test_torchvision_layers_come_under_our_names(torch: types.ModuleType, layers: Layers) -> None:
    received = reader.read(checkpoint(*state_dict(torch.FloatStorage, layers)), "x")
    assert (received.kind, received.convention) == ("PyTorch state dict", "torchvision")
    assert list(received.layers) == list(layers) == [name for name, _ in weight_layers.shapes_1_0()]
    assert equal(received.layers, layers)


@pytest.mark.parametrize("places", [FIRES, (3, 4, 5, 7, 8, 9, 10, 12)])
def test_fire_modules_are_numbered_in_their_order(torch: types.ModuleType, places: tuple[int, ...]) -> None:
    storage = Storage(torch.FloatStorage, "0", np.array(range(20), "<f4"))
    tensors = {f"features.{place}.squeeze.bias": dense(storage, (1,), place) for place in reversed(places)}
    received = reader.read(checkpoint(tensors, [storage]), "x").layers
    assert [received[f"fire{i}_squeeze1x1"][0].item() for i in range(2, 10)] == list(places)


def test_such_a_file_fills_a_model(torch: types.ModuleType, layers: Layers, tmp_path: Path) -> None:
    path = tmp_path / "squeezenet.pth"
    path.write_bytes(checkpoint(*state_dict(torch.FloatStorage, layers)))
    built = edge_squeeze.build("squeezenet1.1", weights=path)
    assert np.array_equal(built.get_layer("fire9_expand3x3").get_weights()[0], layers["fire9_expand3x3"][0])


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_a_training_checkpoint_is_looked_into(torch: types.ModuleType, layers: Layers, wrapper: str) -> None:
    tensors, storages = state_dict(torch.FloatStorage, layers)
    parallel = {f"module.{name}": tensor for name, tensor in tensors.items()}
    data = checkpoint({"epoch": 3, wrapper: parallel, "best": 0.5}, storages)
    assert equal(reader.read(data, "x").layers, layers)


def one_layer(kernel: Tensor, bias: Tensor, storages: list[Storage]) -> tuple[np.ndarray, ...]:
    data = checkpoint({"features.0.weight": kernel, "features.0.bias": bias}, storages)
    return reader.read(data, "x").layers["conv1"]


def test_strided_tensors_that_share_a_storage(torch: types.ModuleType) -> None:
    numbers = np.arange(100, dtype="<f4")
    storage = Storage(torch.FloatStorage, "7", numbers)
    kernel, bias = one_layer(Tensor(storage, 5, (2, 3, 1, 2), (1, 2, 99, 6)), dense(storage, (4,), 96), [storage])
    expected = numbers[5:17].reshape(2, 3, 2).transpose(2, 1, 0)[:, :, None, :]  # in memory: width, in, out
    assert np.array_equal(kernel.transpose(3, 2, 0, 1), expected)
    assert bias.tolist() == [96, 97, 98, 99]


@pytest.mark.parametrize(("kind", "dtype"), [("HalfStorage", "<f2"), ("DoubleStorage", "<f8"), ("FloatStorage", "<f4")])
def test_other_floats_become_float32(torch: types.ModuleType, kind: str, dtype: str) -> None:
    storage = Storage(getattr(torch, kind), "0", np.array([0.5, -2, 1e-3], dtype))
    kernel, bias = one_layer(dense(storage, (1, 1, 1, 1)), dense(storage, (3,)), [storage])
    assert kernel.dtype == bias.dtype == np.float32
    assert np.array_equal(bias, storage.array.astype(np.float32))


def test_a_file_of_a_big_endian_machine_is_read(torch: types.ModuleType) -> None:
    storage = Storage(torch.FloatStorage, "0", np.array([0.5, -2], ">f4"))
    data = checkpoint({"features.0.bias": dense(storage, (2,))}, [storage], b"big")
    assert reader.read(data, "x").layers["conv1"][0].tolist() == [0.5, -2]


def test_bfloat16_is_the_upper_half_of_a_float(torch: types.ModuleType) -> None:
    exact = np.array([1.5, -0.0078125, 3e38], "<f4").view("<u4") & 0xFFFF0000
    storage = Storage(torch.BFloat16Storage, "0", (exact >> 16).astype("<u2"))
    _, bias = one_layer(dense(storage, (1, 1, 1, 1)), Tensor(storage, 0, (3,), (1,)), [storage])
    assert np.array_equal(bias, exact.view("<f4"))


def test_layers_of_another_network_keep_their_names(torch: types.ModuleType) -> None:
    float32 = Storage(torch.FloatStorage, "0", np.ones(8, "<f4"))
    counter = Storage(torch.LongStorage, "1", np.ones(1, "<i8"))
    tensors = {f"bn.{part}": dense(float32, (2,)) for part in ("running_mean", "bias", "weight", "running_var")}
    data = checkpoint({**tensors, "bn.num_batches_tracked": dense(counter, ())}, [float32, counter])
    ((name, arrays),) = reader.read(data, "x").layers.items()
    assert (name, len(arrays)) == ("bn", 4)


def test_the_format_before_torch_1_6_is_told_by_its_number() -> None:
    data = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2)
    with pytest.raises(UsageError, match=r"before version 1\.6.*Save it again"):
        reader.read(data, "their.pth")


def test_they_bring_their_own_preprocessing_and_size(torch: types.ModuleType, layers: Layers, tmp_path: Path) -> None:
    path = tmp_path / "squeezenet1_1.pth"
    path.write_bytes(checkpoint(*state_dict(torch.FloatStorage, layers)))
    received = source.find(Choice("squeezenet1.1", path), Silent())
    assert received.preprocessing == preset("torch", (224, 224), resize="256")
    assert (received.classes, received.suffix) == (1000, "")
    assert equal(
        {"conv10": tuple(received.original().model.get_layer("conv10").get_weights())}, {"conv10": layers["conv10"]}
    )
    assert source.find(Choice("squeezenet1.1", path, input_size=227), Silent()).suffix == "-input-size-227"


# From here on state dicts are written opcode by opcode, as torch never would.


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
@pytest.mark.parametrize("files", [125, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("inside", [True, False])
def test_no_change_of_bytes_does_harm(inside: bool, files: int) -> None:
    """Each ends in layers or in a UsageError; `inside` the pickle, where no checksum tells."""
    pickled, draw = named(tensor()), random.Random(0)
    outcomes = set()
    for _ in range(files):
        data = archive(damaged(pickled, draw)) if inside else damaged(archive(pickled), draw)
        try:
            reader.read(data, "their.pth")
            outcomes.add("read")
        except UsageError as error:
            outcomes.add("named" if "their.pth" in str(error) else str(error))
    assert outcomes == {"read", "named"}
