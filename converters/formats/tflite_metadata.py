"""Writes into a .tflite file what it is: TFLite Metadata, which MediaPipe and Android's libraries read.

They need two things that a file without it lacks: what to do to pixels before they go in, and the classes' names.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np

from edge_squeeze.converters.formats import tflite_edits
from edge_squeeze.inspection.model_card import SEPARATOR, ModelCard
from edge_squeeze.inspection.tflite_metadata import (
    AXIS_LABELS,
    BYTE,
    COLOR_SPACES,
    ENTRY,
    FACTS_FILE,
    FLOATS,
    IDENTIFIER,
    LABELS_FILE,
    TABLES,
    TEXT,
    Kind,
)
from edge_squeeze.version import __version__

PARSER_VERSION = "1.0.0"  # the oldest one that knows every table below
EARLIEST = (1980, 1, 1, 0, 0, 0)  # that a zip can hold: the same export gives the same bytes
UNIX = 3  # a zip's number of the system it was made on


def write(data: bytes, card: ModelCard) -> bytes:
    """The .tflite file `data` with `card` in it, its labels and facts as files in a zip behind the model."""
    from tensorflow.lite.python import schema_py_generated as schema

    model = tflite_edits.unpack(data)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(_packed(_described(model.subgraphs[0], card)), np.uint8)
    entry.name, entry.buffer = ENTRY.encode(), len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), entry]
    facts = json.dumps(card.facts, indent=1, ensure_ascii=False) + "\n"
    labels = "".join(f"{name}{SEPARATOR}" for name in card.labels)
    return _with_files(tflite_edits.pack(model), {LABELS_FILE: labels, FACTS_FILE: facts})


def _described(graph: Any, card: ModelCard) -> dict[str, Any]:
    """The ModelMetadata of `card`, for the one input and the one output of `graph`."""
    pixels, scores = (graph.tensors[int(indices[0])].name.decode() for indices in (graph.inputs, graph.outputs))
    labels = {"name": LABELS_FILE, "description": "One name for each score.", "type": AXIS_LABELS}
    normalization = {"options": {"NormalizationOptions": {"mean": card.mean, "std": card.std}}}
    image = {
        "name": pixels,
        "description": "A picture's pixels, 0 to 255, as they are.",
        "content": {"content_properties": {"ImageProperties": {"color_space": COLOR_SPACES.index(card.color_space)}}},
        # Of any size, MediaPipe would shrink pictures to the one pixel that the file declares: without this it refuses.
        **({} if _is_open(graph.tensors[int(graph.inputs[0])]) else {"process_units": [normalization]}),
    }
    output = {
        "name": scores,
        "content": {"content_properties": {"FeatureProperties": {}}},
        "associated_files": [labels],
    }
    return {
        "name": card.facts.get("name", "classifier"),
        "description": f"Classifies pictures. Made by edge-squeeze {__version__}.",
        "subgraph_metadata": [{"input_tensor_metadata": [image], "output_tensor_metadata": [output]}],
        **({} if card.license is None else {"license": card.license}),
        "associated_files": [{"name": FACTS_FILE, "description": "Where the model came from, and how it was made."}],
        "min_parser_version": PARSER_VERSION,
    }


def _is_open(tensor: Any) -> bool:
    """Whether the height or width of a picture tensor is open."""
    return tensor.shapeSignature is not None and -1 in tensor.shapeSignature


def _packed(metadata: dict[str, Any]) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(_table(builder, "ModelMetadata", metadata), IDENTIFIER)
    return bytes(builder.Output())


def _table(builder: Any, kind: str, values: dict[str, Any]) -> int:
    """Where a table with these `values` was put."""
    fields = TABLES[kind]
    slots: dict[int, tuple[Kind, int]] = {}
    for name, value in values.items():
        slot, field = fields[name]
        if isinstance(field, dict):
            ((table, inner),) = value.items()
            slots[slot] = BYTE, next(code for code, choice in field.items() if choice == table)
            slot, field, value = slot + 1, table, inner  # noqa: PLW2901 - the union's table follows its number
        slots[slot] = field, value if field == BYTE else _stored(builder, field, value)
    builder.StartObject(2 * len(fields) + 8)
    for slot, (field, value) in slots.items():
        if field == BYTE:
            builder.PrependInt8Slot(slot, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return int(builder.EndObject())


def _stored(builder: Any, kind: Kind, value: Any) -> int:
    """Where a text, a list or a table was put."""
    if kind == TEXT:
        return int(builder.CreateString(value))
    if kind == FLOATS:
        return int(builder.CreateNumpyVector(np.array(value, np.float32)))
    if not isinstance(kind, list):
        return _table(builder, str(kind), value)
    tables = [_table(builder, kind[0], entry) for entry in value]
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())


def _with_files(data: bytes, files: dict[str, str]) -> bytes:
    """`data` and behind it a zip of `files`, uncompressed, whose offsets count from the start of the whole."""
    whole = io.BytesIO()
    whole.write(data)
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name, EARLIEST)
            entry.create_system, entry.external_attr = UNIX, 0o644 << 16
            archive.writestr(entry, text.encode())
    return whole.getvalue()
