from __future__ import annotations

import collections
import io
import pickle
import re
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
    for one in names:
        setattr(made, one, type(one, (), {"__module__": name}))
    return made


def checkpoint(content: object, storages: list[Storage], order: bytes = b"little") -> bytes:
    """What torch.save(content) leaves."""
    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump(content)
    members = {"archive/data.pkl": stream.getvalue(), "archive/byteorder": order}
    members |= {f"archive/data/{one.key}": one.array.tobytes() for one in storages}
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
    found = reader.read(checkpoint(*state_dict(torch.FloatStorage, layers)), "x")
    assert (found.kind, found.convention) == ("PyTorch state dict", "torchvision")
    assert list(found.layers) == list(layers) == [name for name, _ in weight_layers.shapes_1_0()]
    assert equal(found.layers, layers)


@pytest.mark.parametrize("places", [FIRES, (3, 4, 5, 7, 8, 9, 10, 12)])
def test_fire_modules_are_numbered_in_their_order(torch: types.ModuleType, places: tuple[int, ...]) -> None:
    storage = Storage(torch.FloatStorage, "0", np.array(range(20), "<f4"))
    tensors = {f"features.{place}.squeeze.bias": dense(storage, (1,), place) for place in reversed(places)}
    found = reader.read(checkpoint(tensors, [storage]), "x").layers
    assert [found[f"fire{i}_squeeze1x1"][0].item() for i in range(2, 10)] == list(places)


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
    found = source.find(Choice("squeezenet1.1", path), Silent())
    assert found.preprocessing == preset("torch", (224, 224), resize="256")
    assert (found.classes, found.suffix) == (1000, "")
    assert equal(
        {"conv10": tuple(found.original().model.get_layer("conv10").get_weights())}, {"conv10": layers["conv10"]}
    )
    assert source.find(Choice("squeezenet1.1", path, input_size=227), Silent()).suffix == "-input-size-227"
