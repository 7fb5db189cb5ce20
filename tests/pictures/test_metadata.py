"""Damaged metadata decides nothing: pictures whose pixels are whole are read, and turned if the orientation is."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from edge_squeeze.errors import UsageError
from edge_squeeze.pictures import loading, metadata

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
ORIENTATION, MAKER, RESOLUTION, GPS = 0x0112, 0x010F, 0x011A, 0x8825


def exif(orientation: int = 6) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION], tags[MAKER], tags[RESOLUTION] = orientation, "Maker", 72.0
    tags.get_ifd(GPS)[2] = (1.0, 2.0, 3.0)
    return tags


def saved(kind: str) -> bytes:
    stream, extra = io.BytesIO(), {}
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_text("a", "b" * 50)
        info.add_itxt("c", "d" * 500, zip=True)
        extra = {"pnginfo": info, "dpi": (72, 72)}
    if kind == "JPEG":
        extra = {"comment": b"hello", "dpi": (72, 72)}
    if kind == "WEBP":
        extra = {"lossless": True}
    Image.fromarray(PIXELS).save(stream, kind, exif=exif(), icc_profile=profile, **extra)
    return stream.getvalue()


def places(data: bytes, kind: str) -> list[tuple[int, int]]:
    """Where the contents of each piece of metadata begin and end."""
    if kind == "PNG":
        chunks, at = [], 8
        while at < len(data):
            size = int.from_bytes(data[at : at + 4])
            chunks.append((data[at + 4 : at + 8], at + 8, at + 12 + size))
            at += 12 + size
        return [(start, end) for name, start, end in chunks if name not in metadata.PNG_PIXELS]
    if kind == "JPEG":
        segments, at = [], 2
        while data[at + 1] != 0xDA:
            size = int.from_bytes(data[at + 2 : at + 4])
            if 0xE0 <= data[at + 1] <= 0xEF or data[at + 1] == 0xFE:
                segments.append((at + 4, at + 2 + size))
            at += 2 + size
        return segments
    starts = [data.index(name) for name in (b"EXIF", b"ICCP")]
    return [(at + 8, at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")) for at in starts]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_no_damage_to_metadata_refuses_or_changes_a_picture(tmp_path: Path, kind: str) -> None:
    data, rng = saved(kind), random.Random(3)
    plain = Image.open(io.BytesIO(data)).convert("RGB")
    turned = [np.asarray(plain), *(np.asarray(plain.transpose(way)) for way in Image.Transpose)]
    spots = places(data, kind)
    assert len(spots) >= 2
    for start, end in spots * 40:
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 3, 10])):
            damaged[rng.randrange(start, end)] = rng.randrange(256)
        (tmp_path / "a.jpg").write_bytes(damaged)
        got = np.asarray(loading.open_picture(tmp_path / "a.jpg"))
        assert any(np.array_equal(got, way) for way in turned)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damage_to_pixels_is_still_refused(tmp_path: Path, kind: str) -> None:
    data = saved(kind)
    (tmp_path / "a.png").write_bytes(data[: len(data) * 3 // 5])
    with pytest.raises(UsageError, match="not a picture that can be read"):
        loading.open_picture(tmp_path / "a.png")
    if kind == "PNG":
        at = data.index(b"IDAT") + 30
        (tmp_path / "a.png").write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(UsageError, match="not a picture that can be read"):
            loading.open_picture(tmp_path / "a.png")


def test_the_orientation_counts_beside_a_damaged_entry(tmp_path: Path) -> None:
    """An entry of a wrong type, which Pillow reads but cannot write back."""
    tags = bytearray(exif().tobytes())
    entry = tags.index(struct.pack("<HH", RESOLUTION, 5)) if tags[6:8] == b"II" else tags.index(b"\x01\x1a\x00\x05")
    tags[entry + 2 : entry + 4] = struct.pack("<H", 12) if tags[6:8] == b"II" else b"\x00\x0c"
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=bytes(tags))
    got = np.asarray(loading.open_picture(tmp_path / "a.png"))
    np.testing.assert_array_equal(got, np.asarray(Image.fromarray(PIXELS).transpose(Image.Transpose.ROTATE_270)))


def test_an_orientation_that_does_not_exist_is_none(tmp_path: Path) -> None:
    for value in (0, 9, 65535):
        Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif(value))
        np.testing.assert_array_equal(np.asarray(loading.open_picture(tmp_path / "a.png")), PIXELS)


def test_a_text_that_unpacks_to_an_absurd_size_is_left_alone(tmp_path: Path) -> None:
    data = saved("PNG")
    text = b"a\0\0" + zlib.compress(bytes(80 << 20))
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text + struct.pack(">I", zlib.crc32(b"zTXt" + text))
    at = data.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(data[:at] + chunk + data[at:])
    assert loading.open_picture(tmp_path / "a.png").size in {(40, 24), (24, 40)}
