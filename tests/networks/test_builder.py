from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pytest
from places import ROOT

import edge_squeeze
from edge_squeeze.errors import UsageError
from edge_squeeze.models.original import load_tensorflow
from edge_squeeze.networks import builder
from edge_squeeze.networks.architecture import architecture
from edge_squeeze.networks.variants import GLOROT_UNIFORM, VARIANTS, Pool


@pytest.fixture(autouse=True)
def _tensorflow() -> None:
    load_tensorflow()


@pytest.mark.parametrize("variant", VARIANTS)
def test_parameters_are_those_of_the_paper(variant: str) -> None:
    assert builder.build(architecture(variant)).count_params() == VARIANTS[variant].parameters


@pytest.mark.parametrize(
    ("variant", "pooled"),
    [
        ("squeezenet1.0", {"pool1": 55, "pool4": 27, "pool8": 13}),
        ("squeezenet1.1", {"pool1": 56, "pool3": 28, "pool5": 14}),  # 28, not 27: Caffe counts the last window
    ],
)
def test_pools_have_caffes_sizes_and_names(variant: str, pooled: dict[str, int]) -> None:
    network = builder.build(architecture(variant))
    got = {n: network.get_layer(n).output.shape[1:3] for n in pooled}
    assert got == {name: (side, side) for name, side in pooled.items()}


def test_layers_have_the_names_of_the_caffe_file() -> None:
    names = [layer.name for layer in builder.build(architecture("squeezenet1.1")).layers]
    assert names[:6] == ["image", "conv1", "pool1", "fire2_squeeze1x1", "fire2_expand1x1", "fire2_expand3x3"]
    assert names[6] == "fire2_concat"
    assert names[-4:] == ["drop9", "conv10", "pool10", "prob"]


def ceil_mode(values: np.ndarray, size: int, stride: int) -> np.ndarray:
    """Max pooling [H,W] as Caffe does it, window by window."""
    rows, columns = (-(-(n - size) // stride) + 1 for n in values.shape)
    window = [
        [values[i * stride : i * stride + size, j * stride : j * stride + size].max() for j in range(columns)]
        for i in range(rows)
    ]
    return np.array(window)


@pytest.mark.parametrize("shape", [(8, 8), (9, 9), (8, 9), (9, 8), (2, 7)])
@pytest.mark.parametrize("pool", [Pool(), Pool(2, 2), Pool(3, 3)])
def test_pooling_is_caffes_ceil_mode(shape: tuple[int, int], pool: Pool) -> None:
    import keras

    inputs = keras.Input((*shape, 1))
    network = keras.Model(inputs, builder.pool(inputs, pool, "pool"))
    values = np.random.default_rng(1).random(shape).astype(np.float32)
    got = np.asarray(network(values[None, :, :, None]))[0, :, :, 0]
    np.testing.assert_array_equal(got, ceil_mode(values, pool.size, pool.stride))


def run(network: Any, pictures: np.ndarray) -> np.ndarray:
    return np.asarray(network(pictures))


def pictures(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).normal(0, 1, (*shape, 3)).astype(np.float32)


def test_parts_of_a_network_can_be_called_by_themselves() -> None:
    import keras

    arch = architecture("squeezenet-composable", classes=5, input_size=64, dropout=0)
    inputs = keras.Input((64, 64, 3))
    features = builder.learner(builder.stem(inputs, arch), arch)
    assert features.shape[1:] == (3, 3, 512)
    own = keras.Model(inputs, [features, builder.classifier(features, arch)])
    whole = edge_squeeze.build("squeezenet-composable", classes=5, input_size=64)
    own.set_weights(whole.get_weights())
    batch = pictures(2, 64, 64)
    np.testing.assert_array_equal(np.asarray(own(batch)[1]), run(whole, batch))


def test_a_fire_module_takes_one_depth_for_both_kinds_or_two() -> None:
    import keras

    inputs = keras.Input((8, 8, 3))
    assert builder.fire_module(inputs, 4, 16, "fire2").shape[1:] == (8, 8, 32)
    assert builder.fire_module(inputs, 4, (16, 8), "fire2").shape[1:] == (8, 8, 24)


@pytest.mark.parametrize(("name", "kind"), [("fire3", "simple"), ("fire4", "complex")])
def test_a_bypass_adds_what_enters_to_what_leaves(name: str, kind: str) -> None:
    import keras

    network = edge_squeeze.build("squeezenet-composable", input_size=64, bypass="complex")
    before = {"fire3": "fire2_bypass", "fire4": "fire3_bypass"}[name]
    ends = [before, f"{name}_concat", f"{name}_bypass", *([f"{name}_bypass1x1"] if kind == "complex" else [])]
    probe = keras.Model(network.input, [network.get_layer(end).output for end in ends])
    outputs = dict(zip(ends, map(np.asarray, probe(pictures(1, 64, 64))), strict=True))
    around = outputs[before] if kind == "simple" else outputs[f"{name}_bypass1x1"]
    np.testing.assert_allclose(outputs[f"{name}_bypass"], outputs[f"{name}_concat"] + around, rtol=1e-6)
    assert np.ptp(around) > 0


@pytest.mark.parametrize(
    ("variant", "output", "last", "head"),
    [
        ("squeezenet-mlt", (14, 14), ["conv10", "pool10", "prob"], "linear"),
        ("squeezenet-composable", (13, 13), ["drop9", "conv10", "pool10", "prob"], "relu"),
        ("squeezenet-lab", (8, 8), ["drop5", "conv6", "pool6"], "relu"),
    ],
)
def test_heads_are_those_of_the_rows(variant: str, output: tuple[int, int], last: list[str], head: str) -> None:
    network = builder.build(architecture(variant))
    assert [layer.name for layer in network.layers][-len(last) :] == last
    assert ("drop" in network.layers[-len(last)].name) == (variant != "squeezenet-mlt")
    conv = network.get_layer(last[-3] if "prob" in last else last[-2])
    assert conv.activation.__name__ == head
    assert conv.output.shape[1:3] == output


def test_open_sizes_give_what_fixed_ones_give() -> None:
    fixed = edge_squeeze.build("squeezenet-mlt", classes=5, input_size=(48, 80))
    open_ = edge_squeeze.build("squeezenet-mlt", classes=5, input_size="any")
    assert open_.input_shape == (None, None, None, 3)
    np.testing.assert_allclose(run(open_, pictures(2, 48, 80)), run(fixed, pictures(2, 48, 80)), atol=1e-6)


@pytest.mark.parametrize("variant", ["squeezenet1.0", "squeezenet-composable"])
def test_random_kernels_are_drawn_as_the_row_says(variant: str) -> None:
    network = edge_squeeze.build(variant, weights="random", input_size=64)
    kernel = np.asarray(network.get_layer("fire9_squeeze1x1").kernel)
    limit = (6 / (512 + 64)) ** 0.5
    if VARIANTS[variant].initializer == GLOROT_UNIFORM:
        assert 0.99 * limit < np.abs(kernel).max() <= limit
    else:
        assert kernel.std() == pytest.approx((2 / 512) ** 0.5, rel=0.03)
        assert np.abs(kernel).max() > 3 * kernel.std()


def test_options_change_what_they_say() -> None:
    network = edge_squeeze.build("squeezenet1.1", classes=7, input_size=(64, 96), dropout=0.25)
    assert network.input_shape == (None, 64, 96, 3)
    assert network.output_shape == (None, 7)
    assert network.get_layer("drop9").rate == 0.25


def test_probabilities_sum_to_one() -> None:
    network = edge_squeeze.build("squeezenet1.1", classes=7, input_size=64)
    scores = np.asarray(network(np.random.default_rng(0).normal(0, 50, (2, 64, 64, 3)).astype(np.float32)))
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "squeezenet1.2"}, "Did you mean squeezenet1"),
        ({"classes": 0}, "from 2 to 100,000, got 0"),
        ({"classes": True}, "whole number from 2 to 100,000, got True"),
        ({"input_size": "64"}, "height and width"),
        ({"input_size": 16}, "17 to 4096 pixels, got 16 x 16"),
        ({"dropout": 1.0}, r"\[0, 1\), got 1.0"),
    ],
)
def test_what_cannot_be_built_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        edge_squeeze.build(**options)  # type: ignore[arg-type]


def test_the_parts_are_put_together_as_documented() -> None:
    text = (ROOT / "docs" / "networks.md").read_text()
    code = text[text.index("    import keras") : text.index("Counts are functions")]
    names: dict[str, Any] = {}
    exec(textwrap.dedent(code), names)
    assert names["features"].shape == (None, 5, 5, 512)
    assert names["network"].output_shape == (None, 10)
    assert names["network"].get_layer("fire10_squeeze1x1") is not None
