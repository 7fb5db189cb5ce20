"""NumPy's .npz files of LAYER/kernel and LAYER/bias, which may tell their network and how pictures were prepared."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import re
import zipfile
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import decode
from edge_squeeze.networks.design import Network
from edge_squeeze.pictures.preprocessing import Preprocessing
from edge_squeeze.weight_files.archives import Archive
from edge_squeeze.weight_files.layers import Allowance, Layers, add, float32, require_floats
from edge_squeeze.weight_files.told import Told

T = TypeVar("T")
ENDING = ".npy"
PREPROCESSING = "preprocessing.json"  # as in model.json
NETWORK = "network.json"  # Network
LONGEST_TOLD = 1 << 16
COLORS = 3
LONGEST_HEADER = 1 << 14  # NumPy itself refuses more than 10,000 characters
# conv1/kernel, conv1.weight, conv1:W, conv1_b, and TensorFlow's conv1/kernel:0.
ARRAY_NAME = re.compile(r"(?P<layer>.+)[/.:_](?:(?P<kernel>kernel|weights?|W)|bias|b)(?::0)?", re.DOTALL)
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def recognizes(archive: Archive) -> bool:
    """Whether every member is an array, but for those that tell of the pictures and the network."""
    arrays = archive.sizes.keys() - {PREPROCESSING, NETWORK}
    return bool(arrays) and all(member.endswith(ENDING) for member in arrays)


def read(archive: Archive) -> Layers:
    """The layers of an .npz file, kernels [h,w,in,out]; an array of no layer is kept under its own name."""
    allowance = Allowance(archive.name)
    found: dict[str, dict[str, NDArray[np.float32]]] = {}
    for member in (member for member in archive.sizes if member not in (PREPROCESSING, NETWORK)):
        key = member.removesuffix(ENDING)
        match = ARRAY_NAME.fullmatch(key)
        layer, part = (match["layer"], "kernel" if match["kernel"] else "bias") if match else (key, "kernel")
        arrays = found.setdefault(re.sub(r"[/.:]", "_", layer), {})
        if part in arrays:
            raise UsageError(f"{archive.name} has two arrays for the {part} of {layer[:60]}; required one.")
        arrays[part] = _array(archive, member, allowance)
    layers: Layers = {}
    for layer, arrays in found.items():
        add(layers, layer, [arrays[part] for part in ("kernel", "bias") if part in arrays], archive.name)
    return layers


def told(archive: Archive) -> Told:
    """How pictures were prepared, and which network an .npz file says it is for."""
    prepared = _json(archive, PREPROCESSING, Preprocessing)
    if prepared is not None and prepared.baked.channels != COLORS:
        where = f"{archive.name}: {PREPROCESSING}"
        raise UsageError(f"{where}: required an order of {COLORS} channels, got {prepared.baked.order}.")
    return Told(prepared, _json(archive, NETWORK, Network))


def _json(archive: Archive, member: str, kind: type[T]) -> T | None:
    """What the JSON in `member` says, as `kind`; None without it."""
    if member not in archive.sizes:
        return None
    found = decode(kind, archive.read_json(member, LONGEST_TOLD), f"{archive.name}: {member}")
    assert isinstance(found, kind)
    return found


def write(layers: Layers, prepared: Preprocessing, made_for: Network) -> bytes:
    """The bytes of a file of `layers` (kernel and bias each), that says how pictures were prepared and for what."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for layer, arrays in layers.items():
            for part, array in zip(("kernel", "bias"), arrays, strict=True):
                content = io.BytesIO()
                np.save(content, array)
                _add(archive, f"{layer}/{part}{ENDING}", content.getvalue())
        for member, told in ((PREPROCESSING, prepared), (NETWORK, made_for)):
            _add(archive, member, json.dumps(dataclasses.asdict(told), indent=2).encode())
    return stream.getvalue()


def _add(archive: zipfile.ZipFile, member: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(member), content, zipfile.ZIP_DEFLATED)  # without the time, so that runs are equal


def _array(archive: Archive, member: str, allowance: Allowance) -> NDArray[np.float32]:
    """One .npy member; not by np.load, which allocates what the header declares before it looks at the size."""
    where = f"{archive.name}: {member[:60]}"
    content = archive.read(member)
    file = io.BytesIO(content[:LONGEST_HEADER])
    try:
        shape, by_column, dtype = HEADERS[np.lib.format.read_magic(file)](file)
    except Exception as error:  # the header is Python source, which can be wrong in many ways
        raise UsageError(f"{where} is no NumPy array of version 1.0 or 2.0: {str(error)[:100]}") from error
    require_floats(dtype, where)
    _check_size(shape, dtype, len(content) - file.tell(), where)
    allowance.take(math.prod(shape), where)
    array = np.frombuffer(content, dtype, offset=file.tell())
    return float32(array.reshape(shape, order="F" if by_column else "C"), where)


def _check_size(shape: tuple[int, ...], dtype: np.dtype[Any], held: int, where: str) -> None:
    declared = math.prod(shape) * dtype.itemsize
    if any(side < 0 for side in shape) or declared != held:
        raise UsageError(f"{where} is damaged: it declares {dtype} {str(shape)[:100]}, and holds {held:,} bytes.")
