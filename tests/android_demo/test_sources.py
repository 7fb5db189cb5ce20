"""Rules of the app's Kotlin that can be read from its source; `make android-test` compiles and runs it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import ROOT

from edge_squeeze.networks.variants import VARIANTS
from edge_squeeze.pictures.presets import squeezenet_caffe

APP = ROOT / "android_demo" / "app" / "src"
MAIN = sorted((APP / "main" / "kotlin").rglob("*.kt"))
SOURCES = [*MAIN, *sorted((APP / "test" / "kotlin").rglob("*.kt"))]
IMPORT = re.compile(r"^import ([\w.]+)", re.MULTILINE)
COMMENT = re.compile(r"//.*|/\*.*?\*/", re.DOTALL)
# Import that begins so -> the only files of the app that may have it.
LARGEST_COMMON = 64  # of the numbers that any code has
ENGINES = {"org.tensorflow": {"TfliteEngine.kt"}, "ai.onnxruntime": {"OnnxEngine.kt"}}
LONGEST_FILE, LONGEST_FUNCTION, MEDIAN_FUNCTION = 250, 40, 10


def model_numbers() -> set[str]:
    """Numbers of a network or its preprocessing that would betray themselves in the app's code, large as they are."""
    sizes = {size for variant in VARIANTS.values() for size in (variant.input_size, variant.classes)}
    rule = squeezenet_caffe((227, 227))
    return {str(int(n)) for n in (*sizes, rule.short_side, *rule.crop, *rule.baked.mean) if n > LARGEST_COMMON}


def functions(text: str) -> Iterator[int]:
    """The length in lines of each function that has a body in braces; the formatting shows where it ends."""
    lines = text.splitlines()
    for start, line in enumerate(lines):
        if (opening := re.match(r"( *)(?:[a-z]+ )*fun .*", line)) is None:
            continue
        body = next(i for i in range(start, len(lines)) if re.search(r"[{}]$|[^,(]$", lines[i]))
        if lines[body].endswith("{"):
            closing = f"{opening[1]}}}"
            yield next(i for i in range(body + 1, len(lines)) if lines[i].startswith(closing)) - start + 1


@pytest.mark.parametrize("path", MAIN, ids=lambda path: path.name)
def test_no_number_about_a_model_stands_in_kotlin(path: Path) -> None:
    code = COMMENT.sub("", path.read_text()).replace("SHA-256", "")
    literals = set(re.findall(r"(?<![\w.#])\d+", code)) & model_numbers()
    assert not literals


def test_the_numbers_looked_for_are_those_of_real_models() -> None:
    assert {"227", "256", "1000", "104", "117", "123"} <= model_numbers()


@pytest.mark.parametrize("path", MAIN, ids=lambda path: path.name)
def test_the_app_needs_the_framework_alone(path: Path) -> None:
    imports = IMPORT.findall(path.read_text())
    assert not [name for name in imports if name.startswith(("androidx.", "com.google.", "kotlinx."))]
    for package, files in ENGINES.items():
        assert path.name in files or not [name for name in imports if name.startswith(package)]


def test_what_runs_models_knows_nothing_of_the_demo() -> None:
    model = [path for path in MAIN if path.parent.name == "model"]
    assert len(model) > 10
    assert not [path.name for path in model if "edgesqueeze.demo" in path.read_text()]


def test_files_and_functions_stay_short() -> None:
    lengths = sorted(length for path in SOURCES for length in functions(path.read_text()))
    assert len(lengths) > 100
    assert lengths[-1] <= LONGEST_FUNCTION
    assert lengths[len(lengths) // 2] <= MEDIAN_FUNCTION
    assert not [path.name for path in SOURCES if len(path.read_text().splitlines()) > LONGEST_FILE]
