"""How a picture becomes what a network sees: as a value, as pixels, and as the network's own input."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_squeeze.errors import UsageError, unknown
from edge_squeeze.pictures.filters import BILINEAR, FILTERS, MAX_RESIZED_PIXELS

Pixels = NDArray[np.uint8]
# Red, green, blue -> the channels of each order. Grey is the luma of ITU-R BT.601, as PIL's "L" and TensorFlow have it.
ORDERS = {
    "rgb": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "bgr": ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    "grey": ((0.299,), (0.587,), (0.114,)),
}
CROP, STRETCH = RESIZES = ("crop", "stretch")
LARGEST_SIDE = 8192


@dataclass(frozen=True)
class Normalization:
    """What an artifact itself does to raw RGB pixels: reorder to `order`, then (channel - mean) * scale."""

    order: str = "rgb"  # rgb | bgr | grey
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)  # one for each channel of `order`
    scale: tuple[float, ...] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise UsageError(f"order must be one of {', '.join(ORDERS)}, got {self.order!r}.")
        if not len(self.mean) == len(self.scale) == self.channels:
            raise UsageError(
                f"{self.order} needs {self.channels} values of mean and scale, got {self.mean} and {self.scale}."
            )
        if not np.isfinite([*self.mean, *self.scale]).all() or 0 in self.scale:
            raise UsageError(f"mean and scale must be finite, and scale not 0, got {self.mean} and {self.scale}.")

    @property
    def channels(self) -> int:
        """How many channels the network takes."""
        return len(ORDERS[self.order][0])

    @property
    def is_raw(self) -> bool:
        """Whether it leaves the values of pixels as they are."""
        return not any(self.mean) and set(self.scale) == {1.0}

    def linear(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same as a matrix [3,channels] and an offset [channels]: pixels @ matrix + offset."""
        scale = np.array(self.scale)
        return np.array(ORDERS[self.order]) * scale, -np.array(self.mean) * scale


@dataclass(frozen=True)
class Preprocessing:
    """Resize, crop the center, pad; then the normalization, which artifacts have baked in.

    `resize` crop: the short side becomes `short_side`, the long side (long * short_side + short // 2) // short, and the
    crop starts at (size - crop) // 2. stretch: both sides become those of `crop`, whatever the aspect ratio.
    """

    short_side: int
    crop: tuple[int, int]  # height, width
    resize: str = CROP  # crop | stretch
    filter: str = BILINEAR  # one of FILTERS
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, bottom, left, right; after the crop
    pad_value: tuple[int, int, int] = (0, 0, 0)  # red, green, blue
    baked: Normalization = field(default_factory=Normalization)

    def __post_init__(self) -> None:
        if self.resize not in RESIZES:
            raise UsageError(f"resize must be one of {', '.join(RESIZES)}, got {self.resize!r}.")
        if self.filter not in FILTERS:
            raise unknown("filter", self.filter, FILTERS)
        if not 1 <= min(self.crop) <= max(self.crop) <= self.short_side <= LARGEST_SIDE:
            height, width = self.crop
            raise UsageError(
                f"short_side (--resize) must be from the crop's longer side, at least 1, to {LARGEST_SIDE} pixels, got "
                f"{self.short_side} with a crop of {height} x {width}."
            )
        if not all(0 <= side <= LARGEST_SIDE for side in self.pad):
            raise UsageError(f"pad must be 0 to {LARGEST_SIDE} on each side, got {self.pad}.")
        if not all(0 <= channel <= 255 for channel in self.pad_value):  # noqa: PLR2004 - uint8
            raise UsageError(f"pad_value must be 0 to 255, got {self.pad_value}.")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pixels the model sees."""
        top, bottom, left, right = self.pad
        return self.crop[0] + top + bottom, self.crop[1] + left + right

    def at(self, size: tuple[int, int]) -> Preprocessing:
        """The same for pictures of `size` (height, width): the short side grows as the longer side, pads as theirs."""
        (height, width), usual = size, self.size
        top, bottom = (round(side * height / usual[0]) for side in self.pad[:2])
        left, right = (round(side * width / usual[1]) for side in self.pad[2:])
        crop = max(1, height - top - bottom), max(1, width - left - right)
        short_side = max(round(self.short_side * max(size) / max(usual)), *crop)
        return replace(self, short_side=short_side, crop=crop, pad=(top, bottom, left, right))

    def pixels(self, picture: Image.Image) -> Pixels:
        """The pixels [H,W,3] uint8 of an RGB `picture`, resized, cropped and padded; UsageError if it is too narrow."""
        height, width = self.crop
        size = (width, height) if self.resize == STRETCH else self._resized(picture.size)
        resized = FILTERS[self.filter](picture, size)
        left, top = (resized.width - width) // 2, (resized.height - height) // 2
        cropped = np.asarray(resized.crop((left, top, left + width, top + height)), dtype=np.uint8)
        return self._padded(cropped)

    def normalize(self, pixels: Pixels) -> NDArray[np.float32]:
        """The input of the original, which has nothing baked in, for raw RGB `pixels` [N,H,W,3]: [N,H,W,C] float32."""
        channels = pixels.astype(np.float32) @ np.array(ORDERS[self.baked.order], np.float32)
        mean, scale = np.array(self.baked.mean, np.float32), np.array(self.baked.scale, np.float32)
        normalized: NDArray[np.float32] = (channels - mean) * scale
        return normalized

    def _resized(self, size: tuple[int, int]) -> tuple[int, int]:
        short = min(size)
        width, height = ((side * self.short_side + short // 2) // short for side in size)
        if width * height > MAX_RESIZED_PIXELS:
            raise UsageError(
                f"A picture of {size[0]} x {size[1]} pixels would become {width} x {height}. Required: at most "
                f"{MAX_RESIZED_PIXELS:,} pixels once its short side is {self.short_side}. Crop it first."
            )
        return width, height

    def _padded(self, pixels: Pixels) -> Pixels:
        if not any(self.pad):
            return pixels
        top, _, left, _ = self.pad
        padded = np.empty((*self.size, 3), np.uint8)
        padded[:] = self.pad_value
        padded[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        return padded
