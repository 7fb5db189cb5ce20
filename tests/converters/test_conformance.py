from __future__ import annotations

import dataclasses

import pytest

from edge_squeeze.converters import conformance, targets
from edge_squeeze.converters.export import Exported
from edge_squeeze.converters.options import FileOptions
from edge_squeeze.errors import ConversionError
from edge_squeeze.inspection.inspector import Inspection, inspect


def inspected(exported: dict[str, Exported], name: str) -> Inspection:
    export = exported[name]
    return inspect((export.folder / export.manifest.file.name).read_bytes(), export.manifest.format)


def with_float_kernel(inspection: Inspection, elements: int) -> Inspection:
    """`inspection`, its first kernel now stored as that many float32 numbers."""
    first = dataclasses.replace(inspection.kernels[0], dtype="float32", elements=elements)
    return dataclasses.replace(inspection, kernels=[first, *inspection.kernels[1:]])


def check(inspection: Inspection, name: str) -> None:
    (order,), _ = targets.plan(*([part] for part in name.split("-")), FileOptions())
    conformance.check(inspection, order, (227, 227), 1000)


@pytest.mark.parametrize("name", [f"{target.format}-{target.precision}" for target in targets.all_targets()])
def test_a_file_is_what_its_name_says(exported_11: dict[str, Exported], name: str) -> None:
    check(inspected(exported_11, name), name)


def test_dynamic_files_may_have_small_float_kernels(exported_11: dict[str, Exported]) -> None:
    check(with_float_kernel(inspected(exported_11, "tflite-dynamic"), 1023), "tflite-dynamic")


@pytest.mark.parametrize(("name", "elements"), [("tflite-dynamic", 1024), ("tflite-int8", 9), ("onnx-float16", 9)])
def test_other_float_kernels_are_refused(exported_11: dict[str, Exported], name: str, elements: int) -> None:
    with pytest.raises(ConversionError, match=r"every kernel must be \w+, got .*'float32': 1"):
        check(with_float_kernel(inspected(exported_11, name), elements), name)


@pytest.mark.parametrize(("file", "name", "computes"), [("int8", "int16x8", "int16"), ("int16x8", "int8", "int8")])
def test_integers_of_other_widths_are_refused(
    exported_11: dict[str, Exported], file: str, name: str, computes: str
) -> None:
    with pytest.raises(ConversionError, match=f"0 of 26 convolutions and dense layers compute in {computes}, all"):
        check(inspected(exported_11, f"tflite-{file}"), f"tflite-{name}")


def test_a_file_without_kernels_is_refused(exported_11: dict[str, Exported]) -> None:
    with pytest.raises(ConversionError, match="every kernel must be float32"):
        check(dataclasses.replace(inspected(exported_11, "tflite-float32"), kernels=[]), "tflite-float32")
