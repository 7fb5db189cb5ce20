"""Architectures: the choice of a network, checked before anything is built."""

from __future__ import annotations

from typing import Any

from edge_squeeze.errors import UsageError, unknown
from edge_squeeze.networks import arithmetic
from edge_squeeze.networks.design import AS_IS, BYPASSES, COMPLEX, NONE, Architecture, Design
from edge_squeeze.networks.variants import CEIL, VARIANTS, Pool, Stage, Variant

ANY = "any"
LARGEST_INPUT = 4096
CLASSES = range(2, 100_001)
MOST_FILTERS = 4096  # of base_e and incr_e
MOST_PARAMETERS = 100_000_000  # 400 MB of float32, the limit of weights files

Size = int | tuple[int, int] | str  # a side, (height, width), or "any"


def architecture(
    variant: str,
    classes: int | None = None,
    input_size: Size | None = None,
    dropout: float | None = None,
    design: Design | None = None,
) -> Architecture:
    """The checked architecture.

    Args:
        variant: A row of `VARIANTS`.
        classes: Number of classes, 2 to 100,000; by default the row's.
        input_size: Side in pixels, (height, width), or "any"; by default the row's.
        dropout: Share of the features dropped in training, 0 to 1; by default the row's.
        design: The differences from the row; by default none.

    Raises:
        UsageError: No such network can be built.
    """
    if variant not in VARIANTS:
        raise unknown("variant", variant, VARIANTS)
    row, design = VARIANTS[variant], (design or AS_IS).beside(VARIANTS[variant])
    classes = row.classes if classes is None else classes
    dropout = row.dropout if dropout is None else dropout
    if type(classes) is not int or classes not in CLASSES:
        raise UsageError(f"classes must be a whole number from 2 to 100,000, got {classes!r}.")
    if not 0 <= dropout < 1:
        raise UsageError(f"dropout must be in [0, 1), got {dropout}.")
    _check_design(row, design)
    size = _input_size(variant, design.stages(row), row.input_size if input_size in (None, ANY) else input_size)
    if input_size == ANY:
        _check_any(variant, row)
    arch = Architecture(variant, classes, size, dropout, input_size == ANY, design)
    if design.bypass != NONE and not arch.bypasses:
        raise UsageError(
            f"bypass {design.bypass} has no effect: no fire module of {arch.network} has as many output channels as "
            f"input channels. Use {COMPLEX}, which does not need equal numbers, or omit it."
        )
    if (count := arithmetic.parameters(arch)) > MOST_PARAMETERS:
        raise UsageError(f"{variant} would have {count:,} parameters. Required: at most {MOST_PARAMETERS:,}.")
    return arch


def _check_any(variant: str, row: Variant) -> None:
    if any(isinstance(stage, Pool) and stage.padding == CEIL for stage in row.stages):
        choices = [name for name, variant_row in VARIANTS.items() if Pool() not in variant_row.stages]
        raise UsageError(
            f"{variant} does not support input size any: it pools in Caffe's ceil mode, whose padding depends on the "
            f"size. Pass a size, or use {', '.join(choices)}."
        )


def _input_size(variant: str, stages: tuple[Stage, ...], size: Any) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size if len(size) == 2 else (None, None)  # noqa: PLR2004
    if type(height) is not int or type(width) is not int:
        raise UsageError(f"input size must be a whole number of pixels, or height and width, got {size!r}.")
    smallest = arithmetic.smallest_input(stages)
    if min(height, width) < smallest or max(height, width) > LARGEST_INPUT:
        why = f" Below that, {variant} has nothing left to pool." if min(height, width) < smallest else ""
        raise UsageError(f"input size must be {smallest} to {LARGEST_INPUT} pixels, got {height} x {width}.{why}")
    return height, width


def _check_design(row: Variant, design: Design) -> None:
    """Raise UsageError for numbers that do not generate a network, naming the range of those that do."""
    if design.bypass not in BYPASSES:
        raise unknown("bypass", design.bypass, BYPASSES)
    numbers = design.metaparameters(row)
    _check_whole("base_e", numbers.base_e, 2, MOST_FILTERS)
    _check_whole("incr_e", numbers.incr_e, 0, MOST_FILTERS)
    _check_whole("freq", numbers.freq, 1, MOST_FILTERS)
    least = 1 / numbers.base_e  # a filter of the first fire module, which is the smallest
    _check_share("squeeze_ratio", numbers.squeeze_ratio, least, 1.0)
    _check_share("pct_3x3", numbers.pct_3x3, least, 1 - least)


def _check_whole(name: str, value: Any, smallest: int, largest: int) -> None:
    if type(value) is not int or not smallest <= value <= largest:
        raise UsageError(f"{name} must be a whole number from {smallest} to {largest}, got {value!r}.")


def _check_share(name: str, value: Any, smallest: float, largest: float) -> None:
    if type(value) not in (int, float) or not smallest <= value <= largest:
        why = " The first fire module needs one filter of each kind." if largest < 1 or value < smallest else ""
        raise UsageError(f"{name} must be {smallest:g} to {largest:g}, got {value!r}.{why}")
