"""A folder of models as `edge-squeeze bundle` writes it, with a model of four bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def bundle(folder: Path, index: object = None) -> Path:
    """A folder of models with one of four bytes."""
    (folder / "a").mkdir(parents=True)
    files = {"file": ("a.tflite", b"abcd"), "labels": ("labels.txt", b"cat\n")}
    for name, content in files.values():
        (folder / "a" / name).write_bytes(content)
    hashed = {
        key: {"name": name, "sha256": hashlib.sha256(content).hexdigest()} for key, (name, content) in files.items()
    }
    (folder / "a" / "model.json").write_text(json.dumps({"format": "tflite", **hashed}))
    (folder / "index.json").write_text(json.dumps(index or {"artifacts": [{"folder": "a"}]}))
    return folder
