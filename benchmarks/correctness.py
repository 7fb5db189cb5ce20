"""Whether what was timed computes what it should: a fast wrong answer is no result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.artifact import folder
from edge_squeeze.benchmarks.arms import Arm
from edge_squeeze.engines.engine import Tensor
from edge_squeeze.engines.runner import to_scores
from edge_squeeze.proof import parity

FLOAT32 = "float32"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Correctness:
    """`gate` is the verdict of the artifact's own proof, "unknown" for a file without one.

    The rest compares outputs on this session's inputs with those of `reference`, the float32 arm of the same network.
    It is given for real pictures only: on noise, agreement proves nothing.
    """

    gate: str
    reference: str | None = None
    top1_agree: float | None = None
    cosine: float | None = None
    max_abs: float | None = None


def judge(arms: Sequence[Arm], outputs: Mapping[str, str]) -> dict[str, Correctness]:
    """The correctness of each of `arms`; `outputs` are the files of what they computed."""
    found = {arm.id: _outputs(arm, outputs.get(arm.id)) for arm in arms if arm.inputs.source is not None}
    computed = [arm for arm in reversed(arms) if found.get(arm.id) is not None]
    references = {arm.network: arm.id for arm in computed if arm.precision == FLOAT32}
    return {arm.id: _one(arm, references.get(arm.network), found) for arm in arms}


def _one(arm: Arm, reference: str | None, found: Mapping[str, NDArray[np.float32] | None]) -> Correctness:
    gate = arm.parity or UNKNOWN
    if reference is None or reference == arm.id:
        return Correctness(gate)
    theirs, ours = found.get(reference), found.get(arm.id)
    if theirs is None or ours is None or theirs.shape != ours.shape:
        return Correctness(gate)
    agree = float((theirs.argmax(axis=1) == ours.argmax(axis=1)).mean())
    cosine = parity.cosine(theirs.astype(np.float64), ours.astype(np.float64)).min()
    figures = [float(one) for one in (agree, cosine, np.abs(theirs - ours).max())]
    return Correctness(gate, reference, *(one if math.isfinite(one) else None for one in figures))


def _outputs(arm: Arm, path: str | None) -> NDArray[np.float32] | None:
    """What `arm` computed; scales are those of its artifact, since not every engine tells them."""
    if path is None or not Path(path).is_file():
        return None
    raw = np.load(path, allow_pickle=False)
    spec = folder.load(Path(arm.path)).manifest.output
    scale = (spec.scale or 0.0) if raw.dtype.kind in "iu" else 0.0
    return to_scores(raw, Tensor(spec.name, (), raw.dtype.name, scale, spec.zero_point or 0)).reshape(len(raw), -1)
