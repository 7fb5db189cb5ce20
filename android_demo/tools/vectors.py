#!/usr/bin/env python3
"""Writes pictures, and the pixels that Python's preprocessing makes of them: what the app's must make of them, too.

Usage: python vectors.py DIR. It leaves DIR/vectors.json, a list of cases: `picture`, `pixels` (uint8 RGB [H,W,3]),
`preprocessing` as in model.json, and `tolerance`: how far a value may be off because decoders differ.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from building import colour_profile
from PIL import ExifTags, Image

from edge_squeeze.pictures.loading import open_picture
from edge_squeeze.pictures.photographs import photograph
from edge_squeeze.pictures.preprocessing import STRETCH, Preprocessing

RULES = {
    "crop": Preprocessing(short_side=256, crop=(227, 227)),
    "stretch": Preprocessing(short_side=224, crop=(160, 224), resize=STRETCH),
    "padded": Preprocessing(short_side=97, crop=(64, 97), pad=(1, 2, 3, 4), pad_value=(104, 117, 124)),
    "one": Preprocessing(short_side=1, crop=(1, 1)),
}
SIZES = [(37, 53), (53, 37), (227, 227), (256, 256), (255, 257), (640, 481), (1, 1), (1, 40), (301, 2), (999, 333)]
TOLERANCES = {".jpg": 2, "grey-16.png": 1}  # 16 bits: Android drops the lower 8, Python rounds
LARGE = (4000, 3000)  # 12 megapixels


def main(out: Path) -> None:
    """Write all cases into `out`."""
    cases = [case for name, picture, options in pictures() for case in _write(out, name, picture, options)]
    (out / "vectors.json").write_text(json.dumps(cases, indent=1) + "\n")
    sys.stdout.write(f"{len(cases)} cases of {len({case['picture'] for case in cases})} pictures in {out}\n")


def pictures() -> Iterator[tuple[str, Image.Image, dict[str, Any]]]:
    """Each picture's file name, content, and how it is saved."""
    for width, height in SIZES:
        yield f"{width}x{height}.png", _photograph(width, height), {}
    yield "noise.png", _noise(201, 133), {}
    yield from _modes()
    yield "wide-colour.png", _photograph(211, 143), {"icc_profile": colour_profile.display_p3()}
    yield "wide-colour.jpg", _photograph(211, 143), {"icc_profile": colour_profile.display_p3()}
    yield "photo.webp", _photograph(211, 143), {"lossless": True}
    yield "photo.bmp", _photograph(211, 143), {}
    for tag in range(1, 9):
        yield f"exif-{tag}.png", _photograph(173, 131), {"exif": _exif(tag)}
        yield f"exif-{tag}.jpg", _photograph(173, 131), {"exif": _exif(tag), "quality": 90}
    yield "photo.jpg", _photograph(500, 375), {"quality": 75}
    yield "full-colour.jpg", _photograph(501, 333), {"quality": 95, "subsampling": 0}
    yield "progressive.jpg", _photograph(301, 403), {"progressive": True}
    yield "grey.jpg", _photograph(301, 403).convert("L"), {}
    yield "large.jpg", _photograph(*LARGE), {"exif": _exif(6), "quality": 85}


def _modes() -> Iterator[tuple[str, Image.Image, dict[str, Any]]]:
    photo = _photograph(211, 143)
    ramp = Image.fromarray(np.tile(np.arange(211, dtype=np.uint8), (143, 1)))
    yield "grey.png", photo.convert("L"), {}
    yield "black-and-white.png", photo.convert("1"), {}
    yield "palette.png", photo.convert("P"), {}
    yield "photo.gif", photo.convert("P"), {}
    yield "palette-transparent.png", photo.convert("P"), {"transparency": 7}
    clear = photo.copy()
    clear.putalpha(ramp)
    yield "transparent.png", clear, {}
    yield "grey-transparent.png", clear.convert("LA"), {}
    wide = np.asarray(photo.convert("L")).astype(np.uint16) * 251 + np.arange(211, dtype=np.uint16)
    yield "grey-16.png", Image.fromarray(wide), {}


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
    seen = open_picture(file)
    for rule, preprocessing in RULES.items():
        pixels = out / "pixels" / f"{name}-{rule}.rgb"
        pixels.parent.mkdir(exist_ok=True)
        pixels.write_bytes(preprocessing.pixels(seen).tobytes())
        yield {
            "picture": str(file.relative_to(out)),
            "pixels": str(pixels.relative_to(out)),
            "preprocessing": dataclasses.asdict(preprocessing),
            "tolerance": TOLERANCES.get(name, TOLERANCES.get(file.suffix, 0)),
        }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
