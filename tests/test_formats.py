"""The table of formats: everything that names a format reads it there, so that a row and a converter add one."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import toy_format
from places import ROOT

from edge_squeeze import formats
from edge_squeeze.engines import catalogue
from edge_squeeze.formats import FORMATS

CommandLine = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def toy(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The command line with one more format in its tables; gives what it prints."""
    monkeypatch.setitem(FORMATS, "toy", toy_format.ROW)
    monkeypatch.setitem(catalogue.RUNTIMES, "toy", toy_format.ENGINE)

    def run(*arguments: object) -> str:
        done = command_line(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_row_and_a_converter_add_a_format(toy: Callable[..., str], tmp_path: Path) -> None:
    """Exported, inspected, proven and listed like any other."""
    (exported,) = json.loads(toy("export", "squeezenet1.1", "--format", "toy", "--json"))["artifacts"]
    assert exported["verdict"] == "pass"
    with pytest.raises(AssertionError, match=r"toy has no int8\. Choices: float32"):
        toy("export", "squeezenet1.1", "--format", "toy", "--precision", "int8")
    folder = tmp_path / exported["folder"]
    assert folder.name == "squeezenet1.1-toy-float32"
    (model,) = folder.glob("*.toy")
    assert model.read_bytes().startswith(toy_format.MAGIC)
    assert json.loads(toy("inspect", model, "--json"))["format"] == "toy"
    verified = json.loads(toy("verify", folder, "--json"))
    assert verified["passed"]
    assert verified["golden"]["kernels"] == "xnnpack"
    toy("bundle", "files", folder, "app")
    assert "squeezenet1.1-toy-float32" in toy("bundle", "files", "app", "--list")


def test_the_kernels_of_a_runtime_are_those_of_its_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "toy", dataclasses.replace(toy_format.ROW, kernels=("own",)))
    monkeypatch.setitem(catalogue.RUNTIMES, "toy", toy_format.ENGINE)
    names = ("toy", "onnxruntime", "litert", "tflite-runtime")
    kernels = [[catalogue.default_kernels(name, quantized=quantized) for name in names] for quantized in (False, True)]
    assert kernels == [["own", "onnxruntime", "xnnpack", "xnnpack"], ["own", "onnxruntime", "xnnpack", "builtin"]]


def test_help_lists_a_format_that_was_added() -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests" / "helpers")}
    program = [sys.executable, "-m", "toy_format", "export", "--help"]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
    assert "tflite, onnx, toy or all" in " ".join(done.stdout.split())


@pytest.mark.parametrize("kind", FORMATS)
def test_a_row_names_engines_that_there_are(kind: str) -> None:
    row = FORMATS[kind]
    engines = {**catalogue.RUNTIMES, **catalogue.OTHERS}
    assert set(row.engines) <= set(engines)
    assert {engines[name].package for name in row.engines} >= set(row.extras.values())
    assert {name for name, engine in engines.items() if engine.extra in row.extras} <= set(row.engines)


def test_no_other_file_names_two_formats() -> None:
    names = {*FORMATS, *(row.suffix for row in FORMATS.values())}
    for folder in ("edge_squeeze", "converters", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text())
            constants = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
            spelled = {name.lstrip(".") for name in constants & names}
            assert len(spelled) < 2 or path.name == "formats.py", f"{path} names {spelled}"


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"\x1c\0\0\0TFL3", "a.bin", "tflite"),
        (b"\x08\x08\x12\x07", "A.ONNX", "onnx"),
        (b"", "a.onnx", None),
        (b"\x08\x08\x12\x07", "a.bin", None),
    ],
)
def test_the_head_of_a_file_tells_its_kind(head: bytes, name: str, kind: str | None) -> None:
    assert formats.of_head(head, name) == kind


def test_sentences_have_every_format() -> None:
    assert formats.suffixes() == ".tflite or .onnx"
    assert [formats.a_file(kind) for kind in FORMATS] == ["a .tflite file", "an .onnx file"]
