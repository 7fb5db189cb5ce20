from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from small_models import modules

from edge_squeeze.converters.formats import onnx_pixels, tflite_edits, to_onnx, to_tflite
from edge_squeeze.converters.formats.to_tflite import FloatFile
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.converters.quantization import quantizer, rounding
from edge_squeeze.converters.quantization.network import Grid, Half, Network, Tensors, Weights, flat, with_weights
from edge_squeeze.converters.quantization.rounding import LARGEST, Gain, grid_steps, rows_of
from edge_squeeze.pictures.loading import photograph_crops
from edge_squeeze.reporting import Silent

CROPS = photograph_crops(8, (32, 32), seed=5).pixels
INT8 = 9  # in TFLite's schema
Rounded = tuple[Any, dict[str, tuple[float, float]], Weights, list[Gain]]


def limits_of(model: Any) -> dict[str, tuple[float, float]]:
    seen = [*FloatFile(model).activations(CROPS)]
    return {
        name: (min(float(each[name].min()) for each in seen), max(float(each[name].max()) for each in seen))
        for name in seen[0]
    }


@pytest.fixture(scope="module", params=[False, True], ids=["ReLU", "ReLU6"])
def rounded(request: pytest.FixtureRequest) -> Rounded:
    model = flat(modules(limited=request.param))
    limits = limits_of(model)
    return model, limits, *rounding.round_weights(model, CROPS, limits, Silent())


def test_each_layer_errs_less_than_with_nearest_rounding(rounded: Rounded) -> None:
    """The depthwise one too, which rounding in order of falling variance across channels would ruin."""
    _, _, _, gains = rounded
    assert [gain.layer for gain in gains] == ["first", "squeeze", "left", "right", "wide", "back", "scores"]
    for gain in gains:
        assert 0 <= gain.rounded < gain.nearest, gain


def test_weights_are_on_the_grid_that_nearest_rounding_has_for_them(rounded: Rounded) -> None:
    model, _, weights, _ = rounded
    moved = 0
    for name, step in Network(model).weighted.items():
        rows = rows_of(step, weights[name][0])
        steps = grid_steps(rows)
        np.testing.assert_allclose(rows / steps, np.rint(rows / steps), atol=1e-3)
        own = rows_of(step, np.asarray(step.layer.kernel))
        moved += int((np.rint(own / steps) != np.rint(rows / steps)).sum())
    assert moved > 50  # else there would be nothing to see


def test_converters_take_the_rounded_weights_as_they_are(rounded: Rounded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever rounds them again: the int8 numbers in both files are those that were chosen."""
    import onnx

    monkeypatch.setattr(onnx_pixels, "round_weights", lambda *_: set())  # to 7 bits, of the convolution of pixels
    model, limits, weights, _ = rounded
    copy = with_weights(model, weights)
    wanted = {name: codes(Network(copy).weighted[name], kernel) for name, (kernel, *_) in weights.items()}
    file = to_tflite.int8(copy, FileOptions(rewrites="none"), Measured(ranges=limits))
    graph = tflite_edits.unpack(file)
    buffers = [graph.buffers[tensor.buffer].data for tensor in graph.subgraphs[0].tensors if tensor.type == INT8]
    stored = [np.asarray(data, np.uint8).view(np.int8) for data in buffers if data is not None]
    proto = onnx.load_from_string(to_onnx.int8(copy, FileOptions(), Measured(ranges=limits, pictures=CROPS)))
    constants = [onnx.numpy_helper.to_array(each) for each in proto.graph.initializer]
    stored += [
        each.astype(np.int16) - 128 * (each.dtype == np.uint8) for each in constants if each.dtype in ("i1", "u1")
    ]
    for name, multiset in wanted.items():
        matches = [each for each in stored if np.array_equal(np.sort(each.ravel().astype(int)), multiset)]
        assert len(matches) >= 2, name


def codes(step: Any, kernel: np.ndarray) -> np.ndarray:
    rows = rows_of(step, kernel)
    return np.sort(np.rint(rows / grid_steps(rows)).astype(int).ravel())


def test_layers_of_very_many_inputs_are_rounded_to_nearest() -> None:
    """The moments of 25,088 inputs, as in VGG's first dense layer, would take 15 GB."""
    import keras

    pixels = keras.Input((48, 48, 3), name="image")
    x = keras.layers.ReLU()(keras.layers.Conv2D(4, 3, padding="same", name="first")(pixels))
    model = keras.Model(pixels, keras.layers.Dense(2, name="scores")(keras.layers.Flatten()(x)))
    crops = photograph_crops(1, (48, 48), seed=5).pixels
    weights, gains = rounding.round_weights(model, crops, {"first": (0, 255)}, Silent())
    assert [gain.layer for gain in gains] == ["first"]
    own, bias = model.get_layer("scores").get_weights()
    steps = np.abs(own).max(axis=0) / LARGEST
    codes = weights["scores"][0] / steps
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-4)
    # Of a weight halfway between two steps, either is nearest: the last bit of a float32 decides.
    assert np.abs(codes - own / steps).max() <= 0.5 + 1e-4
    np.testing.assert_array_equal(weights["scores"][1], bias)
    lines = quantizer._summary(Network(model), gains)
    assert "rounded to nearest, having more than 4,608 inputs: scores" in lines


def test_the_best_of_all_roundings_is_found_where_all_can_be_tried() -> None:
    """Three weights, correlated inputs: of all 27 codes near the nearest, none errs much less."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        inputs = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3)) + rng.normal(size=(200, 1)) * 3
        squares = inputs.T @ inputs / len(inputs)
        rows = rng.normal(size=(1, 3))
        chosen = rounding._round_group(rows, squares, squares, 200, "Conv2D")
        steps = grid_steps(rows)
        near = np.rint(rows / steps)
        moves = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
        tried = [(near + move) * steps for move in moves if np.abs(near + move).max() == LARGEST]
        errors = [float(((each - rows) @ squares @ (each - rows).T)[0, 0]) for each in (chosen, near * steps, *tried)]
        assert errors[0] <= errors[1] + 1e-12
        assert errors[0] <= 1.5 * min(errors[2:]) + 1e-12


def test_tensors_hold_what_the_network_computes_and_no_longer_than_it_is_read() -> None:
    network = Network(flat(modules()))
    direct = {step.name: np.asarray(values) for step, values in network.values(CROPS)}
    tensors = Tensors(network, CROPS, {"first": Half(float(direct["first"].max()))})
    for index, step in enumerate(network.steps):
        read = np.concatenate([next(iter(batch.values())) for batch in tensors.batches(step)])
        maker = next((each for each in network.steps if each.output == step.inputs[0]), None)
        expected = CROPS if maker is None else direct[maker.name]
        np.testing.assert_allclose(read, expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())
        tensors.advance(index, step.call)
    assert {*tensors._held} <= {network.output}


def test_a_grid_is_that_of_the_integer_file() -> None:
    grid = Grid.of((-1.0, 3.0))
    assert (grid.step, grid.zero) == (pytest.approx(4 / 255), 64)
    np.testing.assert_allclose(
        grid.floats(grid.codes(np.array([-5.0, 0.0, 1.0, 9.0], np.float32))),
        [-64 * 4 / 255, 0, 1, 191 * 4 / 255],
        atol=0.008,
    )
    assert Grid.of((1.0, 3.0)).zero == 0
