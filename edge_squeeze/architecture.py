"""What fixes a network's graph: a row of the table and its options, checked before anything is built."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from edge_squeeze import arithmetic
from edge_squeeze.errors import UsageError, unknown
from edge_squeeze.variants import CEIL, VARIANTS, Fire, Metaparameters, Pool, Stage, Variant, generate, named

NONE, SIMPLE, COMPLEX = "none", "simple", "complex"
BYPASSES = (NONE, SIMPLE, COMPLEX)
ANY = "any"
LARGEST_INPUT = 4096
CLASSES = range(2, 100_001)
MOST_FILTERS = 4096  # of base_e and incr_e
MOST_PARAMETERS = 100_000_000  # 400 MB of float32, which a file of weights may have

Size = int | tuple[int, int] | str  # a side, (height, width), or "any"


@dataclass(frozen=True)
class Design:
    """What is to differ from a variant's row, in the words of sections 5 and 6 of the paper; None: nothing."""

    bypass: str = NONE
    base_e: int | None = None
    incr_e: int | None = None
    pct_3x3: float | None = None
    freq: int | None = None
    squeeze_ratio: float | None = None

    def record(self) -> dict[str, Any]:
        """What differs, by name."""
        usual = {field.name: field.default for field in dataclasses.fields(self)}
        return {name: value for name, value in dataclasses.asdict(self).items() if value != usual[name]}

    @property
    def suffix(self) -> str:
        """What it adds to the name of an artifact."""
        return "".join(f"-{name.replace('_', '-')}-{value}" for name, value in self.record().items())


AS_IS = Design()


@dataclass(frozen=True)
class Architecture:
    """A variant with its options, checked. Input size is (height, width); with `any_size`, only the usual one."""

    variant: str
    classes: int
    input_size: tuple[int, int]
    dropout: float
    any_size: bool = False
    design: Design = AS_IS

    @property
    def row(self) -> Variant:
        """The variant's row of the table."""
        return VARIANTS[self.variant]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What the network is made of up to its head: the row's own, or what the design generates."""
        return _stages(self.row, self.design)

    @property
    def is_usual(self) -> bool:
        """Whether published weights of the variant would fit."""
        return self.classes == self.row.classes and self.design == AS_IS

    @property
    def head(self) -> str:
        """The name of the layer that has an output for each class."""
        return f"conv{sum(not isinstance(stage, Pool) for stage in self.stages) + 1}"

    @property
    def bypasses(self) -> dict[str, str]:
        """The fire modules that something goes around: simple (as it is) or complex (through a convolution)."""
        found, channels = {}, 3
        for name, stage in named(self.stages):
            if isinstance(stage, Fire):
                kind = SIMPLE if channels == stage.channels else COMPLEX
                found[name] = kind
            channels = arithmetic.channels_after(stage, channels)
        wanted = {NONE: (), SIMPLE: (SIMPLE,), COMPLEX: (SIMPLE, COMPLEX)}[self.design.bypass]
        return {name: kind for name, kind in found.items() if kind in wanted}


def architecture(
    variant: str, classes: int | None = None, input_size: Size | None = None, dropout: float | None = None,
    design: Design | None = None,
) -> Architecture:  # fmt: skip
    """The checked architecture, the row's own value where None is given; UsageError for what cannot be built."""
    if variant not in VARIANTS:
        raise unknown("variant", variant, VARIANTS)
    row, design = VARIANTS[variant], design or AS_IS
    classes = row.classes if classes is None else classes
    dropout = row.dropout if dropout is None else dropout
    if type(classes) is not int or classes not in CLASSES:
        raise UsageError(f"classes must be a whole number from 2 to 100,000, got {classes!r}.")
    if not 0 <= dropout < 1:
        raise UsageError(f"dropout must be in [0, 1), got {dropout}.")
    _check_design(row, design)
    size = _input_size(variant, _stages(row, design), row.input_size if input_size in (None, ANY) else input_size)
    if input_size == ANY:
        _check_any(variant, row)
    found = Architecture(variant, classes, size, dropout, input_size == ANY, design)
    if (count := arithmetic.parameters(found)) > MOST_PARAMETERS:
        raise UsageError(f"{variant} would have {count:,} parameters so. Required: at most {MOST_PARAMETERS:,}.")
    return found


def _stages(row: Variant, design: Design) -> tuple[Stage, ...]:
    numbers = _numbers(row, design)
    return row.stages if numbers == row.metaparameters else generate(row.stages, numbers)


def _numbers(row: Variant, design: Design) -> Metaparameters:
    given = {name: value for name, value in design.record().items() if name != "bypass"}
    return dataclasses.replace(row.metaparameters, **given)


def _check_any(variant: str, row: Variant) -> None:
    if any(isinstance(stage, Pool) and stage.padding == CEIL for stage in row.stages):
        able = [name for name, other in VARIANTS.items() if Pool() not in other.stages]
        raise UsageError(
            f"{variant} pools in Caffe's ceil mode, whose padding depends on the size, so its input size cannot stay "
            f"open. Give one, or take {', '.join(able)}."
        )


def _input_size(variant: str, stages: tuple[Stage, ...], size: Any) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size if len(size) == 2 else (None, None)  # noqa: PLR2004
    if type(height) is not int or type(width) is not int:
        raise UsageError(f"input size must be a whole number of pixels, or two of them, got {size!r}.")
    smallest = arithmetic.smallest_input(stages)
    if min(height, width) < smallest or max(height, width) > LARGEST_INPUT:
        raise UsageError(
            f"input size must be {smallest} to {LARGEST_INPUT} pixels, got {height} x {width}. With less, {variant} "
            "has nothing left to pool."
        )
    return height, width


def _check_design(row: Variant, design: Design) -> None:
    """Raise UsageError for numbers that generate no network, with the smallest that does."""
    if design.bypass not in BYPASSES:
        raise unknown("bypass", design.bypass, BYPASSES)
    numbers = _numbers(row, design)
    _check_whole("base_e", numbers.base_e, 2, MOST_FILTERS)
    _check_whole("incr_e", numbers.incr_e, 0, MOST_FILTERS)
    _check_whole("freq", numbers.freq, 1, MOST_FILTERS)
    least = 1 / numbers.base_e  # a filter of the first fire module, which is the smallest
    _check_part("squeeze_ratio", numbers.squeeze_ratio, least, 1.0)
    _check_part("pct_3x3", numbers.pct_3x3, least, 1 - least)


def _check_whole(name: str, value: Any, smallest: int, largest: int) -> None:
    if type(value) is not int or not smallest <= value <= largest:
        raise UsageError(f"{name} must be a whole number from {smallest} to {largest}, got {value!r}.")


def _check_part(name: str, value: Any, smallest: float, largest: float) -> None:
    if type(value) not in (int, float) or not smallest <= value <= largest:
        raise UsageError(
            f"{name} must be {smallest:g} to {largest:g}, got {value!r}. The first fire module needs one filter of "
            "each kind."
        )
