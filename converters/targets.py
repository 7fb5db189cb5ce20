"""The table of targets (format x precision): how each is made, and what its file must hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_squeeze.converters.formats import to_onnx, to_tflite
from edge_squeeze.converters.options import ConvertOptions
from edge_squeeze.errors import UsageError, unknown

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
    io: str = "float32"  # default dtype of the pixels
    ios: tuple[str, ...] = ("float32", "uint8")
    quantizer: str | None = None


TARGETS = (
    Target("tflite", "float32", to_tflite.float32, "float32"),
    Target("tflite", "float16", to_tflite.float16, "float16"),
    Target("tflite", "dynamic", to_tflite.dynamic, "int8"),
    Target(
        "tflite", "int8", to_tflite.int8, "int8", io="uint8", ios=("uint8", "int8", "float32"),
        quantizer="TensorFlow post-training (stock)",
    ),
    Target("onnx", "float32", to_onnx.float32, "float32"),
    Target("onnx", "float16", to_onnx.float16, "float16"),
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
