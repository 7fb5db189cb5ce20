"""What pictures carry besides their pixels: only the orientation is read, and damage to the rest decides nothing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from PIL import ExifTags, Image

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
PNG_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}  # the chunks that make the picture
START_OF_SCAN, STANDALONE = 0xDA, {0x01, *range(0xD0, 0xD8)}
APPLICATION = range(0xE0, 0xF0)
ADOBE, COMMENT = 0xEE, 0xFE  # Adobe's segment says how the colors are stored
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation(picture: Image.Image) -> int:
    """The EXIF orientation of `picture`, 1 to 8; 1 where it has none or it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged entries, which are not ours to repair
            value = int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged metadata raises errors of any kind, and never decides
        return 1
    return value if value in UPRIGHT else 1


def upright(picture: Image.Image) -> Image.Image:
    """`picture` turned and mirrored as its EXIF orientation says; its other metadata is not looked at."""
    transpose = UPRIGHT.get(orientation(picture))
    return picture if transpose is None else picture.transpose(transpose)


def without(data: bytes) -> bytes | None:
    """The PNG or JPEG file `data` without anything but its pixels; None for other formats, and if nothing is left."""
    if data.startswith(PNG):
        return PNG + b"".join(chunk for kind, chunk in _chunks(data) if kind in PNG_PIXELS)
    if data.startswith(JPEG):
        return _without_segments(data)
    return None


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The type of each chunk of a PNG file, and the whole chunk."""
    at = len(PNG)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        yield data[at + 4 : at + 8], data[at:end]
        at = end


def _without_segments(data: bytes) -> bytes:
    """The JPEG file `data` without its comments and the segments of applications."""
    kept, at = [JPEG], len(JPEG)
    while at + 4 <= len(data) and data[at] == 0xFF:  # noqa: PLR2004 - a marker
        marker = data[at + 1]
        if marker == START_OF_SCAN:
            break
        if marker == 0xFF:  # noqa: PLR2004 - a byte of padding
            at += 1
            continue
        end = at + 2 + (0 if marker in STANDALONE else int.from_bytes(data[at + 2 : at + 4]))
        if marker == ADOBE or not (marker in APPLICATION or marker == COMMENT):
            kept.append(data[at:end])
        at = end
    return b"".join([*kept, data[at:]])
