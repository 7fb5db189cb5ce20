"""Zip archives of weights, read member by member within limits; the .npz files of NumPy are nothing else.

Nothing is ever written to disk, so a member named ../../x is only a name.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import math
import re
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.errors import UsageError
from edge_squeeze.weight_files.layers import (
    LARGEST_UNPACKED,
    NETWORK,
    PREPROCESSING,
    Allowance,
    Layers,
    Statements,
    add,
    float32,
    require_floats,
)

if TYPE_CHECKING:  # the guarded process has no need of Pillow
    from edge_squeeze.networks.design import Network
    from edge_squeeze.pictures.preprocessing import Preprocessing

MAGIC = b"PK\x03\x04"
DIRECTORY_ENTRY = b"PK\x01\x02"
LOCAL_HEADER_BYTES = 30  # without the name
MOST_MEMBERS = 20_000
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 1
PART = 1 << 20
NPY = ".npy"
LONGEST_STATEMENT = 1 << 16
LONGEST_HEADER = 1 << 14  # NumPy itself refuses more than 10,000 characters
# conv1/kernel, conv1.weight, conv1:W, conv1_b, and TensorFlow's conv1/kernel:0.
ARRAY_NAME = re.compile(r"(?P<layer>.+)[/.:_](?:(?P<kernel>kernel|weights?|W)|bias|b)(?::0)?", re.DOTALL)
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class Archive:
    """A zip archive whose directory was found sound; `sizes` are its members' unpacked bytes."""

    def __init__(self, data: bytes, name: str) -> None:
        """Read the directory of `data`; UsageError for what is damaged, encrypted or too large."""
        self.name = name
        # Counted before zipfile makes an object of each: 512 MB have room for eleven million.
        if data.count(DIRECTORY_ENTRY) > MOST_MEMBERS:
            raise UsageError(f"{name}: required a zip archive of at most {MOST_MEMBERS:,} members, got more.")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except Exception as error:  # a damaged directory makes zipfile raise more than BadZipFile
            raise UsageError(
                f"{name} is a damaged or truncated zip archive: {error}. Fetch or make it again."
            ) from error
        members = self._zip.infolist()
        _check(members, name)
        self.sizes = {member.filename: member.file_size for member in members}

    def read(self, member: str) -> bytearray:
        """The bytes of a member, its checksum verified; UsageError if it is missing or damaged."""
        if member not in self.sizes:
            raise UsageError(f"{self.name} lacks {member[:60]!r}, which it needs. Fetch or make it again.")
        size, content = self.sizes[member], bytearray()
        try:
            with self._zip.open(member) as file:
                # In parts: asked for all, zipfile inflates up to 2 GB before it looks at what was declared.
                while part := file.read(min(PART, size - len(content))):
                    content += part
        except Exception as error:  # zlib.error, EOFError, BadZipFile, NotImplementedError ...
            raise UsageError(f"{self.name} is damaged at its member {member[:60]!r}: {error}") from error
        if len(content) != size:
            raise UsageError(f"{self.name} is damaged: {member[:60]!r} has {len(content):,} bytes, declared {size:,}.")
        return content

    def read_json(self, member: str, longest: int) -> Any:
        """The parsed JSON in a member; UsageError if it has more than `longest` bytes, or is not JSON."""
        where, size = f"{self.name}: {member}", self.sizes[member]
        if size > longest:
            raise UsageError(f"{where} has {size:,} bytes; required at most {longest:,}.")
        return parsed(bytes(self.read(member)), where)


def parsed(content: bytes, where: str) -> Any:
    """The JSON in `content`; UsageError naming `where` if it is not JSON."""
    try:
        return json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not valid JSON: {str(error)[:100]}.") from error


def _check(members: list[zipfile.ZipInfo], name: str) -> None:
    unpacked = sum(member.file_size for member in members)
    if unpacked > LARGEST_UNPACKED:
        raise UsageError(f"{name}: required at most {LARGEST_UNPACKED:,} bytes unpacked, it declares {unpacked:,}.")
    if len({member.filename for member in members}) != len(members):
        raise UsageError(f"{name} has two members of the same name; required one.")
    for member in members:
        if member.flag_bits & ENCRYPTED or member.compress_type not in METHODS:
            raise UsageError(
                f"{name}: required a zip archive that is stored or deflated, without a password; "
                f"{member.filename[:60]!r} is not."
            )
    for member, following in itertools.pairwise(sorted(members, key=lambda member: member.header_offset)):
        if member.header_offset + LOCAL_HEADER_BYTES + member.compress_size > following.header_offset:
            raise UsageError(f"{name} is damaged: its members {member.filename[:60]!r} and the next one overlap.")


def recognizes(archive: Archive) -> bool:
    """Whether `archive` is an .npz file: every member an array, but for statements on the pictures and the network."""
    arrays = archive.sizes.keys() - {PREPROCESSING, NETWORK}
    return bool(arrays) and all(member.endswith(NPY) for member in arrays)


def read(archive: Archive) -> tuple[Layers, Statements]:
    """The layers of an .npz file, kernels [h,w,in,out]; an array of no layer is kept under its own name."""
    allowance = Allowance(archive.name)
    parts: dict[str, dict[str, NDArray[np.float32]]] = {}
    for member in (member for member in archive.sizes if member.endswith(NPY)):
        key = member.removesuffix(NPY)
        match = ARRAY_NAME.fullmatch(key)
        layer, part = (match["layer"], "kernel" if match["kernel"] else "bias") if match else (key, "kernel")
        arrays = parts.setdefault(re.sub(r"[/.:]", "_", layer), {})
        if part in arrays:
            raise UsageError(f"{archive.name} has two arrays for the {part} of {layer[:60]}; required one.")
        arrays[part] = _array(archive, member, allowance)
    layers: Layers = {}
    for layer, arrays in parts.items():
        add(layers, layer, [arrays[part] for part in ("kernel", "bias") if part in arrays], archive.name)
    members = [member for member in (PREPROCESSING, NETWORK) if member in archive.sizes]
    return layers, {member: archive.read_json(member, LONGEST_STATEMENT) for member in members}


def write(layers: Layers, prepared: Preprocessing, made_for: Network) -> bytes:
    """The bytes of an .npz file.

    Args:
        layers: Kernel [h,w,in,out] and bias [out] of each layer.
        prepared: How pictures were prepared in training.
        made_for: The network that the layers fill.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for layer, arrays in layers.items():
            for part, array in zip(("kernel", "bias"), arrays, strict=True):
                content = io.BytesIO()
                np.save(content, array)
                _add_member(archive, f"{layer}/{part}{NPY}", content.getvalue())
        for member, statement in ((PREPROCESSING, prepared), (NETWORK, made_for)):
            _add_member(archive, member, json.dumps(dataclasses.asdict(statement), indent=2).encode())
    return stream.getvalue()


def _add_member(archive: zipfile.ZipFile, member: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(member), content, zipfile.ZIP_DEFLATED)  # without the time, so that runs are equal


def _array(archive: Archive, member: str, allowance: Allowance) -> NDArray[np.float32]:
    """The array in a .npy member; not by np.load, which allocates what the header declares before it sees the size."""
    where = f"{archive.name}: {member[:60]}"
    content = archive.read(member)
    file = io.BytesIO(content[:LONGEST_HEADER])
    try:
        shape, by_column, dtype = HEADERS[np.lib.format.read_magic(file)](file)
    except Exception as error:  # the header is Python source, which can be wrong in many ways
        raise UsageError(f"{where} is not a NumPy array of version 1.0 or 2.0: {str(error)[:100]}") from error
    require_floats(dtype, where)
    size = len(content) - file.tell()
    if any(side < 0 for side in shape) or math.prod(shape) * dtype.itemsize != size:
        raise UsageError(f"{where} is damaged: it declares {dtype} {str(shape)[:100]}, and holds {size:,} bytes.")
    allowance.take(math.prod(shape), where)
    array = np.frombuffer(content, dtype, offset=file.tell())
    return float32(array.reshape(shape, order="F" if by_column else "C"), where)
