"""Reading and changing shared libraries (ELF, little endian, 32 and 64 bits)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

PT_LOAD, PT_DYNAMIC = 1, 2
DT_DEBUG = 0x15  # ignored in a library
# VERSYM, VERDEF, VERDEFNUM, VERNEED, VERNEEDNUM: the version of each symbol.
VERSION_TAGS = {0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF}


def alignment(library: bytes) -> int:
    """The largest page size in bytes that the library can be loaded with; ValueError if it is not one."""
    return min((align for kind, _, _, align in _segments(library) if kind == PT_LOAD), default=1)


def without_symbol_versions(library: bytes) -> bytes:
    """The library (64 bits) without the entries that ask for versions of symbols."""
    changed = bytearray(library)
    for kind, offset, size, _ in _segments(library):
        if kind == PT_DYNAMIC:
            for entry in range(offset, offset + size, 16):
                if struct.unpack_from("<Q", changed, entry)[0] in VERSION_TAGS:
                    struct.pack_into("<Q", changed, entry, DT_DEBUG)
    return bytes(changed)


def _segments(library: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Kind, offset, size and alignment of each segment."""
    if library[:4] != b"\x7fELF" or library[5:6] != b"\x01":
        raise ValueError("not a shared library (ELF, little endian)")
    try:
        if library[4] == 2:  # noqa: PLR2004 - the class of 64 bits
            start, size, count = *struct.unpack_from("<Q", library, 32), *struct.unpack_from("<HH", library, 54)
            for header in range(start, start + size * count, size):
                kind, _, offset, _, _, length, _, align = struct.unpack_from("<IIQQQQQQ", library, header)
                yield kind, offset, length, align
        else:
            start, size, count = *struct.unpack_from("<I", library, 28), *struct.unpack_from("<HH", library, 42)
            for header in range(start, start + size * count, size):
                kind, offset, _, _, length, _, _, align = struct.unpack_from("<IIIIIIII", library, header)
                yield kind, offset, length, align
    except struct.error as error:
        raise ValueError("a shared library that is truncated") from error
