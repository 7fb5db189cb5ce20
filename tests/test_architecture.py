"""Who may import whom, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "edge_squeeze": "edge_squeeze",
    "edge_squeeze/bundling": "edge_squeeze.bundling",
    "edge_squeeze/devices": "edge_squeeze.devices",
    "edge_squeeze/doctor": "edge_squeeze.doctor",
    "edge_squeeze/engines": "edge_squeeze.engines",
    "edge_squeeze/inspection": "edge_squeeze.inspection",
    "edge_squeeze/networks": "edge_squeeze.networks",
    "edge_squeeze/training": "edge_squeeze.training",
    "edge_squeeze/weight_files": "edge_squeeze.weight_files",
    "converters": "edge_squeeze.converters",
    "benchmarks": "edge_squeeze.benchmarks",
    "benchmarks/launches": "edge_squeeze.benchmarks.launches",
    "benchmarks/machine": "edge_squeeze.benchmarks.machine",
    "benchmarks/reports": "edge_squeeze.benchmarks.reports",
    "benchmarks/statistics": "edge_squeeze.benchmarks.statistics",
}
FILES = sorted(path.relative_to(ROOT) for folder in PACKAGES for path in (ROOT / folder).glob("*.py"))
ROOTS = ("edge_squeeze/cli.py", "edge_squeeze/__init__.py", "edge_squeeze/__main__.py")
TYPES_ONLY = "edge_squeeze/summaries.py"  # names the result of an export in its annotations

BUILDERS = ("networks/builder", "original", "saved_model", "user_model")
# Package -> the files that may import it.
ALLOWED = {
    "tensorflow": {"converters/*", "edge_squeeze/original.py", "edge_squeeze/saved_model.py"},
    "keras": {"converters/*", "edge_squeeze/training/fitting.py", *(f"edge_squeeze/{name}.py" for name in BUILDERS)},
    "tf2onnx": {"converters/to_onnx.py"},
    "onnx": {"converters/to_onnx.py", "edge_squeeze/inspection/onnx_file.py"},  # to infer shapes, where installed
    "google": {"edge_squeeze/inspection/onnx_schema.py"},  # protobuf
    "tflite": {"edge_squeeze/inspection/tflite_file.py"},
    "onnxruntime": {"edge_squeeze/engines/onnx_engine.py", "converters/to_onnx.py"},  # the latter its float16 tool
    "ai_edge_litert": set(),  # by name, in edge_squeeze/engines
    "tflite_runtime": set(),
    "openvino": {"edge_squeeze/engines/openvino_engine.py"},
    "ncnn": {"edge_squeeze/engines/ncnn_engine.py"},
    "ndf": set(),
    "skimage": set(),
    "sklearn": {"edge_squeeze/training/digits.py"},
}


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every module that a file imports, and whether importing the file already does it."""
    tree = ast.parse((ROOT / path).read_text())
    at_once = {node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield str(node.module), node in at_once
            yield from ((f"{node.module}.{alias.name}", node in at_once) for alias in node.names)


def matches(path: Path, patterns: set[str]) -> bool:
    return any(path.match(pattern) for pattern in patterns)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_heavy_packages_are_imported_where_they_belong_and_late(path: Path) -> None:
    for module, at_once in imports(path):
        package = module.partition(".")[0]
        if package in ALLOWED:
            assert matches(path, ALLOWED[package]), f"{path} imports {module}"
            assert not at_once, f"{path} imports {module} at its top"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_the_library_knows_neither_its_tools_nor_its_command_line(path: Path) -> None:
    forbidden = {
        "edge_squeeze": ("edge_squeeze.cli", "edge_squeeze.converters", "edge_squeeze.benchmarks"),
        "converters": ("edge_squeeze.cli", "edge_squeeze.benchmarks"),
        "benchmarks": ("edge_squeeze.cli", "edge_squeeze.converters"),
    }[path.parts[0]]
    if str(path) in (*ROOTS, TYPES_ONLY):
        return
    assert not [module for module, _ in imports(path) if module.startswith(forbidden)]


def test_every_package_is_listed() -> None:
    import tomllib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert settings["packages"] == list(PACKAGES.values())
    assert settings["package-dir"] == {package: folder for folder, package in PACKAGES.items()}


def functions() -> Iterator[tuple[str, int]]:
    for path in FILES:
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.FunctionDef):
                docstring = node.body[0] if ast.get_docstring(node) else None
                length = node.end_lineno - node.lineno + 1  # type: ignore[operator]
                yield f"{path}: {node.name}", length - (docstring.end_lineno - docstring.lineno + 1 if docstring else 0)  # type: ignore[operator]


def test_functions_and_files_stay_short() -> None:
    lengths = dict(functions())
    assert not {name: length for name, length in lengths.items() if length > 40}
    assert sorted(lengths.values())[len(lengths) // 2] <= 10
    assert not [path for path in FILES if len((ROOT / path).read_text().splitlines()) > 400]
