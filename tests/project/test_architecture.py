"""Which room may import which, what is imported late, and who may print; read from the source."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import ROOT

FOLDERS = {
    "edge_squeeze": "edge_squeeze",
    "converters": "edge_squeeze.converters",
    "benchmarks": "edge_squeeze.benchmarks",
}
# From the ground up: a room imports those before it only, and none twice removed around a corner comes back.
ROOMS = [
    "errors",
    "version",
    "formats",
    "scores",
    "reporting",
    "process",
    "files",
    "machine",
    "packages",
    "networks",
    "pictures",
    "engines",
    "inspection",
    "weight_files",
    "artifact",
    "models",
    "proof",
    "doctor",
    "devices",
    "bundling",
    "training",
    "evaluation",
    "reports",
    "prediction",
    "converters",
    "benchmarks",
    "api",
    "cli",
    "__main__",
]
SEPARATE = ("converters", "benchmarks")  # they meet at an artifact on disk
SEE_BOTH = ("api", "cli")
# Package -> the files that may import it.
ALLOWED = {
    "tensorflow": {
        "converters/debugging/*",
        "converters/formats/*",
        "converters/quantization/*",
        "converters/rewrites/tflite_tree.py",  # the tree of objects of a file
        "edge_squeeze/models/*",
    },
    "keras": {
        "converters/*",
        "converters/formats/*",
        "converters/quantization/*",
        "converters/rewrites/*",
        "edge_squeeze/models/*",
        "edge_squeeze/networks/builder.py",
        "edge_squeeze/training/*",
    },
    "tf2onnx": {"converters/formats/to_onnx.py"},
    "onnx": {
        "converters/formats/onnx_graph.py",
        "converters/formats/onnx_int8.py",
        "converters/formats/onnx_integers.py",
        "converters/formats/onnx_pixels.py",
        "converters/formats/to_onnx.py",
        "converters/rewrites/onnx_folding.py",
        "converters/rewrites/onnx_operators.py",  # to look up which operators ONNX has
        "edge_squeeze/inspection/onnx_file.py",  # to infer shapes
    },
    "google": {"edge_squeeze/inspection/onnx_schema.py"},  # protobuf
    "tflite": {"edge_squeeze/inspection/tflite_file.py", "edge_squeeze/inspection/tflite_times.py"},
    "flatbuffers": {"edge_squeeze/inspection/tflite_metadata.py", "converters/formats/*"},  # tflite brings it
    "onnxruntime": {
        "edge_squeeze/engines/onnx_engine.py",
        "converters/formats/onnx_int8.py",  # its quantizer
        "converters/formats/to_onnx.py",  # its float16 tool
    },
    "ai_edge_litert": set(),  # by name, in edge_squeeze/engines
    "tflite_runtime": set(),
    "openvino": {"edge_squeeze/engines/openvino_engine.py"},
    "ncnn": {"edge_squeeze/engines/ncnn_engine.py"},
    "ndf": set(),
    "skimage": set(),
    "distributed": {"edge_squeeze/devices/cluster.py"},
    "dask": set(),
    "sklearn": {"edge_squeeze/training/examples.py"},
    "jinja2": {"edge_squeeze/reports/page.py"},
    "packaging": {"edge_squeeze/packages.py", "edge_squeeze/doctor/*"},
    "rich": {"edge_squeeze/cli/*"},
    "typer": {"edge_squeeze/cli/*"},
}
# Programs of their own, whose output is read by another process.
PROGRAMS = {
    "edge_squeeze/devices/agent.py",
    "edge_squeeze/models/keras2_conversion.py",
    "edge_squeeze/weight_files/contents.py",
    "benchmarks/launch.py",
}
CAPTURES = "edge_squeeze/process/output.py"  # it redirects what others print
MANY_OPTIONS = 15  # the commands and their Python counterparts: a signature is a list there
MOST_LOOSE = 10


def modules() -> dict[str, Path]:
    """Every module by its name when installed, with its file."""
    paths = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join([package, *(part for part in parts if part != "__init__")])
            paths[name] = path.relative_to(ROOT)
    return paths


MODULES = modules()
FILES = sorted(MODULES.values())


def room_of(module: str) -> str | None:
    """The room of a module of ours; None for the package itself, which hands `api` on."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every module that a file imports, and whether importing the file already does it."""
    tree = ast.parse((ROOT / path).read_text())
    at_once = {node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ((name if name in MODULES else str(node.module), node in at_once) for name in names)


def matches(path: Path, patterns: set[str]) -> bool:
    return any(path.full_match(pattern) if hasattr(path, "full_match") else path.match(pattern) for pattern in patterns)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_heavy_packages_are_imported_where_they_belong_and_late(path: Path) -> None:
    for module, at_once in imports(path):
        package = module.partition(".")[0]
        if package in ALLOWED:
            assert matches(path, ALLOWED[package]), f"{path} imports {module}"
            assert not at_once or package == "typer", f"{path} imports {module} at its top"


def arrows() -> Iterator[tuple[str, str, str]]:
    for name, path in MODULES.items():
        here = room_of(name)
        for module, _ in imports(path):
            there = room_of(module) if module in MODULES else None
            if here and there and here != there:
                yield here, there, f"{path} imports {module}"


def test_rooms_import_downwards_only() -> None:
    assert {room_of(name) for name in MODULES} == {None, *ROOMS}
    assert not [what for here, there, what in arrows() if ROOMS.index(here) < ROOMS.index(there)]


def test_nothing_imports_the_package_for_its_functions() -> None:
    assert not [path for name, path in MODULES.items() if ("edge_squeeze", True) in imports(path) and room_of(name)]


def test_converters_and_benchmarks_are_seen_by_the_command_line_alone() -> None:
    wrong = [what for here, there, what in arrows() if there in SEPARATE and here not in SEE_BOTH]
    assert not wrong


@pytest.mark.parametrize("path", FILES, ids=str)
def test_the_command_line_alone_prints(path: Path) -> None:
    if path.is_relative_to("edge_squeeze/cli") or str(path) in (*PROGRAMS, CAPTURES):
        return
    assert not re.search(r"\bprint\(|\bsys\.(stdout|stderr)\b", (ROOT / path).read_text())


@pytest.mark.parametrize("path", FILES, ids=str)
def test_exit_codes_have_names(path: Path) -> None:
    text = (ROOT / path).read_text()
    assert not re.search(r"\b(sys\.exit|os\._exit|typer\.Exit)\(\d+\)", text)
    assert str(path) == "edge_squeeze/errors.py" or "IntEnum" not in text


def test_few_files_lie_loose() -> None:
    assert len(list((ROOT / "edge_squeeze").glob("*.py"))) <= MOST_LOOSE


def test_every_package_is_listed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = [name for name, path in MODULES.items() if path.name == "__init__.py"]
    assert settings["packages"] == [*packages, "edge_squeeze.docs"]
    moved = {package: folder for folder, package in FOLDERS.items() if folder != package}
    assert settings["package-dir"] == {**moved, "edge_squeeze.docs": "docs"}


def functions() -> Iterator[tuple[str, int]]:
    """Lines of each function, its docstring and those of its signature apart that hold one option each."""
    for path in FILES:
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.FunctionDef):
                docstring = node.body[0] if ast.get_docstring(node) else None
                first = (
                    node.body[0].lineno if len(node.args.args + node.args.kwonlyargs) > MANY_OPTIONS else node.lineno
                )
                length = node.end_lineno - first + 1  # type: ignore[operator]
                yield f"{path}: {node.name}", length - (docstring.end_lineno - docstring.lineno + 1 if docstring else 0)  # type: ignore[operator]


def test_functions_and_files_stay_short() -> None:
    lengths = dict(functions())
    assert not {name: length for name, length in lengths.items() if length > 40}
    assert sorted(lengths.values())[len(lengths) // 2] <= 10
    assert not [path for path in FILES if len((ROOT / path).read_text().splitlines()) > 400]


def test_the_files_that_contributors_are_sent_to_exist() -> None:
    named = re.findall(r"`([\w./]+(?:\.py|/))`", (ROOT / "CONTRIBUTING.md").read_text())
    paths = [ROOT / name for name in named if "NAME" not in name]
    assert len(paths) > 15
    assert not [path for path in paths if not path.exists()]
