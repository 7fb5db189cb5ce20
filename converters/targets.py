"""The table of targets (format x precision): how each is made, what its file must hold, and what it must reach.

Figures in the reasons were measured on SqueezeNet 1.0 and 1.1 with their ImageNet weights, and where it was the worst
on a MobileNetV2 (docs/parity.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge_squeeze.converters import to_onnx, to_tflite
from edge_squeeze.converters.options import ConvertOptions
from edge_squeeze.errors import UsageError, unknown
from edge_squeeze.golden import Tolerance
from edge_squeeze.parity import ENOUGH_PICTURES, Gate, at_least, at_most

Converter = Callable[..., bytes]  # (baked Keras model, *, options: ConvertOptions) -> the file


@dataclass(frozen=True)
class Format:
    """A kind of file, and the fields of ConvertOptions that mean something to it alone."""

    suffix: str
    options: tuple[str, ...] = ()


FORMATS = {"tflite": Format(".tflite"), "onnx": Format(".onnx", ("layout", "opset", "dynamic_batch"))}


@dataclass(frozen=True)
class Target:
    """One row of the table."""

    format: str
    precision: str
    convert: Converter
    weights: str  # dtype that every kernel in the finished file must have
    smoke_gates: tuple[Gate, ...]  # for built-in crops, or too few pictures to say more
    full_gates: tuple[Gate, ...]  # for ENOUGH_PICTURES of the user's
    golden: Tolerance
    io: str = "float32"  # default dtype of the pixels
    ios: tuple[str, ...] = ("float32", "uint8")
    quantizer: str | None = None
    own_gates: tuple[Gate, ...] | None = None  # for a model of the user's, where they differ

    def gates(self, pictures: int, photographs: bool, *, own: bool) -> tuple[Gate, ...]:  # noqa: FBT001 - one of a pair
        """The gates for so many pictures, `photographs` being crops of the built-in ones; `own`: a user's model."""
        if own and self.own_gates is not None:
            return self.own_gates
        return self.smoke_gates if photographs or pictures < ENOUGH_PICTURES else self.full_gates

    def gate_records(self, *, own: bool) -> dict[str, list[dict[str, Any]]]:
        """Both sets of gates, for model.json."""
        kinds = {
            "crops": self.gates(0, photographs=True, own=own),
            "pictures": self.gates(ENOUGH_PICTURES, False, own=own),
        }
        return {kind: [asdict(gate) for gate in gates] for kind, gates in kinds.items()}


SAME_ARITHMETIC = (
    at_most("max_abs", 1e-5, "float32 sums in another order: 5e-6 measured; wrong channels or mean give 0.6 and more"),
    at_least("top1_agreement", 1.0, "two classes would have to be within 1e-5 of each other to swap"),
)
OWN_ARITHMETIC = (
    at_most("max_abs", 1e-4, "float32 sums in another order: 7.5e-6 measured on MobileNetV2, EfficientNetB0 and "
            "ResNet50V2, 5e-5 on inputs far larger than a network was trained on"),
    at_least("top1_agreement", 1.0, "two classes would have to be within 1e-4 of each other to swap"),
)  # fmt: skip
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
    at_least("top1_agreement", 0.95, "one near tie among few pictures is no defect; the other gate sees those"),
)
FLOAT_GOLDEN = Tolerance(
    1e-4, "tflite-runtime and LiteRT differ by 2e-6 on x86; wrong channels or mean give 0.6 and more"
)
FLOAT16_GOLDEN = Tolerance(
    0.05, "cores that add in half precision (ARMv8.2) differ by up to 0.030 (emulated); wrong channels or mean by 0.6"
)

TARGETS = (
    Target(
        "tflite", "float32", to_tflite.float32, "float32", SAME_ARITHMETIC, SAME_ARITHMETIC, FLOAT_GOLDEN,
        own_gates=OWN_ARITHMETIC,
    ),
    Target("tflite", "float16", to_tflite.float16, "float16", HALF_WEIGHTS_SMOKE, HALF_WEIGHTS, FLOAT_GOLDEN),
    Target(
        "tflite", "dynamic", to_tflite.dynamic, "int8",
        smoke_gates=(
            at_least("cosine", 0.97, "SqueezeNets give 0.990 and more; wrong channels or mean 0.79 at most"),
            at_least("top1_agreement", 0.80, "SqueezeNets give 0.95 and more; wrong channels or mean 0.60 at most"),
        ),
        full_gates=(
            at_least("cosine", 0.97, "SqueezeNets give 0.990 and more; wrong channels or mean 0.79 at most"),
            at_least("top1_agreement", 0.88, "as for int8, whose weights it has; SqueezeNets give 0.94 and more"),
        ),
        golden=Tolerance(0.05, "an allowance: activations are rounded anew per picture; on emulated ARM64 by 0.029"),
    ),
    Target(
        "tflite", "int8", to_tflite.int8, "int8",
        smoke_gates=(
            at_least("cosine", 0.95, "SqueezeNets give 0.972 and more; noise, wrong channels or mean 0.79 at most"),
            at_least("top1_agreement", 0.70, "SqueezeNets give 0.78 and more; wrong channels or mean 0.60 at most"),
        ),
        full_gates=(
            at_least("cosine", 0.95, "SqueezeNets give 0.972 and more; noise, wrong channels or mean 0.79 at most"),
            at_least("top1_agreement", 0.88, "SqueezeNets give 0.92 and more on 500 crops; with noise 0.34 and less"),
        ),
        golden=Tolerance(1.5 / 256, "a step of the int8 scores; 0 measured within a family on x86 and emulated ARM64"),
        io="uint8", ios=("uint8", "int8", "float32"), quantizer="TensorFlow post-training (stock)",
    ),
    Target(
        "onnx", "float32", to_onnx.float32, "float32", SAME_ARITHMETIC, SAME_ARITHMETIC, FLOAT_GOLDEN,
        own_gates=OWN_ARITHMETIC,
    ),
    Target("onnx", "float16", to_onnx.float16, "float16", HALF_WEIGHTS_SMOKE, HALF_WEIGHTS, FLOAT16_GOLDEN),
)  # fmt: skip
PRECISIONS = tuple(dict.fromkeys(target.precision for target in TARGETS))
ALL = "all"


def find(format_name: str, precision: str) -> Target:
    """The row of that format and precision; UsageError with the choices if there is none."""
    for target in TARGETS:
        if (target.format, target.precision) == (format_name, precision):
            return target
    choices = [target.precision for target in TARGETS if target.format == format_name]
    raise UsageError(f"{format_name} has no {precision}. Choices: {', '.join(choices)}.")


@dataclass(frozen=True)
class Order:
    """One file to make: a target and its options."""

    target: Target
    options: ConvertOptions

    @property
    def suffix(self) -> str:
        """What distinguishes its name from that of the target's default."""
        return self.options.suffix(self.target.io)


def plan(formats: Sequence[str], precisions: Sequence[str], options: ConvertOptions) -> tuple[list[Order], list[str]]:
    """The files to make, and a note for each that `all` would have covered but that does not exist.

    UsageError for unknown names, and for what was named outright but does not exist.
    """
    options.check()
    asked_all = ALL in formats or ALL in precisions
    orders, notes = [], []
    for format_name in _expand("format", formats, tuple(FORMATS)):
        for precision in _expand("precision", precisions, PRECISIONS):
            try:
                order, ignored = _order(format_name, precision, options, strict=not asked_all)
            except UsageError as error:
                if not asked_all:
                    raise
                notes.append(f"left out: {error}")
                continue
            orders.append(order)
            notes += [f"{format_name} {precision}: --{name.replace('_', '-')} does not apply" for name in ignored]
    if not orders:
        raise UsageError(f"Nothing to export. {' '.join(notes)}".strip())
    return orders, list(dict.fromkeys(notes))


def _order(format_name: str, precision: str, options: ConvertOptions, *, strict: bool) -> tuple[Order, list[str]]:
    target = find(format_name, precision)
    own, ignored = options.without(
        field for name, row in FORMATS.items() if name != format_name for field in row.options
    )
    if ignored and strict:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in ignored)
        raise UsageError(f"{flags} does not apply to {format_name}. Leave it out, or ask for another format.")
    if own.io is not None and own.io not in target.ios:
        raise UsageError(f"{format_name} {precision} has no --io {own.io}. Choices: {', '.join(target.ios)}.")
    return Order(target, own), ignored


def _expand(kind: str, asked: Sequence[str], known: Sequence[str]) -> list[str]:
    if not asked:
        raise UsageError(f"No {kind} was named. Choices: {', '.join((*known, ALL))}.")
    for name in asked:
        if name not in (*known, ALL):
            raise unknown(kind, name, (*known, ALL))
    return list(known) if ALL in asked else list(dict.fromkeys(asked))
