"""What determines a network's graph: a row of the table, and the differences from it."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_squeeze.errors import UsageError, unknown
from edge_squeeze.networks.variants import VARIANTS, Fire, Metaparameters, Pool, Stage, Variant, generate, named

NONE, SIMPLE, COMPLEX = "none", "simple", "complex"
BYPASSES = {NONE: (), SIMPLE: (SIMPLE,), COMPLEX: (SIMPLE, COMPLEX)}  # the kinds of bypass in each


@dataclass(frozen=True)
class Design:
    """The differences from a variant's row, named as in sections 5 and 6 of the paper; None: no difference."""

    bypass: str = NONE
    base_e: int | None = None
    incr_e: int | None = None
    pct_3x3: float | None = None
    freq: int | None = None
    squeeze_ratio: float | None = None

    def record(self) -> dict[str, Any]:
        """The differences by name."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        return {name: value for name, value in dataclasses.asdict(self).items() if value != defaults[name]}

    def beside(self, row: Variant) -> Design:
        """The design without values that `row` has already."""
        own = dataclasses.asdict(row.metaparameters)
        return Design(**{name: value for name, value in self.record().items() if value != own.get(name)})

    def metaparameters(self, row: Variant) -> Metaparameters:
        """Those of `row`, with the differences."""
        changes = {name: value for name, value in self.record().items() if name != "bypass"}
        return dataclasses.replace(row.metaparameters, **changes)

    def stages(self, row: Variant) -> tuple[Stage, ...]:
        """Those of `row`, or those that other metaparameters generate."""
        numbers = self.metaparameters(row)
        return row.stages if numbers == row.metaparameters else generate(row.stages, numbers)

    @property
    def suffix(self) -> str:
        """The suffix of an artifact's name."""
        return "".join(f"-{name.replace('_', '-')}-{value}" for name, value in self.record().items())


AS_IS = Design()


@dataclass(frozen=True)
class Network:
    """A row of the table and the differences from it, as a weights file records them."""

    variant: str
    design: Design = AS_IS

    def __post_init__(self) -> None:
        """Raise UsageError for an unknown variant or bypass."""
        if self.variant not in VARIANTS:
            raise unknown("variant", self.variant, VARIANTS)
        if self.design.bypass not in BYPASSES:
            raise unknown("bypass", self.design.bypass, BYPASSES)

    def __str__(self) -> str:
        options = (f"--{name.replace('_', '-')} {value}" for name, value in self.design.record().items())
        return " ".join([self.variant, *options])

    def is_same(self, network: Network) -> bool:
        """Whether both are the same network, however recorded."""
        row = VARIANTS[self.variant]
        return self.variant == network.variant and self.design.beside(row) == network.design.beside(row)


@dataclass(frozen=True)
class Architecture:
    """A variant with its options, checked. Input size is (height, width); with `any_size`, it is only the default."""

    variant: str
    classes: int
    input_size: tuple[int, int]
    dropout: float
    any_size: bool = False
    design: Design = AS_IS

    @property
    def network(self) -> Network:
        """The row and the design alone."""
        return Network(self.variant, self.design)

    @property
    def row(self) -> Variant:
        """The variant's row of the table."""
        return VARIANTS[self.variant]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages up to the head: the row's own, or those that the design generates."""
        return self.design.stages(self.row)

    @property
    def is_usual(self) -> bool:
        """Whether published weights of the variant would fit."""
        return self.classes == self.row.classes and self.design == AS_IS

    @property
    def head(self) -> str:
        """The name of the layer with one output per class."""
        return f"conv{sum(not isinstance(stage, Pool) for stage in self.stages) + 1}"

    @property
    def bypasses(self) -> dict[str, str]:
        """The fire modules with a bypass, by name: simple (the input itself) or complex (through a convolution)."""
        kinds, channels = {}, 3
        for name, stage in named(self.stages):
            if isinstance(stage, Fire):
                kinds[name] = SIMPLE if channels == stage.channels else COMPLEX
            channels = stage.channels_after(channels)
        return {name: kind for name, kind in kinds.items() if kind in BYPASSES[self.design.bypass]}


def of_keywords(keywords: Mapping[str, Any]) -> Design:
    """What the variant's row is to be changed by: keywords of their own, or the one value that they were before."""
    chosen = Design(**{field.name: keywords[field.name] for field in dataclasses.fields(Design)})
    deprecated: Design | None = keywords["design"]
    if deprecated is None:
        return chosen
    if chosen != AS_IS:
        raise UsageError(f"design= and {', '.join(chosen.record())} say the same thing. Leave design out.")
    warnings.warn(
        "design= is deprecated: give bypass, base_e, incr_e, pct_3x3, freq and squeeze_ratio themselves",
        DeprecationWarning,
        stacklevel=4,  # past the decorator of the public function
    )
    return deprecated
