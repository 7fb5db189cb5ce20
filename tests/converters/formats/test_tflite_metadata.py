"""Metadata of .tflite files as clients read it: by flatbuffers and zipfile, and without it the same numbers."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from typing import Any

import flatbuffers
import numpy as np
import pytest
import tflite
from small_models import SIDE, network

from edge_squeeze.converters.formats import tflite_metadata, to_tflite
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.engines.runner import open_runner
from edge_squeeze.inspection.inspector import inspect
from edge_squeeze.inspection.model_card import RGB, ModelCard

CARD = ModelCard(
    ("tench", "Weißer Hai", "tench"),
    "MIT",
    RGB,
    (0.0,),
    (1.0,),
    {"name": "net", "weights_sha256": "0" * 64, "preprocessing": {"crop": [16, 16]}},
)
SLOTS = {"subgraphs": 3, "license": 5, "outputs": 3, "inputs": 2, "content": 3, "units": 4, "files": 6}


@pytest.fixture(scope="module")
def model() -> Any:
    return network()


def written(model: Any, card: ModelCard | None = CARD) -> bytes:
    return to_tflite.float32(model, FileOptions(), Measured("logits", card=card))


def metadata_of(data: bytes) -> bytes:
    """The buffer that clients look for, found with the schema that everyone has."""
    file = tflite.Model.GetRootAs(data, 0)
    entries = [file.Metadata(i) for i in range(file.MetadataLength())]
    (buffer,) = [entry.Buffer() for entry in entries if entry.Name() == b"TFLITE_METADATA"]
    return bytes(file.Buffers(buffer).DataAsNumpy())


def inner(table: Any, slot: int, entry: int | None = None) -> Any:
    """The table at a slot of `table`, or an entry of the list there."""
    offset = table.Offset(4 + 2 * slot)
    place = table.Pos + offset if entry is None else table.Vector(offset) + 4 * entry
    return flatbuffers.table.Table(table.Bytes, table.Indirect(place))


def number(table: Any, slot: int, flags: Any) -> Any:
    return table.Get(flags, table.Pos + table.Offset(4 + 2 * slot))


def test_clients_find_what_they_need_in_the_metadata(model: Any) -> None:
    from flatbuffers.number_types import Float32Flags, Int8Flags

    data = metadata_of(written(model))
    assert data[4:8] == b"M001"
    root = flatbuffers.table.Table(data, flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0))
    graph = inner(root, SLOTS["subgraphs"], 0)
    image, scores = inner(graph, SLOTS["inputs"], 0), inner(graph, SLOTS["outputs"], 0)
    unit = inner(image, SLOTS["units"], 0)
    assert number(unit, 0, Int8Flags) == 1, "NormalizationOptions"
    normalization = inner(unit, 1)
    for slot, value in ((0, 0.0), (1, 1.0)):  # mean, std: one of each
        offset = normalization.Offset(4 + 2 * slot)
        assert normalization.VectorLen(offset) == 1
        assert normalization.Get(Float32Flags, normalization.Vector(offset)) == value
    content = inner(image, SLOTS["content"])
    assert number(content, 0, Int8Flags) == 2, "ImageProperties"
    assert number(inner(content, 1), 0, Int8Flags) == 1, "RGB"
    labels = inner(scores, SLOTS["files"], 0)
    assert labels.String(labels.Pos + labels.Offset(4)) == b"labels.txt"
    assert number(labels, 2, Int8Flags) == 2, "TENSOR_AXIS_LABELS"
    assert root.String(root.Pos + root.Offset(4 + 2 * SLOTS["license"])) == b"MIT"


def test_names_and_provenance_are_zipped_behind_the_model(model: Any) -> None:
    data = written(model)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode() == "tench\nWeißer Hai\ntench\n"
        assert json.loads(archive.read("edge-squeeze.json")) == CARD.facts
    assert [entry.filename for entry in entries] == ["labels.txt", "edge-squeeze.json"]
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    # Readers that take the offsets at their word need them to count from the start of the file.
    assert data[entries[0].header_offset :][:4] == b"PK\3\4"


def test_the_inspection_reads_what_was_written(model: Any) -> None:
    assert inspect(written(model), "tflite").card == CARD
    card = dataclasses.replace(CARD, labels=("cat",), license=None)
    assert inspect(written(model, card), "tflite").card == card
    assert inspect(written(model, None), "tflite").card == ModelCard()


def test_the_same_export_gives_the_same_bytes(model: Any) -> None:
    plain = written(model, None)
    assert tflite_metadata.write(plain, CARD) == written(model)
    assert tflite_metadata.write(plain, dataclasses.replace(CARD, license="Apache-2.0")) != written(model)


def test_scores_and_layers_stay_the_same(model: Any) -> None:
    plain, data = written(model, None), written(model)
    pixels = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
    np.testing.assert_array_equal(open_runner(data, "tflite").run(pixels), open_runner(plain, "tflite").run(pixels))
    before, after = inspect(plain, "tflite"), inspect(data, "tflite")
    assert (after.kernels, after.operators) == (before.kernels, before.operators)
    assert after.metadata["signatures"] == ["serving_default"]
    assert after.metadata["metadata_bytes"].items() >= before.metadata["metadata_bytes"].items()


def test_weights_are_where_a_mapped_file_may_be_read_in_place(model: Any) -> None:
    """float32 at a multiple of 4 bytes, as without the metadata."""
    data = written(model)
    file, start = tflite.Model.GetRootAs(data, 0), np.frombuffer(data, np.uint8).ctypes.data
    buffers = [file.Buffers(i) for i in range(file.BuffersLength())]
    offsets = [buffer.DataAsNumpy().ctypes.data - start for buffer in buffers if not buffer.DataIsNone()]
    assert offsets
    assert {offset % 4 for offset in offsets} == {0}


def test_a_file_of_any_size_has_labels_but_nothing_that_lets_mediapipe_feed_it_one_pixel() -> None:
    data = written(network((None, None, 3)))
    assert inspect(data, "tflite").inputs[0].shape == (1, None, None, 3)
    assert inspect(data, "tflite").card == dataclasses.replace(CARD, mean=(), std=())


def test_a_network_that_already_has_metadata_keeps_it(model: Any) -> None:
    names = inspect(written(model), "tflite").metadata["metadata_bytes"]
    assert {"min_runtime_version", "TFLITE_METADATA"} <= set(names)
