from __future__ import annotations

import inspect
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_squeeze.errors import UsageError
from edge_squeeze.pictures.preprocessing import Normalization
from edge_squeeze.pictures.presets import NETWORKS, PRESETS, choose, describe, preset, preset_of

RGB = {"order": "rgb", "mean": [0, 0, 0], "scale": [1, 1, 1]}
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("mode", ["caffe", "torch", "tf"])
def test_presets_do_what_keras_applications_do(mode: str) -> None:
    from keras.applications.imagenet_utils import preprocess_input

    expected = preprocess_input(PIXELS.astype(np.float32), mode=mode)
    np.testing.assert_allclose(preset(mode, (8, 8)).normalize(PIXELS), expected, atol=2e-5)


def applications() -> dict[str, Any]:
    """The networks of keras.applications: those that it has functions for."""
    import keras

    return {name: item for name, item in vars(keras.applications).items() if inspect.isfunction(item)}


def test_every_network_of_keras_applications_is_known() -> None:
    assert sorted(name for row in NETWORKS.values() for name in row) == sorted(applications())


@pytest.mark.parametrize("name", [name for row in NETWORKS.values() for name in row])
def test_a_networks_preset_is_its_preprocess_input(name: str) -> None:
    module = sys.modules[applications()[name].__module__]
    expected = module.preprocess_input(PIXELS.astype(np.float32))
    prepared = choose(f"keras-applications:{name}", (8, 8), resize="stretch", filter="nearest")
    np.testing.assert_allclose(prepared.normalize(PIXELS), expected, atol=2e-5)
    assert (prepared.resize, prepared.filter) == ("stretch", "nearest")
    others = {preset_of(f"keras-applications:{row[0]}") for row in NETWORKS.values() if name not in row}
    for wrong in others:
        assert np.abs(preset(wrong, (8, 8)).normalize(PIXELS) - expected).max() > 0.1


def test_an_unknown_network_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"Unknown network of .*: 'MobilNetV2'. Did you mean MobileNetV2\?"):
        choose("keras-applications:MobilNetV2", (8, 8))


@pytest.mark.parametrize(("name", "low", "high"), [("raw", 0, 255), ("unit", 0, 1), ("tf", -1, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_presets_map_black_and_white(name: str, low: float, high: float, channels: int) -> None:
    black_and_white = np.array([[[[0, 0, 0], [255, 255, 255]]]], np.uint8)
    got = preset(name, (1, 2), channels).normalize(black_and_white)
    assert got.shape == (1, 1, 2, channels)
    np.testing.assert_allclose(got[0, 0], [[low] * channels, [high] * channels], atol=1e-4)


@pytest.mark.parametrize("row", PRESETS.values(), ids=PRESETS)
def test_a_normalization_is_the_linear_map_that_it_says(row: object) -> None:
    for normalization in filter(None, (row.color, row.grey)):  # type: ignore[attr-defined]
        matrix, offset = normalization.linear()
        expected = preset("raw", (8, 8)).normalize(PIXELS) @ matrix + offset
        got = replace(preset("raw", (8, 8)), baked=normalization).normalize(PIXELS)
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_how_pictures_are_resized_is_told_apart_from_the_preset() -> None:
    assert preset("torch", (224, 224)).short_side == 224
    assert preset("torch", (224, 224), resize="256").short_side == 256
    assert preset("raw", (20, 30), resize="stretch").pixels(Image.new("RGB", (70, 41))).shape == (20, 30, 3)
    assert "stretched to 20 x 30" in describe(preset("raw", (20, 30), resize="stretch"))
    for wrong in ("squash", "10", "99999"):
        with pytest.raises(UsageError):
            preset("raw", (20, 30), resize=wrong)


@pytest.mark.parametrize("name", ["caffe", "torch"])
def test_there_is_no_grey_for_means_of_colors(name: str) -> None:
    with pytest.raises(UsageError, match=r"the network takes grayscale\. Choices: tf, unit, raw"):
        preset(name, (8, 8), 1)


def test_a_file_says_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"short_side": 12, "baked": {"order": "bgr", "mean": [1, 2, 3], "scale": [1, 1, 0.5]}}))
    chosen = choose(str(path), (8, 10))
    assert (chosen.short_side, chosen.crop) == (12, (8, 10))
    assert chosen.baked == Normalization("bgr", (1.0, 2.0, 3.0), (1.0, 1.0, 0.5))
    assert "short side to 12, center crop 8 x 10, filter bilinear; BGR, (value - (1, 2, 3)) x (1, 1, 0.5)" in describe(
        chosen
    )


@pytest.mark.parametrize(
    ("content", "channels", "message"),
    [
        ({"crop": [4, 4], "baked": RGB}, 3, r"takes pictures of \(8, 8\), this preprocessing gives \(4, 4\)"),
        ({"baked": {"order": "grey", "mean": [0], "scale": [1]}}, 3, "takes 3 channels, the order grey has 1"),
        ({"baked": RGB}, 1, "takes 1 channels, the order rgb has 3"),
        ({"baked": {**RGB, "mean": [0, 0]}}, 3, "rgb needs 3 values of mean and scale"),
        ({"baked": {**RGB, "scale": [0, 1, 1]}}, 3, "scale not 0"),
        ({"short_side": "large", "baked": RGB}, 3, "short_side must be int"),
        ([], 3, "must contain an object of short_side, crop"),
        ({}, 3, "lacks baked"),
        ({"baked": {"order": "rgb", "mean": [0, 0, 0]}}, 3, "baked lacks scale"),
        ({"baked": {**RGB, "std": [1, 1, 1]}}, 3, "baked: Unknown key: 'std'"),
        ({"shortside": 8, "baked": RGB}, 3, r"Unknown key: 'shortside'. Did you mean short_side\?"),
        ({"baked": []}, 3, "baked must be an object of order, mean, scale"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, content: object, channels: int, message: str) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=message):
        choose(str(path), (8, 8), channels)


def test_what_is_neither_preset_nor_file_is_refused() -> None:
    with pytest.raises(UsageError, match=r"Did you mean torch\?.* Or give a file: tortch does not exist"):
        choose("tortch", (8, 8))
