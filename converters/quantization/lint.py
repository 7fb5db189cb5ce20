"""What makes pictures useless to calibrate on: noise, a single color, copies of each other, too few of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_squeeze.errors import UsageError
from edge_squeeze.pictures.loading import PictureSet
from edge_squeeze.pictures.preprocessing import Pixels

FEWEST = 16
ENOUGH = 100
MOST_UNUSABLE = 0.25  # of the pictures may be noise or constant; with more, the set is not what was meant
LOWEST_DEVIATION = 1.0  # of 255, of each channel; JPEG leaves less of a single color
LIKE_NOISE, SINGLE_COLOR, SAME = "that look like noise", "of a single color", "nearly the same as an earlier one"
MOST_NAMED = 10

# Mean step between neighbors / standard deviation: 1.13 to 1.17 for noise, 0.89 once it was enlarged from 224 to 256
# pixels; 0.02 to 0.50 for 200 ImageNet pictures, 0.51 for line art, 0.83 for the roughest of 400 digits at 8 x 8.
NOISE_RATIO = 0.86
# The same of a picture that was shrunk to this size, which undoes the smoothing of noise that was enlarged: 0.9 and
# more for noise of 32 pixels and up, at most 0.69 for the ImageNet pictures. Grass and gravel come to 0.99, but their
# channels correlate: those of photographs by 0.53 and more, those of noise by 0.03 at most.
COARSE_SIDE, COARSE_RATIO, LOWEST_CORRELATION = 28, 0.8, 0.2

# Two pictures are nearly the same if thumbnails of this side differ by less than this part of their deviation. Copies
# of ImageNet pictures as JPEG of quality 20 differ by up to 0.06 (97 % of them by less), copies of half the size by
# less; no two of 200 different ImageNet pictures by less than 0.48, of 120 digits by less than 0.1.
THUMBNAIL, NEARLY_SAME = 8, 0.06
# A copy may lack some of the margin: thumbnails of parts of one picture are compared with the other as a whole, which
# finds 91 to 100 % of copies that lack 1 to 3 % at each side, and 84 % of those that lack 5. Only where the wholes are
# this similar: those that lack 5 % differ by up to 0.46.
PARTS, SIMILAR = (0.98, 0.96, 0.94, 0.92, 0.9), 0.5
SHRUNK = 64  # pixels, from which the parts are taken
MOST_APART = 0.2  # of a layer's range
TINY = 1e-12
Range = tuple[float, float]
Thumbnails = NDArray[np.float32]  # [...,8,8,3]
Box = tuple[float, float, float, float]  # left, top, right, bottom


def screen(pictures: PictureSet) -> PictureSet:
    """`pictures` without those that calibration cannot use, which its `remarks` name.

    Crops of the built-in photographs are returned as they are. UsageError if more than a quarter are noise or of a
    single color, or fewer than 16 different ones remain.
    """
    if pictures.photographs:
        return pictures
    constant = [row for row, picture in enumerate(pictures.pixels) if _is_constant(picture)]
    noise = [row for row, picture in enumerate(pictures.pixels) if row not in constant and _is_noise(picture)]
    names = {
        LIKE_NOISE: [pictures.names[row] for row in noise],
        SINGLE_COLOR: [pictures.names[row] for row in constant],
    }
    if len(constant) + len(noise) > MOST_UNUSABLE * len(pictures):
        raise _unusable(pictures, names)
    rows = sorted(set(range(len(pictures))) - {*constant, *noise})
    copies = {rows[copy]: rows[original] for copy, original in near_duplicates(pictures.pixels[rows]).items()}
    names[SAME] = [f"{pictures.names[copy]} (as {pictures.names[original]})" for copy, original in copies.items()]
    kept = [row for row in rows if row not in copies]
    if len(kept) < FEWEST:
        raise _too_few(pictures, names)
    remarks = [
        f"left out {len(those):,} calibration picture{'s' if len(those) > 1 else ''} {what}: {_listed(those)}"
        for what, those in names.items()
        if those
    ]
    return pictures.subset(kept, f"{len(pictures) - len(kept):,} that cannot be calibrated on", remarks)


def _unusable(pictures: PictureSet, names: Mapping[str, Sequence[str]]) -> UsageError:
    hint = ""
    if pictures.pixels.max() == 1:
        hint = " No value in them is above 1: were they saved with values from 0 to 1 instead of 0 to 255?"
    return UsageError(
        f"int8 would collapse if it were calibrated on {pictures.description}, {_named(names)}. Required: at most a "
        f"quarter of such pictures.{hint} Give pictures of the kind that the network will see."
    )


def _too_few(pictures: PictureSet, names: Mapping[str, Sequence[str]]) -> UsageError:
    usable = len(pictures) - sum(map(len, names.values()))
    why = f" without {_named(names)}" if usable < len(pictures) else ""
    return UsageError(
        f"{pictures.description} cannot be calibrated on. Required: at least {FEWEST} different pictures, better "
        f"{ENOUGH}, got {usable}{why}. Give more pictures of the kind that the network will see."
    )


def lint(pictures: PictureSet) -> list[str]:
    """What to warn of in a calibration on `pictures`, which were screened; empty if nothing."""
    few = not pictures.photographs and len(pictures) < ENOUGH
    return [*pictures.remarks, *([f"calibrated on {len(pictures)} pictures; {ENOUGH} are better"] if few else [])]


def _is_constant(picture: Pixels) -> bool:
    return bool(picture.std(axis=(0, 1)).max() < LOWEST_DEVIATION)


def _is_noise(picture: Pixels) -> bool:
    if min(picture.shape[:2]) < 2:  # noqa: PLR2004 - no neighbors to differ from
        return False
    if _roughness(picture) > NOISE_RATIO:
        return True
    side = min(COARSE_SIDE, *picture.shape[:2])
    coarse = np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BOX))
    return _roughness(coarse) > COARSE_RATIO and _correlation(coarse) < LOWEST_CORRELATION


def _roughness(picture: Pixels) -> float:
    """How far neighbors differ, as a part of the deviation of the whole."""
    values = picture.astype(np.float32)
    steps = np.abs(np.diff(values, axis=1)).mean() + np.abs(np.diff(values, axis=0)).mean()
    return float(steps / 2 / _deviation(values))


def _deviation(values: NDArray[np.float32]) -> float:
    """The standard deviation of `values` [H,W,C] from the mean of their channel."""
    return max(float(np.sqrt(values.var(axis=(0, 1)).mean())), LOWEST_DEVIATION)


def _correlation(picture: Pixels) -> float:
    """The highest correlation between two channels; 1 where a channel is constant."""
    channels = picture.reshape(-1, picture.shape[2]).astype(np.float32).T
    if channels.std(axis=1).min() == 0:
        return 1.0
    correlations = np.abs(np.corrcoef(channels))
    return float(correlations[np.triu_indices(len(channels), 1)].max())


def near_duplicates(pixels: Pixels) -> dict[int, int]:
    """The row of each picture of `pixels` [N,H,W,3] that is nearly the same as an earlier one -> the row of that."""
    shrunk = [Image.fromarray(picture).resize((SHRUNK, SHRUNK), Image.Resampling.BOX) for picture in pixels]
    parts = cache(lambda row: np.array([_thumbnail(shrunk[row], box) for box in _boxes()]))
    wholes = np.array([_thumbnail(picture) for picture in shrunk])
    deviations = np.array([_deviation(whole) for whole in wholes])
    copies: dict[int, int] = {}
    kept: list[int] = []
    for row, whole in enumerate(wholes):
        scales = np.minimum(deviations[kept], deviations[row])
        distances = _distances(wholes[kept], whole) / scales
        for i in np.argsort(distances):
            if distances[i] > SIMILAR:
                break
            nearest = min(_distances(parts(row), wholes[kept[i]]).min(), _distances(parts(kept[i]), whole).min())
            if nearest < NEARLY_SAME * scales[i]:
                copies[row] = kept[i]
                break
        if row not in copies:
            kept.append(row)
    return copies


def _thumbnail(shrunk: Image.Image, box: Box | None = None) -> Thumbnails:
    """The thumbnail [8,8,3] of a picture, or of a part of it."""
    return np.asarray(shrunk.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR, box=box), np.float32)


def _boxes() -> Iterator[Box]:
    """The whole of a shrunk picture, then parts of it."""
    yield 0, 0, SHRUNK, SHRUNK
    for part in PARTS:
        side = SHRUNK * part
        places = [position * (SHRUNK - side) for position in (0.5, 0, 1)]
        yield from ((left, top, left + side, top + side) for left in places for top in places)


def _distances(thumbnails: Thumbnails, other: Thumbnails) -> NDArray[np.float32]:
    """The mean difference of each of `thumbnails` [P,8,8,3] from `other` [8,8,3]."""
    distances: NDArray[np.float32] = np.abs(thumbnails - other).mean(axis=(1, 2, 3))
    return distances


def _named(names: Mapping[str, Sequence[str]]) -> str:
    return " and ".join(f"{len(those):,} {what} ({_listed(those)})" for what, those in names.items() if those)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def halves_differ(first: Mapping[str, Range], second: Mapping[str, Range]) -> str | None:
    """A warning if the ranges of layers, measured on two halves of a set, differ by more than MOST_APART of their span.

    The median layer decides: the largest value of one layer in one picture is chance. Of SqueezeNet 1.1, halves of
    100 ImageNet pictures each differ by 0.10 in the median layer and 0.49 in the worst, halves of 8 by 0.19 and 0.61.
    """
    apart = {
        layer: max(abs(low - second[layer][0]), abs(high - second[layer][1]))
        / max(high - low, second[layer][1] - second[layer][0], TINY)
        for layer, (low, high) in first.items()
        if layer in second
    }
    typical = float(np.median([*apart.values()])) if apart else 0.0
    if typical <= MOST_APART:
        return None
    widest = max(apart, key=lambda layer: apart[layer])
    return (
        f"two halves of the calibration pictures give ranges that differ by {typical:.0%} in the median layer "
        f"({apart[widest]:.0%} in {widest}): give more pictures, of every kind that the network will see"
    )
