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
    with pytest.raises(UsageError, match=r"onnx has no dynamic\. Choices: float32, float16, int8"):
        plan(["onnx"], ["float32", "dynamic"], DEFAULT)


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
    options = FileOptions(layout="nhwc", opset=13, dynamic_batch=True)
    assert names(plan(["onnx"], ["float32"], options)[0]) == ["onnx-float32-nhwc-opset13-dynamic-batch"]
    assert names(plan(["tflite"], ["int8"], FileOptions(io="float32"))[0]) == ["tflite-int8-io-float32"]
    assert names(plan(["tflite"], ["int8"], FileOptions(io="uint8"))[0]) == ["tflite-int8"]


@pytest.mark.parametrize(
    ("format_name", "layout", "name", "options"),
    [
        ("tflite", None, "tflite-float32", FileOptions(layout="nhwc")),
        ("tflite", "nhwc", "tflite-float32", FileOptions(layout="nhwc")),
        ("onnx", None, "onnx-float32", FileOptions(layout="nchw")),
        ("onnx", "nchw", "onnx-float32", FileOptions(layout="nchw")),
        ("onnx", "nhwc", "onnx-float32-nhwc", FileOptions(layout="nhwc")),
    ],
)
def test_a_format_has_a_layout_of_its_own_which_its_name_does_not_show(
    format_name: str, layout: str | None, name: str, options: FileOptions
) -> None:
    orders, notes = plan([format_name], ["float32"], FileOptions(layout=layout))
    assert names(orders) == [name]
    assert [order.options for order in orders] == [options], "recorded in model.json, the default, too"
    assert notes == []


@pytest.mark.parametrize(
    ("options", "flags", "name"),
    [
        (FileOptions(layout="nchw"), "--layout", "onnx-float32"),
        (FileOptions(layout="nchw", opset=13), "--layout, --opset", "onnx-float32-opset13"),
        (FileOptions(dynamic_batch=True), "--dynamic-batch", "onnx-float32-dynamic-batch"),
    ],
)
def test_options_of_onnx_alone_are_refused_for_tflite_unless_all_was_asked(
    options: FileOptions, flags: str, name: str
) -> None:
    for asked in (["tflite"], ["tflite", "onnx"]):
        with pytest.raises(UsageError, match=f"{flags} does not apply to tflite. Leave it out, or ask for another"):
            plan(asked, ["float32"], options)
    orders, notes = plan(["all"], ["float32"], options)
    assert names(orders) == ["tflite-float32", name]
    assert notes == [f"tflite float32: {flag} does not apply" for flag in flags.split(", ")]


def test_a_layout_that_every_format_has_is_taken_for_all() -> None:
    orders, notes = plan(["all"], ["float32"], FileOptions(layout="nhwc"))
    assert names(orders) == ["tflite-float32", "onnx-float32-nhwc"]
    assert notes == []


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
