"""`edge-squeeze debug`: where the loss of an artifact comes from, leg by leg and layer by layer."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edge_squeeze.cli import arguments as arg, exits
from edge_squeeze.devices import address
from edge_squeeze.process import output

if TYPE_CHECKING:
    from edge_squeeze.converters.debugging.debug import Debugged
    from edge_squeeze.converters.debugging.layers import LayerLoss

SHOWN = 12  # layers without -v
NAMED = 3  # layers in a sentence
CLIPPED, IMBALANCED = 0.001, 8.0  # what is worth a sentence


def debug(
    artifact: arg.Artifact,
    images: arg.Images = None,
    samples: arg.DebugSamples = 50,
    skip_unreadable: arg.SkipUnreadable = False,
    original: arg.Original = None,
    custom_objects: arg.CustomObjects = None,
    trust_file: arg.TrustFile = False,
    runtime: arg.Runtime = None,
    threads: arg.Threads = 1,
    device: arg.Device = None,
    setup: arg.Setup = False,
    bisect: arg.Bisect = None,
    plot: arg.Plot = None,
    answer: arg.Answer = None,
    json_: arg.Json = False,
    verbose: arg.Verbose = False,
) -> None:
    """Find out where an artifact loses what its original computes."""
    from edge_squeeze.cli.console import ConsoleReporter, print_json
    from edge_squeeze.converters.debugging import debug as debugging
    from edge_squeeze.converters.debugging.debug import DebugOptions
    from edge_squeeze.converters.debugging.machines import Board, serve
    from edge_squeeze.reports import plots

    output.visible(verbose)
    sources = (images, samples, original, custom_objects, runtime, threads, skip_unreadable, trust_file)
    options = DebugOptions(*sources, bisect=bisect)
    reporter = ConsoleReporter(verbose=verbose)
    if answer is not None:
        print_json(serve(artifact, answer, options.run, reporter))
        return
    elsewhere = address.elsewhere(device, setup=setup, most=1)
    boards = [Board(each, artifact, options.run, exits.tell, setup) for each in elsewhere]
    if plot is not None:
        plots.check(plot)
    result = debugging.debug(artifact, options, reporter, *boards)
    if plot is not None:
        plots.save_loss(plot, result.to_dict())
    if json_:
        created_utc = datetime.now(UTC).isoformat(timespec="seconds")
        print_json({**result.to_dict(), "created_utc": created_utc, "command": arg.command_line()})
    else:
        _show(result, plot, verbose=verbose)


def _show(result: Debugged, plot: Path | None, *, verbose: bool) -> None:
    """Print the result, all of it if `verbose`."""
    from edge_squeeze.cli.console import print_prose, whole

    _show_legs(result, verbose=verbose)
    print_prose(*(["", *map(str, result.findings)] if result.findings else []))
    _show_layers(result, verbose=verbose)
    if plot is not None:
        print_prose("", f"{whole(str(plot))} opens in any browser.")


def _show_legs(result: Debugged, *, verbose: bool) -> None:
    """Print what each leg adds, and what preprocessing makes of the golden picture."""
    from edge_squeeze.cli.console import print_prose
    from edge_squeeze.cli.tables import print_table
    from edge_squeeze.reporting import Column

    where = "" if result.device is None else f" on {result.device}"
    print_prose("", f"{result.artifact.manifest.name} on {result.pictures.description}, with {result.runtime}{where}")
    print_prose("What each leg adds to the divergence (KL, in thousandths of a nat) and to the agreement (in points):")
    rows = [
        (
            leg.name,
            leg.way,
            f"{1e3 * leg.kl:+.2f} ({1e3 * leg.kl_interval[0]:+.2f} to {1e3 * leg.kl_interval[1]:+.2f})",
            f"{100 * leg.agreement:+.1f}",
            f"{100 * leg.agreement_interval[0]:+.1f} to {100 * leg.agreement_interval[1]:+.1f}",
            f"{1e3 * leg.kl_after:.2f}",
            f"{leg.agreement_after:.1%}",
        )
        for leg in result.legs
    ]
    columns = (
        Column("leg", text=True),
        Column("way", 2, text=True),
        Column("KL (95 %)"),
        Column("agreement"),
        Column("95 %", 1),
        Column("KL then", 3),
        Column("agrees then", 4),
    )
    print_table(columns, rows, every=verbose)
    preparation = result.preparation
    pixels = "the golden pixels" if preparation.pixels_equal else "OTHER pixels than the golden ones"
    kl = "" if preparation.pixels_equal else f", which alone makes the original diverge by {1e3 * preparation.kl:.2f}"
    gold = preparation.golden
    scores = f"its scores are within {gold.max_abs:.1e} of the golden ones, allowed {gold.tolerance:.1e}"
    print_prose(f"Preprocessing gives {pixels}{kl}; {scores}.")


def _show_layers(result: Debugged, *, verbose: bool) -> None:
    """Print what each layer loses, those that pay best in float first."""
    from edge_squeeze.cli.console import print_prose
    from edge_squeeze.cli.tables import print_table
    from edge_squeeze.reporting import Column

    if result.without_layers is not None:
        print_prose("", f"No figures of layers: {result.without_layers}.")
        return
    if result.bisected is not None:
        print_prose("", str(result.bisected), *_sentences(result.layers))
        return
    rows = [each for each in result.layers if each.kl_weights is not None or each.kl_activations is not None]
    if not rows:
        print_prose("", "The roundings of its layers lose next to nothing.", *_sentences(result.layers))
        return
    print_prose(
        "",
        "What each layer loses (KL at the output, in thousandths of a nat), when its weights alone or what it gives "
        "alone is rounded, and what keeping it in float gives back and costs; the best pay per microsecond is first:",
    )
    columns = (
        Column("layer", text=True, cut=True),
        Column("SNR dB", 2),
        Column("weights"),
        Column("outputs"),
        Column("in float"),
        Column("us", 1),
        Column("clipped", 3),
        Column("dead", 4),
        Column("largest", 5),
    )
    shown = rows if verbose else rows[:SHOWN]
    print_table(columns, [_cells(each) for each in shown], every=verbose)
    if result.timed_on != result.device and any(each.cost_us is not None for each in shown):
        print_prose(f"{result.device} does not tell what operators take: us are of this machine.")
    if len(shown) < len(rows):
        print_prose(f"{len(rows) - len(shown)} more layers with -v.")
    print_prose("", *_sentences(result.layers))


def _cells(each: LayerLoss) -> tuple[str, ...]:
    return (
        each.layer,
        "" if each.snr_db is None else f"{each.snr_db:.1f}",
        _thousandths(each.kl_weights),
        _thousandths(each.kl_activations),
        "" if each.gain is None else f"{-1e3 * each.gain:+.3f}",
        "" if each.cost_us is None else f"{each.cost_us:+.0f}",
        "" if each.clipped is None else f"{each.clipped:.3%}",
        f"{each.dead} of {each.channels}" if each.dead else "",
        "" if each.dominance is None else f"{each.dominance:.1f}x",
    )


def _thousandths(value: float | None) -> str:
    return "" if value is None else f"{1e3 * value:.3f}"


def _sentences(layers: list[LayerLoss]) -> list[str]:
    """What stands out, in words."""
    outputs = {each.layer: (each.median_activations, each.kl_activations) for each in layers}
    weights = {each.layer: (each.median_weights, each.kl_weights) for each in layers}
    lines = []
    for what, figures in (("what a layer gives", outputs), ("weights", weights)):
        known = {layer: (median, mean) for layer, (median, mean) in figures.items() if median and mean}
        most = sorted(known, key=lambda layer: -known[layer][0])[:NAMED]
        if most:
            names = ", ".join(
                f"{layer} ({1e3 * known[layer][0]:.3f}; mean {1e3 * known[layer][1]:.3f})" for layer in most
            )
            lines.append(f"In the median picture, rounding {what} costs most in {names}.")
    if clipped := [f"{e.layer} ({e.clipped:.2%})" for e in layers if (e.clipped or 0) > CLIPPED]:
        lines.append(f"Values are cut off in {', '.join(clipped[:NAMED])}.")
    if uneven := [f"{e.layer} ({e.imbalance:.0f}x)" for e in layers if (e.imbalance or 0) > IMBALANCED]:
        lines.append(f"Inputs of unequal size meet in {', '.join(uneven)}.")
    return lines
