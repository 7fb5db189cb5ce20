from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from places import ROOT

import edge_squeeze
from edge_squeeze.errors import MissingDependencyError, UsageError
from edge_squeeze.weight_files import keras_hdf5, reader
from edge_squeeze.weight_files.layers import Layers

KERNEL, BIAS = np.arange(8, dtype="f4").reshape(1, 1, 2, 4), np.ones(4, "f4")


@pytest.fixture(scope="module")
def network() -> Any:
    return edge_squeeze.build("squeezenet1.1", weights="random", classes=4, input_size=64)


def layers_of(network: Any) -> Layers:
    return {layer.name: tuple(layer.get_weights()) for layer in network.layers if layer.weights}


def equal(a: Layers, b: Layers) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(x, y) for key in a for x, y in zip(a[key], b[key], strict=True))


def saved(network: Any, path: Path) -> bytes:
    network.save_weights(path) if path.name.endswith(".weights.h5") else network.save(path)
    return path.read_bytes()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5"])
def test_what_keras_saves_comes_back(network: Any, tmp_path: Path, ending: str) -> None:
    received = reader.read(saved(network, tmp_path / f"mine{ending}"), "x")
    assert received.convention is None  # that of the row
    assert received.kind == ("Keras archive" if ending == ".keras" else "Keras HDF5")
    assert equal(received.layers, layers_of(network))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5"])
def test_a_model_within_a_model_is_looked_into(network: Any, tmp_path: Path, ending: str) -> None:
    import keras

    outer = keras.Sequential([keras.Input((64, 64, 3)), network, keras.layers.Dense(3, name="top")])
    received = reader.read(saved(outer, tmp_path / f"mine{ending}"), "x").layers
    assert equal(received, layers_of(network) | {"top": tuple(outer.get_layer("top").get_weights())})


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5"])
def test_a_layer_of_four_arrays_is_kept(tmp_path: Path, ending: str) -> None:
    import keras

    layers = [keras.layers.Conv2D(2, 1, name="conv1"), keras.layers.BatchNormalization(name="bn")]
    received = reader.read(saved(keras.Sequential([keras.Input((8, 8, 3)), *layers]), tmp_path / f"x{ending}"), "x")
    assert {name: len(arrays) for name, arrays in received.layers.items()} == {"conv1": 2, "bn": 4}


def hdf5(fill: Callable[[Any], object]) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        fill(file)
    return stream.getvalue()


def keras_2(file: Any, **options: Any) -> None:
    """As Keras 2 saved weights; the layer names are those of the first SqueezeNet for Keras."""
    file.attrs["layer_names"] = [b"input", b"fire2/squeeze1x1"]
    file.create_group("input").attrs["weight_names"] = np.zeros(0)
    group = file.create_group("fire2/squeeze1x1")
    group.attrs["weight_names"] = [b"fire2/squeeze1x1/kernel:0", b"fire2/squeeze1x1/bias:0"]
    group.create_dataset("fire2/squeeze1x1/kernel:0", data=KERNEL.astype(">f8"), **options)
    group.create_dataset("fire2/squeeze1x1/bias:0", data=BIAS.astype("<f2"))


@pytest.mark.parametrize("options", [{}, {"chunks": (1, 1, 2, 2)}, {"compression": "gzip", "shuffle": True}])
def test_weights_of_keras_2_are_read(options: dict[str, Any]) -> None:
    received = reader.read(hdf5(lambda file: keras_2(file, **options)), "x").layers
    assert equal(received, {"fire2_squeeze1x1": (KERNEL, BIAS)})
    whole = reader.read(hdf5(lambda file: keras_2(file.create_group("model_weights"), **options)), "x").layers
    assert equal(whole, received)


def keras_3(file: Any, count: int = 2, container: str = "layers") -> None:
    """As early versions of Keras 3 saved weights, without the layers' names."""
    for i in range(count):
        variables = file.create_group(f"{container}/conv2d{f'_{i}' if i else ''}/vars")
        variables["0"], variables["1"] = KERNEL + i, BIAS


@pytest.mark.parametrize("container", ["layers", "_layer_checkpoint_dependencies"])
def test_convolutions_without_names_are_ours_in_order(network: Any, container: str) -> None:
    received = reader.read(hdf5(lambda file: keras_3(file, 26, container)), "x").layers
    assert list(received) == list(layers_of(network))
    assert [kernel[0, 0, 0, 0] for kernel, _ in received.values()] == list(range(26))


def test_another_number_of_convolutions_keeps_the_groups_names() -> None:
    assert list(reader.read(hdf5(keras_3), "x").layers) == ["conv2d", "conv2d_1"]


def put(value: Any, at: str = "layers/conv2d/vars/0") -> Callable[[Any], None]:
    return lambda file: file.__setitem__(at, value)


def dataset(shape: tuple[int, ...], **options: Any) -> Callable[[Any], object]:
    return lambda file: file.create_dataset("layers/conv2d/vars/0", shape, options.pop("dtype", "f4"), **options)


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "x", (4,))
    file.create_group("layers/conv2d/vars").create_virtual_dataset("0", layout)


def cycle(file: Any) -> None:
    file.create_group("layers/inner")
    file["layers/inner/layers"] = file["layers"]


def many_names_of_one(file: Any) -> None:
    array = file.create_dataset("x", data=np.zeros(1 << 20, "f4"), compression="gzip")
    for i in range(200):
        file[f"layers/dense_{i}/vars/0"] = array


def listed(name: bytes, weight: bytes = b"w") -> Callable[[Any], None]:
    def fill(file: Any) -> None:
        file.attrs["layer_names"] = [name]
        file.create_group("a").attrs["weight_names"] = [weight]
        file["out"], file["a/soft"] = h5py.ExternalLink("secret.h5", "/"), h5py.SoftLink("/a")

    return fill


LONGEST = "200 names of one compressed array of 4 MB"
HOSTILE: dict[str, tuple[Callable[[Any], object], str]] = {
    "an external link": (put(h5py.ExternalLink("secret.h5", "/x")), "link to elsewhere"),
    "an external link for the layers": (put(h5py.ExternalLink("secret.h5", "/x"), "layers"), "link to elsewhere"),
    "a soft link": (put(h5py.SoftLink("/layers")), "link to elsewhere"),
    "an array in another file": (dataset((4,), external=[("secret", 0, 16)]), "in another file"),
    "an array made of other files": (virtual, "in another file"),
    "an array of 4 TB, never written": (dataset((10**12,), chunks=(4,)), "larger than allowed"),
    "an array of 400 MB, never written": (dataset((10**8,)), "more than the file holds"),
    "a chunk of 2 GB for one number": (dataset((1,), maxshape=(None,), chunks=(1 << 29,)), "larger than allowed"),
    LONGEST: (many_names_of_one, "larger than allowed"),
    "a compression that is a plug-in": (dataset((4,), chunks=(4,), compression="lzf"), "otherwise than by gzip"),
    "a name that clears the screen": (put(np.zeros(4, "i4"), "layers/a\x1b[2J/vars/0"), r"a\?\[2J: required arrays"),
    "whole numbers": (put(np.zeros(4, "i4")), "floats, got int32"),
    "texts": (put("text"), "floats, got object"),
    "no shape": (put(h5py.Empty("f4")), "is not an array"),
    "a group for an array": (lambda file: file.create_group("layers/conv2d/vars/0"), "is not an array"),
    "an array for a group": (put(BIAS, "layers/conv2d"), "array where a group is required"),
    "a group that holds itself": (cycle, "nested too deep"),
    "a layer that is missing": (listed(b"b"), "lacks b"),
    "an array that is missing": (listed(b"a"), "lacks w"),
    "a layer beyond a link": (listed(b"out"), "link to elsewhere"),
    "an array beyond a link": (listed(b"a", b"soft/soft/w"), "link to elsewhere"),
    "a layer of no file": (listed(b"../../etc/passwd"), "lacks"),
    "an empty name": (listed(b""), "lacks the attribute weight_names"),
    "nothing of Keras": (put(BIAS, "x"), "neither Keras' layer_names nor"),
}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow) if case == LONGEST else case for case in HOSTILE]
)
def test_a_hostile_file_is_refused(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill, message = HOSTILE[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.h5").write_bytes(hdf5(put(BIAS, "x")))
    data = hdf5(fill)
    with pytest.raises(UsageError, match=message) as caught:
        reader.read(data, "their.h5")
    assert "their.h5" in str(caught.value)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os; os.abort()", r"broke down \(exit code -6\)"),
        ("import nothing_of_the_sort", "ModuleNotFoundError"),
        ("import time; time.sleep(60)", "took more than 1 s"),
        ("print('no JSON')", "cannot be read"),
        ("""print('{"layers": [{"name": "a", "group": "a", "shapes": [[4]]}]}')""", "cannot be read"),
    ],
)
def test_a_library_that_breaks_down_is_a_damaged_file(
    program: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "PROGRAM", ("-c", program))
    monkeypatch.setattr(reader, "LONGEST_SECONDS", 1 if "sleep" in program else 30)
    with pytest.raises(UsageError, match=message):
        reader.read(hdf5(keras_3), "their.h5")


def test_without_h5py_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "h5py.py").write_text("raise ModuleNotFoundError(name='h5py')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match=r"h5py is not installed.*edge-squeeze\[export\]"):
        reader.read(hdf5(keras_3), "mine.h5")


@pytest.mark.parametrize(("times", "seed"), [(3, 1), pytest.param(10, 0, marks=pytest.mark.slow)])
def test_no_change_of_bytes_does_harm(times: int, seed: int) -> None:
    """Each ends in layers or in a UsageError, though some of these crash or hang the HDF5 library itself."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("config.json", b"{}")
        archive.writestr("model.weights.h5", hdf5(keras_3))
    draw, outcomes = random.Random(seed), set()
    for whole in [hdf5(keras_2), hdf5(keras_3)] * times + [stream.getvalue()] * times:
        data = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            data[draw.choice([i for i in range(8, len(data)) if data[i]])] = draw.choice([0, 0x7F, 0x80, 0xFF])
        data = data[: draw.choice([len(data), len(data), draw.randrange(10, len(data))])]
        try:
            reader.read(bytes(data), "their.h5")
            outcomes.add("read")
        except UsageError as error:
            outcomes.add("named" if "their.h5" in str(error) else str(error))
    assert outcomes == {"read", "named"}


@pytest.mark.parametrize("ending", [".h5", ".keras"])
def test_layers_that_keras_2_saved_have_their_own_names(ending: str) -> None:
    received = reader.read((ROOT / "tests" / "data" / "keras2" / f"small{ending}").read_bytes(), "x").layers
    shapes = {name: [array.shape for array in arrays] for name, arrays in received.items()}
    assert shapes == {"conv1": [(3, 3, 3, 4), (4,)], "classes": [(4, 3), (3,)]}


@pytest.mark.parametrize("variant", ["squeezenet1.1", "squeezenet-lab"])
def test_layers_without_a_name_have_that_of_the_archives_configuration(tmp_path: Path, variant: str) -> None:
    network = edge_squeeze.build(variant, weights="random", classes=4, input_size=64)
    network.save(tmp_path / "new.keras")
    with zipfile.ZipFile(tmp_path / "new.keras") as new, zipfile.ZipFile(tmp_path / "old.keras", "w") as old:
        weights = io.BytesIO(new.read("model.weights.h5"))
        with h5py.File(weights, "a") as file:
            for group in file["layers"].values():
                if "name" in group["vars"].attrs:
                    del group["vars"].attrs["name"]
        old.writestr("model.weights.h5", weights.getvalue())
        old.writestr("config.json", new.read("config.json"))
    assert equal(reader.read((tmp_path / "old.keras").read_bytes(), "x").layers, layers_of(network))


@pytest.mark.parametrize("config", [None, [], {"config": {"layers": 3}}, {"config": {"layers": [{"class_name": 1}]}}])
def test_a_configuration_of_any_shape_is_survived(config: Any) -> None:
    assert keras_hdf5.grouped(config) == {}


def test_groups_are_numbered_by_class() -> None:
    rows = [("Conv2D", "a"), ("DepthwiseConv2D", "b"), ("Conv2D", "c"), ("BatchNormalization", "d")]
    config = {"config": {"layers": [{"class_name": kind, "config": {"name": name}} for kind, name in rows]}}
    expected = {"conv2d": "a", "depthwise_conv2d": "b", "conv2d_1": "c", "batch_normalization": "d"}
    assert keras_hdf5.grouped(config) == expected
