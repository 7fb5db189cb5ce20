"""`edge-squeeze models`: which networks there are, and any of them layer by layer, as the paper's Table 1 has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import typer

from edge_squeeze import arguments as arg
from edge_squeeze.networks import arithmetic
from edge_squeeze.networks.architecture import architecture
from edge_squeeze.networks.arithmetic import Layer
from edge_squeeze.networks.design import NONE, Architecture, Design
from edge_squeeze.networks.variants import VARIANTS

LISTED = ("model", "input", "classes", "parameters", "MACs", "weights", "what it is")
SHOWN = ("layer", "output", "filter/stride", "s1x1", "e1x1", "e3x3", "parameters", "MACs", "bypass")
app = typer.Typer(help="List the networks, or show one layer by layer.", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def models(context: typer.Context, *, json_: arg.Json = False) -> None:
    """List the networks; `models show NAME` shows one layer by layer."""
    from edge_squeeze.console import print_json, print_table, print_text

    found = [architecture(name) for name in VARIANTS]
    if context.invoked_subcommand is not None:
        return
    if json_:
        print_json([_about(arch) for arch in found])
        return
    print_table(LISTED, [_listed(arch) for arch in found], right=2)
    print_text("", "Next: edge-squeeze models show MODEL, edge-squeeze export MODEL.")


@app.command(short_help="Show a network layer by layer.")
def show(
    variant: arg.Variant, classes: arg.Classes = None, input_size: arg.InputSize = None, bypass: arg.Bypass = NONE,
    base_e: arg.BaseE = None, incr_e: arg.IncrE = None, pct_3x3: arg.Pct3x3 = None, freq: arg.Freq = None,
    squeeze_ratio: arg.SqueezeRatio = None, *, json_: arg.Json = False,
) -> None:  # fmt: skip
    """Show a network layer by layer: sizes, filters, parameters and multiply-accumulates (MACs)."""
    from edge_squeeze.console import print_json, print_table, print_text

    design = Design(bypass, base_e, incr_e, pct_3x3, freq, squeeze_ratio)
    arch = architecture(variant, classes, arg.size(input_size), design=design)
    layers = list(arithmetic.layers(arch))
    if json_:
        print_json({**_about(arch), "layers": [dataclasses.asdict(layer) for layer in layers]})
        return
    columns = SHOWN if arch.bypasses else SHOWN[:-1]
    rows = [_first(arch), *map(_shown, layers), _total(arch)]
    print_table(columns, [row[: len(columns)] for row in rows], right=len(columns) - len(SHOWN) + 1)
    print_text("", *_notes(arch))


def _about(arch: Architecture) -> dict[str, Any]:
    return {
        "variant": arch.variant, "about": arch.row.about, "input_size": arch.input_size, "any_size": arch.any_size,
        "classes": arch.classes, "design": arch.design.record(), "softmax": arch.row.softmax,
        "parameters": arithmetic.parameters(arch), "macs": arithmetic.macs(arch),
        "smallest_input": arithmetic.smallest_input(arch.stages), "weights": _weights(arch),
    }  # fmt: skip


def _weights(arch: Architecture) -> str | None:
    from edge_squeeze import weights

    return weights.IMAGENET if weights.default(arch) == weights.IMAGENET else None


def _listed(arch: Architecture) -> list[str]:
    return [
        arch.variant, _times(*arch.input_size), f"{arch.classes:,}", f"{arithmetic.parameters(arch):,}",
        f"{arithmetic.macs(arch):,}", _weights(arch) or "yours", arch.row.about,
    ]  # fmt: skip


def _first(arch: Architecture) -> list[str]:
    return ["image", _times(*arch.input_size, arithmetic.COLOURS), *[""] * (len(SHOWN) - 2)]


def _total(arch: Architecture) -> list[str]:
    return ["total", *[""] * 5, f"{arithmetic.parameters(arch):,}", f"{arithmetic.macs(arch):,}", ""]


def _shown(layer: Layer) -> list[str]:
    size, stride = layer.filter or (0, 0)
    filters = [str(number or "") for number in (layer.squeeze, layer.expand1x1, layer.expand3x3)]
    counts = [f"{number:,}" if number else "" for number in (layer.parameters, layer.macs)]
    filter_ = f"{size}x{size}/{stride}" if layer.filter else ""
    return [layer.name, _times(*layer.output), filter_, *filters, *counts, layer.bypass or ""]


def _notes(arch: Architecture) -> Iterator[str]:
    smallest = arithmetic.smallest_input(arch.stages)
    what = "probabilities" if arch.row.softmax else "logits"
    yield f"It gives {what} of {arch.classes:,} classes. The smallest picture that works is {smallest} x {smallest}."
    if arch.any_size:
        yield f"Its input size is open: outputs and MACs are those at {_times(*arch.input_size)}."


def _times(*sides: int) -> str:
    return "x".join(map(str, sides))
