"""Weights files that tell by themselves how pictures were prepared."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

import edge_squeeze
from edge_squeeze.errors import UsageError
from edge_squeeze.models import source, weights as weight_store
from edge_squeeze.models.source import Choice, Subject
from edge_squeeze.networks.architecture import architecture
from edge_squeeze.networks.design import Design, Network
from edge_squeeze.pictures.preprocessing import Preprocessing
from edge_squeeze.pictures.presets import preset, squeezenet_caffe
from edge_squeeze.reporting import Silent
from edge_squeeze.weight_files import archives, reader

PREPARED = preset("tf", (48, 64), resize="80")
LAYERS = {"conv1": (np.arange(24, dtype="f4").reshape(1, 2, 3, 4), np.arange(4, dtype="f4"))}
LAB = Network("squeezenet-lab")
WRITTEN = dataclasses.asdict(PREPARED)


def with_member(content: bytes, member: str = "preprocessing.json") -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        kernel = BytesIO()
        np.save(kernel, LAYERS["conv1"][0])
        archive.writestr("conv1/kernel.npy", kernel.getvalue())
        archive.writestr(member, content)
    return stream.getvalue()


def test_what_is_written_is_read_again_and_is_the_same_at_every_time() -> None:
    data = archives.write(LAYERS, PREPARED, LAB)
    contents = reader.read(data, "x")
    assert (contents.kind, contents.description.preprocessing, contents.description.network) == (
        "NumPy npz",
        PREPARED,
        LAB,
    )
    assert all(map(np.array_equal, contents.layers["conv1"], LAYERS["conv1"]))
    assert data == archives.write(LAYERS, PREPARED, LAB)


def test_numpy_reads_it_too(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(archives.write(LAYERS, PREPARED, LAB))
    np.testing.assert_array_equal(np.load(tmp_path / "x.npz")["conv1/kernel"], LAYERS["conv1"][0])


def changed(**values: object) -> bytes:
    return json.dumps({**WRITTEN, **values}).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not valid JSON"),
        (b"\xff{}", "is not valid JSON"),
        (b"[" * 60_000, "is not valid JSON"),
        (b"1" * 5_000, "is not valid JSON"),
        (b"[]", "must be an object"),
        (b"{}", "lacks short_side, crop"),
        (changed(short_side="80"), "short_side must be int"),
        (changed(short_side=40), r"short_side \(--resize\) must be"),
        (changed(short_side=10**9), "to 8192 pixels"),
        (changed(crop=[48]), "crop must have 2 entries"),
        (changed(resize="squeeze"), "resize must be one of"),
        (changed(filter="near"), "Unknown filter"),
        (changed(baked={"order": "rgb", "mean": [0, 0, 0], "scale": [1, 1, float("nan")]}), "must be finite"),
        (changed(baked={"order": "rgb", "mean": [0, 0, 0], "scale": [1, 1, 10**400]}), "cannot be read"),
        (changed(baked={"order": "grey", "mean": [0], "scale": [1]}), "required an order of 3 channels, got grey"),
        (changed(more="x" * 70_000), "required at most 65,536"),
    ],
)
def test_a_hostile_or_damaged_preprocessing_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        reader.read(with_member(content), "their.npz")
    assert "their.npz" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "lacks variant"),
        ({"variant": "squeezenet-labs"}, "Unknown variant"),
        ({"variant": "squeezenet-lab", "design": {"bypass": "none\x1b[2J"}}, "Unknown bypass"),
        ({"variant": "squeezenet-lab", "design": {"freq": "2"}}, "freq must be int"),
    ],
)
def test_a_hostile_or_damaged_network_is_refused(content: object, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        reader.read(with_member(json.dumps(content).encode(), "network.json"), "their.npz")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("variant", "design", "refused"),
    [
        ("squeezenet-composable", Design("simple"), False),
        ("squeezenet-composable", Design("simple", squeeze_ratio=0.125), False),  # which the row has
        ("squeezenet-composable", Design(), True),  # all weights would fit
        ("squeezenet-mlt", Design("simple"), True),  # here, too
        ("squeezenet-composable", Design("simple", freq=3), True),
    ],
)
def test_weights_are_taken_for_the_network_alone_that_they_tell(
    tmp_path: Path, variant: str, design: Design, refused: bool
) -> None:
    network = Network("squeezenet-composable", Design("simple"))
    (tmp_path / "mine.npz").write_bytes(archives.write(LAYERS, PREPARED, network))
    arch = architecture(variant, design=design)
    if refused:
        with pytest.raises(UsageError, match="has the weights of squeezenet-composable --bypass simple; required were"):
            weight_store.resolve(arch, tmp_path / "mine.npz")
    else:
        assert weight_store.resolve(arch, tmp_path / "mine.npz").layers


def test_a_preprocessing_without_arrays_is_no_weights_file() -> None:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("preprocessing.json", changed())
    with pytest.raises(UsageError, match="is not a weights file"):
        reader.read(stream.getvalue(), "their.npz")


@pytest.mark.parametrize(
    ("preprocessing", "size", "expected"),
    [
        (PREPARED, (48, 64), PREPARED),
        (PREPARED, (96, 128), preset("tf", (96, 128), resize="160")),
        (PREPARED, (64, 64), preset("tf", (64, 64), resize="80")),
        (preset("unit", (32, 32), resize="stretch"), (64, 48), preset("unit", (64, 48), resize="stretch")),
        (preset("unit", (32, 32), filter="nearest"), (64, 48), preset("unit", (64, 48), filter="nearest")),
        (squeezenet_caffe((227, 227)), (454, 454), squeezenet_caffe((454, 454))),
        (Preprocessing(40, (30, 30), pad=(1, 1, 1, 1)), (64, 64), Preprocessing(80, (60, 60), pad=(2, 2, 2, 2))),
        (Preprocessing(30, (30, 30), pad=(1, 1, 1, 1)), (33, 33), Preprocessing(31, (31, 31), pad=(1, 1, 1, 1))),
    ],
)
def test_another_size_keeps_the_proportions(
    preprocessing: Preprocessing, size: tuple[int, int], expected: Preprocessing
) -> None:
    assert preprocessing.at(size) == expected
    assert preprocessing.at(size).size == size


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of squeezenet-lab that were trained at 40 x 40."""
    network = edge_squeeze.build("squeezenet-lab", weights="random", classes=4)
    layers = {layer.name: tuple(layer.get_weights()) for layer in network.layers if layer.weights}
    path = tmp_path_factory.mktemp("weights") / "mine.npz"
    path.write_bytes(archives.write(layers, preset("tf", (40, 40)), LAB))
    return path


def find(weights: Path, **options: object) -> Subject:
    return source.find(Choice("squeezenet-lab", weights, **options), Silent())  # type: ignore[arg-type]


def test_an_open_size_is_usually_the_one_that_the_weights_were_trained_at(weights: Path) -> None:
    origin = find(weights, input_size="any")
    assert origin.preprocessing == preset("tf", (40, 40))
    assert (origin.file_size, origin.suffix) == ((None, None), "-classes-4-input-size-any")


def test_the_file_says_size_classes_and_preprocessing(weights: Path) -> None:
    origin = find(weights)
    assert (origin.preprocessing, origin.classes, origin.suffix) == (preset("tf", (40, 40)), 4, "-classes-4")
    assert edge_squeeze.build("squeezenet-lab", weights=weights).input_shape == (None, 40, 40, 3)


def test_what_the_user_says_goes_before_what_the_file_says(weights: Path) -> None:
    assert find(weights, input_size=64).preprocessing == preset("tf", (64, 64))
    assert find(weights, input_size=64).suffix == "-classes-4-input-size-64"
    assert find(weights, preprocessing="torch").preprocessing == preset("torch", (40, 40))


def test_without_it_a_preprocessing_must_be_given(weights: Path, tmp_path: Path) -> None:
    with np.load(weights) as arrays:
        np.savez(tmp_path / "bare.npz", **{name: arrays[name] for name in arrays if not name.endswith(".json")})
    with pytest.raises(UsageError, match="Give --preprocessing"):
        find(tmp_path / "bare.npz")
