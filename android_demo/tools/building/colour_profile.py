"""The colour profile with which many phones tag their pictures, made from its published numbers."""

from __future__ import annotations

import struct

# Columns of Display P3's matrix to XYZ, adapted to the D50 white of profiles (ICC.1:2010, 7.2.16, and SMPTE EG 432-1).
PRIMARIES = {
    "r": (0.515102, 0.241182, -0.001050),
    "g": (0.291965, 0.692236, 0.041882),
    "b": (0.157153, 0.066582, 0.784378),
}
WHITE = (0.964203, 1.0, 0.824905)
# sRGB's curve as a parametric one of type 3: ((x * a + b) ** gamma above d, x * c below).
CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
HEADER_BYTES, ENTRY_BYTES = 128, 12


def display_p3() -> bytes:
    """An ICC profile, version 4, that says Display P3."""
    curve = b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + b"".join(map(_fixed, CURVE))
    tags = {b"desc": _text("Display P3"), b"cprt": _text("CC0"), b"wtpt": _xyz(WHITE)}
    for colour, column in PRIMARIES.items():
        tags[f"{colour}XYZ".encode()] = _xyz(column)
        tags[f"{colour}TRC".encode()] = curve
    table, body = struct.pack(">I", len(tags)), b""
    start = HEADER_BYTES + len(table) + ENTRY_BYTES * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    return _header(start + len(body)) + table + body


def _header(size: int) -> bytes:
    fields = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    return (fields + b"\0" * 12 + b"acsp").ljust(68, b"\0") + b"".join(map(_fixed, WHITE)) + b"\0" * 48


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(encoded), 28) + encoded
