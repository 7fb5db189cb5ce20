"""A small network with what quantizers meet, exported in integers."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_models

import edge_squeeze
from edge_squeeze.converters.export import Exported


@pytest.fixture(scope="module")
def modules_exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    """int8 artifacts of `small_models.modules` with stock weights, by format."""
    folder: Path = tmp_path_factory.mktemp("modules")
    small_models.modules().save(folder / "modules.keras")
    exported = edge_squeeze.export(
        folder / "modules.keras",
        format="tflite,onnx",
        precision="int8",
        quantizer="stock",
        calibration_range="minmax",
        preprocessing="raw",
        out=folder / "out",
    )
    return {each.manifest.format: each for each in exported}


@pytest.fixture(scope="session")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An int8 artifact of a network of many layers, the last of which has a softmax."""
    folder = tmp_path_factory.mktemp("deep")
    small_models.deep(20).save(folder / "deep.keras")
    options = {"quantizer": "stock", "calibration_range": "minmax", "preprocessing": "raw", "out": folder / "out"}
    (exported,) = edge_squeeze.export(folder / "deep.keras", format="tflite", precision="int8", **options)
    return exported.folder
