from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edge_squeeze.conventions import squeezenet_caffe
from edge_squeeze.errors import UsageError
from edge_squeeze.preprocessing import Normalisation, Preprocessing


def gradient(width: int, height: int) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, (x + y) / 2], axis=-1).astype(np.uint8))


def test_caffe_is_256_to_227() -> None:
    preprocessing = squeezenet_caffe((227, 227))
    assert (preprocessing.short_side, preprocessing.crop) == (256, (227, 227))
    assert preprocessing.baked == Normalisation("bgr", (104.0, 117.0, 123.0))


@pytest.mark.parametrize("size", [(256, 256), (300, 451), (451, 300), (257, 1000), (31, 17), (227, 227)])
def test_pixels_are_pils_resize_and_centre_crop(size: tuple[int, int]) -> None:
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


def test_a_thread_of_a_picture_is_refused() -> None:
    with pytest.raises(UsageError, match="1 x 2000 pixels would become"):
        squeezenet_caffe((227, 227)).pixels(Image.new("RGB", (1, 2000)))


def test_normalise_swaps_channels_then_subtracts_then_scales() -> None:
    baked = Normalisation("bgr", mean=(1.0, 2.0, 3.0), scale=(0.5, 1.0, 2.0))
    red, green, blue = 10, 20, 30
    pixels = np.array([[[[red, green, blue]]]], np.uint8)
    got = Preprocessing(1, (1, 1), baked=baked).normalise(pixels)
    np.testing.assert_allclose(got[0, 0, 0], [(blue - 1) * 0.5, green - 2, (red - 3) * 2])
