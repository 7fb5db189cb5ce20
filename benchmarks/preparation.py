"""What has to be there before the first launch, and what the outputs say after the last one."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.artifact.manifest import Manifest
from edge_squeeze.benchmarks.arms import Arm
from edge_squeeze.benchmarks.launch_records import PIXELS
from edge_squeeze.engines import ncnn_engine
from edge_squeeze.engines.engine import Tensor
from edge_squeeze.engines.runner import to_scores
from edge_squeeze.errors import ConversionError, UsageError
from edge_squeeze.networks.variants import SAME, VARIANTS, Pool
from edge_squeeze.pictures.listing import left_out, list_pictures
from edge_squeeze.pictures.loading import open_picture, refuse, skipped, unreadable
from edge_squeeze.proof import parity

NCNN = "ncnn"
FEWEST_PICTURES = 2
FLOAT32 = "float32"
UNKNOWN = "unknown"


@dataclass
class Ready:
    """Arms as they can be launched, those that cannot, and the files that receive their outputs."""

    arms: list[Arm]
    failures: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Correctness:
    """`gate` is the verdict of the artifact's own proof, "unknown" for a file without one.

    The rest compares outputs on this session's inputs with those of `reference`, the float32 arm of the same network.
    It is given for real pictures only: on noise, agreement proves nothing. `sha256` is that of the model file that all
    this is about; older results do not say it.
    """

    gate: str
    reference: str | None = None
    top1_agree: float | None = None
    cosine: float | None = None
    max_abs: float | None = None
    sha256: str | None = None


def prepare(arms: Sequence[Arm], pictures: Path | None, folder: Path, *, skip_unreadable: bool = False) -> Ready:
    """`arms` with their inputs in files and their models in the format of their engine, all below `folder`."""
    ready, files = Ready([]), [] if pictures is None else list_pictures(pictures)
    if pictures is not None:
        files, notes = _readable(files, max(arm.inputs.count for arm in arms), pictures, skip=skip_unreadable)
        ready.notes += [*left_out(pictures), *notes]
    for at, arm in enumerate(arms):
        own = folder / str(at)
        own.mkdir()
        ready.outputs[arm.id] = str(own / "outputs.npy")
        fed = arm if pictures is None else _with_pictures(arm, files, pictures, own / "inputs.npy")
        try:
            ready.arms.append(_for_ncnn(fed, own) if arm.engine == NCNN else fed)
        except ConversionError as error:
            ready.failures[arm.id] = str(error)
            ready.arms.append(fed)
    return ready


def _readable(files: list[Path], count: int, path: Path, *, skip: bool) -> tuple[list[Path], list[str]]:
    """The first `count` of `files` that can be read, and what to say of others; UsageError names them if not `skip`."""
    problems = unreadable(files if skip else files[:count])
    if not skip:
        refuse(problems)
    return [file for file in files if file not in problems][:count], skipped(problems, files, path)


def _with_pictures(arm: Arm, readable: Sequence[Path], pictures: Path, path: Path) -> Arm:
    manifest = _manifest(arm)
    if manifest is None:
        raise UsageError(
            f"--inputs feeds pictures to artifacts only: {arm.name} does not say how its pixels are preprocessed. "
            "Give the folder that `export` left, or leave --inputs out."
        )
    height, width = arm.pixels
    preprocessing = manifest.preprocessing.at((height, width))
    files = readable[: arm.inputs.count]
    if len(files) < FEWEST_PICTURES:
        raise UsageError(f"--inputs needs at least {FEWEST_PICTURES} pictures, got {len(files)} in {pictures}.")
    pixels = np.stack([preprocessing.pixels(open_picture(file)) for file in files])
    np.save(path, pixels)
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    inputs = dataclasses.replace(arm.inputs, count=len(files), path=str(path), source=str(pictures), sha256=digest)
    return dataclasses.replace(arm, inputs=inputs)


def _for_ncnn(arm: Arm, folder: Path) -> Arm:
    """The arm with the file that pnnx makes for ncnn; that file lacks the input's shape, so it is read here."""
    param = ncnn_engine.convert(Path(arm.path), folder)
    if (manifest := _manifest(arm)) and _pads_pools_by_size(manifest):
        raise ConversionError(
            f"{arm.name} takes pictures of any size, and pnnx drops the padding of its max pools, so ncnn would "
            "compute another network. Export it with a fixed --input-size."
        )
    shapes = arm.shapes
    if not shapes and arm.model:
        shapes = [[side or 1 for side in tensor.shape or ()] for tensor in arm.model.inspection.inputs]
    return dataclasses.replace(arm, path=str(param), shapes=shapes)


def _manifest(arm: Arm) -> Manifest | None:
    return arm.model.manifest if arm.model and arm.inputs.kind == PIXELS else None


def _pads_pools_by_size(manifest: Manifest) -> bool:
    """Whether the file leaves it to the engine how max pools are padded (squeezenet-mlt: scores off by 0.3 in ncnn)."""
    stages = VARIANTS[manifest.variant].stages if manifest.variant in VARIANTS else ()
    return manifest.any_size and any(isinstance(stage, Pool) and stage.padding == SAME for stage in stages)


def judge_outputs(arms: Sequence[Arm], outputs: Mapping[str, str]) -> dict[str, Correctness]:
    """The correctness of each of `arms`, by its id; `outputs` are the files of what they computed."""
    scores = {arm.id: _scores(arm, outputs.get(arm.id)) for arm in arms if arm.inputs.source is not None}
    computed = [arm for arm in reversed(arms) if scores.get(arm.id) is not None]
    references = {arm.network: arm.id for arm in computed if arm.precision == FLOAT32}
    return {
        arm.id: dataclasses.replace(_correctness(arm, references.get(arm.network), scores), sha256=arm.sha256)
        for arm in arms
    }


def _correctness(arm: Arm, reference: str | None, scores: Mapping[str, NDArray[np.float32] | None]) -> Correctness:
    gate = arm.parity or UNKNOWN
    if reference is None or reference == arm.id:
        return Correctness(gate)
    theirs, ours = scores.get(reference), scores.get(arm.id)
    if theirs is None or ours is None or theirs.shape != ours.shape:
        return Correctness(gate)
    agree = float((theirs.argmax(axis=1) == ours.argmax(axis=1)).mean())
    cosine = parity.cosine(theirs.astype(np.float64), ours.astype(np.float64)).min()
    figures = (float(figure) for figure in (agree, cosine, np.abs(theirs - ours).max()))
    top1, smallest, largest = (figure if math.isfinite(figure) else None for figure in figures)
    return Correctness(gate, reference, top1, smallest, largest)


def _scores(arm: Arm, path: str | None) -> NDArray[np.float32] | None:
    """What `arm` computed; the scale is that of its artifact, since not every engine knows it."""
    manifest = _manifest(arm)
    if path is None or manifest is None or not Path(path).is_file():
        return None
    raw = np.load(path, allow_pickle=False)
    spec = manifest.output
    scale = (spec.scale or 0.0) if raw.dtype.kind in "iu" else 0.0
    return to_scores(raw, Tensor(spec.name, (), raw.dtype.name, scale, spec.zero_point or 0)).reshape(len(raw), -1)
