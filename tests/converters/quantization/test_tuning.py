from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from small_models import modules

from edge_squeeze.converters.formats.to_tflite import FloatFile
from edge_squeeze.converters.options import FileOptions
from edge_squeeze.converters.quantization import rounding, tuning
from edge_squeeze.converters.quantization.calibration import divergence, scores_of
from edge_squeeze.converters.quantization.network import Network, flat, with_weights
from edge_squeeze.converters.quantization.rounding import LARGEST, grid_steps, rows_of
from edge_squeeze.pictures.loading import photograph_crops
from edge_squeeze.reporting import Silent

CROPS = photograph_crops(8, (32, 32), seed=5).pixels


def limits_of(model: Any) -> dict[str, tuple[float, float]]:
    """A range for each layer, the fire module's sharing one, a third too wide."""
    seen = [*FloatFile(model).activations(CROPS)]
    limits = {name: (0.0, 1.3 * max(float(each[name].max()) for each in seen)) for name in seen[0]}
    lows = {name: 1.3 * min(float(each[name].min()) for each in seen) for name in seen[0]}
    limits = {name: (min(0.0, lows[name]), high) for name, (_, high) in limits.items()}
    widest = max((limits[name] for name in ("left", "right", "joined")), key=lambda each: each[1])
    return {**limits, **dict.fromkeys(("left", "right", "joined"), widest)}


def test_the_simulation_computes_what_the_file_does() -> None:
    """In floats, so a value may be rounded to the next step; with nearest rounding a right one is nearer than that."""
    model = flat(modules())
    limits = limits_of(model)
    weights, _ = rounding.round_weights(model, CROPS, limits, Silent())
    simulation = tuning.Simulation(Network(model), weights, limits, [["left", "right", "joined"]])
    logits = np.asarray(simulation.logits(CROPS.astype(np.float32), quantized=True))
    file = FloatFile(with_weights(model, weights)).quantize(limits, FileOptions(), "probabilities")
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    ours = powers / powers.sum(axis=1, keepdims=True)
    theirs, original = (scores_of(data, CROPS, "probabilities") for data in (file, FloatFile(model).data))
    assert np.abs(ours - theirs).mean() < 0.3 * np.abs(original - theirs).mean()


def test_training_narrows_ranges_and_moves_weights_towards_the_originals_scores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tuning, "ROUNDS", 80)
    monkeypatch.setattr(tuning, "RANGE_RATE", 0.05)
    model = flat(modules())
    limits = {name: (4 * low, 4 * high) for name, (low, high) in limits_of(model).items()}
    weights, _ = rounding.round_weights(model, CROPS, limits, Silent())
    simulation = tuning.Simulation(Network(model), weights, limits, [["left", "right", "joined"]])
    batches = itertools.cycle([CROPS[:20].astype(np.float32), CROPS[20:].astype(np.float32)])
    tuned = tuning.tune(simulation, batches, Silent())
    assert tuned.ranges["left"] == tuned.ranges["right"] == tuned.ranges["joined"] != limits["joined"]
    for name, step in Network(model).weighted.items():
        before, after = (rows_of(step, each[name][0]) for each in (weights, tuned.weights))
        steps = grid_steps(before)
        np.testing.assert_allclose(steps, grid_steps(after), rtol=1e-5)
        np.testing.assert_allclose(after / steps, np.rint(after / steps), atol=1e-2)
        assert np.abs(after / steps).max() <= LARGEST + 0.01
    expected = scores_of(FloatFile(model).data, CROPS, "probabilities")

    def file_of(made: Any, ranges: Any) -> float:
        data = FloatFile(with_weights(model, made)).quantize({**limits, **ranges}, FileOptions(), "probabilities")
        return divergence(expected, scores_of(data, CROPS, "probabilities"))

    assert file_of(tuned.weights, tuned.ranges) < 0.6 * file_of(weights, {})


def test_crops_are_of_the_pictures_and_the_same_for_a_seed() -> None:
    red, blue = np.zeros((2, 60, 90, 3), np.uint8)
    red[..., 0] = blue[..., 2] = 200
    first, second = (next(tuning.crops([red, blue], (32, 48), seed=4)) for _ in range(2))
    assert first.shape == (tuning.CROPS, 32, 48, 3)
    np.testing.assert_array_equal(first, second)
    assert {tuple(crop.mean(axis=(0, 1)).round()) for crop in first} == {(200, 0, 0), (0, 0, 200)}
    assert not np.array_equal(first, next(tuning.crops([red, blue], (32, 48), seed=5)))
