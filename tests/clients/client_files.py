"""The product's files that clients are tried on, and the answer that each should give."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from trained_models import CASES, CROPS, SIZE, fit, save_crops

import edge_squeeze
from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.artifact.folder import Artifact
from edge_squeeze.engines.runner import open_runner
from edge_squeeze.pictures.loading import photograph_crops

WEIGHTS_10 = "weights/compressed_SqueezeNet.net"
OWN = "depthwise"
MODELS = ("1.1", "1.0", "own")  # SqueezeNets, and a small MobileNet that a user trained
COLUMNS = {
    "tflite": ("float32", "float16", "dynamic", "int8", "int16x8", "float32, --io uint8"),
    "onnx": ("float32 nchw", "float16 nchw", "int8 nchw", "float32 nhwc", "float16 nhwc"),
}
CALIBRATED = ("int8", "int16x8")


@dataclass(frozen=True)
class File:
    """One exported file, and what feeders need to know of it."""

    model: str
    kind: str
    column: str
    artifact: Artifact

    @property
    def precision(self) -> str:
        return self.artifact.manifest.precision

    @property
    def labels(self) -> list[str]:
        return (self.artifact.folder / self.artifact.manifest.labels.name).read_text().splitlines()

    def pixels(self) -> np.ndarray:
        """The golden pixels [1,H,W,3]."""
        manifest = self.artifact.manifest
        data = (self.artifact.folder / manifest.golden.pixels).read_bytes()
        return np.frombuffer(data, np.uint8).reshape(1, *manifest.input_size, 3)

    def expected(self, pixels: np.ndarray) -> np.ndarray:
        """The scores of the file's own engine here."""
        return open_runner(self.artifact.model(), self.kind).run(pixels)[0]

    def describe(self, folder: Path) -> dict[str, Any]:
        """What client_feed.py and browser.mjs read, with the pixels as files in `folder`."""
        manifest, pixels = self.artifact.manifest, self.pixels()
        nchw = manifest.input.layout == "nchw"
        steps = pixels.astype(np.int16) + (manifest.input.zero_point or 0)
        ordered = (steps.transpose(0, 3, 1, 2) if nchw else steps).astype(np.uint8)
        np.save(folder / "pixels.npy", pixels)
        (folder / "ordered").write_bytes(ordered.tobytes())
        described = {
            "path": str(self.artifact.folder / manifest.file.name),
            "pixels": str(folder / "pixels.npy"),
            "ordered": str(folder / "ordered"),
            "layout": manifest.input.layout,
            "dtype": manifest.input.dtype,
            "scale": manifest.input.scale,
            "zero_point": manifest.input.zero_point,
            "output_scale": manifest.output.scale,
            "output_zero_point": manifest.output.zero_point,
            "outputScale": manifest.output.scale,
            "outputZeroPoint": manifest.output.zero_point,
            "shape": ordered.shape,
            "height": pixels.shape[1],
            "width": pixels.shape[2],
        }
        (folder / "file.json").write_text(json.dumps(described))
        return described


def export_all(out: Path, test_data: Path, say: Callable[[str], None]) -> list[File]:
    """Every file, in the order of the columns; SqueezeNet 1.0 only where its weights are."""
    own = train(out)
    sources: dict[str, dict[str, Any]] = {"1.1": {"model": "squeezenet1.1"}}
    if (test_data / WEIGHTS_10).exists():
        sources["1.0"] = {"model": "squeezenet1.0", "weights": test_data / WEIGHTS_10}
    else:
        say(f"left out: SqueezeNet 1.0, whose weights are not at {test_data / WEIGHTS_10}")
    case = CASES[OWN]
    sources["own"] = {"model": own, "preprocessing": case.preprocessing, "calibration": out / "crops"}
    return [file for model, options in sources.items() for file in _export(model, options, out / model, say)]


def train(out: Path) -> Path:
    """A user's model, and in the folder crops of what to calibrate it on."""
    import keras

    if (out / "own.keras").exists():
        return out / "own.keras"
    keras.utils.set_random_seed(1)
    case = CASES[OWN]
    model = case.build()
    fit(model, case, photograph_crops(CROPS, (SIZE, SIZE), seed=0).pixels)
    kernel, bias = model.layers[-1].get_weights()
    spread = np.linspace(
        -0.5, 0.5, len(bias), dtype=np.float32
    )  # a bias that is lost, or one class at 1, would hide it
    model.layers[-1].set_weights([kernel / 4, bias + spread])
    model.save(out / "own.keras")
    save_crops(out / "crops", 10, seed=2)
    return out / "own.keras"


def _export(model: str, options: dict[str, Any], out: Path, say: Callable[[str], None]) -> list[File]:
    files = []
    for kind, columns in COLUMNS.items():
        for column in columns:
            precision, _, more = column.replace(",", "").partition(" ")
            own: dict[str, Any] = {"layout": more} if kind == "onnx" else {"io": "uint8"} if more else {}
            kept = {name: value for name, value in options.items() if name != "calibration" or precision in CALIBRATED}
            folder = out / f"{kind}-{'-'.join(column.replace(',', '').split())}"
            if not (made := [path.parent for path in folder.glob("*/model.json")]):
                say(f"export {model}: {kind} {column}")
                exports = edge_squeeze.export(format=kind, precision=precision, out=folder, **own, **kept)
                made = [exported.folder for exported in exports]
            files.append(File(model, kind, column, artifacts.load(made[0])))
    return files
