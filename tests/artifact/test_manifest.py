from __future__ import annotations

import json
from typing import Any

import pytest
from places import ROOT

from edge_squeeze.artifact import manifest
from edge_squeeze.artifact.folder import Artifact
from edge_squeeze.errors import UsageError


def test_it_survives_its_json(float32_11: Artifact) -> None:
    assert manifest.from_json(manifest.to_json(float32_11.manifest), "model.json") == float32_11.manifest


def keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for item in value.values() for key in keys(item)}
    return {key for item in value for key in keys(item)} if isinstance(value, list) else set()


def test_every_key_is_documented(float32_11: Artifact) -> None:
    document = (ROOT / "docs" / "artifact.md").read_text()
    content = json.loads(manifest.to_json(float32_11.manifest))
    for counted in ("operators", "tensor_types"):  # their keys are operators and dtypes
        content["graph"][counted] = {}
    content["tools"] = {}
    assert not [key for key in sorted(keys(content)) if f"`{key}`" not in document]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("schema_version",), 99, "reads schema_version 1 and 2, got 99"),
        (("schema_version",), None, "reads schema_version 1 and 2, got None"),
        (("file", "size_bytes"), "many", "model.json: file: size_bytes must be int"),
        (("classes",), True, "model.json: classes must be int"),
        (("preprocessing", "crop"), [227], "crop must have 2 entries, got 1"),
        (("preprocessing", "crop"), "227", "crop must be a list"),
        (("preprocessing", "short_side"), 0, r"short_side \(--resize\) must be"),
        (("preprocessing", "crop"), [-1, -1], r"short_side \(--resize\) must be"),
        (("preprocessing", "crop"), [100, 100], r"input_size is \(227, 227\), but preprocessing gives \(100, 100\)"),
        (("preprocessing", "pad"), [10**9, 0, 0, 0], "pad must be 0 to"),
        (("preprocessing", "pad_value"), [999, 0, 0], "pad_value must be 0 to 255"),
        (("preprocessing", "filter"), "lanczos", "Unknown filter: 'lanczos'. Choices: bilinear, tf"),
        (("preprocessing", "baked", "order"), "xyz", "order must be one of rgb, bgr"),
        (("preprocessing", "baked", "mean"), [float("nan"), 0.0, 0.0], "must be finite"),
        (("golden", "scores"), [], "scores must be an object"),
        (("weights",), "ndf", "weights must be an object"),
        (("input", "shape"), [1, "a", 3, 3], r"shape\[1\] must be int"),
    ],
)
def test_a_wrong_value_is_named(float32_11: Artifact, path: tuple[str, ...], value: object, message: str) -> None:
    content = json.loads(manifest.to_json(float32_11.manifest))
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(UsageError, match=message):
        manifest.from_json(json.dumps(content), "model.json")


def test_a_missing_key_is_named(float32_11: Artifact) -> None:
    content = json.loads(manifest.to_json(float32_11.manifest))
    del content["file"]["sha256"]
    with pytest.raises(UsageError, match=r"model\.json: file lacks sha256"):
        manifest.from_json(json.dumps(content), "model.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        manifest.from_json(text, "model.json")
