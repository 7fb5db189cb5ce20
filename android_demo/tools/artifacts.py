#!/usr/bin/env python3
"""Export the artifacts that the app is tested with, in every format it runs, into a folder laid out as in the app.

Usage: python artifacts.py DIR. These are SqueezeNet 1.1 in all targets, in ONNX's other layout and in integers
throughout, 1.0 in all targets if its weights are available, and 1.1 without its softmax as a user's own model, with
inputs and layouts that are not the default.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import edge_squeeze
from edge_squeeze.converters.export import Exported
from edge_squeeze.pictures import imagenet
from edge_squeeze.pictures.presets import squeezenet_caffe

ROOT = Path(__file__).resolve().parents[2]
TEST_DATA = Path(os.environ.get("EDGE_SQUEEZE_TEST_DATA", ROOT.parent / "shared"))
WEIGHTS_10 = "weights/compressed_SqueezeNet.net"


def main(target: Path) -> None:
    """Replace `target` with a folder that holds an index and an artifact for each export."""
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        exported = [*_squeezenets(Path(folder)), *_user_models(Path(folder))]
        # int8 of 1.0, calibrated on photographs alone, may fail its gate; the golden check is about the engine
        edge_squeeze.bundle([export.folder for export in exported], target, force=True)
    sys.stdout.write(f"{len(exported)} artifacts in {target}\n")


def _squeezenets(out: Path) -> list[Exported]:
    exported = edge_squeeze.export("squeezenet1.1", format="all", precision="all", out=out)
    exported += edge_squeeze.export("squeezenet1.1", format="onnx", layout="nhwc", out=out)
    exported += edge_squeeze.export("squeezenet1.1", precision="int8", head="int8", out=out)
    weights = TEST_DATA / WEIGHTS_10
    if not weights.is_file():
        sys.stdout.write(
            f"Without SqueezeNet 1.0: {TEST_DATA} has no {WEIGHTS_10}. Set EDGE_SQUEEZE_TEST_DATA to the test data.\n"
        )
        return exported
    return exported + edge_squeeze.export("squeezenet1.0", format="all", precision="all", weights=weights, out=out)


def _user_models(out: Path) -> list[Exported]:
    """SqueezeNet 1.1 up to its logits, exported from a Keras file like a user's own model."""
    import keras

    model, names, file = edge_squeeze.build("squeezenet1.1"), out / "labels.txt", out / "my logits.keras"
    names.write_text("\n".join(imagenet.names()) + "\n")
    keras.Model(model.input, model.layers[-2].output).save(file)
    own: dict[str, Any] = {"preprocessing": squeezenet_caffe(model.input_shape[1:3]), "labels": names, "out": out}
    int8: dict[str, Any] = {"quantizer": "stock", **own}  # the same operators as with tuned weights, which take minutes
    return [
        *edge_squeeze.export(file, precision="float32,int8", **int8),
        *edge_squeeze.export(file, precision="int8", io="int8", **int8),
        *edge_squeeze.export(file, format="onnx", layout="nhwc", io="uint8", dynamic_batch=True, **own),
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
