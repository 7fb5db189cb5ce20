from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_models import modules

from edge_squeeze.converters.quantization import smoothing
from edge_squeeze.converters.quantization.network import Network, flat
from edge_squeeze.pictures.loading import photograph_crops

CROPS = photograph_crops(4, (32, 32), seed=5).pixels


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(flat(modules()))


def scores(model: Any) -> np.ndarray:
    return np.asarray(model(CROPS.astype(np.float32)))


def test_a_smoothed_network_computes_the_same(network: Network) -> None:
    chosen = smoothing.factors(network, CROPS)
    smoothed = smoothing.smooth(network, chosen)
    np.testing.assert_allclose(scores(smoothed), scores(network.model), atol=1e-5)
    # and the test sees it if a channel is divided and not multiplied again
    smoothed.get_layer("squeeze").kernel.assign(network.weighted["squeeze"].layer.kernel)
    assert np.abs(scores(smoothed) - scores(network.model)).max() > 1e-3


def test_channels_get_more_alike_and_those_of_a_sum_share_a_factor(network: Network) -> None:
    chosen = smoothing.factors(network, CROPS)
    before = smoothing.sizes(network, CROPS)["first"]
    after = smoothing.sizes(Network(smoothing.smooth(network, chosen)), CROPS)["first"]
    alive = before > 0
    assert after.max() / after[alive].min() < 0.6 * before.max() / before[alive].min()
    np.testing.assert_allclose(after, before / chosen["first"], rtol=1e-5)
    joined = np.concatenate([chosen["left"], chosen["right"]])
    np.testing.assert_array_equal(joined, chosen["back"])
    assert joined.min() < 1
    assert (chosen["scores"] == 1).all()  # a softmax is not linear


def test_what_a_relu6_reads_is_left_alone() -> None:
    network = Network(flat(modules(limited=True)))
    chosen = smoothing.factors(network, CROPS)
    assert (chosen["wide"] == 1).all()
    assert chosen["squeeze"].min() < 1
    np.testing.assert_allclose(scores(smoothing.smooth(network, chosen)), scores(network.model), atol=1e-5)


def test_factors_are_those_of_the_formula() -> None:
    """Of one layer with channels of known sizes: the root of a size by the largest, at most a tenth."""
    import keras

    pixels = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(3, 1, use_bias=False, name="sized")(pixels)
    model = keras.Model(pixels, keras.layers.Conv2D(2, 1, name="next")(x))
    kernel = np.zeros((1, 1, 3, 3), np.float32)
    kernel[0, 0, [0, 1, 2], [0, 1, 2]] = 4, 1, 0
    model.get_layer("sized").set_weights([kernel])
    white = np.full((2, 8, 8, 3), 255, np.uint8)
    chosen = smoothing.factors(Network(flat(model)), white)
    np.testing.assert_allclose(chosen["sized"], [1, 0.5, 1])  # the last is never used
