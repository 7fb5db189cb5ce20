"""`edge-squeeze models`: list the networks, or show one of them layer by layer, as in the paper's Table 1."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import typer

from edge_squeeze.cli import arguments as arg
from edge_squeeze.cli.tables import print_table
from edge_squeeze.networks import arithmetic
from edge_squeeze.networks.architecture import architecture
from edge_squeeze.networks.arithmetic import Layer
from edge_squeeze.networks.design import NONE, Architecture, Design
from edge_squeeze.networks.variants import VARIANTS
from edge_squeeze.reporting import Column

LIST_COLUMNS = (
    Column("model", text=True),
    Column("input", 3),
    Column("classes", 4),
    Column("parameters", 2),
    Column("MACs", 1),
    Column("weights", text=True),
)
# A filter is its size, and after the slash its stride; rows as in the paper's Table 1.
LAYER_COLUMNS = (
    Column("layer", text=True),
    Column("output", 1),
    Column("filter", 5),
    Column("s1x1", 4),
    Column("e1x1", 4),
    Column("e3x3", 4),
    Column("parameters", 2),
    Column("MACs", 3),
    Column("bypass", text=True),
)
app = typer.Typer(
    help="List the networks, or show one layer by layer.",
    rich_markup_mode=None,
    epilog=arg.examples("models", "models show squeezenet1.1"),
)


@app.callback(invoke_without_command=True)
def models(context: typer.Context, *, json_: arg.Json = False, verbose: arg.AllColumns = False) -> None:
    """List the networks; `models show NAME` shows one layer by layer."""
    from edge_squeeze.cli.console import print_json, print_next, print_prose

    if context.invoked_subcommand is not None:
        return
    architectures = [architecture(name) for name in VARIANTS]
    if json_:
        print_json([_as_json(arch) for arch in architectures])
        return
    print_table(LIST_COLUMNS, [_list_row(arch) for arch in architectures], every=verbose)
    print_prose("", *(f"{arch.variant}: {arch.row.about}." for arch in architectures), later="  ")
    print_next("edge-squeeze models show MODEL", "edge-squeeze export MODEL")


@app.command(
    short_help="Show a network layer by layer.",
    epilog=arg.examples("models show squeezenet1.1", "models show squeezenet-composable --bypass complex"),
)
def show(
    variant: arg.Variant,
    classes: arg.Classes = None,
    input_size: arg.InputSize = None,
    bypass: arg.Bypass = NONE,
    base_e: arg.BaseE = None,
    incr_e: arg.IncrE = None,
    pct_3x3: arg.Pct3x3 = None,
    freq: arg.Freq = None,
    squeeze_ratio: arg.SqueezeRatio = None,
    *,
    json_: arg.Json = False,
    verbose: arg.AllColumns = False,
) -> None:
    """Show a network layer by layer: sizes, filters, parameters and multiply-accumulates (MACs)."""
    from edge_squeeze.cli.console import print_json, print_prose

    design = Design(bypass, base_e, incr_e, pct_3x3, freq, squeeze_ratio)
    arch = architecture(variant, classes, arg.size(input_size), design=design)
    layers = list(arithmetic.layers(arch))
    if json_:
        print_json({**_as_json(arch), "layers": [dataclasses.asdict(layer) for layer in layers]})
        return
    columns = LAYER_COLUMNS if arch.bypasses else LAYER_COLUMNS[:-1]
    image = ["image", _times(*arch.input_size, arithmetic.COLORS), *[""] * (len(LAYER_COLUMNS) - 2)]
    total = ["total", *[""] * 5, f"{arithmetic.parameters(arch):,}", f"{arithmetic.macs(arch):,}", ""]
    rows = [image, *map(_layer_row, layers), total]
    print_table(columns, [row[: len(columns)] for row in rows], every=verbose)
    print_prose("", *_notes(arch))


def _as_json(arch: Architecture) -> dict[str, Any]:
    return {
        "variant": arch.variant,
        "about": arch.row.about,
        "input_size": arch.input_size,
        "any_size": arch.any_size,
        "classes": arch.classes,
        "design": arch.design.record(),
        "softmax": arch.row.softmax,
        "parameters": arithmetic.parameters(arch),
        "macs": arithmetic.macs(arch),
        "smallest_input": arithmetic.smallest_input(arch.stages),
        "weights": _weights(arch),
    }


def _weights(arch: Architecture) -> str | None:
    from edge_squeeze.models import weights

    return weights.IMAGENET if weights.default(arch) == weights.IMAGENET else None


def _list_row(arch: Architecture) -> list[str]:
    return [
        arch.variant,
        _times(*arch.input_size),
        f"{arch.classes:,}",
        f"{arithmetic.parameters(arch):,}",
        f"{arithmetic.macs(arch):,}",
        _weights(arch) or "yours",
    ]


def _layer_row(layer: Layer) -> list[str]:
    size, stride = layer.filter or (0, 0)
    filters = [str(number or "") for number in (layer.squeeze, layer.expand1x1, layer.expand3x3)]
    counts = [f"{number:,}" if number else "" for number in (layer.parameters, layer.macs)]
    filter_ = f"{size}x{size}/{stride}" if layer.filter else ""
    return [layer.name, _times(*layer.output), filter_, *filters, *counts, layer.bypass or ""]


def _notes(arch: Architecture) -> Iterator[str]:
    smallest = arithmetic.smallest_input(arch.stages)
    scores = "probabilities" if arch.row.softmax else "logits"
    yield f"The output is {scores} of {arch.classes:,} classes. The smallest input is {smallest} x {smallest} pixels."
    if arch.any_size:
        yield f"The input size is open: outputs and MACs are those at {_times(*arch.input_size)}."


def _times(*sides: int) -> str:
    return "x".join(map(str, sides))
