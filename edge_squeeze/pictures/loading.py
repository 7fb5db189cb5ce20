"""Pictures from files, folders and lists, and the photographs that come with scikit-image."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import io
import re
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from edge_squeeze.errors import MissingDependencyError, UsageError
from edge_squeeze.pictures import metadata
from edge_squeeze.pictures.listing import HEIF, KNOWN, is_list, left_out, list_pictures, picture_name, suffixes
from edge_squeeze.pictures.preprocessing import Pixels, Preprocessing

MOST_NAMED = 20  # more refused pictures: with them, the message fills a screen
REMEDY = "Repair or remove them, or pass --skip-unreadable to go on without them."
SUBSET = re.compile(r"^[\d,]+ of (?=\d)")  # how the description of a part begins
QUICK = (64, 64)  # JPEG is decoded several times faster if a picture of an eighth of the size will do
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
    remarks: tuple[str, ...] = ()  # what to say of pictures that were left out
    file_digests: tuple[str, ...] | None = None  # the sha256 of each picture's file; None if not from files
    files: tuple[Path, ...] | None = None  # where they are; None if not from files

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

    def subset(self, rows: Sequence[int], without: str, remarks: Sequence[str]) -> PictureSet:
        """The pictures in `rows` alone, if those are not all.

        Args:
            rows: Row numbers, in ascending order.
            without: What the others are, for the description.
            remarks: What to say of the others.
        """
        if len(rows) == len(self):
            return self
        return replace(
            self,
            names=tuple(self.names[row] for row in rows),
            pixels=self.pixels[list(rows)],
            file_digests=self.file_digests and tuple(self.file_digests[row] for row in rows),
            files=self.files and tuple(self.files[row] for row in rows),
            description=f"{len(rows):,} of {SUBSET.sub('', self.description)}, without {without}",
            remarks=(*self.remarks, *remarks),
        )

    def whole(self, stretch: float) -> list[Pixels]:
        """Each picture uncropped [h,w,3], its shorter side at most `stretch` times the network's.

        Without files, the pictures as they are.
        """
        if self.files is None:
            return list(self.pixels)
        side = round(stretch * max(self.size))
        return [_shrunk(open_picture(file), side) for file in self.files]

    def crops(self, each: int, seed: int, smallest: float) -> Pixels:
        """Seeded crops [each*N,H,W,3] of the files, as `photograph_crops` makes them: one of each, then another."""
        rng = np.random.default_rng(seed)
        pictures = [open_picture(file) for file in self.files or ()]
        return np.stack([_crop(picture, self.size, smallest, rng) for _ in range(each) for picture in pictures])

    @property
    def sampled(self) -> bool:
        """Whether they were drawn from a larger set of the user's pictures."""
        return self.seed is not None and not self.photographs


@dataclass(frozen=True)
class Sample:
    """How many pictures of a long list to use at most, and the seed to draw them with."""

    most: int
    seed: int
    lists_only: bool = True  # a folder is taken whole

    def part(self, count: int) -> list[int]:
        """The indices of the pictures to use, out of `count`."""
        return sorted(np.random.default_rng(self.seed).choice(count, self.most, replace=False).tolist())


def open_picture(path: Path, *, quick: bool = False) -> Image.Image:
    """The picture as it should be displayed, in RGB: EXIF rotation applied, transparent parts on white.

    Damaged metadata does not matter. UsageError if `path` is missing, not a picture, truncated, or would unpack to an
    absurd size. If `quick`, it may be smaller: this is to find out whether it can be read.
    """
    return decode_picture(read_picture(path), path, quick=quick)


def read_picture(path: Path) -> bytes:
    """The bytes of the file `path`; UsageError if it is missing or cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"No such picture: {path}.") from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def decode_picture(data: bytes, path: Path, *, quick: bool = False) -> Image.Image:
    """`open_picture` for the bytes `data` of the file `path`."""
    try:
        return _decoded(data, path, quick=quick)
    except UsageError:
        raise
    except Image.DecompressionBombError as error:
        raise UsageError(f"{path} is too large: {error}") from error
    except Exception as error:  # Pillow raises whatever a damaged file makes it run into
        bare = metadata.without(data)
        if bare is None:
            raise _unreadable(path, error) from error
        try:
            return _decoded(bare, path, quick=quick)
        except Exception:  # the first reason says more
            raise _unreadable(path, error) from error


def _decoded(data: bytes, path: Path, *, quick: bool) -> Image.Image:
    suffixes()  # registers the plug-in
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes that phones take, and of damaged metadata
        with Image.open(io.BytesIO(data)) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise UsageError(f"{path} has {opened.size} pixels. Required: at most {MOST_PIXELS:,} of them.")
            if quick:
                opened.draft(None, QUICK)
            opened.load()
            return as_rgb(opened)


def _unreadable(path: Path, error: Exception) -> UsageError:
    if path.suffix.lower() in HEIF and path.suffix.lower() not in suffixes():
        return UsageError(f"{path} cannot be read: Pillow needs its plug-in for it. Run: pip install pillow-heif")
    known = not isinstance(error, UnidentifiedImageError)  # whose message names our buffer
    reason = (str(error) or type(error).__name__) if known else "its format is unknown"
    return UsageError(f"{path} is not a picture that can be read ({reason}). Required: {KNOWN}.")


def as_rgb(picture: Image.Image) -> Image.Image:
    """`picture` as it should be displayed, in RGB: EXIF rotation applied, transparent parts on white.

    ValueError for pictures whose values have no standard range (32-bit integers and floats).
    """
    picture = metadata.upright(picture)
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


def unreadable(files: Sequence[Path]) -> dict[Path, str]:
    """Those of `files` that cannot be read, with the reason."""
    return {file: reason for file in dict.fromkeys(files) if (reason := _problem(file))}


def _problem(file: Path) -> str | None:
    try:
        open_picture(file, quick=True)
    except UsageError as error:
        return str(error)
    return None


def refuse(problems: Mapping[Path, str] | Mapping[str, str], remedy: str | None = REMEDY) -> None:
    """Raise UsageError, if there are `problems` (place -> message): the first message, and the places of the rest."""
    if not problems:
        return
    first, *rest = problems.items()
    lines = [first[1], *(f"  {place}" for place, _ in rest[:MOST_NAMED])]
    if rest:
        lines.insert(1, f"Also refused, {len(rest):,} in all:")
    if len(rest) > MOST_NAMED:
        lines.append(f"  and {len(rest) - MOST_NAMED:,} more")
    raise UsageError("\n".join([*lines, *([remedy] if remedy else [])]))


def check(path: Path, *, skip_unreadable: bool = False, sample: Sample | None = None) -> list[str]:
    """What to say of the pictures at `path` that will not be used; UsageError names all that cannot be read.

    It decodes them, so that errors come at once and not after a model was loaded.

    Args:
        path: A picture, a folder of pictures, or a list of them.
        skip_unreadable: Whether to count unreadable pictures instead, as long as there are others.
        sample: How a large set is drawn from.
    """
    files = _drawn(list_pictures(path), path, sample)[0]
    problems = unreadable(files)
    if not skip_unreadable:
        refuse(problems)
    return left_out(path) + skipped(problems, files, path)


def skipped(problems: Mapping[Path, str], files: Sequence[Path], path: Path) -> list[str]:
    """What to say of the pictures among `files` of `path` that have `problems`; UsageError if that is all of them."""
    if not problems:
        return []
    if len(problems) == len(set(files)):
        refuse(problems, remedy=None)
    names = ", ".join(map(str, list(problems)[:MOST_NAMED]))
    more = f" and {len(problems) - MOST_NAMED:,} more" if len(problems) > MOST_NAMED else ""
    return [f"skipped {len(problems):,} of {len(files):,} pictures of {path} that cannot be read: {names}{more}"]


def load_folder(
    path: Path,
    preprocessing: Preprocessing,
    part: Part = range,
    sample: Sample | None = None,
    *,
    skip_unreadable: bool = False,
    left_out: Collection[str] = (),
) -> PictureSet:
    """The pictures at `path`, preprocessed; UsageError names all that cannot be read.

    Args:
        path: A picture, a folder of pictures, or a list of them.
        preprocessing: What each picture goes through.
        part: Chooses which pictures to use; by default all.
        sample: How to draw from a large set instead.
        skip_unreadable: Whether to go on without those that cannot be read.
        left_out: Names of pictures that are not wanted, as `PictureSet.names` has them.
    """
    pictures = list_pictures(path)
    files, seed = _drawn(pictures, path, sample)
    problems = unreadable(files) if skip_unreadable else {}
    skipped(problems, files, path)
    readable = [file for file in files if file not in problems and picture_name(file, path) not in left_out]
    taken = readable if seed is not None else [readable[i] for i in part(len(readable))]
    pixels, digests, unusable = _pixels(taken, preprocessing)
    if not skip_unreadable or not pixels:
        refuse(unusable)
    taken, problems = [file for file in taken if file not in unusable], problems | unusable
    count = len(pictures) if seed is not None else len(readable)
    description = _described(len(taken), count, f"{count:,} picture{'s' if count > 1 else ''} of {path}")
    without = f", without {len(problems):,} that cannot be read" if problems else ""
    names = tuple(picture_name(file, path) for file in taken)
    return PictureSet(
        names,
        np.stack(pixels),
        description + without,
        photographs=False,
        seed=seed,
        file_digests=tuple(digests),
        files=tuple(taken),
    )


def _drawn(pictures: list[Path], path: Path, sample: Sample | None) -> tuple[list[Path], int | None]:
    """Those of the `pictures` at `path` to use, and the seed of the draw if they are more than `sample` has."""
    if sample is None or len(pictures) <= sample.most or (sample.lists_only and not is_list(path)):
        return pictures, None
    return [pictures[i] for i in sample.part(len(pictures))], sample.seed


def _pixels(files: Sequence[Path], preprocessing: Preprocessing) -> tuple[list[Pixels], list[str], dict[Path, str]]:
    """The pixels of `files` and their sha256, and the reason for each that cannot be read or brought to size."""
    pixels: list[Pixels] = []
    digests: list[str] = []
    problems: dict[Path, str] = {}
    for file in files:
        try:
            data = read_picture(file)
            pixels.append(preprocessing.pixels(decode_picture(data, file)))
            digests.append(hashlib.sha256(data).hexdigest())
        except UsageError as error:
            problems[file] = str(error) if str(file) in str(error) else f"{file}: {error}"
    return pixels, digests, problems


def _described(taken: int, count: int, description: str) -> str:
    return description if taken == count else f"{taken} of the {description}"


def photograph(name: str) -> Image.Image:
    """One of PHOTOGRAPHS, read from the data files of scikit-image without importing it."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError("scikit-image", "export", "the built-in photographs")
    return _photograph(Path(spec.submodule_search_locations[0]) / "data" / PHOTOGRAPHS[name]).copy()


@functools.cache
def _photograph(file: Path) -> Image.Image:
    """Decoded once, since a command takes its crops of the same few photographs several times."""
    return open_picture(file)


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


def _shrunk(picture: Image.Image, side: int) -> Pixels:
    """`picture` with a shorter side of at most `side` pixels."""
    scale = min(1.0, side / min(picture.size))
    width, height = (max(1, round(scale * length)) for length in picture.size)
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), np.uint8)


def _crop(picture: Image.Image, size: tuple[int, int], smallest: float, rng: np.random.Generator) -> Pixels:
    height, width = size
    scale = min(picture.width / width, picture.height / height) * rng.uniform(smallest, 1.0)
    left = rng.uniform(0, picture.width - width * scale)
    top = rng.uniform(0, picture.height - height * scale)
    box = (left, top, left + width * scale, top + height * scale)
    crop = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR, box=box), dtype=np.uint8)
    mirrored = rng.integers(2) == 1
    return crop[:, ::-1] if mirrored else crop
