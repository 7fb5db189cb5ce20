"""How long each operator of a file takes, and which layer of its model it belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from edge_squeeze import formats
from edge_squeeze.engines.catalogue import choose
from edge_squeeze.engines.engine import engine_errors
from edge_squeeze.engines.runner import check_threads
from edge_squeeze.formats import FORMATS

NUMBERED = re.compile(r"_\d+$")


@dataclass(frozen=True)
class OperatorTime:
    """What one operator takes."""

    name: str  # of the tensor that it gives, or of the operator itself
    kind: str
    layer: str
    us: float  # median, in microseconds


def measure(model: bytes, format_name: str, runtime: str | None = None, threads: int = 1) -> list[OperatorTime]:
    """The operators of a file in the order in which they run.

    Args:
        model: The bytes of the file.
        format_name: A row of `FORMATS`.
        runtime: The engine; None is the first one installed.
        threads: Threads of the engine.

    Raises:
        UsageError: No such engine, or a number of threads out of range.
        ConversionError: The engine refuses the file.
        MissingDependencyError: The engine is not installed.
    """
    check_threads(threads)
    name = choose(format_name, runtime)
    with engine_errors(f"{name} could not profile this {format_name} file"):
        times: list[OperatorTime] = formats.module(FORMATS[format_name].profiler).times(model, name, threads)
        return times


def layers_of(names: Iterable[str]) -> list[str]:
    """The layer that each tensor or operator of one file is called after: model/layer/operation, or the layer's name.

    TensorFlow appends _1 to every part of a name where it traced the model a second time.
    """
    paths = [name.partition(";")[0].partition(":")[0].split("/") for name in names]
    models = [path[0] for path in paths if len(path) > 2]  # noqa: PLR2004 - model, layer, operation
    again = bool(models) and all(NUMBERED.search(model) for model in models)
    layers = []
    for path in paths:
        layer = path[-2] if len(path) > 2 else path[0]  # noqa: PLR2004
        layers.append(NUMBERED.sub("", layer) if again and len(path) > 2 else layer)  # noqa: PLR2004
    return layers


def by_layer(times: Iterable[OperatorTime]) -> dict[str, float]:
    """Layer -> microseconds of its operators together, in the order in which they run."""
    sums: dict[str, float] = {}
    for each in times:
        sums[each.layer] = sums.get(each.layer, 0.0) + each.us
    return sums
