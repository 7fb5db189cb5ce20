"""The targets, format by format and precision by precision: how each is made, and what its file must hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edge_squeeze import formats
from edge_squeeze.converters.options import FileOptions
from edge_squeeze.errors import UsageError, unknown
from edge_squeeze.formats import FORMATS, precisions

# (Keras model that takes raw pixels, options: FileOptions, measured: Measured) -> the file
Converter = Callable[..., bytes]
ALL = "all"
OF_QUANTIZED = ("head", "quantizer", "keep_float")  # options of FileOptions that other files have no use for


@dataclass(frozen=True)
class Target:
    """A precision that a format can be written in. Each converter module lists its own as TARGETS."""

    format: str
    precision: str
    convert: Converter
    weights: str  # dtype that every kernel in the finished file must have
    io: str = "float32"  # default dtype of the pixels
    ios: tuple[str, ...] = ("float32", "uint8")
    quantizer: str | None = None
    float_scores: bool = False  # whether a quantized target's scores are float32 whatever the dtype of the pixels
    activations: str = "int8"  # what the layers of a quantized file compute in
    widest: bool = False  # whether it takes the widest ranges, however int8 chooses its own

    @property
    def name(self) -> str:
        """Format and precision."""
        return f"{self.format} {self.precision}"

    @property
    def layouts(self) -> tuple[str, ...]:
        """Layouts of the pixels, the default first."""
        return FORMATS[self.format].layouts


def all_targets() -> tuple[Target, ...]:
    """Every target there is, in the order of the formats."""
    return tuple(target for row in FORMATS.values() for target in formats.module(row.converter).TARGETS)


def find(format_name: str, precision: str) -> Target:
    """The target of that format and precision; UsageError with the choices if there is none."""
    targets = {t.precision: t for t in formats.module(FORMATS[format_name].converter).TARGETS}
    if precision not in targets:
        raise UsageError(f"{format_name} has no {precision}. Choices: {', '.join(targets)}.")
    target: Target = targets[precision]
    return target


@dataclass(frozen=True)
class Order:
    """One file to make: a target and its options."""

    target: Target
    options: FileOptions

    @property
    def layout(self) -> str:
        """Layout of the pixels: nhwc or nchw."""
        return self.options.layout or self.target.layouts[0]

    @property
    def suffix(self) -> str:
        """What distinguishes its name from that of the target's default."""
        return self.options.suffix(self.target.io, self.target.layouts[0])


def plan(asked: Sequence[str], precision: Sequence[str], options: FileOptions) -> tuple[list[Order], list[str]]:
    """The files to make for the formats `asked` for, and a note for each that `all` would cover but does not exist.

    UsageError for unknown names, and for what was named outright but does not exist.
    """
    options.check()
    asked_all = ALL in asked or ALL in precision
    orders, notes = [], []
    for format_name in _expand("format", asked, tuple(FORMATS)):
        for name in _expand("precision", precision, precisions()):
            try:
                order, ignored = _order(format_name, name, options, strict=not asked_all)
            except UsageError as error:
                if not asked_all:
                    raise
                notes.append(f"left out: {error}")
                continue
            orders.append(order)
            notes += [f"{format_name} {name}: --{flag.replace('_', '-')} does not apply" for flag in ignored]
    if not orders:
        raise UsageError(f"Nothing to export. {' '.join(notes)}".strip())
    for name in OF_QUANTIZED:
        if getattr(options, name) != getattr(FileOptions, name) and not any(order.target.quantizer for order in orders):
            raise UsageError(
                f"--{name.replace('_', '-')} does not apply: nothing here is quantized. Ask for --precision int8, or "
                "leave it out."
            )
    return orders, list(dict.fromkeys(notes))


def _order(format_name: str, precision: str, options: FileOptions, *, strict: bool) -> tuple[Order, list[str]]:
    target = find(format_name, precision)
    foreign = {name for row in FORMATS.values() for name in row.options} - {*FORMATS[format_name].options}
    if options.layout not in (None, *target.layouts):
        foreign.add("layout")
    own, ignored = options.without(sorted(foreign))
    if ignored and strict:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in ignored)
        raise UsageError(f"{flags} does not apply to {format_name}. Leave it out, or ask for another format.")
    if own.io is not None and own.io not in target.ios:
        raise UsageError(f"{format_name} {precision} has no --io {own.io}. Choices: {', '.join(target.ios)}.")
    if not target.quantizer:
        own = replace(own, **{name: getattr(FileOptions, name) for name in OF_QUANTIZED})
    return Order(target, replace(own, layout=own.layout or target.layouts[0])), ignored


def _expand(kind: str, asked: Sequence[str], known: Sequence[str]) -> list[str]:
    if not asked:
        raise UsageError(f"No {kind} was named. Choices: {', '.join((*known, ALL))}.")
    for name in asked:
        if name not in (*known, ALL):
            raise unknown(kind, name, (*known, ALL))
    return list(known) if ALL in asked else list(dict.fromkeys(asked))
