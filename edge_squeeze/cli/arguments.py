"""The arguments and options of the commands: what each is called on the command line, and what --help says of it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_squeeze.errors import UsageError
from edge_squeeze.formats import FORMATS, layouts, precisions, suffixes
from edge_squeeze.networks.architecture import ANY, Size
from edge_squeeze.networks.variants import VARIANTS
from edge_squeeze.training.options import AUGMENTATIONS, EXAMPLES

SEVERAL = "separate several with commas, or repeat the option"

# export: what to convert
Model = Annotated[
    str,
    typer.Argument(help=f"{', '.join(VARIANTS)}, or a Keras model: a .keras or .h5 file or a SavedModel folder."),
]
Weights = Annotated[
    str | None, typer.Option(help="imagenet, random or a weights file, for a variant; default: imagenet.")
]
Seed = Annotated[int | None, typer.Option(help="Seed of --weights random; default: 0.")]
Classes = Annotated[int | None, typer.Option(help="Number of classes; default: as many as the weights have.")]
InputSize = Annotated[str | None, typer.Option(help="Input size: a side in pixels, HEIGHTxWIDTH, or the word any.")]
Preprocessing = Annotated[
    str | None,
    typer.Option(help="Preprocessing in training: caffe, torch, tf, unit, raw, keras-applications:NETWORK or a file."),
]
Resize = Annotated[
    str | None,
    typer.Option(help="How pictures are resized: crop, stretch, or the short side before the crop."),
]
Filter = Annotated[
    str | None,
    typer.Option(help="Resize filter: bilinear (default), tf-bilinear, nearest, tf-nearest, bicubic or area."),
]
Labels = Annotated[Path | None, typer.Option(help="Text file with one class name per line.")]
CustomObjects = Annotated[
    str | None, typer.Option(help="Python module or .py file that defines custom layers. Its code is executed.")
]
TrustFile = Annotated[
    bool,
    typer.Option("--trust-file", help="Run Python code in Lambda layers of the model file. Only for your own files."),
]

# export, models show: what is to differ from a variant's row
Bypass = Annotated[str, typer.Option(help="Bypass connections around fire modules: none, simple or complex.")]
BaseE = Annotated[int | None, typer.Option(help="Number of expand filters in the first fire module.")]
IncrE = Annotated[int | None, typer.Option(help="Number of expand filters to add after every --freq fire modules.")]
Pct3x3 = Annotated[float | None, typer.Option("--pct-3x3", help="Fraction of the expand filters that are 3x3.")]
Freq = Annotated[int | None, typer.Option(help="Consecutive fire modules with the same number of expand filters.")]
SqueezeRatio = Annotated[float | None, typer.Option(help="Ratio of squeeze filters to expand filters.")]

# export: into what
Format = Annotated[list[str], typer.Option(help=f"{', '.join(FORMATS)} or all; {SEVERAL}.")]
Precision = Annotated[list[str], typer.Option(help=f"{', '.join(precisions())} or all; {SEVERAL}.")]
Out = Annotated[Path, typer.Option(help="Output folder; each artifact gets a folder in it.")]
Io = Annotated[
    str | None,
    typer.Option(help="dtype of the pixels: uint8, int8, float32; default: uint8 if quantized, else float32."),
]
Layout = Annotated[
    str | None,
    typer.Option(
        help=f"Layout of the pixels: {' or '.join(layouts())} (ONNX); default: "
        f"{', '.join(f'{row.layouts[0]} for {kind}' for kind, row in FORMATS.items())}."
    ),
]
Opset = Annotated[int | None, typer.Option(help="ONNX operator set; default: 17.")]
DynamicBatch = Annotated[bool, typer.Option("--dynamic-batch", help="Leave the batch size open (ONNX).")]
StrictInt8 = Annotated[bool, typer.Option("--strict-int8", help="Refuse a quantized file that has operators in float.")]
Head = Annotated[
    str, typer.Option(help="float or int8: what quantized files compute in after the last convolution or dense layer.")
]
Rewrites = Annotated[
    str,
    typer.Option(help="Exact rewrites that make files faster: auto (those measured to), none, or names with commas."),
]
Quantizer = Annotated[
    str,
    typer.Option(
        help="Of int8 weights. tuned: rounded so that outputs change least; stock: the converter's own rounding; auto: "
        "tuned where that is clearly better on held-out pictures."
    ),
]
KeepFloat = Annotated[
    str | None,
    typer.Option(
        help="Layers that int8 files keep in float, with commas between them, or auto:K for the K that pay best.",
        metavar="LAYER,...|auto:K",
    ),
]
Effort = Annotated[
    str | None,
    typer.Option(help="quick (about a minute) or full (minutes more of training) for tuned weights; default: quick."),
]
Softmax = Annotated[bool, typer.Option("--softmax", help="Put a softmax behind a network that gives logits.")]

# pictures
Calibration = Annotated[
    Path | None,
    typer.Option(
        help="Pictures, a .txt list of them, an .npz file of pixels, or a calibration.json, from which int8 takes its "
        "ranges."
    ),
]
CalibrationSamples = Annotated[
    int | None,
    typer.Option(help="Number of pictures to draw for calibration; default: all of a folder, 200 of a list or .npz."),
]
CalibrationSeed = Annotated[int | None, typer.Option(help="Seed of the draw for calibration; default: 1.")]
CalibrationRange = Annotated[
    str, typer.Option(help="How int8 takes a range from pictures: minmax, percentile:P, mse or auto.", metavar="RULE")
]
Images = Annotated[
    Path | None,
    typer.Option(help="Pictures, or a .txt list of them, to prove parity on; default: crops of built-in photographs."),
]
SkipUnreadable = Annotated[
    bool, typer.Option("--skip-unreadable", help="Go on without pictures that cannot be read; they are counted.")
]
DebugSamples = Annotated[int, typer.Option("--samples", help="Most pictures to use, spread over all.")]
Bisect = Annotated[
    bool | None, typer.Option(help="Find the layer that loses most in few passes; default: where all would take long.")
]
Plot = Annotated[Path | None, typer.Option(help="Page that shows legs and layers as charts.", metavar="FILE.html")]
Answer = Annotated[Path | None, typer.Option(hidden=True, help="Answer the question of a desk, as a board does.")]
Pictures = Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")]

# artifacts and engines
Artifact = Annotated[Path, typer.Argument(help="Folder written by `export`.")]
FileOrArtifact = Annotated[Path, typer.Argument(help=f"A {suffixes()} file, or a folder written by `export`.")]
Original = Annotated[
    Path | None, typer.Option(help="Path of the original model, if it is no longer where model.json records it.")
]
AgainstArtifact = Annotated[
    Path | None,
    typer.Option(
        "--against",
        help="Other artifact of the same original to compare with on the same pictures; exit 8 if worse, 9 if unclear, "
        "10 if not comparable.",
    ),
]
NoOriginal = Annotated[
    bool, typer.Option("--no-original", help="Do not run the original; without it there is no verdict.")
]
Threads = Annotated[int, typer.Option(help="Number of engine threads.")]
Runtime = Annotated[
    str | None, typer.Option(help="litert, tflite-runtime, tf.lite or onnxruntime; default: the first installed.")
]
ShownSize = Annotated[
    str | None,
    typer.Option(
        "--input-size",
        help="Size to run at, in pixels or as HEIGHTxWIDTH; for artifacts exported with --input-size any.",
    ),
]
Top = Annotated[int, typer.Option(min=1, help="Number of classes to show.")]

# benchmark, compare
Files = Annotated[list[Path] | None, typer.Argument(help=f"{suffixes()} files, or folders written by `export`.")]
Profile = Annotated[
    str,
    typer.Option(
        help="quick (3 fresh processes of each arm, or a few more), standard (10), rigorous (20), sustained (one, of "
        "600 s) or paced (3, at 30 frames a second)."
    ),
]
ThreadCounts = Annotated[
    list[str] | None, typer.Option("--threads", help=f"Threads of the engine; {SEVERAL}; default: up to 4 cores.")
]
Runtimes = Annotated[
    list[str] | None,
    typer.Option(
        "--runtime",
        help="litert, litert:builtin (no XNNPACK), tflite-runtime, onnxruntime, openvino, ncnn or all; "
        f"{SEVERAL}; default: the first installed for each file.",
    ),
]
Cores = Annotated[str, typer.Option(help="Cores to run on: big, prime, little, all, or a list such as 0,2-3.")]
NoSpin = Annotated[bool, typer.Option("--no-spin", help="Let ONNX Runtime's idle threads sleep instead of spinning.")]
Inputs = Annotated[Path | None, typer.Option(help="Pictures to feed to artifacts; default: seeded pixels.")]
InputShape = Annotated[
    list[str] | None,
    typer.Option(help="Shape of an input with open dimensions, such as 1,224,224,3 or 1,3,224,224; repeat for each."),
]
InputSeed = Annotated[int, typer.Option("--seed", help="Seed of the inputs and of the order of arms.")]
Launches = Annotated[int | None, typer.Option(help="Fresh processes per arm; default: the profile's.")]
Duration = Annotated[float | None, typer.Option(help="Seconds per process (sustained, paced).")]
Rate = Annotated[float | None, typer.Option(help="Frames per second (paced); default: 30.")]
Gate = Annotated[list[str], typer.Option(help=f"Metrics to compare: p50, p90, first, load, memory, size; {SEVERAL}.")]
AcrossNetworks = Annotated[
    bool,
    typer.Option("--across-networks", help="Compare all files with the first, even those of another network."),
]
FailOnRegression = Annotated[
    bool,
    typer.Option("--fail-on-regression", help="Exit 8 on a regression, 9 if inconclusive, 10 if not comparable."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit 7 if a measurement is invalid.")]
AaFloor = Annotated[
    bool,
    typer.Option(
        "--aa-floor",
        help="Measure one file against itself and save the difference as the noise floor of later comparisons.",
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start over instead of resuming an interrupted session.")]
ProfileOps = Annotated[
    bool, typer.Option("--profile-ops", help="Show how long each layer takes instead, by its operators.")
]
Replay = Annotated[Path | None, typer.Option(help="Recompute the figures of a saved result without measuring.")]
Results = Annotated[
    list[Path] | None, typer.Option("--out", help="File that receives the result: .json, .csv or .md; repeatable.")
]
NoRaw = Annotated[bool, typer.Option("--no-raw", help="Leave the samples out of the JSON.")]
Old = Annotated[Path, typer.Argument(help="The earlier result (.json).")]
New = Annotated[Path, typer.Argument(help="The later result (.json).")]
Force = Annotated[
    bool, typer.Option("--force", help="Compare results even if they were measured under different conditions.")
]

# verify, benchmark: where
Device = Annotated[
    list[str] | None,
    typer.Option(
        "--device", help="Where to run the files: ssh:[USER@]HOST[:PORT], or local; default: local.", metavar="DEVICE"
    ),
]
Devices = Annotated[
    list[str] | None,
    typer.Option(
        "--device",
        help="Where to measure: ssh:[USER@]HOST[:PORT], or local; repeatable; default: local.",
        metavar="DEVICE",
    ),
]
Setup = Annotated[bool, typer.Option("--setup", help="Create an environment on a board that has none.")]

# evaluate
Artifacts = Annotated[list[Path], typer.Argument(metavar="ARTIFACT...", help="Folders written by `export`.")]
EvaluatedImages = Annotated[
    Path,
    typer.Option("--images", help="Pictures in a folder per class, a .txt list of them, or a folder of `train`."),
]
PictureLabels = Annotated[
    Path | None,
    typer.Option("--labels", help="Table of the pictures' classes; default: their folders, or labels.csv in there."),
]
Workers = Annotated[int | None, typer.Option(help="Processes that decode and run; default: one for each core.")]
ClusterAddress = Annotated[
    str | None,
    typer.Option("--cluster", metavar="ADDRESS", help="Dask scheduler whose workers compute, as in tcp://HOST:8786."),
]
Samples = Annotated[
    int | None, typer.Option(help="Evaluate only so many pictures, drawn at random, always the same ones.")
]
Rows = Annotated[bool, typer.Option("--rows", hidden=True, help="Print the answers for the desk, as a board does.")]
FreshEvaluation = Annotated[
    bool, typer.Option("--fresh", help="Start over instead of resuming an interrupted evaluation.")
]
Against = Annotated[
    Path | None,
    typer.Option(
        help="Earlier `evaluate --json` to compare with; exit 8 if worse, 9 if unclear, 10 if not comparable."
    ),
]
Csv = Annotated[Path | None, typer.Option(help="File that receives one row per picture.")]

# report
SavedBenchmarks = Annotated[
    list[Path] | None,
    typer.Option("--benchmark", metavar="FILE", help="Result of `benchmark --out FILE.json` to show; repeatable."),
]
SavedEvaluations = Annotated[
    list[Path] | None,
    typer.Option("--evaluation", metavar="FILE", help="Output of `evaluate --json` to show; repeatable."),
]
DebugResults = Annotated[
    list[Path] | None,
    typer.Option("--debug-result", metavar="FILE", help="Output of `debug --json` to show; repeatable."),
]
ReportImages = Annotated[
    Path | None,
    typer.Option("--images", help="Pictures to compute parity on again; default: show the proof that `export` left."),
]
ReportOut = Annotated[
    Path, typer.Option("--out", help="The page (.html); its data are saved beside it under the same name (.json).")
]
History = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder with data of earlier reports (.json), to show how each file changed."),
]

# bundle
AndroidPaths = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[ARTIFACT]... ANDROID_PROJECT", help="Folders written by `export`, then the project they go into."
    ),
]
FolderPaths = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[ARTIFACT]... DIR", help="Folders written by `export`, then the folder they go into."),
]
ForceBundle = Annotated[bool, typer.Option("--force", help="Also accept artifacts whose parity failed or is unproven.")]
ListBundled = Annotated[bool, typer.Option("--list", help="List the bundled artifacts, and whether each is complete.")]
RemoveBundled = Annotated[
    list[str] | None, typer.Option("--remove", metavar="NAME", help="Remove an artifact; repeatable.")
]

# train
TrainSize = Annotated[
    str | None, typer.Option("--input-size", help="Input side in pixels, or HEIGHTxWIDTH; default: the variant's.")
]
Variant = Annotated[str, typer.Argument(help=f"{', '.join(VARIANTS)}.")]
TrainImages = Annotated[
    Path | None, typer.Option("--images", help="Folder with a folder per class; default: scikit-learn's digits.")
]
TrainOut = Annotated[Path, typer.Option("--out", help="Output folder; each network gets a folder in it.")]
Epochs = Annotated[int, typer.Option(help="Passes over the training pictures.")]
BatchSize = Annotated[int, typer.Option(help="Pictures per step.")]
LearningRate = Annotated[float, typer.Option(help="Peak learning rate of Adam.")]
TrainSeed = Annotated[
    int, typer.Option("--seed", help="Seed of the split, the initial weights and the order of pictures.")
]
TrainPreprocessing = Annotated[
    str | None,
    typer.Option(
        "--preprocessing", help="How pixels are preprocessed: unit (the default), raw, tf, torch, caffe or a JSON file."
    ),
]

# finetune
FinetuneImages = Annotated[
    Path | None,
    typer.Option("--images", help="Folder with a folder per class, or a CSV file; default: an example's pictures."),
]
Example = Annotated[
    str | None,
    typer.Option(help=f"Pictures that packages bring: {' or '.join(EXAMPLES)}; default: {next(iter(EXAMPLES))}."),
]
FinetuneEpochs = Annotated[int, typer.Option("--epochs", help="Most passes over the training pictures, per stage.")]
Unfreeze = Annotated[
    str,
    typer.Option(help="How many of the last fire modules to train after the head, 0 to 4; auto: as long as it pays."),
]
HeadLearningRate = Annotated[
    float, typer.Option("--learning-rate", help="Peak learning rate of Adam for the head; fire modules get a tenth.")
]
Views = Annotated[int, typer.Option(help="Views of each training picture: itself, and changed ones.")]
Augment = Annotated[
    str | None,
    typer.Option(
        help=f"How views are changed: {', '.join(AUGMENTATIONS)} or none; separate several with commas; default: all."
    ),
]
LabelSmoothing = Annotated[float, typer.Option(help="Share of each label that is spread over all classes.")]
CompareFinetuned = Annotated[
    bool,
    typer.Option("--compare", help="Also train a linear head on raw pixels, and the network from random weights."),
]
Reject = Annotated[
    bool, typer.Option("--reject", help='Also find the confidence below which files answer "none of these".')
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a training that was interrupted.")]

# every command
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
AllColumns = Annotated[bool, typer.Option("--verbose", "-v", help="Show all columns, however wide the terminal is.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show where the time goes and what converters print.")]


def examples(*commands: str) -> str:
    """The end of a command's --help: `commands` as they are typed."""
    return "\n".join(["\b", "Examples:", *(f"  edge-squeeze {command}" for command in commands)])


def command_line() -> str:
    """The command as it was typed."""
    return shlex.join(["edge-squeeze", *sys.argv[1:]])


def size(text: str | None) -> Size | None:
    """What --input-size says; UsageError if it is none."""
    if text is None or text.lower() == ANY:
        return text and ANY
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):  # noqa: PLR2004 - height and width
        raise UsageError(f"--input-size must be a number of pixels, HEIGHTxWIDTH or any, got {text!r}.")
    height, width = int(sides[0]), int(sides[-1])
    return height, width
