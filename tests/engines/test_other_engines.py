"""Times artifacts with engines that are no part of any extra: OpenVINO, and ncnn by way of pnnx."""

from __future__ import annotations

import json
from typing import Any

import pytest
from environments import install, run

from edge_squeeze.converters.export import Exported
from edge_squeeze.pictures.loading import PHOTOGRAPHS, photograph

pytestmark = pytest.mark.slow

# Without their dependencies: pnnx would bring torch, and OpenVINO telemetry.
PACKAGES = (
    "openvino==2026.4.1",
    "ncnn==1.0.20261020",
    "pnnx==20261020",
    "onnxruntime",
    "ai-edge-litert",
    "numpy",
    "pillow",
    "typer",
    "rich",
    "tflite",
    "protobuf",
    "flatbuffers",
    "packaging",
    "typing-extensions",
    "shellingham",
    "pygments",
    "markdown-it-py",
    "mdurl",
    "annotated-doc",
    "backports-strenum",
    "tqdm",
)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, exported_11: dict[str, Exported]) -> dict[str, Any]:
    """What measuring with every engine found, by arm."""
    programs = install(tmp_path_factory.mktemp("engines"), PACKAGES, {}, dependencies=False)
    pictures = tmp_path_factory.mktemp("pictures")
    for name in PHOTOGRAPHS:
        photograph(name).save(pictures / f"{name}.png")
    names = ("tflite-float32", "tflite-int8", "onnx-float32", "onnx-float16")
    files = [exported_11[name].folder for name in names]
    options = ("--runtime", "all", "--profile", "quick", "--launches", 3, "--threads", 1, "--inputs", pictures)
    done = run(programs / "edge-squeeze", "benchmark", *files, *options, "--json", timeout_s=600)
    assert done.stdout, done.stderr
    return {arm["id"].removeprefix("squeezenet1.1-"): arm for arm in json.loads(done.stdout)["arms"]}


def test_every_engine_gets_the_files_that_it_reads(measured: dict[str, Any]) -> None:
    assert set(measured) == {
        *(f"tflite-{precision} {engine} 1" for precision in ("float32", "int8") for engine in ("litert", "openvino")),
        *(f"onnx-{precision} {engine} 1" for precision in ("float32", "float16") for engine in ENGINES),
    }


ENGINES = ("onnxruntime", "openvino", "ncnn")


@pytest.mark.parametrize(
    ("arm", "cosine"),
    [
        ("tflite-float32 openvino 1", 0.99999),
        ("tflite-int8 openvino 1", 0.98),
        ("onnx-float32 openvino 1", 0.99999),
        ("onnx-float32 ncnn 1", 0.99999),
        ("onnx-float16 openvino 1", 0.9999),
    ],
)
def test_other_engines_compute_the_same(measured: dict[str, Any], arm: str, cosine: float) -> None:
    assert measured[arm]["summary"]["p50_ms"] > 0
    assert measured[arm]["correctness"]["cosine"] > cosine
    assert measured[arm]["failure"] is None


def test_what_an_engine_does_not_take_fails_alone(measured: dict[str, Any]) -> None:
    assert measured["onnx-float16 ncnn 1"]["failure"], "pnnx gives ncnn nothing that it loads"
    assert measured["onnx-float16 onnxruntime 1"]["failure"] is None
