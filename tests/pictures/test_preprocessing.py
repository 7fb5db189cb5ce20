from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edge_squeeze.errors import UsageError
from edge_squeeze.pictures.preprocessing import Normalization, Preprocessing
from edge_squeeze.pictures.presets import squeezenet_caffe


def one_pass(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """`pixels` [H,W,3] with `size` columns: a triangle as wide as the scale over the pixels, rounded to 8 bits."""
    scale = pixels.shape[1] / size
    support = max(scale, 1.0)
    columns = []
    for i in range(size):
        center = (i + 0.5) * scale
        first, last = max(0, int(center - support + 0.5)), min(pixels.shape[1], int(center + support + 0.5))
        weights = 1 - np.abs(np.arange(first, last) + 0.5 - center) / support
        weights = np.rint(weights.clip(0) / weights.clip(0).sum() * 2**22).astype(np.int64)
        columns.append((pixels[:, first:last] * weights[:, None]).sum(axis=1) + 2**21 >> 22)
    return np.stack(columns, axis=1).clip(0, 255).astype(np.uint8)


def gradient(width: int, height: int) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, (x + y) / 2], axis=-1).astype(np.uint8))


def test_caffe_is_256_to_227() -> None:
    preprocessing = squeezenet_caffe((227, 227))
    assert (preprocessing.short_side, preprocessing.crop) == (256, (227, 227))
    assert preprocessing.baked == Normalization("bgr", (104.0, 117.0, 123.0))


@pytest.mark.parametrize("size", [(256, 256), (300, 451), (451, 300), (257, 1000), (31, 17), (227, 227)])
def test_pixels_are_pils_resize_and_center_crop(size: tuple[int, int]) -> None:
    picture = gradient(*size)
    short = min(size)
    resized = picture.resize([(side * 256 + short // 2) // short for side in size], Image.Resampling.BILINEAR)
    left, top = (resized.width - 227) // 2, (resized.height - 227) // 2
    expected = np.asarray(resized)[top : top + 227, left : left + 227]
    np.testing.assert_array_equal(squeezenet_caffe((227, 227)).pixels(picture), expected)


@pytest.mark.parametrize("size", [(64, 96), (96, 64), (320, 200), (32, 400)])
def test_any_input_size_fits_into_the_resized_picture(size: tuple[int, int]) -> None:
    assert squeezenet_caffe(size).pixels(gradient(50, 80)).shape == (*size, 3)


def test_padding_goes_around_the_crop() -> None:
    preprocessing = Preprocessing(8, (8, 8), pad=(1, 2, 3, 4), pad_value=(7, 8, 9))
    pixels = preprocessing.pixels(gradient(8, 8))
    assert preprocessing.size == pixels.shape[:2] == (11, 15)
    np.testing.assert_array_equal(pixels[1:9, 3:11], np.asarray(gradient(8, 8)))
    assert (pixels[0] == (7, 8, 9)).all()
    assert (pixels[:, 11:] == (7, 8, 9)).all()


@pytest.mark.parametrize("size", [(227, 227), (131, 173), (640, 481), (50, 40), (300, 20), (20, 300)])
def test_every_version_of_pillow_resizes_along_the_rows_first(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    expected = one_pass(one_pass(noise, 224).swapaxes(0, 1), 160).swapaxes(0, 1)
    pixels = Preprocessing(224, (160, 224), resize="stretch").pixels(Image.fromarray(noise))
    np.testing.assert_array_equal(pixels, expected)


def test_a_thread_to_be_stretched_is_refused() -> None:
    with pytest.raises(UsageError, match="1 x 300000 pixels is too narrow"):
        Preprocessing(224, (160, 224), resize="stretch").pixels(Image.new("RGB", (1, 300_000)))


def test_a_thread_of_a_picture_is_refused() -> None:
    with pytest.raises(UsageError, match="1 x 2000 pixels would become"):
        squeezenet_caffe((227, 227)).pixels(Image.new("RGB", (1, 2000)))


def test_normalize_swaps_channels_then_subtracts_then_scales() -> None:
    baked = Normalization("bgr", mean=(1.0, 2.0, 3.0), scale=(0.5, 1.0, 2.0))
    red, green, blue = 10, 20, 30
    pixels = np.array([[[[red, green, blue]]]], np.uint8)
    got = Preprocessing(1, (1, 1), baked=baked).normalize(pixels)
    np.testing.assert_allclose(got[0, 0, 0], [(blue - 1) * 0.5, green - 2, (red - 3) * 2])
