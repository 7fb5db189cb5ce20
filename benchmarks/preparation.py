"""What has to be there before the first launch, and what is read of the files after the last one."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze.artifact import folder as artifact
from edge_squeeze.artifact.manifest import Manifest
from edge_squeeze.benchmarks.arms import Arm
from edge_squeeze.benchmarks.launches.records import PIXELS
from edge_squeeze.engines import ncnn_engine
from edge_squeeze.errors import ConversionError, EdgeSqueezeError, UsageError
from edge_squeeze.formats import FORMATS
from edge_squeeze.inspection.inspector import Inspection, inspect
from edge_squeeze.networks.variants import SAME, VARIANTS, Pool
from edge_squeeze.pictures.loading import list_pictures, open_picture

NCNN = "ncnn"
FEWEST_PICTURES = 2
MOSTLY = 0.95
EXPONENT, MANTISSA = np.uint32(0x7F800000), np.uint32(0x007FFFFF)  # of float32


@dataclass
class Ready:
    """Arms as they can be launched, those that cannot, and the files that receive their outputs."""

    arms: list[Arm]
    failures: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)


def prepare(arms: Sequence[Arm], pictures: Path | None, folder: Path) -> Ready:
    """`arms` with their inputs in files and their models in the format of their engine, all below `folder`."""
    ready = Ready([])
    for at, arm in enumerate(arms):
        own = folder / str(at)
        own.mkdir()
        ready.outputs[arm.id] = str(own / "outputs.npy")
        fed = arm if pictures is None else _with_pictures(arm, pictures, own / "inputs.npy")
        try:
            ready.arms.append(_for_ncnn(fed, own) if arm.engine == NCNN else fed)
        except ConversionError as error:
            ready.failures[arm.id] = str(error)
            ready.arms.append(fed)
    return ready


def _with_pictures(arm: Arm, pictures: Path, path: Path) -> Arm:
    if arm.inputs.kind != PIXELS:
        raise UsageError(
            f"--inputs takes pictures to artifacts alone: {arm.name} does not say what its pixels must go through."
        )
    height, width = arm.pixels
    preprocessing = artifact.load(Path(arm.path)).manifest.preprocessing.at((height, width))
    found = list_pictures(pictures)[: arm.inputs.count]
    if len(found) < FEWEST_PICTURES:
        raise UsageError(f"--inputs needs at least {FEWEST_PICTURES} pictures, got {len(found)} in {pictures}.")
    pixels = np.stack([preprocessing.pixels(open_picture(file)) for file in found])
    np.save(path, pixels)
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    inputs = dataclasses.replace(arm.inputs, count=len(found), path=str(path), source=str(pictures), sha256=digest)
    return dataclasses.replace(arm, inputs=inputs)


def _for_ncnn(arm: Arm, folder: Path) -> Arm:
    """Pnnx has made the file that ncnn loads; ncnn's own does not tell its input's shape, so it is read here."""
    made = ncnn_engine.convert(Path(arm.path), folder)
    if arm.inputs.kind == PIXELS and _pads_pools_by_size(artifact.load(Path(arm.path)).manifest):
        raise ConversionError(
            f"{arm.name} takes pictures of any size, and pnnx drops the padding of its max pools, so ncnn would "
            "compute another network. Export it with a fixed --input-size."
        )
    if arm.shapes:
        return dataclasses.replace(arm, path=str(made))
    found = inspect(Path(arm.path).read_bytes(), arm.format)
    shapes = [[side or 1 for side in one.shape or ()] for one in found.inputs]
    return dataclasses.replace(arm, path=str(made), shapes=shapes)


def _pads_pools_by_size(manifest: Manifest) -> bool:
    """Whether the file leaves it to the engine how max pools are padded (squeezenet-mlt: scores off by 0.3 in ncnn)."""
    stages = VARIANTS[manifest.variant].stages if manifest.variant in VARIANTS else ()
    return manifest.any_size and any(isinstance(stage, Pool) and stage.padding == SAME for stage in stages)


def inspections(arms: Sequence[Arm]) -> dict[str, Inspection]:
    """What each file holds, by its sha256; without those that cannot be looked into here."""
    found: dict[str, Inspection] = {}
    for arm in arms:
        if arm.sha256 not in found:
            try:
                found[arm.sha256] = inspect(Path(arm.path).read_bytes(), arm.format)
            except (EdgeSqueezeError, OSError):  # protobuf is not there, or the engine reads what we do not
                continue
    return found


def facts(found: Inspection) -> dict[str, Any]:
    """What a result keeps of an inspection."""
    return {
        "parameters": found.parameters,
        "macs": found.macs,
        "convolutions": found.convolutions,
        "float_fallbacks": found.float_fallbacks,
        "float_islands": found.float_islands,
        "deflated_bytes": found.deflated_bytes,
        "float32_weights": _is_float32(found),
    }


def _is_float32(found: Inspection) -> bool:
    """Whether nearly all of the file are weights in float32, so that its words can be taken for them."""
    return set(found.weight_types) == {"float32"} and found.parameters * 4 >= MOSTLY * found.size_bytes


def denormals(arm: Arm) -> float | None:
    """The share of the words of a file of float32 weights that are below float32's normal range and not 0.

    None for .onnx files, where tensors begin at any byte and a word may hold the ends of two numbers.
    """
    if not FORMATS[arm.format].aligned:
        return None
    data = Path(arm.path).read_bytes()
    words = np.frombuffer(data[: len(data) // 4 * 4], "<u4")
    return float((((words & EXPONENT) == 0) & ((words & MANTISSA) != 0)).mean()) if len(words) else None
