"""How two artifacts of one original compare on the same pictures: divergence and agreement, paired, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from edge_squeeze.artifact.folder import Artifact
from edge_squeeze.artifact.manifest import Manifest
from edge_squeeze.errors import ExitCode
from edge_squeeze.pictures.loading import PictureSet
from edge_squeeze.proof import accuracy
from edge_squeeze.proof.accuracy import BETTER, EQUAL, UNCLEAR, WORSE, Interval, Pairs
from edge_squeeze.proof.parity import Parity

INCOMPARABLE = "incomparable"
FEWEST = 16  # pictures that an interval is drawn from
RESAMPLES = 4999
# In nats. The scores of two files that are surely closer differ by less than 2.3 points in all (Pinsker: sqrt(KL / 2)).
MARGIN = 0.001
CROPS = "crops of five photographs are too much alike to tell files apart; give --images DIR with 100 of your pictures"
FEW = f"at least {FEWEST} pictures are required, better 100"


@dataclass(frozen=True)
class Agreement:
    """How often two artifacts name the original's best class. `p` is McNemar's exact p-value."""

    cand: float
    base: float
    verdict: str  # better | worse | equal (surely within one percentage point) | unclear
    difference: float
    interval: Interval
    cand_only: int  # pictures on which only the one agrees with the original
    base_only: int
    p: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The divergence (KL, in nats) of `cand` from their original minus that of `base`, on the same pictures.

    `verdict` is better, worse, equal (surely within 0.001 nats) or unclear; incomparable if `reason` says so.
    """

    base: str
    cand: str
    base_sha256: str
    cand_sha256: str
    verdict: str
    pictures: int = 0
    kl: float | None = None
    base_kl: float | None = None
    difference: float | None = None
    interval: Interval | None = None  # of 95 %; None where the pictures are too few or too much alike
    agreement: Agreement | None = None
    reason: str | None = None

    def __repr__(self) -> str:
        difference = "" if self.difference is None else f" by {self.difference:+.2g} nats"
        return f"<Comparison of {self.cand} with {self.base}: {self.verdict}{difference}>"

    @property
    def exit_code(self) -> ExitCode:
        """What the command line ends with; a hundred pictures rarely settle agreement, so only a loss of it counts."""
        if WORSE in (self.verdict, self.agreement and self.agreement.verdict):
            return ExitCode.REGRESSION
        codes = {INCOMPARABLE: ExitCode.INCOMPARABLE, UNCLEAR: ExitCode.INCONCLUSIVE}
        return codes.get(self.verdict, ExitCode.OK)


def names(cand: Artifact, base: Artifact) -> dict[str, Any]:
    """The names and hashes of both, as `Comparison` takes them: of two with one name the folders."""
    own = cand.manifest.name, base.manifest.name
    shown = own if own[0] != own[1] else (str(cand.folder), str(base.folder))
    hashes = {"cand_sha256": cand.manifest.file.sha256, "base_sha256": base.manifest.file.sha256}
    return {"cand": shown[0], "base": shown[1], **hashes}


def incomparable(cand: Artifact, base: Artifact, *, weights: bool) -> Comparison | None:
    """The comparison of two artifacts that are not of one original, with the reason; None if they are.

    Args:
        cand: An artifact.
        base: Another one.
        weights: Whether their weights matter: not where both are compared with an original that the user names.
    """
    own, others = cand.manifest, base.manifest
    unlike = [
        what
        for what, differ in (
            ("networks", (own.variant, own.design, own.classes) != (others.variant, others.design, others.classes)),
            ("preprocessing", own.preprocessing != others.preprocessing),
            ("scores", _scores(own) != _scores(others)),
            ("weights", weights and _weights(own) != _weights(others)),
        )
        if differ
    ]
    if not unlike:
        return None
    reason = f"they were made from different originals ({', '.join(unlike)})"
    return Comparison(**names(cand, base), verdict=INCOMPARABLE, reason=reason)


def _scores(manifest: Manifest) -> tuple[Any, ...]:
    return manifest.output.content, manifest.options.get("softmax")


def _weights(manifest: Manifest) -> tuple[Any, ...]:
    return manifest.weights.sha256, manifest.weights.seed


def compare(cand: Artifact, base: Artifact, parities: tuple[Parity, Parity], pictures: PictureSet) -> Comparison:
    """How `cand` compares with `base`.

    Args:
        cand: An artifact.
        base: Another one of the same original.
        parities: The figures of both, in this order.
        pictures: The pictures that both figures are of.
    """
    divergences = [np.array(parity.per_picture["kl"]) for parity in parities]
    outcomes = [np.array(parity.per_picture["top1_agreement"]) > 0 for parity in parities]
    differences = divergences[0] - divergences[1]
    reason = CROPS if pictures.photographs else FEW if len(pictures) < FEWEST else None
    interval = mean_interval(differences) if reason is None else None
    return Comparison(
        **names(cand, base),
        verdict=UNCLEAR if interval is None else verdict(interval),
        pictures=len(pictures),
        kl=parities[0].kl,
        base_kl=parities[1].kl,
        difference=float(differences.mean()),
        interval=interval,
        agreement=None if interval is None else _agreement(outcomes),
        reason=reason,
    )


def _agreement(outcomes: Sequence[Any]) -> Agreement:
    pairs = Pairs.of(*outcomes)
    return Agreement(
        cand=float(outcomes[0].mean()),
        base=float(outcomes[1].mean()),
        verdict=accuracy.verdict(pairs, pairs.p_value),
        difference=pairs.difference,
        interval=pairs.difference_interval,
        cand_only=pairs.cand_only,
        base_only=pairs.base_only,
        p=pairs.p_value,
    )


def mean_interval(differences: ArrayLike) -> Interval:
    """The 95 % interval of the mean of paired `differences` [N], by the studentized bootstrap (Efron, 1982, 10.9).

    Divergences are skewed: of 16, 32 and 100 drawn from 400 pictures of SqueezeNet 1.0, it held the mean of all in 93,
    93 and 96 % of draws, percentiles of resampled means in 88, 91 and 94 %.
    """
    values, rng = np.asarray(differences, np.float64), np.random.default_rng(0)
    n, mean = len(values), float(values.mean())
    error = float(values.std(ddof=1)) / math.sqrt(n)
    drawn = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        sample = values[rng.integers(n, size=n)]
        own = float(sample.std(ddof=1)) / math.sqrt(n) or error  # where the same value was drawn each time
        drawn[i] = (sample.mean() - mean) / own if own else 0.0
    low, high = np.quantile(drawn, (0.975, 0.025))
    return mean - float(low) * error, mean - float(high) * error


def verdict(interval: Interval) -> str:
    """What a difference of divergences comes to, by its 95 % interval in nats."""
    low, high = interval
    if max(-low, high) <= MARGIN:
        return EQUAL
    return BETTER if high < 0 else WORSE if low > 0 else UNCLEAR
