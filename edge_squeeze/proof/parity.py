"""How far an artifact's scores are from the original's, in figures; gates judge them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.scores import Scores, top_k

PSNR_CEILING_DB = 200.0  # reported for identical scores
SMALLEST_PROBABILITY = 1e-12  # keeps the logarithm finite where a quantized score is 0
ENOUGH_PICTURES = 100  # of the user's own, for the full gates to apply
PASS, FAIL, UNPROVEN = "pass", "fail", "unproven"
FIGURES = ("max|d|", "PSNR", "cosine", "same top-1 (95 %)")


@dataclass(frozen=True)
class Parity:
    """Figures over a set of pictures, and those per picture [N] that the worst picture is picked by."""

    pictures: int
    max_abs: float
    mean_abs: float
    rmse: float
    distance: float  # Euclidean, between the scores of a picture; root mean square over the pictures
    psnr_db: float
    cosine: float
    kl: float
    top1_agreement: float
    top1_interval: tuple[float, float]
    top5_agreement: float
    per_picture: dict[str, list[float]]

    def __repr__(self) -> str:
        figures = ", ".join(" ".join(pair) for pair in zip(FIGURES, self.cells(), strict=True))
        return f"<Parity on {self.pictures} pictures: {figures}>"

    def cells(self) -> tuple[str, str, str, str]:
        """The FIGURES as text."""
        low, high = (100 * bound for bound in self.top1_interval)
        agreement = f"{self.top1_agreement:.1%} ({low:.0f}-{high:.0f})"
        return f"{self.max_abs:.1e}", f"{self.psnr_db:.0f} dB", f"{self.cosine:.5f}", agreement


@dataclass(frozen=True)
class Tops:
    """The best class of each picture and its score, by the original and by the artifact [N]."""

    original: list[tuple[int, float]]
    artifact: list[tuple[int, float]]

    @classmethod
    def of(cls, original: Scores, artifact: Scores) -> Self:
        """Those of two sets of scores [N,classes]."""
        return cls(*([(int(row.argmax()), float(row.max())) for row in scores] for scores in (original, artifact)))


def compare(original: Scores, artifact: Scores) -> Parity:
    """The figures for scores [N,classes] of the same pictures, the original's first."""
    reference, candidate = original.astype(np.float64), artifact.astype(np.float64)
    difference = np.abs(reference - candidate)
    agree = np.array([top_k(a, 1)[0] == top_k(b, 1)[0] for a, b in zip(original, artifact, strict=True)])
    per_picture = {
        "max_abs": difference.max(axis=1),
        "distance": np.linalg.norm(difference, axis=1),
        "cosine": cosine(reference, candidate),
        "kl": kl_divergence(reference, candidate),
        "top1_agreement": agree.astype(np.float64),
        "top5_agreement": _overlap(original, artifact, 5),
    }
    rmse = float(np.sqrt(np.mean(difference**2)))
    return Parity(
        pictures=len(reference),
        max_abs=float(difference.max()),
        mean_abs=float(difference.mean()),
        rmse=rmse,
        distance=rmse * math.sqrt(reference.shape[1]),
        psnr_db=psnr_db(float(np.abs(reference).max()), rmse),
        cosine=float(per_picture["cosine"].mean()),
        kl=float(per_picture["kl"].mean()),
        top1_agreement=float(agree.mean()),
        top1_interval=wilson(int(agree.sum()), len(agree)),
        top5_agreement=float(per_picture["top5_agreement"].mean()),
        per_picture={name: values.tolist() for name, values in per_picture.items()},
    )


def cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine of the angle between the rows of `a` and `b` [N]; 0 where one of them is all zero."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    angles: NDArray[np.float64] = np.divide((a * b).sum(axis=1), lengths, out=np.zeros(len(a)), where=lengths != 0)
    return angles


def kl_divergence(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kullback-Leibler divergence of `q` from `p`, row by row [N], in nats; both are normalized to sum to one."""
    p, q = (np.maximum(x, SMALLEST_PROBABILITY) for x in (p, q))
    p, q = (x / x.sum(axis=1, keepdims=True) for x in (p, q))
    divergence: NDArray[np.float64] = (p * np.log(p / q)).sum(axis=1)
    return np.maximum(divergence, 0.0)


def psnr_db(peak: float, rmse: float) -> float:
    """Peak signal-to-noise ratio in dB, `peak` being the original's largest score."""
    if rmse == 0:
        return PSNR_CEILING_DB
    if not (peak > 0 and math.isfinite(rmse)):  # min() below would let NaN pass as the ceiling
        return float("nan")
    return min(PSNR_CEILING_DB, 20 * math.log10(peak / rmse))


def wilson(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion (J. Am. Stat. Assoc. 22:209, 1927)."""
    p, z2 = successes / trials, z * z
    center = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = z / (1 + z2 / trials) * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials**2))
    return max(0.0, center - half), min(1.0, center + half)


def _overlap(a: Scores, b: Scores, k: int) -> NDArray[np.float64]:
    """The share of a picture's `k` best classes that both name [N]."""
    k = min(k, a.shape[1])
    shared = [len(set(top_k(x, k).tolist()) & set(top_k(y, k).tolist())) / k for x, y in zip(a, b, strict=True)]
    return np.array(shared)


def to_dict(parity: Parity, names: Sequence[str]) -> dict[str, Any]:
    """The figures for parity.json, the per-picture ones as one row per picture; what is not finite becomes null."""
    figures = asdict(parity)
    columns = figures.pop("per_picture")
    rows = zip(names, *columns.values(), strict=True)
    figures["per_picture"] = [
        {"picture": row[0], **dict(zip(columns, map(finite, row[1:]), strict=True))} for row in rows
    ]
    return {key: finite(value) for key, value in figures.items()}


def finite(value: Any) -> Any:
    """`value`, or None if JSON cannot express it."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
