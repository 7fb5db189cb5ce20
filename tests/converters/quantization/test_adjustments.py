from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_models import modules, network as small_network

from edge_squeeze.converters.quantization import adjustments, smoothing
from edge_squeeze.converters.quantization.adjustments import Adjustments
from edge_squeeze.converters.quantization.network import Network, flat
from edge_squeeze.converters.quantization.rounding import grid_steps, kernel_of, rows_of
from edge_squeeze.errors import UsageError
from edge_squeeze.pictures.loading import photograph_crops


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(flat(modules()))


@pytest.fixture(scope="module")
def made(network: Network) -> tuple[dict[str, list[np.ndarray]], Adjustments]:
    """Weights a few steps from the nearest, and the adjustments that make them."""
    factors = smoothing.factors(network, photograph_crops(2, (32, 32), seed=5).pixels)
    rng = np.random.default_rng(3)
    weights = {}
    for name, step in Network(smoothing.smooth(network, factors)).weighted.items():
        rows = rows_of(step, np.asarray(step.layer.kernel))
        steps = grid_steps(rows)
        codes = np.clip(
            np.rint(rows / steps) + rng.integers(-3, 4, rows.shape) * (np.abs(rows) < 100 * steps), -127, 127
        )
        kernel = kernel_of(step, codes * steps).astype(np.float32)
        weights[name] = [kernel, np.asarray(step.layer.bias) + np.float32(0.5)]
    return weights, adjustments.of(network, factors, weights)


def test_the_weights_come_back_from_float_ones(
    network: Network, made: tuple[dict[str, list[np.ndarray]], Adjustments]
) -> None:
    weights, kept = made
    copy = adjustments.apply(network, kept)
    for name, (kernel, bias) in weights.items():
        np.testing.assert_allclose(np.asarray(copy.get_layer(name).kernel), kernel, rtol=1e-6)
        np.testing.assert_allclose(np.asarray(copy.get_layer(name).bias), bias, rtol=1e-6)
    twice = adjustments.apply(network, kept)
    for first, second in zip(copy.get_weights(), twice.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("moves", "%%%", "damaged"),
        ("moves", "AAAA", "damaged"),
        ("steps", None, "damaged: required 32 bytes"),
        ("bias", None, "disagree on whether left has a bias"),
    ],
)
def test_damaged_ones_are_refused(
    network: Network,
    made: tuple[dict[str, list[np.ndarray]], Adjustments],
    field: str,
    text: str | None,
    message: str,
) -> None:
    _, kept = made
    wrong = kept.layers["scores"].steps if field == "steps" else None
    layer = replace(kept.layers["left"], **{field: text or wrong})
    with pytest.raises(UsageError, match=message):
        adjustments.apply(network, Adjustments({**kept.layers, "left": layer}, kept.sha256))


def test_those_of_another_network_or_of_other_weights_are_refused(
    network: Network, made: tuple[dict[str, list[np.ndarray]], Adjustments]
) -> None:
    _, kept = made
    with pytest.raises(UsageError, match="which the network lacks"):
        adjustments.apply(Network(flat(small_network())), kept)
    changed = modules()
    changed.get_layer("squeeze").kernel.assign(changed.get_layer("squeeze").kernel * 1.01)
    with pytest.raises(UsageError, match="not those it was written with"):
        adjustments.apply(Network(flat(changed)), kept)
