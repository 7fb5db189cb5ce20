"""The command line: reads arguments, calls the library, prints, and turns errors into exit codes."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from edge_squeeze.cli import (
    arguments as arg,
    benchmark,
    bundle,
    debug,
    doctor,
    evaluate,
    exits,
    export,
    finetune,
    inspect,
    models,
    predict,
    report,
    train,
    verify,
)
from edge_squeeze.files import documentation
from edge_squeeze.process import keras_environment, supervision
from edge_squeeze.version import __version__

EPILOG = f"Every command accepts --debug (show tracebacks). Exit codes:\n\n\b\n{documentation.page('commands')}"
app = typer.Typer(
    help="Export Keras SqueezeNets or your own Keras classifier to TFLite and ONNX, checked against the original.",
    epilog=EPILOG,
    rich_markup_mode=None,  # rich's help takes longer to load than everything else together
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        sys.stdout.write(f"edge-squeeze {__version__}\n")
        raise typer.Exit


app.command(
    short_help="Convert a network and prove each file.",
    epilog=arg.examples(
        "export --format all --precision float32,int8",
        "export --precision int8 --calibration DIR --images OTHER_DIR",
        "export MODEL.keras --preprocessing tf --labels LABELS.txt",
    ),
)(export.export)
app.command(
    short_help="Check an artifact again.",
    epilog=arg.examples(
        "verify out/squeezenet1.1-tflite-float32 --images DIR",
        "verify out/squeezenet1.1-tflite-float32 --device ssh:USER@HOST",
    ),
)(verify.verify)
app.command(
    short_help="Find out where a file loses accuracy.",
    epilog=arg.examples("debug out/squeezenet1.1-tflite-int8 --images DIR"),
)(debug.debug)
app.command(
    short_help="Measure accuracy on labeled pictures.",
    epilog=arg.examples(
        "evaluate out/squeezenet1.1-tflite-int8 --images DIR",
        "evaluate out/*/ --images DIR --labels LABELS.csv --csv OUT.csv",
    ),
)(evaluate.evaluate)
app.command(
    short_help="Show the most likely classes of pictures.",
    epilog=arg.examples("predict out/squeezenet1.1-tflite-float32 PICTURE --top 3"),
)(predict.predict)
app.command(
    short_help="Show what a model file contains.",
    epilog=arg.examples("inspect out/squeezenet1.1-tflite-float32", "inspect FILE.onnx --json"),
)(inspect.inspect)
app.command(short_help="Show what this installation can do.", epilog=arg.examples("doctor"))(doctor.doctor)
app.command(
    short_help="Measure model latency, with confidence intervals.",
    epilog=arg.examples(
        "benchmark OLD.tflite NEW.tflite --out TODAY.json",
        "benchmark FILE.onnx --threads 1,2,4",
        "benchmark FILE.tflite --device ssh:USER@HOST --setup",
    ),
)(benchmark.benchmark)
app.command(
    short_help="Write one page about artifacts.",
    epilog=arg.examples(
        "report out/*/ --benchmark A.json --evaluation B.json",
        "report out/squeezenet1.1-onnx-int8 --images DIR --out A.html",
        "report out/*/ --benchmark A.json --out DIR/A.html --history DIR",
    ),
)(report.report)
app.command(
    short_help="Compare two saved benchmarks.",
    epilog=arg.examples("compare OLD.json NEW.json --gate p50,size"),
)(benchmark.compare)
app.command(
    short_help="Have a pretrained network learn your classes.",
    epilog=arg.examples("finetune --images DIR", "finetune MODEL.keras --images LABELS.csv --preprocessing tf"),
)(finetune.finetune)
app.command(
    short_help="Train a network from scratch.",
    epilog=arg.examples("train squeezenet-lab", "train squeezenet-lab --images DIR --epochs 50"),
)(train.train)
app.add_typer(bundle.app, name="bundle", short_help="Copy artifacts to an app.")
app.add_typer(models.app, name="models", short_help="List the networks, or show one.")


def main() -> NoReturn:
    """Run the command line of this process; never returns."""
    exits.check_streams()
    keras_environment.leave_wrappers_out()
    supervision.run(lambda: exits.run(app), exits.tell)
