"""Each filter against the library that it is named after: Pillow, TensorFlow, and Keras' own loaders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edge_squeeze.cli import arguments
from edge_squeeze.pictures.filters import FILTERS
from edge_squeeze.pictures.loading import photograph
from edge_squeeze.pictures.preprocessing import CROP, STRETCH, Preprocessing

# (width, height) of a picture, and what it becomes: smaller, larger, by whole and by odd factors, one side only.
SIZES = [
    ((640, 481), (224, 224)),
    ((37, 53), (224, 160)),
    ((448, 448), (224, 224)),
    ((300, 20), (160, 224)),
    ((999, 333), (227, 227)),
    ((224, 224), (224, 224)),
    ((1, 1), (5, 3)),
    ((2000, 1500), (224, 224)),
]
# TensorFlow leaves its result in float32; pixels are rounded. Its area adds up float32 shares of pixels, too.
ROUNDING = {"tf-bilinear": 0.501, "area": 0.51}
PILLOW = {"bilinear": "BILINEAR", "nearest": "NEAREST", "bicubic": "BICUBIC"}


def noise(size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def resized(picture: Image.Image, size: tuple[int, int], name: str) -> NDArray[np.int64]:
    return np.asarray(FILTERS[name](picture, size)).astype(np.int64)


def by_tensorflow(picture: Image.Image, size: tuple[int, int], name: str) -> NDArray[np.float32]:
    import tensorflow as tf

    result: NDArray[np.float32] = tf.image.resize(np.asarray(picture), size[::-1], name).numpy()
    return result


@pytest.mark.parametrize(("shape", "size"), SIZES)
@pytest.mark.parametrize("name", PILLOW)
def test_pillows_filters_are_pillows_to_the_byte(name: str, shape: tuple[int, int], size: tuple[int, int]) -> None:
    expected = noise(shape).resize(size, Image.Resampling[PILLOW[name]])
    np.testing.assert_array_equal(resized(noise(shape), size, name), np.asarray(expected))


@pytest.mark.parametrize(("shape", "size"), SIZES)
@pytest.mark.parametrize("name", ROUNDING)
def test_tensorflows_filters_are_tensorflows_but_for_the_rounding(
    name: str, shape: tuple[int, int], size: tuple[int, int]
) -> None:
    expected = by_tensorflow(noise(shape), size, name.removeprefix("tf-"))
    pixels = resized(noise(shape), size, name)
    assert np.abs(pixels - expected).max() <= ROUNDING[name]
    assert (pixels == np.floor(expected + 0.5)).mean() > 0.998


@pytest.mark.parametrize(("shape", "size"), SIZES)
def test_tensorflows_nearest_is_tensorflows_to_the_byte(shape: tuple[int, int], size: tuple[int, int]) -> None:
    np.testing.assert_array_equal(
        resized(noise(shape), size, "tf-nearest"), by_tensorflow(noise(shape), size, "nearest")
    )


def test_no_two_filters_give_the_same_pixels() -> None:
    picture = noise((640, 480))  # 640 / 224 is 20 / 7: the nearest of Pillow and TensorFlow differ there
    pixels = {name: resized(picture, (224, 224), name).tobytes() for name in FILTERS}
    assert len(set(pixels.values())) == len(FILTERS)


def test_antialiasing_is_what_tensorflows_bilinear_lacks() -> None:
    import tensorflow as tf

    picture = noise((640, 480))
    smooth = tf.image.resize(np.asarray(picture), (224, 224), antialias=True).numpy()
    assert np.abs(resized(picture, (224, 224), "bilinear") - smooth).max() <= 1.5  # Pillow rounds twice
    assert np.abs(resized(picture, (224, 224), "tf-bilinear") - smooth).max() > 50


def prepare(picture: Image.Image, name: str, size: tuple[int, int], resize: str = STRETCH) -> NDArray[np.int64]:
    return Preprocessing(max(size), size, resize, name).pixels(picture).astype(np.int64)


@pytest.mark.parametrize(("interpolation", "name"), [(None, "nearest"), *((name, name) for name in PILLOW)])
def test_load_img_stretches_by_pillow_and_by_nearest_unless_asked(
    tmp_path: Path, interpolation: str | None, name: str
) -> None:
    from keras.utils import img_to_array, load_img

    picture = photograph("coffee")
    picture.save(tmp_path / "picture.png")
    options = {} if interpolation is None else {"interpolation": interpolation}
    loaded = img_to_array(load_img(tmp_path / "picture.png", target_size=(160, 224), **options))
    np.testing.assert_array_equal(prepare(picture, name, (160, 224)), loaded)


def test_the_older_generators_load_pictures_by_load_img(tmp_path: Path) -> None:
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    (tmp_path / "only").mkdir()
    photograph("coffee").save(tmp_path / "only" / "picture.png")
    loaded = next(ImageDataGenerator().flow_from_directory(tmp_path, target_size=(160, 224), class_mode=None))[0]
    np.testing.assert_array_equal(prepare(photograph("coffee"), "nearest", (160, 224)), loaded)


def test_pillow_itself_resizes_by_bicubic() -> None:
    picture = photograph("coffee")
    np.testing.assert_array_equal(np.asarray(picture.resize((224, 160))), prepare(picture, "bicubic", (160, 224)))


@pytest.mark.parametrize(
    ("interpolation", "name", "rounding"),
    [(None, "tf-bilinear", 0.501), ("nearest", "tf-nearest", 0.0), ("area", "area", 0.51)],
)
def test_image_dataset_from_directory_stretches_by_tensorflow_without_antialiasing(
    tmp_path: Path, interpolation: str | None, name: str, rounding: float
) -> None:
    from keras.utils import image_dataset_from_directory

    picture = photograph("coffee")
    (tmp_path / "only").mkdir()
    picture.save(tmp_path / "only" / "picture.png")
    options = {} if interpolation is None else {"interpolation": interpolation}
    pictures = image_dataset_from_directory(tmp_path, image_size=(160, 224), labels=None, verbose=False, **options)
    (loaded,) = next(iter(pictures)).numpy()
    assert (loaded.dtype == np.float32) is (interpolation != "nearest")
    assert np.abs(prepare(picture, name, (160, 224)) - loaded).max() <= rounding
    assert np.abs(prepare(picture, "bilinear", (160, 224)) - loaded).max() > 20, "what it was taken for before"


def test_the_resizing_layer_is_tensorflows_bilinear() -> None:
    from keras import layers

    picture = photograph("coffee")
    expected = np.asarray(layers.Resizing(160, 224)(np.asarray(picture, np.float32)))
    assert np.abs(prepare(picture, "tf-bilinear", (160, 224)) - expected).max() <= ROUNDING["tf-bilinear"]


def test_a_crop_to_the_aspect_ratio_is_a_crop_of_what_was_resized_but_for_its_position(tmp_path: Path) -> None:
    """smart_resize, and crop_to_aspect_ratio, crop before they resize: a part of a pixel apart, not another picture."""
    from keras.preprocessing.image import smart_resize
    from keras.utils import image_dataset_from_directory

    picture = photograph("coffee")
    expected = np.asarray(smart_resize(np.asarray(picture, np.float32), (192, 192)))
    (tmp_path / "only").mkdir()
    picture.save(tmp_path / "only" / "picture.png")
    options = {"image_size": (192, 192), "crop_to_aspect_ratio": True, "labels": None, "verbose": False}
    (loaded,) = next(iter(image_dataset_from_directory(tmp_path, **options))).numpy()
    np.testing.assert_allclose(loaded, expected, atol=1e-3)
    assert np.abs(prepare(picture, "tf-bilinear", (192, 192), CROP) - expected).mean() <= 0.5
    assert np.abs(prepare(picture, "tf-bilinear", (192, 192)) - expected).mean() > 10


def test_the_center_is_cut_from_what_each_filter_resized() -> None:
    picture = noise((300, 451))
    for name, apply in FILTERS.items():
        whole = np.asarray(apply(picture, (256, 385)))
        pixels = Preprocessing(256, (227, 227), filter=name).pixels(picture)
        np.testing.assert_array_equal(pixels, whole[79 : 79 + 227, 14 : 14 + 227])


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("level", [0, 1, 254, 255])
def test_a_picture_of_one_color_keeps_it(name: str, level: int) -> None:
    picture = Image.new("RGB", (131, 77), (level, level, level))
    assert (resized(picture, (50, 200), name) == level).all()


def test_the_help_names_every_filter() -> None:
    (option,) = arguments.Filter.__metadata__
    assert not [name for name in FILTERS if f" {name}" not in option.help]
