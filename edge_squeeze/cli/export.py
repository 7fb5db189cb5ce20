"""`edge-squeeze export`: converts a network, and shows how far each file is from the original."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from edge_squeeze.cli import arguments as arg
from edge_squeeze.errors import ExitCode, PartlyExportedError
from edge_squeeze.networks.design import NONE
from edge_squeeze.networks.variants import DEFAULT_VARIANT
from edge_squeeze.process import output

if TYPE_CHECKING:
    from edge_squeeze.converters.export import Exported, Exports

FLOAT32_BYTES = 4


def export(
    model: arg.Model = DEFAULT_VARIANT,
    format: arg.Format = ["tflite"],  # noqa: A002, B006 - the option's name; typer copies the list
    precision: arg.Precision = ["float32"],  # noqa: B006
    weights: arg.Weights = None,
    seed: arg.Seed = None,
    classes: arg.Classes = None,
    input_size: arg.InputSize = None,
    bypass: arg.Bypass = NONE,
    base_e: arg.BaseE = None,
    incr_e: arg.IncrE = None,
    pct_3x3: arg.Pct3x3 = None,
    freq: arg.Freq = None,
    squeeze_ratio: arg.SqueezeRatio = None,
    preprocessing: arg.Preprocessing = None,
    resize: arg.Resize = None,
    filter: arg.Filter = None,  # noqa: A002
    labels: arg.Labels = None,
    custom_objects: arg.CustomObjects = None,
    trust_file: arg.TrustFile = False,
    calibration: arg.Calibration = None,
    calibration_samples: arg.CalibrationSamples = None,
    calibration_seed: arg.CalibrationSeed = None,
    calibration_range: arg.CalibrationRange = "auto",
    images: arg.Images = None,
    skip_unreadable: arg.SkipUnreadable = False,
    out: arg.Out = Path("out"),
    io: arg.Io = None,
    layout: arg.Layout = None,
    opset: arg.Opset = None,
    dynamic_batch: arg.DynamicBatch = False,
    softmax: arg.Softmax = False,
    head: arg.Head = "float",
    rewrites: arg.Rewrites = "auto",
    quantizer: arg.Quantizer = "auto",
    keep_float: arg.KeepFloat = None,
    effort: arg.Effort = None,
    strict_int8: arg.StrictInt8 = False,
    json_: arg.Json = False,
    verbose: arg.Verbose = False,
) -> None:
    """Convert a network, prove each file against the original, and write an artifact folder for each."""
    options = {**locals(), "input_size": arg.size(input_size), "command": arg.command_line()}
    output.visible(verbose)
    exported = _export(options, as_json=json_, verbose=verbose)
    _show(exported, options, as_json=json_, verbose=verbose)
    if any(e.proof.verdict == "fail" for e in exported):
        raise typer.Exit(ExitCode.FAILED_PROOF)


def _export(options: Mapping[str, Any], *, as_json: bool, verbose: bool) -> Exports:
    """What was exported; what could be made is also shown if other files could not."""
    from edge_squeeze.cli.console import ConsoleReporter
    from edge_squeeze.converters import export as exporter
    from edge_squeeze.converters.options import ExportOptions

    try:
        return exporter.export(ExportOptions.of(options), ConsoleReporter(verbose=verbose))
    except PartlyExportedError as error:
        _show(error.exported, options, as_json=as_json, verbose=verbose)
        raise


def _show(exported: Sequence[Exported], options: Mapping[str, Any], *, as_json: bool, verbose: bool) -> None:
    """Print what was made with the `options` of the command line, every figure if `verbose`."""
    from edge_squeeze.cli.console import print_json, print_prose, print_text, whole
    from edge_squeeze.cli.parity_table import PARITY_COLUMNS, proof_as_json
    from edge_squeeze.cli.tables import print_table
    from edge_squeeze.proof.parity import FAIL, PASS
    from edge_squeeze.reporting import Column

    if as_json:
        print_json(
            {
                "artifacts": [
                    {"folder": str(e.folder), **_size(e), **proof_as_json(e.proof, e.manifest.file.sha256)}
                    for e in exported
                ]
            }
        )
        return
    print_text("")
    rows = [(_target(e), *_sizes(e), *e.proof.parity.cells(), e.proof.verdict.upper()) for e in exported]
    columns = Column("target", text=True), Column("MB", 1), Column("smaller", 4)
    print_table((*columns, *PARITY_COLUMNS, Column("verdict", text=True)), rows, every=verbose)
    print_text("", "Written:", *(f"  {e.folder}" for e in exported))
    for verdict, reason in dict.fromkeys(
        (e.proof.verdict, e.proof.reason) for e in exported if e.proof.verdict != FAIL
    ):
        held = [e for e in exported if (e.proof.verdict, e.proof.reason) == (verdict, reason)]
        names = "" if len(held) == len(exported) else f"{', '.join(map(_target, held))}: "
        words = f"Proven on {held[0].proof.basis}" if verdict == PASS else verdict
        print_prose("", f"{names}{words}: {reason}.")
    print_prose(*_remarks(exported[0]), *(remark for e in exported for remark in _of_file(e, verbose=verbose)))
    failed = [e for e in exported if e.proof.verdict == FAIL]
    for e in failed:
        print_prose("", *(f"FAIL {whole(str(e.folder))}: {failure}" for failure in e.proof.failures), later="  ")
    _print_next(next((e for e in exported if e not in failed), None), failed, options)


def _remarks(exported: Exported) -> list[str]:
    """What a user should know of how the original was taken."""
    from edge_squeeze.artifact.manifest import PREPEND_NORMALIZATION, SAVED_MODEL
    from edge_squeeze.scores import LOGITS

    manifest, answers = exported.manifest, exported.proof.answers
    remarks = [f"warning: {warning}." for warning in exported.warnings]
    if manifest.variant is None:
        remarks.append(
            f"The original finds {answers.classes} of its {manifest.classes} classes in these pictures, with a mean "
            f"best score of {answers.mean_top_score:.0%}. If it should find others, look at --preprocessing."
        )
    if manifest.weights.kind == SAVED_MODEL:
        remarks.append("A SavedModel opens only as a whole, so it was converted as it is, nothing folded into it.")
    if PREPEND_NORMALIZATION in manifest.rewrites:
        remarks.append("Preprocessing is an operator of its own before the network: folding it in would not be exact.")
    if manifest.output.content == LOGITS:
        remarks.append("The network gives logits; the figures above are of their softmax.")
    if manifest.threshold is not None:
        remarks.append(
            "The network gives one score, the probability of the second class in labels.txt; above "
            f"{manifest.threshold:g} that is the best class, else the first."
        )
    return remarks


def _of_file(exported: Exported, *, verbose: bool) -> list[str]:
    """What a user should know of one of the files."""
    from edge_squeeze.artifact.folder import FRONTIER, FRONTIER_PAGE

    remarks = _rewrites(exported, verbose=verbose)
    floats = exported.manifest.graph.float_operators
    if not floats:
        return remarks
    kept = exported.manifest.options.get("kept_float") or []
    if kept:
        drawn = f", {FRONTIER_PAGE} draws them" if (exported.folder / FRONTIER_PAGE).is_file() else ""
        remark = (
            f"{_target(exported)} keeps {', '.join(kept)} and the layers that read what they give in float, "
            f"{sum(floats.values())} operators. {FRONTIER} has the files on the way there{drawn}."
        )
        return [*remarks, remark]
    number, kinds = sum(floats.values()), ", ".join(f"{kind} {count}" for kind, count in floats.items())
    remark = (
        f"{_target(exported)} has {number} operator{'' if number == 1 else 's'} in float ({kinds}), in layers that "
        "its runtimes cannot compute in integers alone. Accelerators for integers alone do not run them; --strict-int8 "
        "refuses such a file."
    )
    return [*remarks, remark]


def _rewrites(exported: Exported, *, verbose: bool) -> list[str]:
    """Which rewrites made the file faster, and why others that were asked for did not; of all others if `verbose`."""
    from edge_squeeze.converters.rewrites import catalogue

    manifest = exported.manifest
    done = [name for name in manifest.rewrites if name in catalogue.NAMES]
    target = f"{manifest.format} {manifest.precision}"
    refused = catalogue.refusals(manifest.options["rewrites"], target, done)
    asked = {*catalogue.parse(manifest.options["rewrites"])} - {catalogue.AUTO, catalogue.NONE}
    shown = [f"{name} {reason}" for name, reason in refused.items() if verbose or name in asked]
    remarks = [f"{_target(exported)} is rewritten to run faster, with equal scores: {', '.join(done)}."] if done else []
    return [*remarks, *([f"{_target(exported)} is not rewritten further: {'; '.join(shown)}."] if shown else [])]


def _print_next(good: Exported | None, failed: Sequence[Exported], options: Mapping[str, Any]) -> None:
    from edge_squeeze.artifact.folder import PARITY
    from edge_squeeze.cli.console import print_next, whole

    advice, commands = [], []
    if failed:
        path = whole(str(failed[0].folder / PARITY))
        advice.append(f"see {path} for every picture; what failed was kept as evidence, not for use")
    if any(e.manifest.quantizer for e in failed):
        advice.append(
            "give `--calibration DIR` with 100 pictures of the kind it will see, or try `--precision dynamic,float16`"
        )
    if good is not None:
        folder = shlex.quote(str(good.folder))
        loading = [] if options["custom_objects"] is None else ["--custom-objects", options["custom_objects"]]
        loading += ["--trust-file"] if options["trust_file"] else []
        verify = " ".join([f"edge-squeeze verify {folder} --images DIR", *map(shlex.quote, loading)])
        commands = [f"edge-squeeze predict {folder} PICTURE", verify]
    print_next(*commands, advice=advice)


def _target(exported: Exported) -> str:
    return f"{exported.manifest.format}-{exported.manifest.precision}"


def _size(exported: Exported) -> dict[str, Any]:
    manifest = exported.manifest
    return {
        "name": manifest.name,
        "size_bytes": manifest.file.size_bytes,
        "float_operators": manifest.graph.float_operators,
        "preprocessing": dataclasses.asdict(manifest.preprocessing),
        "warnings": [*exported.warnings, *exported.lint],
    }


def _sizes(exported: Exported) -> tuple[str, str]:
    """Megabytes, and how many times smaller that is than the weights as float32."""
    from edge_squeeze.reporting import megabytes

    size = exported.manifest.file.size_bytes
    return megabytes(size), f"{exported.manifest.parameters * FLOAT32_BYTES / size:.1f}x"
