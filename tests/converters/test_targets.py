from __future__ import annotations

import pytest

from edge_squeeze.converters import targets
from edge_squeeze.converters.options import FileOptions
from edge_squeeze.converters.targets import all_targets, plan
from edge_squeeze.errors import UsageError

DEFAULT = FileOptions()


def names(orders: list[targets.Order]) -> list[str]:
    return [f"{o.target.format}-{o.target.precision}{o.suffix}" for o in orders]


def test_all_makes_every_target_and_notes_what_does_not_exist() -> None:
    orders, notes = plan(["all"], ["all"], DEFAULT)
    assert names(orders) == [f"{t.format}-{t.precision}" for t in all_targets()]
    assert sorted(note.partition(":")[0] for note in notes) == ["left out", "left out"]


def test_what_is_named_but_does_not_exist_is_refused_with_the_choices() -> None:
    with pytest.raises(UsageError, match=r"onnx has no int8\. Choices: float32, float16"):
        plan(["onnx"], ["float32", "int8"], DEFAULT)


@pytest.mark.parametrize(
    ("formats", "precisions", "message"),
    [
        (["tflit"], ["float32"], "Did you mean tflite"),
        (["onnx"], ["fp32"], "Unknown precision"),
        ([], ["int8"], "No format was named"),
    ],
)
def test_unknown_names_are_refused(formats: list[str], precisions: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan(formats, precisions, DEFAULT)


def test_options_that_are_not_the_default_show_in_the_name() -> None:
    options = FileOptions(layout="nchw", opset=13, dynamic_batch=True)
    assert names(plan(["onnx"], ["float32"], options)[0]) == ["onnx-float32-nchw-opset13-dynamic-batch"]
    assert names(plan(["tflite"], ["int8"], FileOptions(io="float32"))[0]) == ["tflite-int8-io-float32"]
    assert names(plan(["tflite"], ["int8"], FileOptions(io="uint8"))[0]) == ["tflite-int8"]


def test_options_of_onnx_alone_are_refused_for_tflite_unless_all_was_asked() -> None:
    options = FileOptions(layout="nchw")
    with pytest.raises(UsageError, match="--layout does not apply to tflite"):
        plan(["tflite"], ["float32"], options)
    orders, notes = plan(["all"], ["float32"], options)
    assert names(orders) == ["tflite-float32", "onnx-float32-nchw"]
    assert notes == ["tflite float32: --layout does not apply"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (FileOptions(io="int8"), "float32 has no --io int8. Choices: float32, uint8"),
        (FileOptions(layout="chwn"), "layout must be nhwc or nchw"),
        (FileOptions(opset=12), "opset must be a number from 13 to 18, got 12"),
    ],
)
def test_options_that_no_target_knows_are_refused(options: FileOptions, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan(["onnx"], ["float32"], options)
