"""The command line: reads arguments, calls the library, prints, and turns errors into exit codes."""

from __future__ import annotations

import shlex
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated, NoReturn

import typer

import edge_squeeze
from edge_squeeze import chatter
from edge_squeeze.errors import ConversionError, EdgeSqueezeError, UsageError

EPILOG = "Any command: --debug shows the traceback of an error. Exit codes: docs/commands.md."
PARITY_FAILED = 3
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
LOG_LINES = 15
app = typer.Typer(
    help="Export Keras SqueezeNets to TFLite and ONNX, with proof.",
    epilog=EPILOG,
    rich_markup_mode=None,  # rich's help takes longer to load than everything else together
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show where the time goes and what converters print.")]
Threads = Annotated[int, typer.Option(help="Threads of the engine.")]
Runtime = Annotated[
    str | None, typer.Option(help="litert, tflite-runtime, tf.lite or onnxruntime; default: the first installed.")
]
Images = Annotated[
    Path | None, typer.Option(help="Pictures to prove parity on; default: crops of built-in photographs.")
]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        sys.stdout.write(f"edge-squeeze {edge_squeeze.__version__}\n")
        raise typer.Exit


@app.command()
def export(
    variant: Annotated[str, typer.Argument(help="squeezenet1.0 or squeezenet1.1.")] = edge_squeeze.DEFAULT_VARIANT,
    format_: Annotated[str, typer.Option("--format", help="tflite, onnx or all; several with commas.")] = "tflite",
    precision: Annotated[
        str, typer.Option(help="float32, float16, dynamic, int8 or all; several with commas.")
    ] = "float32",
    weights: Annotated[str, typer.Option(help="imagenet, random or a weights file.")] = "imagenet",
    seed: Annotated[int, typer.Option(help="Seed of --weights random.")] = 0,
    classes: Annotated[int | None, typer.Option(help="Number of classes; default: that of the weights.")] = None,
    input_size: Annotated[str | None, typer.Option(help="Side of the input in pixels, or HEIGHTxWIDTH.")] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Pictures, or a calibration.json, that int8 learns its ranges from.")
    ] = None,
    images: Images = None,
    out: Annotated[Path, typer.Option(help="Folder that receives a folder per artifact.")] = Path("out"),
    io: Annotated[
        str | None,
        typer.Option(help="dtype of the pixels: uint8, int8, float32; default: uint8 for int8, else float32."),
    ] = None,
    layout: Annotated[str, typer.Option(help="nhwc or nchw (ONNX).")] = "nhwc",
    opset: Annotated[int | None, typer.Option(help="ONNX operator set; default: 17.")] = None,
    dynamic_batch: Annotated[bool, typer.Option("--dynamic-batch", help="Leave the batch open (ONNX).")] = False,
    json_: Json = False,
    verbose: Verbose = False,
) -> None:
    """Convert a network, prove each file against the original, and write an artifact folder for each."""
    from edge_squeeze import summaries
    from edge_squeeze.console import ConsoleReporter

    chatter.visible(verbose)
    exported = edge_squeeze.export(
        variant, format=format_, precision=precision, weights=weights, seed=seed, classes=classes,
        input_size=_input_size(input_size), calibration=calibration, images=images, out=out, io=io, layout=layout,
        opset=opset, dynamic_batch=dynamic_batch, reporter=ConsoleReporter(verbose=verbose), command=_command(),
    )  # fmt: skip
    summaries.export(exported, as_json=json_)
    if any(one.proof.verdict == "fail" for one in exported):
        raise typer.Exit(PARITY_FAILED)


@app.command()
def verify(
    artifact: Annotated[Path, typer.Argument(help="Folder that `export` left.")],
    images: Images = None,
    original: Annotated[
        Path | None, typer.Option(help="Weights file of the original, if not where the artifact says.")
    ] = None,
    runtime: Runtime = None,
    threads: Threads = 1,
    json_: Json = False,
    verbose: Verbose = False,
) -> None:
    """Check an artifact's golden files, and prove it against its original again."""
    from edge_squeeze import summaries
    from edge_squeeze.console import ConsoleReporter

    chatter.visible(verbose)
    reporter = ConsoleReporter(verbose=verbose)
    found = edge_squeeze.verify(
        artifact, images=images, original=original, runtime=runtime, threads=threads, reporter=reporter
    )
    summaries.verification(found, as_json=json_)
    if not found.passed:
        raise typer.Exit(PARITY_FAILED)


@app.command()
def predict(
    artifact: Annotated[Path, typer.Argument(help="Folder that `export` left.")],
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    top: Annotated[int, typer.Option(min=1, help="How many classes to show.")] = 5,
    runtime: Runtime = None,
    threads: Threads = 1,
    json_: Json = False,
) -> None:
    """Show the best classes of pictures, with the time each took."""
    from edge_squeeze import summaries
    from edge_squeeze.pictures import list_pictures

    files = [file for path in pictures for file in list_pictures(path)]
    classifier = edge_squeeze.load(artifact, runtime=runtime, threads=threads)
    classifier.warm_up(files[0])
    summaries.predictions(classifier, ((file, classifier.classify(file, top)) for file in files), as_json=json_)


def _input_size(text: str | None) -> int | tuple[int, int] | None:
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):  # noqa: PLR2004 - height and width
        raise UsageError(f"--input-size must be a number of pixels or HEIGHTxWIDTH, got {text!r}.")
    height, width = int(sides[0]), int(sides[-1])
    return height, width


def _command() -> str:
    return shlex.join(["edge-squeeze", *sys.argv[1:]])


class _Interrupts:
    """Remembers Ctrl-C: native code that is interrupted raises an error of its own in place of KeyboardInterrupt."""

    seen = False

    def __call__(self, *_: object) -> None:
        self.seen = True
        raise KeyboardInterrupt


def main() -> None:
    """Run the command line of this process; never returns."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends us as it ends any other tool
    interrupts = _Interrupts()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else a shell wants it ignored
        signal.signal(signal.SIGINT, interrupts)
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    try:
        app()
    except (Exception, SystemExit) as error:
        if interrupts.seen:
            sys.stderr.write("\nInterrupted. Nothing half-written was left behind.\n")
            sys.exit(INTERRUPTED)
        _end(error, debug=debug)


def _end(error: Exception | SystemExit, *, debug: bool) -> NoReturn:
    """End the process as `error` demands."""
    if isinstance(error, SystemExit):
        raise error
    if debug:
        traceback.print_exception(error)
    if isinstance(error, ConversionError) and error.log:
        sys.stderr.write("".join(f"  | {line}\n" for line in error.log.splitlines()[-LOG_LINES:]))
    if isinstance(error, EdgeSqueezeError):
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(error.exit_code)
    what = f"{type(error).__name__}: {error}"  # whatever else escapes is a defect, and is told as one
    sys.stderr.write(f"Error: Something that edge-squeeze did not foresee: {what}\nRun again with --debug.\n")
    sys.exit(EdgeSqueezeError.exit_code)
