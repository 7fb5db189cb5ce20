"""Pictures from files, folders and lists, and the photographs that come with scikit-image."""

from __future__ import annotations

import hashlib
import importlib.util
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from edge_squeeze.errors import MissingDependencyError, UsageError
from edge_squeeze.files.reading import read_text
from edge_squeeze.pictures.preprocessing import Pixels, Preprocessing

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
LIST = ".txt"  # of pictures
KNOWN = "a whole JPEG, PNG, WebP, BMP, GIF or TIFF file"
LONGEST_PATH = 4096  # of Linux
MOST_CHECKED = 200  # a fifth of a second on a slow disk
MOST_PIXELS = 128_000_000  # phones take 108 million; the worst kind of picture takes 13 bytes of memory for each
Part = Callable[[int], Sequence[int]]  # number of pictures -> indices of those to use
PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
    "motorcycle": "motorcycle_left.png",
}
WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")


@dataclass(frozen=True)
class PictureSet:
    """Pictures that are preprocessed for a network, and where they came from."""

    names: tuple[str, ...]
    pixels: Pixels  # [N,H,W,3] raw RGB
    description: str
    photographs: bool  # whether they are crops of the built-in photographs, not the user's pictures
    seed: int | None = None  # of the draw, if they were drawn from a larger set

    def __len__(self) -> int:
        return len(self.names)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of each."""
        height, width = self.pixels.shape[1:3]
        return height, width

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """The sha256 of each picture's pixels [H,W,3]."""
        return tuple(hashlib.sha256(picture.tobytes()).hexdigest() for picture in self.pixels)

    @property
    def sampled(self) -> bool:
        """Whether they were drawn from a larger set of the user's pictures."""
        return self.seed is not None and not self.photographs


@dataclass(frozen=True)
class Sample:
    """How many pictures of a long list to use at most, and the seed to draw them with."""

    most: int
    seed: int

    def part(self, count: int) -> list[int]:
        """The indices of the pictures to use, out of `count`."""
        return sorted(np.random.default_rng(self.seed).choice(count, self.most, replace=False).tolist())


def open_picture(path: Path) -> Image.Image:
    """The picture as it should be displayed, in RGB: EXIF rotation applied, transparent parts on white.

    UsageError if `path` is missing, not a picture, truncated, or would unpack to an absurd size.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # phones take 108 megapixels
            with Image.open(path) as opened:
                if opened.width * opened.height > MOST_PIXELS:
                    raise UsageError(f"{path} has {opened.size} pixels. Required: at most {MOST_PIXELS:,} of them.")
                opened.load()
                return as_rgb(opened)
    except FileNotFoundError as error:
        raise UsageError(f"No such picture: {path}.") from error
    except Image.DecompressionBombError as error:
        raise UsageError(f"{path} is too large: {error}") from error
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:
        raise UsageError(f"{path} is not a picture that can be read ({error}). Required: {KNOWN}.") from error


def as_rgb(picture: Image.Image) -> Image.Image:
    """`picture` as it should be displayed, in RGB: EXIF rotation applied, transparent parts on white.

    ValueError for pictures whose values have no standard range (32-bit integers and floats).
    """
    if picture.getexif().get(ExifTags.Base.Orientation, 1) != 1:  # else it would only be copied
        picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("I", "F"):
        raise ValueError(f"its mode is {picture.mode}, whose range of values is unknown")
    if picture.mode.startswith("I;16"):  # PIL's own conversion clips it to white
        return Image.fromarray(_to_8_bits(np.asarray(picture))).convert("RGB")
    if picture.mode in WITH_ALPHA or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture.getchannel("A"))
        return white
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _to_8_bits(values: NDArray[np.uint16]) -> Pixels:
    """`values` [H,W] from 0..65535 to 0..255, rounded; row by row, to save memory."""
    rounded = np.empty(values.shape, np.uint8)
    for row, wide in zip(rounded, values, strict=True):
        row[:] = (wide.astype(np.uint32) + 128) // 257
    return rounded


def list_pictures(path: Path) -> list[Path]:
    """The picture files at `path`: the file itself, those that a list names, or all below a folder, sorted.

    A list is a .txt file with one path per line, relative to its own folder. UsageError if there are no pictures.
    """
    if path.is_file():
        return [path.parent / name for name in listed(path)] if is_list(path) else [path]
    if not path.is_dir():
        raise UsageError(f"No such file or folder: {path}. Required: a picture, a folder of pictures, or a list.")
    named = (p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    pictures = sorted(p for p in named if p.is_file())
    if not pictures:
        raise UsageError(f"No pictures in {path}. Required: files ending in {', '.join(SUFFIXES)}.")
    return pictures


def check(path: Path) -> None:
    """Raise UsageError if there are no pictures at `path`, or some of the first are missing or unreadable.

    It only reads their first bytes, so that errors come at once and not after a model was loaded.
    """
    for file in list_pictures(path)[:MOST_CHECKED]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            try:
                Image.open(file).close()
            except Exception:
                open_picture(file)  # raises our own error with the reason


def is_list(path: Path) -> bool:
    """Whether the file `path` is a list of pictures, by its name."""
    return path.suffix.lower() == LIST


def listed(path: Path) -> list[str]:
    """The non-empty lines of the list at `path`; UsageError if there are none, or one cannot be a path."""
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    names = [line for line in lines if line]
    if not names:
        raise UsageError(f"{path} lists no pictures. Required: one path per line, relative to the folder of the list.")
    for number, line in enumerate(lines, start=1):
        if "\0" in line or len(line) > LONGEST_PATH:
            raise UsageError(f"{path}: line {number} is not the path of a picture: {line[:40]!r}.")
    return names


def load_folder(
    path: Path, preprocessing: Preprocessing, part: Part = range, sample: Sample | None = None
) -> PictureSet:
    """The pictures at `path`, preprocessed; UsageError names the first that cannot be read.

    Args:
        path: A picture, a folder of pictures, or a list of them.
        preprocessing: What each picture goes through.
        part: Chooses which pictures to use; by default all.
        sample: How to draw from a long list instead.
    """
    pictures = list_pictures(path)
    drawn = sample if sample and is_list(path) and len(pictures) > sample.most else None
    files = [pictures[i] for i in (drawn.part if drawn else part)(len(pictures))]
    pixels = np.stack([preprocessing.pixels(open_picture(file)) for file in files])
    count = len(pictures)
    description = _described(len(files), count, f"{count:,} picture{'s' if count > 1 else ''} of {path}")
    seed = drawn.seed if drawn else None
    return PictureSet(_names(files, path), pixels, description, photographs=False, seed=seed)


def _described(taken: int, count: int, description: str) -> str:
    return description if taken == count else f"{taken} of the {description}"


def _names(files: list[Path], path: Path) -> tuple[str, ...]:
    """What to call each of `files`: its path relative to the folder or the list at `path`."""
    folder = path if path.is_dir() else path.parent
    return tuple(str(file.relative_to(folder) if file.is_relative_to(folder) else file) for file in files)


def photograph(name: str) -> Image.Image:
    """One of PHOTOGRAPHS, read from the data files of scikit-image without importing it."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError("scikit-image", "export", "the built-in photographs")
    return open_picture(Path(spec.submodule_search_locations[0]) / "data" / PHOTOGRAPHS[name])


def photograph_crops(
    per_photograph: int, size: tuple[int, int], seed: int, smallest: float = 0.5, part: Part = range
) -> PictureSet:
    """Seeded crops of PHOTOGRAPHS, half of them mirrored.

    Args:
        per_photograph: How many crops to make of each photograph.
        size: Height and width of the crops in pixels.
        seed: Seed of the draw.
        smallest: Shortest sides, as a fraction of those of the largest crop that fits.
        part: Chooses which crops to use; by default all.
    """
    rng = np.random.default_rng(seed)
    names, crops = [], []
    for name in PHOTOGRAPHS:
        picture = photograph(name)
        names += [f"{name} crop {i + 1}" for i in range(per_photograph)]
        crops += [_crop(picture, size, smallest, rng) for _ in range(per_photograph)]
    description = f"{len(crops)} crops of {len(PHOTOGRAPHS)} scikit-image photographs (seed {seed})"
    taken = part(len(crops))
    pixels = np.stack([crops[i] for i in taken])
    return PictureSet(
        tuple(names[i] for i in taken),
        pixels,
        _described(len(taken), len(crops), description),
        photographs=True,
        seed=seed,
    )


def _crop(picture: Image.Image, size: tuple[int, int], smallest: float, rng: np.random.Generator) -> Pixels:
    height, width = size
    scale = min(picture.width / width, picture.height / height) * rng.uniform(smallest, 1.0)
    left = rng.uniform(0, picture.width - width * scale)
    top = rng.uniform(0, picture.height - height * scale)
    box = (left, top, left + width * scale, top + height * scale)
    crop = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR, box=box), dtype=np.uint8)
    mirrored = rng.integers(2) == 1
    return crop[:, ::-1] if mirrored else crop
