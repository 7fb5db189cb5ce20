from __future__ import annotations

import dataclasses
import json
import random
import sys
import zlib
from collections import Counter
from typing import Any

import pytest

from edge_squeeze.converters.export import Exported
from edge_squeeze.converters.formats import to_onnx, to_tflite
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.errors import ConversionError, EdgeSqueezeError, MissingDependencyError, UsageError
from edge_squeeze.inspection import onnx_file, onnx_schema
from edge_squeeze.inspection.inspector import Inspection, inspect, recognize

FORMATS = ("tflite", "onnx")
PLAIN = FileOptions(), Measured()
# Target -> weights, arithmetic, whether it has integers.
KINDS = {
    "tflite-float32": ("float32", "float32", False),
    "tflite-float16": ("float16", "float32", False),
    "tflite-dynamic": ("int8", "hybrid", False),
    "tflite-int8": ("int8", "int8", True),
    "onnx-float32": ("float32", "float32", False),
    "onnx-float16": ("float16", "float16", False),
}
MUTATIONS = 300


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """A small network of one convolution and one dense layer, as our converters write it."""
    import keras

    inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(8, 3, activation="relu", name="conv")(inputs)
    x = keras.layers.Dense(2, name="dense")(keras.layers.Flatten(name="flat")(x))
    model = keras.Model(inputs, x, name="small")
    return {"tflite": to_tflite.float32(model, *PLAIN), "onnx": to_onnx.float32(model, *PLAIN)}


def real(exported: dict[str, Exported], name: str) -> Inspection:
    export = exported[name]
    return inspect((export.folder / export.manifest.file.name).read_bytes(), export.manifest.format)


@pytest.mark.parametrize("name", KINDS)
def test_a_file_says_what_it_computes_in(exported_11: dict[str, Exported], name: str) -> None:
    inspection = real(exported_11, name)
    weights, arithmetic, integers = KINDS[name]
    assert inspection.weight_types == {weights: 26}
    assert inspection.convolutions == {arithmetic: 26}
    assert inspection.has_integers is integers
    assert (inspection.float_fallbacks, inspection.float_islands) == ({}, 0)
    zeros = 576 if name == "tflite-int8" else 0  # a column in the first kernels, so that pixels come in pairs
    assert sum(kernel.elements for kernel in inspection.kernels) == 1_231_552 + zeros  # without the biases
    assert not inspection.custom_operators
    assert not inspection.elsewhere


@pytest.mark.parametrize("name", ["tflite-int8", "onnx-float32"])
def test_sizes_and_hash_are_those_of_the_file(exported_11: dict[str, Exported], name: str) -> None:
    export = exported_11[name]
    inspection, data = real(exported_11, name), (export.folder / export.manifest.file.name).read_bytes()
    assert inspection.size_bytes == export.manifest.file.size_bytes == len(data)
    assert inspection.deflated_bytes == len(zlib.compress(data, 9))
    assert inspection.sha256 == export.manifest.file.sha256


@pytest.mark.parametrize("name", ["onnx-float32", "onnx-float16"])
def test_onnx_files_carry_the_shape_of_every_tensor(
    exported_11: dict[str, Exported], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_squeeze.inspection.onnx_file.is_installed", lambda package: False)
    inspection = real(exported_11, name)
    assert inspection.macs == 387_747_520
    assert "unknown" not in inspection.tensor_types


def test_metadata_is_told(exported_11: dict[str, Exported]) -> None:
    tflite, onnx = (real(exported_11, name).metadata for name in ("tflite-int8", "onnx-float32"))
    assert tflite["signatures"] == ["serving_default"]
    assert tflite["min_runtime_version"] == "1.14.0"
    assert tflite["metadata_bytes"]["min_runtime_version"] == 16
    assert onnx["producer"].startswith("tf2onnx")
    assert onnx["graph_name"] == "edge-squeeze"


@pytest.mark.parametrize("name", FORMATS)
def test_the_format_is_recognized_by_the_content(files: dict[str, bytes], name: str) -> None:
    assert recognize(files[name], "cat.jpg") == name


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"TFL3", b"\x08\x08", bytes(100)])
def test_what_is_no_model_is_refused_with_what_was_got(data: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        recognize(data, "thing")
    assert "TFL3" in str(caught.value)
    assert repr(data[:8]) in str(caught.value)


def test_without_protobuf_only_likely_files_ask_for_it(
    files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx_schema.model_class.cache_clear()
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    assert recognize(files["tflite"], "a") == "tflite"
    with pytest.raises(UsageError, match="not a model file"):
        recognize(b"\x89PNG", "a.png")
    for call in (recognize, inspect):
        with pytest.raises(MissingDependencyError, match="protobuf"):
            call(files["onnx"], "onnx")


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean onnx"):
        inspect(b"", "onx")


@pytest.mark.parametrize("name", FORMATS)
def test_a_truncated_file_is_refused(files: dict[str, bytes], name: str) -> None:
    data = files[name]
    rng = random.Random(0)
    # The last bytes of .onnx files are whole fields that may be missing.
    for end in [0, 1, 7, 8, 9, len(data) - 1, *(rng.randrange(len(data) - 64) for _ in range(40))]:
        with pytest.raises(ConversionError, match=f"This is not a readable {name} file: "):
            inspect(data[:end], name)


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_list_of_anything_is_no_crash(name: str) -> None:
    with pytest.raises(ConversionError):
        inspect(b"\x08\0\0\0TFL3" + bytes(64), name)


def damaged(data: bytes, seed: int) -> bytes:
    """`data` with bits turned, lengths made absurd, or bytes lost or put in."""
    rng, content = random.Random(seed), bytearray(data)
    at = rng.randrange(len(content) - 4)
    match rng.randrange(4):
        case 0:
            for _ in range(rng.choice((1, 4, 30))):
                content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        case 1:
            content[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\xff\xff\xff\x7f", bytes(4)))
        case 2:
            del content[at : at + rng.randrange(1, 64)]
        case 3:
            content[at:at] = rng.randbytes(rng.randrange(1, 40))
    return bytes(content)


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_read_or_refused(files: dict[str, bytes], name: str) -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(MUTATIONS):
        try:
            inspection = inspect(damaged(files[name], seed), name)
        except EdgeSqueezeError as error:
            outcomes[str(error).partition(":")[0]] += 1
        else:
            json.dumps(dataclasses.asdict(inspection), allow_nan=False)
            outcomes["read"] += 1
    assert outcomes.keys() == {"read", f"This is not a readable {name} file"}
    assert min(outcomes.values()) >= MUTATIONS // 20, outcomes


def test_a_long_reason_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(data: bytes) -> Any:
        raise RuntimeError("x" * 10_000)

    monkeypatch.setattr(onnx_file, "read", fail)
    with pytest.raises(ConversionError, match="RuntimeError: xxx") as caught:
        inspect(b"", "onnx")
    assert len(str(caught.value)) < 400
