"""Which pictures may be calibrated on: real ones of every kind may, and nothing that makes int8 collapse."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from commands import CommandLine
from PIL import Image, ImageDraw

from edge_squeeze.converters.quantization import lint
from edge_squeeze.errors import UsageError
from edge_squeeze.pictures.loading import PictureSet, load_folder, photograph_crops
from edge_squeeze.pictures.preprocessing import Pixels, Preprocessing
from edge_squeeze.training import examples

SIDE = 96
CROPS = photograph_crops(12, (SIDE, SIDE), seed=7).pixels
Make = Callable[[np.random.Generator], Pixels]


def as_set(pixels: Sequence[Pixels]) -> PictureSet:
    names = tuple(f"{i}.png" for i in range(len(pixels)))
    return PictureSet(names, np.stack(pixels), f"{len(pixels)} pictures of set", photographs=False)


def gray(values: np.ndarray) -> Pixels:
    return np.repeat(np.clip(values, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def grid() -> tuple[np.ndarray, ...]:
    return tuple(np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j])


def line_art(rng: np.random.Generator) -> Pixels:
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(3, 30)):
        draw.line([tuple(place) for place in rng.uniform(0, SIDE, (3, 2))], "black", width=int(rng.integers(1, 3)))
    return np.asarray(picture)


def bumps(rng: np.random.Generator, count: int, height: tuple[float, float], width: tuple[float, float]) -> np.ndarray:
    y, x = grid()
    places = zip(
        rng.uniform(-0.7, 0.7, (count, 2)), rng.uniform(*height, count), rng.uniform(*width, count), strict=True
    )
    return sum((h * np.exp(-((x - left) ** 2 + (y - top) ** 2) / w**2) for (left, top), h, w in places), np.zeros(()))


def medical(rng: np.random.Generator) -> Pixels:
    """A bright body on black with organs in it, as a scanner shows it: all of them at the same place."""
    y, x = grid()
    body = (x / rng.uniform(0.6, 0.9)) ** 2 + (y / rng.uniform(0.7, 0.95)) ** 2 < 1
    return gray(body * (70 + bumps(rng, 8, (-60, 120), (0.1, 0.4)) + rng.normal(0, 5, body.shape)))


def thermal(rng: np.random.Generator) -> Pixels:
    """Warm spots on an even background, of few gray levels."""
    return gray(60 + bumps(rng, 4, (4, 20), (0.1, 0.6)) + rng.normal(0, 0.5, (SIDE, SIDE)))


def false_color(rng: np.random.Generator) -> Pixels:
    heat = thermal(rng)[..., :1].astype(float) / 90
    return (255 * np.clip(1.5 - np.abs(4 * heat - [3, 2, 1]), 0, 1)).astype(np.uint8)


def noise(rng: np.random.Generator, side: int = SIDE) -> Pixels:
    return rng.integers(0, 256, (side, side, 3), dtype=np.uint8)


def gray_noise(rng: np.random.Generator) -> Pixels:
    return gray(rng.normal(128, 30, (SIDE, SIDE)))


def enlarged_noise(rng: np.random.Generator) -> Pixels:
    small = Image.fromarray(noise(rng, SIDE // 3))
    return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def black(_: np.random.Generator) -> Pixels:
    return np.zeros((SIDE, SIDE, 3), np.uint8)


def red(_: np.random.Generator) -> Pixels:
    return np.full((SIDE, SIDE, 3), (200, 30, 30), np.uint8)


def many(make: Make, count: int = 100) -> list[Pixels]:
    rng = np.random.default_rng(0)
    return [make(rng) for _ in range(count)]


@pytest.mark.parametrize("make", [line_art, medical, thermal, false_color])
def test_pictures_of_every_kind_pass(make: Make) -> None:
    pictures = as_set(many(make))
    assert lint.screen(pictures) is pictures
    assert lint.lint(pictures) == []


@pytest.mark.parametrize("side", [8, 32])
def test_the_digits_of_train_pass(side: int) -> None:
    files = [io.BytesIO(picture.content or b"") for picture in examples.digits().pictures[:200]]
    digits = [Image.open(file).convert("RGB").resize((side, side)) for file in files]
    pictures = as_set([np.asarray(digit) for digit in digits])
    assert lint.screen(pictures) is pictures


def test_200_different_pictures_pass(imagenet_pictures: Path) -> None:
    pictures = load_folder(imagenet_pictures, Preprocessing(72, (64, 64)))
    assert len(pictures) == 200
    assert lint.screen(pictures) is pictures


def recoded(picture: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def trimmed(picture: Image.Image, *margins: float) -> Image.Image:
    """`picture` without these fractions of it at the left, top, right and bottom."""
    left, top, right, bottom = margins
    width, height = picture.size
    return picture.crop((int(left * width), int(top * height), int((1 - right) * width), int((1 - bottom) * height)))


@pytest.mark.parametrize(
    ("copy", "missed"),
    [
        (lambda picture: picture, 0),
        (lambda picture: recoded(picture, 30), 0),
        (lambda picture: picture.resize((picture.width // 2, picture.height // 2)), 0),
        (lambda picture: picture.resize((picture.width * 2, picture.height * 2)), 0),
        (lambda picture: trimmed(picture, 0.02, 0.02, 0.02, 0.02), 4),
        (lambda picture: trimmed(picture, 0, 0, 0.04, 0.04), 4),
        (lambda picture: recoded(trimmed(picture, 0.02, 0.03, 0.02, 0), 60), 8),
    ],
)
def test_copies_are_found_and_named(
    imagenet_pictures: Path, copy: Callable[[Image.Image], Image.Image], missed: int
) -> None:
    files, preprocessing = sorted(imagenet_pictures.glob("*.jpg"))[:32], Preprocessing(SIDE, (SIDE, SIDE), "stretch")
    originals = [Image.open(file).convert("RGB") for file in files]
    copies = [copy(picture).convert("RGB") for picture in originals]
    pictures = as_set([preprocessing.pixels(picture) for picture in originals + copies])
    screened = lint.screen(pictures)
    assert set(pictures.names[:32]) <= set(screened.names)
    assert len(screened) <= 32 + missed
    assert (
        screened.description
        == f"{len(screened)} of 64 pictures of set, without {64 - len(screened)} that cannot be calibrated on"
    )
    (remark,) = screened.remarks
    assert "nearly the same as an earlier one: " in remark
    assert "40.png (as 8.png)" in remark


@pytest.mark.parametrize("make", [noise, gray_noise, enlarged_noise, black, red])
def test_up_to_a_quarter_that_is_useless_is_left_out(make: Make) -> None:
    good, useless = list(CROPS[::2]), many(make, 11)
    screened = lint.screen(as_set([*useless[:10], *good]))
    assert len(screened) >= len(good) - 2  # two crops of one photograph may be nearly the same
    assert screened.names[0] == "10.png"
    what = "of a single color" if make in (black, red) else "that look like noise"
    assert screened.remarks[0].startswith(f"left out 10 calibration pictures {what}: 0.png, 1.png")
    assert lint.lint(screened)[-1] == f"calibrated on {len(screened)} pictures; 100 are better"
    with pytest.raises(UsageError, match=f"11 {what} .* Required: at most a quarter"):
        lint.screen(as_set([*useless, *good]))


def test_15_different_pictures_are_too_few() -> None:
    pictures = many(line_art, 16)
    assert len(lint.screen(as_set(pictures))) == 16
    with pytest.raises(UsageError, match=r"at least 16 different pictures, better 100, got 15\. Give"):
        lint.screen(as_set(pictures[:15]))
    with pytest.raises(
        UsageError, match=r"got 15 without 1 nearly the same as an earlier one \(15\.png \(as 3\.png\)\)"
    ):
        lint.screen(as_set([*pictures[:15], pictures[3]]))


def test_values_from_0_to_1_are_recognized() -> None:
    with pytest.raises(UsageError, match="were they saved with values from 0 to 1 instead of 0 to 255"):
        lint.screen(as_set(list(CROPS // 128)))


@pytest.mark.filterwarnings("error")
def test_tiny_pictures_are_judged_without_a_warning() -> None:
    assert not any(lint._is_noise(CROPS[0, :height]) for height in (1, 2, 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (noise, "100 that look like noise"),
        (black, "100 of a single color"),
        (lambda _: CROPS[0], "got 1 without 99 nearly the same as an earlier one"),
    ],
)
def test_what_int8_would_collapse_on_ends_with_2(
    command_line: CommandLine, tmp_path: Path, make: Make, message: str
) -> None:
    (tmp_path / "bad").mkdir()
    for i, picture in enumerate(many(make)):
        Image.fromarray(picture).save(tmp_path / "bad" / f"{i:03}.png")
    done = command_line("export", "--precision", "int8", "--calibration", "bad")
    assert (done.returncode, done.stdout) == (2, "")
    assert message in " ".join(done.stderr.split())
    assert "000.png, 001.png" in done.stderr or "001.png (as 000.png)" in done.stderr
    assert not (tmp_path / "out").exists()


def test_halves_that_differ_are_warned_of() -> None:
    ranges = {"a": (0.0, 10.0), "b": (-1.0, 1.0), "c": (0.0, 2.0)}
    assert lint.halves_differ(ranges, ranges) is None
    assert lint.halves_differ(ranges, ranges | {"a": (0.0, 100.0)}) is None, "one layer of three"
    assert lint.halves_differ(ranges, ranges | {"a": (0.0, 12.4), "b": (-1.0, 1.3), "c": (0.4, 2.0)}) is None
    warning = lint.halves_differ(ranges, ranges | {"a": (0.0, 20.0), "b": (-1.6, 1.0)})
    assert warning is not None
    assert "differ by 23% in the median layer (50% in a)" in warning
    assert lint.halves_differ({"a": (0.0, 0.0)}, {"a": (0.0, 0.0)}) is None
