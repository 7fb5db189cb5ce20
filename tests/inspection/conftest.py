"""Small integer files."""

from __future__ import annotations

import pytest
import small_models

import edge_squeeze


@pytest.fixture(scope="module")
def small_exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The int8 files of `small_models.modules`, by format."""
    exported = edge_squeeze.export(
        small_models.modules(),
        format="tflite,onnx",
        precision="int8",
        quantizer="stock",
        calibration_range="minmax",
        preprocessing="raw",
        out=tmp_path_factory.mktemp("small"),
    )
    return {each.manifest.format: (each.folder / each.manifest.file.name).read_bytes() for each in exported}
