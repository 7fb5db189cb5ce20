"""The options of an export: one name and one default each, for the command line, Python and the value."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest

import edge_squeeze
from edge_squeeze.cli.export import export as command
from edge_squeeze.converters.options import ExportOptions, FileOptions
from edge_squeeze.models.source import Choice
from edge_squeeze.networks.design import Design

NESTED = {"source": Choice, "file": FileOptions, "design": Design}
ONLY_PYTHON = {"reporter", "command", "design"}
ONLY_COMMAND = {"json_", "verbose"}


def names(kind: type) -> set[str]:
    """The fields of a dataclass, those of the values in it in their place."""
    own = {field.name for field in dataclasses.fields(kind)}
    return own - NESTED.keys() | {name for key in own & NESTED.keys() for name in names(NESTED[key])}


def defaults(function: Any, without: set[str]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name not in without}


def test_python_and_the_command_line_have_every_option_under_its_name() -> None:
    options = names(ExportOptions)
    assert set(defaults(edge_squeeze.export, set())) == options | {"reporter", "design"}
    assert set(defaults(command, ONLY_COMMAND)) == options - {"command"}


def test_their_defaults_are_those_of_the_value() -> None:
    plain = ExportOptions.of({"model": "squeezenet1.1"})
    assert ExportOptions.of(defaults(edge_squeeze.export, ONLY_PYTHON)) == plain
    assert ExportOptions.of(defaults(command, ONLY_COMMAND)) == plain
    assert plain == ExportOptions(source=Choice("squeezenet1.1", design=Design()))


@pytest.mark.parametrize("text", ["tflite,onnx", ["tflite", "onnx"], ["tflite, onnx"], ("tflite", "", "onnx,")])
def test_several_names_come_with_commas_or_in_a_sequence(text: Any) -> None:
    assert ExportOptions.of({"model": "a.keras", "format": text}).format == ("tflite", "onnx")


def test_paths_and_numbers_reach_the_value_they_belong_to() -> None:
    options = ExportOptions.of(
        {"model": "squeezenet1.1", "images": "pictures", "opset": 13, "bypass": "simple", "seed": 0, "other": 1}
    )
    assert options.images == Path("pictures")
    assert options.file == FileOptions(opset=13)
    assert options.source == Choice("squeezenet1.1", seed=0, design=Design(bypass="simple"))
    assert ExportOptions.of({"model": "squeezenet1.1", "design": Design(freq=3)}).source.design == Design(freq=3)
