"""The command line: reads arguments, calls the library, prints, and turns errors into exit codes."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

import edge_squeeze
from edge_squeeze import arguments as arg, chatter, documentation, ending, model_tables, supervision
from edge_squeeze.bundling import commands as bundling
from edge_squeeze.devices import address
from edge_squeeze.errors import MissingDependencyError, PartlyExportedError
from edge_squeeze.networks.design import NONE, Design
from edge_squeeze.training import commands as training

EPILOG = f"Any command: --debug shows the traceback of an error. Exit codes:\n\n\b\n{documentation.page('commands')}"
PARITY_FAILED = 3
app = typer.Typer(
    help="Export Keras SqueezeNets, or a Keras classifier of yours, to TFLite and ONNX, with proof.",
    epilog=EPILOG,
    rich_markup_mode=None,  # rich's help takes longer to load than everything else together
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(bundling.app, name="bundle", short_help="Copy artifacts to an app.")
app.add_typer(model_tables.app, name="models", short_help="List the networks, or show one.")
app.command(
    short_help="Train a network from scratch.",
    epilog=arg.examples("train squeezenet-lab", "train squeezenet-lab --images DIR --epochs 50"),
)(training.train)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        sys.stdout.write(f"edge-squeeze {edge_squeeze.__version__}\n")
        raise typer.Exit


@app.command(
    short_help="Convert a network and prove each file.",
    epilog=arg.examples(
        "export --format all --precision float32,int8",
        "export --precision int8 --calibration DIR --images OTHER_DIR",
        "export MODEL.keras --preprocessing tf --labels LABELS.txt",
    ),
)
def export(
    model: arg.Model = edge_squeeze.DEFAULT_VARIANT,
    format_: arg.Format = ["tflite"],  # noqa: B006 - typer copies it
    precision: arg.Precision = ["float32"],  # noqa: B006
    weights: arg.Weights = None, seed: arg.Seed = None,
    classes: arg.Classes = None,
    input_size: arg.InputSize = None,
    bypass: arg.Bypass = NONE, base_e: arg.BaseE = None, incr_e: arg.IncrE = None, pct_3x3: arg.Pct3x3 = None,
    freq: arg.Freq = None, squeeze_ratio: arg.SqueezeRatio = None,
    preprocessing: arg.Preprocessing = None,
    resize: arg.Resize = None,
    labels: arg.Labels = None,
    custom_objects: arg.CustomObjects = None,
    calibration: arg.Calibration = None,
    images: arg.Images = None,
    out: arg.Out = Path("out"),
    io: arg.Io = None, layout: arg.Layout = "nhwc", opset: arg.Opset = None, dynamic_batch: arg.DynamicBatch = False,
    json_: arg.Json = False, verbose: arg.Verbose = False,
) -> None:  # fmt: skip
    """Convert a network, prove each file against the original, and write an artifact folder for each."""
    from edge_squeeze import summaries
    from edge_squeeze.console import ConsoleReporter

    chatter.visible(verbose)
    try:
        exported = edge_squeeze.export(
            model, format=format_, precision=precision, weights=weights, seed=seed, classes=classes,
            input_size=arg.size(input_size), design=Design(bypass, base_e, incr_e, pct_3x3, freq, squeeze_ratio),
            preprocessing=preprocessing, resize=resize, labels=labels,
            custom_objects=custom_objects, calibration=calibration, images=images, out=out, io=io, layout=layout,
            opset=opset, dynamic_batch=dynamic_batch, reporter=ConsoleReporter(verbose=verbose), command=_command(),
        )  # fmt: skip
    except PartlyExportedError as error:
        summaries.export(error.exported, as_json=json_, verbose=verbose)
        raise
    summaries.export(exported, as_json=json_, verbose=verbose)
    if any(one.proof.verdict == "fail" for one in exported):
        raise typer.Exit(PARITY_FAILED)


@app.command(
    short_help="Check and prove an artifact again.",
    epilog=arg.examples(
        "verify out/squeezenet1.1-tflite-float32 --images DIR",
        "verify out/squeezenet1.1-tflite-float32 --device ssh:USER@HOST",
    ),
)
def verify(
    artifact: arg.Artifact,
    images: arg.Images = None,
    original: arg.Original = None,
    custom_objects: arg.CustomObjects = None,
    runtime: arg.Runtime = None,
    threads: arg.Threads = 1,
    device: arg.Device = None,
    setup: arg.Setup = False,
    json_: arg.Json = False,
    verbose: arg.Verbose = False,
) -> None:
    """Check an artifact's golden files, and prove it against its original again."""
    from edge_squeeze import summaries
    from edge_squeeze.console import ConsoleReporter

    chatter.visible(verbose)
    options: dict[str, Any] = {
        "images": images, "original": original, "custom_objects": custom_objects, "runtime": runtime, "threads": threads
    }  # fmt: skip
    if elsewhere := address.elsewhere(device, setup=setup, most=1):
        from edge_squeeze.devices import verifying

        raise typer.Exit(verifying.verify(artifact, *elsewhere, setup=setup, as_json=json_, **options))
    found = edge_squeeze.verify(artifact, **options, reporter=ConsoleReporter(verbose=verbose))
    summaries.verification(found, as_json=json_, verbose=verbose)
    if not found.passed:
        raise typer.Exit(PARITY_FAILED)


@app.command(
    short_help="Show the best classes of pictures.",
    epilog=arg.examples("predict out/squeezenet1.1-tflite-float32 PICTURE --top 3"),
)
def predict(
    artifact: arg.Artifact,
    pictures: arg.Pictures,
    top: arg.Top = 5,
    input_size: arg.ShownSize = None,
    runtime: arg.Runtime = None,
    threads: arg.Threads = 1,
    json_: arg.Json = False,
) -> None:
    """Show the best classes of pictures, with the time each took."""
    from edge_squeeze import summaries

    classifier = edge_squeeze.load(artifact, runtime=runtime, threads=threads)
    found = classifier.classify_each(pictures, top, input_size=arg.size(input_size))
    summaries.predictions(classifier, found, as_json=json_)


@app.command(
    short_help="Show what a model file really holds.",
    epilog=arg.examples("inspect out/squeezenet1.1-tflite-float32", "inspect FILE.onnx --json"),
)
def inspect(file: arg.FileOrArtifact, json_: arg.Json = False, verbose: arg.AllColumns = False) -> None:
    """Show what a model file really holds: types, operators, what runs in int8, sizes; any .tflite or .onnx file."""
    from edge_squeeze.inspection import summary

    summary.show(*summary.run(file), as_json=json_, verbose=verbose)


@app.command(short_help="Tell what this installation can do.", epilog=arg.examples("doctor"))
def doctor(json_: arg.Json = False) -> None:
    """Tell what this installation can do on this machine, and the command that brings what is missing."""
    from edge_squeeze.console import ConsoleReporter
    from edge_squeeze.doctor import examination, summary

    diagnosis = examination.examine(reporter=ConsoleReporter())
    summary.show(diagnosis, as_json=json_)
    if not diagnosis.ready:
        raise typer.Exit(MissingDependencyError.exit_code)


@app.command(
    short_help="Measure how fast files are, and how sure that is.",
    epilog=arg.examples(
        "benchmark OLD.tflite NEW.tflite --out TODAY.json",
        "benchmark FILE.onnx --threads 1,2,4",
        "benchmark FILE.tflite --device ssh:USER@HOST --setup",
    ),
)
def benchmark(
    files: arg.Files = None,
    profile: arg.Profile = "standard",
    threads: arg.ThreadCounts = None,
    runtime: arg.Runtimes = None,
    cores: arg.Cores = "big",
    no_spin: arg.NoSpin = False,
    inputs: arg.Inputs = None,
    input_shape: arg.InputShape = None,
    seed: arg.InputSeed = 0,
    launches: arg.Launches = None,
    duration: arg.Duration = None,
    rate: arg.Rate = None,
    gate: arg.Gate = ["p50"],  # noqa: B006
    across_networks: arg.AcrossNetworks = False,
    fail_on_regression: arg.FailOnRegression = False,
    strict: arg.Strict = False,
    aa_floor: arg.AaFloor = False,
    fresh: arg.Fresh = False,
    device: arg.Devices = None,
    setup: arg.Setup = False,
    replay: arg.Replay = None,
    out: arg.Results = None,
    no_raw: arg.NoRaw = False,
    json_: arg.Json = False,
    verbose: arg.AllColumns = False,
) -> None:
    """Measure the latency of .tflite and .onnx files or artifacts; the first of each network is its baseline."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy is about to start threads that nobody needs here
    from edge_squeeze.benchmarks.reports import commands

    options: dict[str, Any] = {
        "profile": profile, "threads": arg.joined(threads), "runtime": arg.joined(runtime), "cores": cores,
        "spin": not no_spin, "inputs": inputs, "input_shape": input_shape, "seed": seed, "launches": launches,
        "duration": duration, "rate": rate, "gate": arg.joined(gate), "across_networks": across_networks,
        "aa_floor": aa_floor, "fresh": fresh,
    }  # fmt: skip
    wanted = commands.Wanted(json_, not no_raw, out or [], strict, fail_on_regression, verbose)
    boards = address.elsewhere(device, setup=setup)
    raise typer.Exit(commands.benchmark(files or [], options, replay, boards, wanted, setup=setup))


@app.command(
    short_help="Compare two saved benchmarks.",
    epilog=arg.examples("compare OLD.json NEW.json --gate p50,size"),
)
def compare(
    old: arg.Old,
    new: arg.New,
    gate: arg.Gate = ["p50"],  # noqa: B006
    strict: arg.Strict = False,
    force: arg.Force = False,
    json_: arg.Json = False,
    verbose: arg.AllColumns = False,
) -> None:
    """Compare two results of `benchmark --out FILE.json`: did anything get slower? The exit code tells."""
    from edge_squeeze.benchmarks.reports import output

    found = edge_squeeze.compare(old, new, gate=gate, force=force)
    output.show_comparisons(found, as_json=json_, verbose=verbose)
    raise typer.Exit(output.comparison_code(found, strict=strict))


def _command() -> str:
    return shlex.join(["edge-squeeze", *sys.argv[1:]])


def main() -> NoReturn:
    """Run the command line of this process; never returns."""
    supervision.run(lambda: ending.run(app))
