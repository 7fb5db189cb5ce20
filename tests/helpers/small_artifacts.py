"""Artifacts of a few hundred bytes, whose model no engine could run: for what only reads, copies and checks them."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

from edge_squeeze.artifact import folder as artifact, manifest as manifests
from edge_squeeze.artifact.manifest import (
    Golden,
    GoldenScores,
    Graph,
    LabelsFile,
    Manifest,
    ModelFile,
    ParityRecord,
    TensorSpec,
    WeightsRecord,
)
from edge_squeeze.files import atomic
from edge_squeeze.pictures.preprocessing import Preprocessing

HEIGHT, WIDTH, CLASSES = 4, 6, 3
NOT_COPIED = {"parity.json": b"{}", "calibration.json": b"{}", "golden/notes.txt": b"mine"}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def a_picture() -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), "teal").save(encoded, "PNG")
    return encoded.getvalue()


def a_manifest(name: str, model: bytes, labels: bytes, verdict: str) -> Manifest:
    scores = {family: GoldenScores(f"golden/scores-{family}.f32", 0.0, "") for family in ("xnnpack", "builtin")}
    return Manifest(
        name=name,
        variant=None,
        format="tflite",
        precision="int8",
        options={},
        parameters=1,
        classes=CLASSES,
        file=ModelFile("model-int8.tflite", len(model), sha256(model)),
        labels=LabelsFile("labels.txt", sha256(labels)),
        weights=WeightsRecord("file", "", trained=True),
        input_size=(HEIGHT, WIDTH),
        input=TensorSpec("image", (1, HEIGHT, WIDTH, 3), "uint8", "nhwc", "pixels"),
        output=TensorSpec("scores", (1, CLASSES), "uint8", "nc", "scores"),
        rewrites=[],
        quantizer=None,
        gates={},
        preprocessing=Preprocessing(8, (HEIGHT, WIDTH)),
        tools={},
        command="edge-squeeze export",
        golden=Golden("golden/picture.png", "golden/pixels.rgb", scores),
        graph=Graph({}, {}, 0),
        parity=ParityRecord(verdict, {"unproven": "untrained weights"}.get(verdict, "top1_agreement is 0.5")),
    )


def contents(name: str, model: bytes = b"model", verdict: str = "pass") -> dict[str, bytes]:
    """The files that bundling copies of the artifact that `make` makes."""
    labels = b"cat\ndog\nbird\n"
    scores = {f"golden/scores-{family}.f32": bytes(CLASSES * 4) for family in ("xnnpack", "builtin")}
    return {
        "model.json": manifests.to_json(a_manifest(name, model, labels, verdict)).encode(),
        "model-int8.tflite": model,
        "labels.txt": labels,
        "golden/picture.png": a_picture(),
        "golden/pixels.rgb": bytes(HEIGHT * WIDTH * 3),
        **scores,
    }


def make(out: Path, name: str = "net", model: bytes = b"model", verdict: str = "pass") -> Path:
    """The folder of an artifact that is whole, below `out`."""
    atomic.write(out / name, contents(name, model, verdict) | NOT_COPIED, artifact.EXPORTED)
    return out / name


def change(folder: Path, **values: Any) -> None:
    """Write other `values` into model.json: golden__pixels is the key pixels of golden."""
    path = folder / artifact.MANIFEST
    data = json.loads(path.read_text())
    for keys, value in values.items():
        *parents, last = keys.split("__")
        inner = data
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
    path.write_text(json.dumps(data))


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, hidden ones too."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
