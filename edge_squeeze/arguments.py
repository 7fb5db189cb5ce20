"""The arguments and options of the commands: what each is called on the command line, and what --help says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# export: what to convert
Model = Annotated[
    str, typer.Argument(help="squeezenet1.0, squeezenet1.1, or a Keras model: .keras, .h5, SavedModel folder.")
]
Weights = Annotated[
    str | None, typer.Option(help="imagenet, random or a weights file, for a variant; default: imagenet.")
]
Seed = Annotated[int | None, typer.Option(help="Seed of --weights random; default: 0.")]
Classes = Annotated[int | None, typer.Option(help="Number of classes; default: that of the weights.")]
InputSize = Annotated[str | None, typer.Option(help="Side of the input in pixels, or HEIGHTxWIDTH.")]
Preprocessing = Annotated[
    str | None, typer.Option(help="What pixels went through in training: caffe, torch, tf, unit, raw or a JSON file.")
]
Resize = Annotated[
    str | None, typer.Option(help="How pictures are brought to size: crop, stretch, or the short side before the crop.")
]
Labels = Annotated[Path | None, typer.Option(help="Text file with a class name a line.")]
CustomObjects = Annotated[
    str | None, typer.Option(help="Python module, or .py file, with a model's own layers. It is run.")
]

# export: into what
Format = Annotated[str, typer.Option("--format", help="tflite, onnx or all; several with commas.")]
Precision = Annotated[str, typer.Option(help="float32, float16, dynamic, int8 or all; several with commas.")]
Out = Annotated[Path, typer.Option(help="Folder that receives a folder per artifact.")]
Io = Annotated[
    str | None, typer.Option(help="dtype of the pixels: uint8, int8, float32; default: uint8 for int8, else float32.")
]
Layout = Annotated[str, typer.Option(help="nhwc or nchw (ONNX).")]
Opset = Annotated[int | None, typer.Option(help="ONNX operator set; default: 17.")]
DynamicBatch = Annotated[bool, typer.Option("--dynamic-batch", help="Leave the batch open (ONNX).")]

# pictures
Calibration = Annotated[
    Path | None, typer.Option(help="Pictures, or a calibration.json, that int8 learns its ranges from.")
]
Images = Annotated[
    Path | None, typer.Option(help="Pictures to prove parity on; default: crops of built-in photographs.")
]
Pictures = Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")]

# artifacts and engines
Artifact = Annotated[Path, typer.Argument(help="Folder that `export` left.")]
FileOrArtifact = Annotated[Path, typer.Argument(help="A .tflite or .onnx file, or a folder that `export` left.")]
Original = Annotated[
    Path | None, typer.Option(help="Weights file or Keras model it was made from, if not where it says.")
]
Threads = Annotated[int, typer.Option(help="Threads of the engine.")]
Runtime = Annotated[
    str | None, typer.Option(help="litert, tflite-runtime, tf.lite or onnxruntime; default: the first installed.")
]
Top = Annotated[int, typer.Option(min=1, help="How many classes to show.")]

# every command
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show where the time goes and what converters print.")]
