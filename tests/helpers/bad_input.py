"""A corpus of bad input: files that are truncated, flipped, of the wrong kind, absurdly large, or meant to do harm.

Every case is made from a seed and its name, so that a failure can be had again; `python tests/helpers/bad_input.py`
lists them.
"""

from __future__ import annotations

import io
import json
import pickle
import random
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEAD = 2048  # bytes at a file's start, where its structure is told
TRUNCATED = (0, 1, 7, 64, 0.1, 0.5, 0.9, -1)  # bytes to keep, or the part of them; -1: all but the last


@dataclass(frozen=True)
class Mutation:
    """One way to spoil a file."""

    name: str
    apply: Callable[[bytes], bytes]


def truncated(keep: float) -> Mutation:
    def apply(data: bytes) -> bytes:
        return data[: int(len(data) * keep) if isinstance(keep, float) else keep]

    return Mutation(f"truncated-{keep}", apply)


def flipped(seed: int, start: float, stop: float, bits: int) -> Mutation:
    """Some bits turned, between the parts `start` and `stop` of the file (as bytes where they are whole numbers)."""

    def apply(data: bytes) -> bytes:
        rng, spoilt = random.Random(seed), bytearray(data)
        low, high = (int(len(data) * end) if isinstance(end, float) else min(end, len(data)) for end in (start, stop))
        for _ in range(bits):
            spoilt[rng.randrange(low, max(high, low + 1))] ^= 1 << rng.randrange(8)
        return bytes(spoilt)

    return Mutation(f"flipped-{start}-{stop}-{seed}", apply)


def overwritten(seed: int, value: int, length: int) -> Mutation:
    def apply(data: bytes) -> bytes:
        at = random.Random(seed).randrange(max(1, min(len(data), HEAD) - length))
        return data[:at] + bytes([value]) * length + data[at + length :]

    return Mutation(f"overwritten-{value:02x}-{seed}", apply)


def appended(what: bytes) -> Mutation:
    return Mutation(f"appended-{len(what)}", lambda data: data + what)


def replaced(name: str, by: bytes) -> Mutation:
    return Mutation(name, lambda _: by)


def widened(side: int) -> Mutation:
    """Pictures of 227 x 227 declared to have another side, in a .tflite file and in an .onnx file."""

    def apply(data: bytes) -> bytes:
        old, new = (b"".join(n.to_bytes(4, "little") for n in (1, s, s, 3)) for s in (227, side))
        return data.replace(old, new).replace(b"\x08\xe3\x01", b"\x08\xff\x7f")  # 227 and 16,383 as varints

    return Mutation(f"widened-{side}", apply)


FLIPS = tuple(flipped(seed, 0, HEAD, 4) for seed in range(4)) + tuple(flipped(seed, 0.9, 1.0, 4) for seed in range(4))
WRITES = tuple(overwritten(seed, value, 8) for seed in range(2) for value in (0, 0xFF))
OTHERS = (
    replaced("text", b"this is no such file\n" * 10),
    replaced("png", b"\x89PNG\r\n\x1a\n" + bytes(64)),
    replaced("zeros", bytes(5000)),
    appended(b"more"),
)
MUTATIONS = (*(truncated(keep) for keep in TRUNCATED), *FLIPS, *WRITES, *OTHERS)


class Hostile:
    """Pickles to a call that leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def bomb(name: str, declared: int) -> bytes:
    """A zip whose only member says that it unpacks to `declared` bytes, and begins to."""
    data = zipped({name: bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    size, lie = (50_000_000).to_bytes(4, "little"), min(declared, 0xFFFFFFFE).to_bytes(4, "little")
    return data.replace(size, lie)


def npy(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    """An .npy file that declares `shape` and holds four bytes."""
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(4)


def hostile_weights(trace: Path) -> Iterator[tuple[str, bytes]]:
    """Weights files that are well formed, as far as it goes, and meant to do harm."""
    for protocol in (0, 2, 4, 5):
        yield f"code-{protocol}.pkl", pickle.dumps({"conv1": Hostile(trace)}, protocol=protocol)
    code = pickle.dumps({"features.0.weight": Hostile(trace)}, protocol=2)
    yield "code.pth", zipped({"archive/data.pkl": code, "archive/version": b"3"})
    yield "code.npz", zipped({"conv1/kernel.npy": npy((1,), "|O") + code})
    yield "deep.pkl", b"\x80\x04" + b"]" * 200_000 + b"a" * 199_999 + b"."
    yield "long.pkl", b"\x80\x05\x96" + (1 << 60).to_bytes(8, "little") + b"x."
    for name in ("conv1/kernel.npy", "model.weights.h5", "archive/data.pkl"):
        suffix = {"npy": "npz", "h5": "keras", "pkl": "pth"}[name.rpartition(".")[2]]
        yield f"bomb.{suffix}", bomb(name, 4 << 30)
    for shape in ((10**12,), (10**6, 10**6, 10), (-1,), (1 << 62, 4)):
        yield (
            f"shape-{len(shape)}-{shape[0]}.npz",
            zipped({"conv1/kernel.npy": npy(shape), "conv1/bias.npy": npy((1,))}),
        )
    yield "outside.npz", zipped({"../../conv1/kernel.npy": npy((1,)), "/etc/passwd.npy": npy((1,))})
    yield "empty.zip", zipped({})
    yield "many.npz", zipped({f"layer{i}/kernel.npy": npy((1,)) for i in range(20_000)})


def hostile_text() -> Iterator[tuple[str, bytes]]:
    """Files that no JSON or text reader should choke on."""
    yield "empty", b""
    yield "deep", b"[" * 100_000
    yield "nul", b"\0" * 1000
    yield "utf-16", "labels".encode("utf-16")
    yield "latin-1", b"caf\xe9\n" * 1000
    yield "half-a-character", b"abc\xf0\x9f"
    yield "large", b"a" * (100 << 20)
    yield "number", b"1" * 100_000
    yield "nan", b"NaN"
    yield "list", b"[]"
    yield "null", b"null"
    yield "string", b'"model"'


WRONG = (None, True, -1, 0, 10**30, 1e308, "", "../../../etc/passwd", "/etc/passwd", "a" * 5000, [], [[]], {}, {"a": 1})


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the values of a JSON document are, the containers among them."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> bytes:
    """The JSON of `document` with the value at `path` replaced."""
    copy = json.loads(json.dumps(document))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(copy).encode()


def wrong_documents(document: Any, count: int) -> Iterator[tuple[str, bytes]]:
    """`count` copies of a JSON document, each with another value of another kind, the places taken in turn."""
    rng = random.Random(0)
    places = list(paths(document))
    rng.shuffle(places)
    for i in range(count):
        path, value = places[i % len(places)], WRONG[(i * 5 + i // len(places)) % len(WRONG)]
        yield f"{'.'.join(map(str, path))}={str(value)[:20]}".replace("/", "_"), changed(document, path, value)


def zeros_packed(size: int, times: int) -> bytes:
    """What zlib makes of `size` zeros, `times` over, without packing the same again: gigabytes take no time."""
    packer = zlib.compressobj(9, wbits=-15)  # without a checksum, which that of zeros replaces
    block = packer.compress(bytes(size)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = size * times % 65521 << 16 | 1
    return b"\x78\xda" + block * times + packer.flush() + checksum.to_bytes(4, "big")


def png(width: int, height: int, color: int, depth: int = 8, rows: int = 1) -> bytes:
    """A PNG that declares a size and holds `rows` of it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    channels = {0: 1, 2: 3, 6: 4}[color]
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([depth, color, 0, 0, 0])
    data = zeros_packed(1 + width * channels * depth // 8, rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def hostile_pictures() -> Iterator[tuple[str, bytes]]:
    """Pictures whose headers promise what no memory holds, or that unpack to as much as is let through."""
    for side in (2**31 - 1, 100_000, 20_000):
        yield f"declared-{side}.png", png(side if side < 10**6 else 1, side, 2)
    for name, color, depth in (("grey16", 0, 16), ("rgb", 2, 8), ("rgba", 6, 8)):
        yield f"large-{name}.png", png(11_300, 11_300, color, depth, rows=11_300)  # the largest that is let through
        yield f"larger-{name}.png", png(13_000, 13_500, color, depth, rows=13_500)
    yield "line.png", png(60_000, 1, 2)
    yield (
        "huge.bmp",
        b"BM"
        + (54).to_bytes(4, "little")
        + bytes(4)
        + (54).to_bytes(4, "little")
        + (
            (40).to_bytes(4, "little")
            + (2**31 - 1).to_bytes(4, "little") * 2
            + (1).to_bytes(2, "little")
            + (24).to_bytes(2, "little")
            + bytes(24)
        ),
    )
