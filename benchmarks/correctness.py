"""Whether what was timed computes what it should: a fast wrong answer is no result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_squeeze import parity
from edge_squeeze.benchmarks.arms import Arm

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
    found = {arm.id: _outputs(outputs.get(arm.id)) for arm in arms}
    references = {arm.network: arm.id for arm in reversed(arms) if arm.precision == FLOAT32}
    return {arm.id: _one(arm, references.get(arm.network), found) for arm in arms}


def _one(arm: Arm, reference: str | None, found: Mapping[str, NDArray[np.float32] | None]) -> Correctness:
    gate = arm.parity or UNKNOWN
    if arm.inputs.source is None or reference in (None, arm.id):
        return Correctness(gate)
    theirs, ours = found[reference], found[arm.id]
    if theirs is None or ours is None or theirs.shape != ours.shape:
        return Correctness(gate)
    agree = float((theirs.argmax(axis=1) == ours.argmax(axis=1)).mean())
    cosine = parity.cosine(theirs.astype(np.float64), ours.astype(np.float64)).min()
    return Correctness(gate, reference, agree, float(cosine), float(np.abs(theirs - ours).max()))


def _outputs(path: str | None) -> NDArray[np.float32] | None:
    if path is None or not Path(path).is_file():
        return None
    outputs: NDArray[np.float32] = np.load(path, allow_pickle=False)
    return outputs.reshape(len(outputs), -1)
