"""How far a file may be from its original: gates for each kind of arithmetic, each with its reason.

Figures in the reasons were measured on SqueezeNet 1.0 and 1.1 with their ImageNet weights, and on a MobileNetV2 where
that was the worst (docs/parity.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from edge_squeeze.errors import UsageError
from edge_squeeze.formats import FORMATS
from edge_squeeze.proof.parity import ENOUGH_PICTURES, Parity, wilson


@dataclass(frozen=True)
class Gate:
    """A limit on one figure of Parity, and why it is where it is."""

    metric: str
    limit: float
    at_least: bool
    reason: str

    def holds(self, value: float) -> bool:
        """Whether `value` is within the limit; NaN never is."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{self.metric} {'>=' if self.at_least else '<='} {self.limit:g}"


def at_least(metric: str, limit: float, reason: str) -> Gate:
    """A gate that a figure must reach."""
    return Gate(metric, limit, at_least=True, reason=reason)


def at_most(metric: str, limit: float, reason: str) -> Gate:
    """A gate that a figure must not exceed."""
    return Gate(metric, limit, at_least=False, reason=reason)


@dataclass(frozen=True)
class Judgment:
    """One gate applied to a measured figure; for a failed one, the worst picture."""

    gate: Gate
    value: float
    passed: bool
    worst_picture: str | None = None

    def __str__(self) -> str:
        worst = f"; worst picture: {self.worst_picture}" if self.worst_picture else ""
        return f"{self.gate.metric} is {self.value:.4g}, required {self.gate}{worst} ({self.gate.reason})"


def judge(parity: Parity, gates: Sequence[Gate], names: Sequence[str]) -> list[Judgment]:
    """Each of `gates` applied to `parity`.

    Args:
        parity: The measured figures.
        gates: The limits.
        names: Names of the pictures [N].
    """
    judgments = []
    for gate in gates:
        value = float(getattr(parity, gate.metric))
        passed = gate.holds(value)
        judgments.append(Judgment(gate, value, passed, None if passed else worst(parity, gate.metric, names)))
    return judgments


def worst(parity: Parity, metric: str, names: Sequence[str]) -> str:
    """The picture that is worst by `metric`, or by cosine where several tie or the metric has no value per picture."""
    cosines = np.array(parity.per_picture["cosine"])
    values = np.array(parity.per_picture.get(metric, parity.per_picture["max_abs"]))
    badness = values if metric not in ("cosine", "top1_agreement", "top5_agreement") else -values
    order = np.lexsort((cosines, -np.nan_to_num(badness, nan=np.inf)))
    return names[int(order[0])]


COUNTED = "top1_agreement"  # the figure that is a count of pictures


def gates_of_part(gates: Sequence[Gate], count: int) -> list[Gate]:
    """`gates` for only `count` of the pictures: agreement may be as low as chance allows for so few."""
    return [_of_part(gate, count) if gate.metric == COUNTED else gate for gate in gates]


def _of_part(gate: Gate, count: int) -> Gate:
    fewest = next(k for k in range(count + 1) if k / count >= gate.limit or wilson(k, count)[1] >= gate.limit)
    chance = f"{fewest} of {count} pictures is within chance of {gate.limit:g} (Wilson's 95 % interval)"
    return replace(gate, limit=fewest / count, reason=f"{gate.reason}; {chance}")


@dataclass(frozen=True)
class Tolerance:
    """How far golden scores may be off within one kernel family, and why."""

    limit: float
    reason: str


SAME_ARITHMETIC = (
    at_most("max_abs", 1e-5, "float32 sums in another order: 5e-6 measured; wrong channels or mean give 0.6 and more"),
    at_least("top1_agreement", 1.0, "two classes would have to be within 1e-5 of each other to swap"),
)

OWN_ARITHMETIC = (
    at_most(
        "max_abs",
        1e-4,
        "float32 sums in another order: 7.5e-6 measured on MobileNetV2, EfficientNetB0 and "
        "ResNet50V2, 5e-5 on inputs far larger than a network was trained on",
    ),
    at_least("top1_agreement", 1.0, "two classes would have to be within 1e-4 of each other to swap"),
)

HALF_WEIGHTS = (
    at_most(
        "distance",
        0.03,
        "weights rounded to 11 bits: 0.0008 to 0.004 measured; wrong channels or mean give 0.36 to 0.61",
    ),
    at_least("top1_agreement", 0.99, "1 of 500 pictures had two classes close enough to swap"),
)

HALF_WEIGHTS_SMOKE = (
    HALF_WEIGHTS[0],
    at_least("top1_agreement", 0.95, "one near tie among few pictures is not a defect; the other gate catches defects"),
)

FLOAT_GOLDEN = Tolerance(
    1e-4, "tflite-runtime and LiteRT differ by 2e-6 on x86; wrong channels or mean give 0.6 and more"
)

FLOAT16_GOLDEN = Tolerance(
    0.05, "cores that add in half precision (ARMv8.2) differ by up to 0.030 (emulated); wrong channels or mean by 0.6"
)


@dataclass(frozen=True)
class Gates:
    """What a file must reach that computes in one kind of arithmetic."""

    smoke: tuple[Gate, ...]  # on built-in crops, or on fewer than ENOUGH_PICTURES
    full: tuple[Gate, ...]  # on at least ENOUGH_PICTURES of the user's
    golden: Tolerance
    own: tuple[Gate, ...] | None = None  # for a user's own model, if they differ
    float_head: tuple[Gate, ...] = ()  # besides `full`, for networks of this package whose file has a float head

    def of(self, pictures: int, photographs: bool, *, own: bool) -> tuple[Gate, ...]:  # noqa: FBT001 - one of a pair
        """The gates that apply.

        Args:
            pictures: How many pictures there are.
            photographs: Whether they are crops of the built-in photographs.
            own: Whether the model is the user's own.
        """
        if own and self.own is not None:
            return self.own
        if photographs or pictures < ENOUGH_PICTURES:
            return self.smoke
        return self.full if own else (*self.full, *self.float_head)

    def records(self, *, own: bool) -> dict[str, list[dict[str, Any]]]:
        """Both sets of gates, for model.json."""
        kinds = {"crops": self.of(0, photographs=True, own=own), "pictures": self.of(ENOUGH_PICTURES, False, own=own)}
        return {kind: [asdict(gate) for gate in gates] for kind, gates in kinds.items()}


GATES = {
    "float32": Gates(SAME_ARITHMETIC, SAME_ARITHMETIC, FLOAT_GOLDEN, OWN_ARITHMETIC),
    "float16 weights": Gates(HALF_WEIGHTS_SMOKE, HALF_WEIGHTS, FLOAT_GOLDEN),
    "dynamic": Gates(
        smoke=(
            at_least("cosine", 0.97, "SqueezeNets give 0.990 and more; wrong channels or mean 0.79 at most"),
            at_least("top1_agreement", 0.80, "SqueezeNets give 0.95 and more; wrong channels or mean 0.60 at most"),
        ),
        full=(
            at_least("cosine", 0.97, "SqueezeNets give 0.990 and more; wrong channels or mean 0.79 at most"),
            at_least("top1_agreement", 0.88, "as for int8, whose weights it has; SqueezeNets give 0.94 and more"),
        ),
        golden=Tolerance(0.05, "an allowance: activations are rounded anew per picture; on emulated ARM64 by 0.029"),
    ),
    "int8": Gates(
        smoke=(
            at_least("cosine", 0.95, "SqueezeNets give 0.969 and more; wrong channels or mean 0.82 at most"),
            at_least("top1_agreement", 0.70, "SqueezeNets give 0.75 and more; wrong channels or mean 0.72 at most"),
        ),
        full=(
            at_least("cosine", 0.95, "SqueezeNets give 0.978 and more; wrong channels or mean 0.66 at most"),
            at_least("top1_agreement", 0.88, "SqueezeNets give 0.89 and more; wrong channels or mean 0.56 at most"),
        ),
        golden=Tolerance(1.5 / 256, "1.5 of 256 steps; 0 measured within a family on x86 and emulated ARM64"),
        float_head=(at_most("kl", 0.02, "SqueezeNets give 0.009 and less; 1.0 with stock weights 0.028"),),
    ),
    "int16 with int8 weights": Gates(
        smoke=(
            at_least("cosine", 0.97, "SqueezeNets give 0.990 and more; wrong channels or mean 0.79 at most"),
            at_least("top1_agreement", 0.80, "SqueezeNets give 0.95 and more; wrong channels or mean 0.60 at most"),
        ),
        full=(
            at_least(
                "cosine", 0.97, "SqueezeNets give 0.988 and more on 400 crops; wrong channels or mean 0.79 at most"
            ),
            at_least("top1_agreement", 0.88, "as for int8, whose weights it has; SqueezeNets give 0.92 and more"),
        ),
        golden=Tolerance(0.005, "kernels that add in 64 bits differ by 6e-4; wrong channels or mean give 0.6 and more"),
    ),
    "float16": Gates(HALF_WEIGHTS_SMOKE, HALF_WEIGHTS, FLOAT16_GOLDEN),
}


def find(format_name: str, precision: str, head: str | None = None) -> Gates:
    """The gates for that format and precision; UsageError if this version has none.

    Args:
        format_name: The format.
        precision: The precision.
        head: "float" if what follows the last layer of a quantized file computes in float32, as model.json records it.
            Divergence means little behind an int8 softmax, most of whose scores are 0.
    """
    arithmetic = {(kind, name): gates for kind, row in FORMATS.items() for name, gates in row.arithmetic.items()}
    if (format_name, precision) not in arithmetic:
        known = ", ".join(map(" ".join, arithmetic))
        raise UsageError(f"There are no gates for {format_name} {precision}. Required: one of {known}.")
    gates = GATES[arithmetic[format_name, precision]]
    return gates if head == "float" else replace(gates, float_head=())
