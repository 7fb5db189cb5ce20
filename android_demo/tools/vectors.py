#!/usr/bin/env python3
"""Write pictures, and the pixels that Python's preprocessing computes from them, to compare with the app's.

Usage: python vectors.py DIR. It writes DIR/vectors.json, a list of cases: `picture`, `pixels` (uint8 RGB [H,W,3]),
`preprocessing` as in model.json, and `tolerance`: how much a value may differ because decoders do.
"""

from __future__ import annotations

import dataclasses
import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from edge_squeeze.pictures.filters import BILINEAR, FILTERS
from edge_squeeze.pictures.loading import open_picture, photograph
from edge_squeeze.pictures.preprocessing import STRETCH, Preprocessing

RULES = {
    "crop": Preprocessing(short_side=256, crop=(227, 227)),
    "stretch": Preprocessing(short_side=224, crop=(160, 224), resize=STRETCH),
    "padded": Preprocessing(short_side=97, crop=(64, 97), pad=(1, 2, 3, 4), pad_value=(104, 117, 124)),
    "one": Preprocessing(short_side=1, crop=(1, 1)),
    **{name: Preprocessing(short_side=230, crop=(160, 224), filter=name) for name in FILTERS if name != BILINEAR},
}
SIZES = [(37, 53), (53, 37), (227, 227), (256, 256), (255, 257), (640, 481), (1, 1), (1, 40), (301, 2), (999, 333)]
TOLERANCES = {".jpg": 2, "gray-16.png": 1}  # 16 bits: Android drops the lower 8, Python rounds
BICUBIC_SPREAD = 2  # a difference of 1 or 2 in what was decoded grows by 1.25 and is rounded, along rows and columns
LARGE = (4000, 3000)  # 12 megapixels

# Columns of Display P3's matrix to XYZ, adapted to the D50 white of profiles (ICC.1:2010, 7.2.16, and SMPTE EG 432-1).
P3_PRIMARIES = {
    "r": (0.515102, 0.241182, -0.001050),
    "g": (0.291965, 0.692236, 0.041882),
    "b": (0.157153, 0.066582, 0.784378),
}
P3_WHITE = (0.964203, 1.0, 0.824905)
# sRGB's curve as a parametric one of type 3: ((x * a + b) ** gamma above d, x * c below).
P3_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
PROFILE_HEADER_BYTES, PROFILE_ENTRY_BYTES = 128, 12


def main(out: Path) -> None:
    """Write all cases into `out`."""
    cases = [case for name, picture, options in pictures() for case in _write(out, name, picture, options)]
    (out / "vectors.json").write_text(json.dumps(cases, indent=1) + "\n")
    sys.stdout.write(f"{len(cases)} cases of {len({case['picture'] for case in cases})} pictures in {out}\n")


def pictures() -> Iterator[tuple[str, Image.Image, dict[str, Any]]]:
    """The file name, the content and the options for saving of each picture."""
    for width, height in SIZES:
        yield f"{width}x{height}.png", _photograph(width, height), {}
    yield "noise.png", _noise(201, 133), {}
    yield from _modes()
    yield "wide-color.png", _photograph(211, 143), {"icc_profile": display_p3()}
    yield "wide-color.jpg", _photograph(211, 143), {"icc_profile": display_p3()}
    yield "photo.webp", _photograph(211, 143), {"lossless": True}
    yield "photo.bmp", _photograph(211, 143), {}
    for tag in range(1, 9):
        yield f"exif-{tag}.png", _photograph(173, 131), {"exif": _exif(tag)}
        yield f"exif-{tag}.jpg", _photograph(173, 131), {"exif": _exif(tag), "quality": 90}
    yield "photo.jpg", _photograph(500, 375), {"quality": 75}
    yield "full-color.jpg", _photograph(501, 333), {"quality": 95, "subsampling": 0}
    yield "progressive.jpg", _photograph(301, 403), {"progressive": True}
    yield "gray.jpg", _photograph(301, 403).convert("L"), {}
    yield "large.jpg", _photograph(*LARGE), {"exif": _exif(6), "quality": 85}


def _modes() -> Iterator[tuple[str, Image.Image, dict[str, Any]]]:
    photo = _photograph(211, 143)
    ramp = Image.fromarray(np.tile(np.arange(211, dtype=np.uint8), (143, 1)))
    yield "gray.png", photo.convert("L"), {}
    yield "black-and-white.png", photo.convert("1"), {}
    yield "palette.png", photo.convert("P"), {}
    yield "photo.gif", photo.convert("P"), {}
    yield "palette-transparent.png", photo.convert("P"), {"transparency": 7}
    clear = photo.copy()
    clear.putalpha(ramp)
    yield "transparent.png", clear, {}
    yield "gray-transparent.png", clear.convert("LA"), {}
    wide = np.asarray(photo.convert("L")).astype(np.uint16) * 251 + np.arange(211, dtype=np.uint16)
    yield "gray-16.png", Image.fromarray(wide), {}


def _photograph(width: int, height: int) -> Image.Image:
    return photograph("coffee").resize((width, height), Image.Resampling.BICUBIC)


def _noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8))


def _exif(tag: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = tag
    return exif


def _write(out: Path, name: str, picture: Image.Image, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    file = out / "pictures" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file, **options)
    opened, tolerance = open_picture(file), TOLERANCES.get(name, TOLERANCES.get(file.suffix, 0))
    for rule, preprocessing in RULES.items():
        pixels = out / "pixels" / f"{name}-{rule}.rgb"
        pixels.parent.mkdir(exist_ok=True)
        pixels.write_bytes(preprocessing.pixels(opened).tobytes())
        yield {
            "picture": str(file.relative_to(out)),
            "pixels": str(pixels.relative_to(out)),
            "preprocessing": dataclasses.asdict(preprocessing),
            "tolerance": tolerance and tolerance + BICUBIC_SPREAD * (preprocessing.filter == "bicubic"),
        }


def display_p3() -> bytes:
    """The ICC profile, version 4, of Display P3, the color space in which many phones take pictures."""
    curve = b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + b"".join(map(_fixed, P3_CURVE))
    tags = {b"desc": _text("Display P3"), b"cprt": _text("CC0"), b"wtpt": _xyz(P3_WHITE)}
    for color, column in P3_PRIMARIES.items():
        tags[f"{color}XYZ".encode()] = _xyz(column)
        tags[f"{color}TRC".encode()] = curve
    table, body = struct.pack(">I", len(tags)), b""
    start = PROFILE_HEADER_BYTES + len(table) + PROFILE_ENTRY_BYTES * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    return _header(start + len(body)) + table + body


def _header(size: int) -> bytes:
    fields = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    return (fields + b"\0" * 12 + b"acsp").ljust(68, b"\0") + b"".join(map(_fixed, P3_WHITE)) + b"\0" * 48


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(encoded), 28) + encoded


if __name__ == "__main__":
    main(Path(sys.argv[1]))
